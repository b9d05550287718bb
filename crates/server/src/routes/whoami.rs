//! `/whoami`: what a token is told about itself. Any valid token may ask.

use axum::Json;
use axum::extract::State;
use contree_api::whoami::WhoAmI;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::{ApiError, Caller};
use crate::openapi::refusals::{Forbidden, Refusal, Unauthorized};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(whoami))
}

/// Tell a token about itself
///
/// Any valid token may ask.
#[utoipa::path(
    get,
    path = "/v1/whoami",
    operation_id = "whoAmI",
    tag = "auth",
    responses(
        (
            status = 200,
            description = "The token's permissions and limits, and counts of the project's \
                           operations.",
            body = WhoAmI,
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = Forbidden),
        (status = "default", response = Refusal),
    )
)]
async fn whoami(State(app): State<App>, caller: Caller) -> Result<Json<WhoAmI>, ApiError> {
    Ok(Json(app.engine.whoami(&caller).await?))
}
