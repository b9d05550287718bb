//! `/instances`: run a command in an image.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use contree_api::instance::InstanceSpawnResponse;
use contree_api::whoami::Permission;

use super::operations::location;
use crate::app::App;
use crate::http::{ApiError, Caller, read_json};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/instances", post(spawn))
}

type Created<T> = (StatusCode, [(HeaderName, String); 1], Json<T>);

async fn spawn(
    State(app): State<App>,
    caller: Caller,
    body: Body,
) -> Result<Created<InstanceSpawnResponse>, ApiError> {
    caller.require_any(&[Permission::Spawn, Permission::SpawnDisposable])?;
    let request = read_json(body, app.bounds.request).await?;
    let accepted = app.engine.spawn(&caller, request).await?;
    let headers = [(header::LOCATION, location(accepted.uuid))];
    Ok((StatusCode::CREATED, headers, Json(accepted)))
}
