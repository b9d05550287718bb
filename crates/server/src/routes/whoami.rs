//! `/whoami`: what a token is told about itself. Any valid token may ask.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use contree_api::whoami::WhoAmI;

use crate::app::App;
use crate::http::{ApiError, Caller};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/whoami", get(whoami))
}

async fn whoami(State(app): State<App>, caller: Caller) -> Result<Json<WhoAmI>, ApiError> {
    Ok(Json(app.engine.whoami(&caller).await?))
}
