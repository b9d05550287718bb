//! `/operations/{operation}/subprocesses`: further processes in a running sandbox, their
//! results, signals to them, and their input.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use contree_api::OperationId;
use contree_api::instance::{InstanceResult, Spid};
use contree_api::whoami::Permission;

use super::operations::location;
use crate::app::App;
use crate::http::{ApiError, Caller, Ids, Query, read_json};

/// Clients send up to 512 KiB of bytes at a time, which is about 700 KiB as base64.
const MAX_CHUNK_BODY: u64 = 8 * 1024 * 1024;

/// What starting, signalling or feeding a process needs: that of the run it is in, which the
/// engine knows.
const SPAWN_EITHER: [Permission; 2] = [Permission::Spawn, Permission::SpawnDisposable];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/operations/{operation}/subprocesses", post(create))
        .route(
            "/v1/operations/{operation}/subprocesses/{spid}",
            get(result).delete(kill),
        )
        .route(
            "/v1/operations/{operation}/subprocesses/{spid}/stdin",
            post(stdin),
        )
}

type Created<T> = (StatusCode, [(HeaderName, String); 1], Json<T>);

async fn create(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    body: Body,
) -> Result<Created<Spid>, ApiError> {
    caller.require_any(&SPAWN_EITHER)?;
    let operation: OperationId = ids.get("operation")?;
    let spec = read_json(body, app.bounds.request).await?;
    let created = app.engine.exec(&caller, operation, spec).await?;
    let place = format!("{}/subprocesses/{}", location(operation), created.spid);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, place)],
        Json(created),
    ))
}

async fn result(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
) -> Result<Json<InstanceResult>, ApiError> {
    let (operation, spid) = (ids.get("operation")?, ids.spid()?);
    Ok(Json(
        app.engine.process_result(&caller, operation, spid).await?,
    ))
}

async fn kill(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let (operation, spid) = (ids.get("operation")?, ids.spid()?);
    app.engine
        .signal(&caller, operation, spid, query.text("signal")?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stdin(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.require_any(&SPAWN_EITHER)?;
    let (operation, spid) = (ids.get("operation")?, ids.spid()?);
    let chunk = read_json(body, MAX_CHUNK_BODY).await?;
    app.engine
        .write_stdin(&caller, operation, spid, chunk)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
