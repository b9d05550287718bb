//! `/operations`: what was asked for, how far it is, and calling it off.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contree_api::OperationId;
use contree_api::operation::{OperationKind, OperationResponse, OperationStatus, OperationSummary};
use contree_engine::OperationFilter;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::{ApiError, Caller, Ids, Query};
use crate::openapi::parameters;
use crate::openapi::refusals::{Conflict, Refused, RefusedOrMissing};

/// Seconds after which asking again about an operation that has not ended makes sense.
const POLL_SECONDS: u32 = 1;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(status, cancel))
}

/// Where an operation is found, for `Location` headers.
pub(super) fn location(operation: OperationId) -> String {
    format!("/v1/operations/{operation}")
}

/// List operations
///
/// Running and ended ones, newest first. Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/operations",
    operation_id = "listOperations",
    tag = "operations",
    params(parameters::Page, parameters::OperationFilter, parameters::Period),
    responses(
        (status = 200, description = "The operations.", body = Vec<OperationSummary>),
        Refused,
    )
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<Vec<OperationSummary>>, ApiError> {
    let filter = OperationFilter {
        page: query.page()?,
        status: query.one_of("status", &OperationStatus::ALL, OperationStatus::name)?,
        kind: query.one_of(
            "kind",
            &[OperationKind::ImageImport, OperationKind::Instance],
            OperationKind::name,
        )?,
    };
    Ok(Json(app.engine.operations(&caller, &filter).await?))
}

/// Show an operation
///
/// Its request, how far it is, and what came of it. Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/operations/{operationId}",
    operation_id = "getOperationStatus",
    tag = "operations",
    params(
        ("operationId" = OperationId, Path, description = "The operation."),
        parameters::Inflight,
    ),
    responses(
        (
            status = 200,
            description = "The operation.",
            body = OperationResponse,
            headers((
                "Retry-After" = i64,
                description = "Seconds after which to ask again; only while it has not ended."
            )),
        ),
        RefusedOrMissing,
    )
)]
async fn status(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<Response, ApiError> {
    let inflight = query.flag("inflight")?;
    let operation = app
        .engine
        .operation(&caller, ids.get("operationId")?, inflight)
        .await?;
    let ended = operation.summary.status.is_terminal();
    let mut response = Json(operation).into_response();
    if !ended {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(POLL_SECONDS));
    }
    Ok(response)
}

/// Cancel an operation
///
/// A queued one never starts; of a running one all processes are killed. The operation ends as
/// `CANCELLED`, unless it ended by itself first. Needs the permission `cancel`.
#[utoipa::path(
    delete,
    path = "/v1/operations/{operationId}",
    operation_id = "cancelOperation",
    tag = "operations",
    params(("operationId" = OperationId, Path, description = "The operation.")),
    responses(
        (status = 202, description = "It is being ended."),
        (status = 409, response = Conflict),
        RefusedOrMissing,
    )
)]
async fn cancel(State(app): State<App>, caller: Caller, ids: Ids) -> Result<StatusCode, ApiError> {
    app.engine.cancel(&caller, ids.get("operationId")?).await?;
    Ok(StatusCode::ACCEPTED)
}
