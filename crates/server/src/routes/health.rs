//! `/healthz` and `/readyz`: for supervisors and load balancers; no token.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::app::App;
use crate::http::ApiError;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// 200 as long as the process answers at all.
async fn alive() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// 200 when requests are accepted, 503 while shutting down or without a working database.
async fn ready(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    app.engine.ready().await?;
    Ok(Json(Health { status: "ready" }))
}
