//! `/instances`: run a command in an image.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use contree_api::instance::{InstanceSpawnRequest, InstanceSpawnResponse};
use contree_api::whoami::Permission;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::operations::location;
use crate::app::App;
use crate::http::{ApiError, Caller, read_json};
use crate::openapi::refusals::RefusedOrMissing;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(spawn))
}

type Created<T> = (StatusCode, [(HeaderName, String); 1], Json<T>);

/// Run a command in an image
///
/// The run is queued and starts in a sandbox of its own when it is its turn. Needs the permission
/// `spawn`, or for disposable runs `spawn_disposable`.
#[utoipa::path(
    post,
    path = "/v1/instances",
    operation_id = "spawnInstance",
    tag = "instances",
    request_body = InstanceSpawnRequest,
    responses(
        (
            status = 201,
            description = "The run was accepted.",
            body = InstanceSpawnResponse,
            headers(("Location" = String, description = "Where the operation is.")),
        ),
        RefusedOrMissing,
    )
)]
async fn spawn(
    State(app): State<App>,
    caller: Caller,
    body: Body,
) -> Result<Created<InstanceSpawnResponse>, ApiError> {
    caller.require_any(&[Permission::Spawn, Permission::SpawnDisposable])?;
    let request: InstanceSpawnRequest = read_json(body, app.bounds.request).await?;
    let accepted = app.engine.spawn(&caller, request).await?;
    let headers = [(header::LOCATION, location(accepted.uuid))];
    Ok((StatusCode::CREATED, headers, Json(accepted)))
}
