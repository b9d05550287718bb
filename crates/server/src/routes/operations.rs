//! `/operations`: what was asked for, how far it is, and calling it off.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contree_api::OperationId;
use contree_api::operation::{OperationKind, OperationStatus, OperationSummary};
use contree_engine::OperationFilter;

use crate::app::App;
use crate::http::{ApiError, Caller, Ids, Query};

/// Seconds after which asking again about an operation that has not ended makes sense.
const POLL_SECONDS: u32 = 1;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/operations", get(list))
        .route("/v1/operations/{operation}", get(status).delete(cancel))
}

/// Where an operation is found, for `Location` headers.
pub(super) fn location(operation: OperationId) -> String {
    format!("/v1/operations/{operation}")
}

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

async fn status(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<Response, ApiError> {
    let inflight = query.flag("inflight")?;
    let operation = app
        .engine
        .operation(&caller, ids.get("operation")?, inflight)
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

async fn cancel(State(app): State<App>, caller: Caller, ids: Ids) -> Result<StatusCode, ApiError> {
    app.engine.cancel(&caller, ids.get("operation")?).await?;
    Ok(StatusCode::ACCEPTED)
}
