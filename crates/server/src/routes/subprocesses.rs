//! `/operations/{operation}/subprocesses`: further processes in a running sandbox, their
//! results, signals to them, and their input.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use contree_api::ErrorBody;
use contree_api::OperationId;
use contree_api::instance::{ExecSpec, InstanceResult, Spid};
use contree_api::stream::ClosableStreamRepr;
use contree_api::whoami::Permission;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::operations::location;
use crate::app::App;
use crate::http::{ApiError, Caller, Ids, Query, read_json};
use crate::openapi::parameters;
use crate::openapi::refusals::{Conflict, RefusedOrMissing, TooEarly};

/// Clients send up to 512 KiB of bytes at a time, which is about 700 KiB as base64.
const MAX_CHUNK_BODY: u64 = 8 * 1024 * 1024;

/// What starting, signalling or feeding a process needs: that of the run it is in, which the
/// engine knows.
const SPAWN_EITHER: [Permission; 2] = [Permission::Spawn, Permission::SpawnDisposable];

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(create))
        .routes(routes!(result, kill))
        .routes(routes!(stdin))
}

type Created<T> = (StatusCode, [(HeaderName, String); 1], Json<T>);

/// Start a process in a running sandbox
///
/// It shares filesystem, network and limits with the run, and ends with it at the latest. Needs
/// the permission that the run needed.
#[utoipa::path(
    post,
    path = "/v1/operations/{operationId}/subprocesses",
    operation_id = "operationSubprocessCreate",
    tag = "operation",
    params(("operationId" = OperationId, Path, description = "The operation.")),
    request_body = ExecSpec,
    responses(
        (
            status = 201,
            description = "It runs.",
            body = inline(Spid),
            headers(("Location" = String, description = "Where its result is.")),
        ),
        (status = 409, response = Conflict),
        (status = 425, response = TooEarly),
        (
            status = 504,
            description = "Part of the contract; never answered by this server.",
            body = ErrorBody,
        ),
        RefusedOrMissing,
    )
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    body: Body,
) -> Result<Created<Spid>, ApiError> {
    caller.require_any(&SPAWN_EITHER)?;
    let operation: OperationId = ids.get("operationId")?;
    let spec: ExecSpec = read_json(body, app.bounds.request).await?;
    let created = app.engine.exec(&caller, operation, spec).await?;
    let place = format!("{}/subprocesses/{}", location(operation), created.spid);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, place)],
        Json(created),
    ))
}

/// Show the result of a process
///
/// Made from its events, at any time: while it runs, `exit_code` and `signal` are both -1. Needs
/// the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/operations/{operationId}/subprocesses/{spid}",
    operation_id = "operationSubprocess",
    tag = "operation",
    params(("operationId" = OperationId, Path, description = "The operation."), parameters::SpidInPath),
    responses(
        (status = 200, description = "Its result so far.", body = InstanceResult),
        (status = 425, response = TooEarly),
        RefusedOrMissing,
    )
)]
async fn result(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
) -> Result<Json<InstanceResult>, ApiError> {
    let (operation, spid) = (ids.get("operationId")?, ids.spid()?);
    Ok(Json(
        app.engine.process_result(&caller, operation, spid).await?,
    ))
}

/// Send a signal to a process
///
/// To all processes of its group. What comes of it shows in its `exit` event. A run whose command
/// (process 1) is killed ends as if the command had failed. Needs the permission that the run
/// needed.
#[utoipa::path(
    delete,
    path = "/v1/operations/{operationId}/subprocesses/{spid}",
    operation_id = "operationSubprocessKill",
    tag = "operation",
    params(("operationId" = OperationId, Path, description = "The operation."), parameters::SpidInPath, parameters::Signal),
    responses(
        (status = 204, description = "The signal is sent."),
        (status = 409, response = Conflict),
        (status = 425, response = TooEarly),
        RefusedOrMissing,
    )
)]
async fn kill(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let (operation, spid) = (ids.get("operationId")?, ids.spid()?);
    app.engine
        .signal(&caller, operation, spid, query.text("signal")?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Write to the input of a process
///
/// Of one that was started with `stdin.close` false. Writes are in the order in which their
/// requests were answered. Needs the permission that the run needed.
#[utoipa::path(
    post,
    path = "/v1/operations/{operationId}/subprocesses/{spid}/stdin",
    operation_id = "operationSubprocessStdin",
    tag = "operation",
    params(("operationId" = OperationId, Path, description = "The operation."), parameters::SpidInPath),
    request_body = ClosableStreamRepr,
    responses(
        (status = 204, description = "The bytes are written, and the input closed if so asked."),
        (status = 409, response = Conflict),
        (status = 410, description = "Part of the contract; this server answers 409 instead."),
        (status = 425, response = TooEarly),
        (status = 501, description = "Part of the contract; never answered by this server."),
        (
            status = 504,
            description = "The process did not read in time. A part of the bytes may have been \
                           written.",
        ),
        RefusedOrMissing,
    )
)]
async fn stdin(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.require_any(&SPAWN_EITHER)?;
    let (operation, spid) = (ids.get("operationId")?, ids.spid()?);
    let chunk: ClosableStreamRepr = read_json(body, MAX_CHUNK_BODY).await?;
    app.engine
        .write_stdin(&caller, operation, spid, chunk)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
