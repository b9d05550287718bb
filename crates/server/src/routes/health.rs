//! `/healthz` and `/readyz`: for supervisors and load balancers; no token.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use contree_api::ErrorBody;

use crate::app::App;
use crate::http::ApiError;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(alive))
        .routes(routes!(ready))
}

/// That the server is well.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok` or `ready`.
    status: &'static str,
}

/// Whether the process answers
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "isAlive",
    tag = "service",
    security(()),
    responses((status = 200, description = "It does.", body = Health))
)]
async fn alive() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether requests are accepted
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "isReady",
    tag = "service",
    security(()),
    responses(
        (status = 200, description = "They are.", body = Health),
        (
            status = 503,
            description = "The server is shutting down, or its database does not answer.",
            body = ErrorBody,
            headers(("Retry-After" = i64, description = "Seconds after which to ask again.")),
        ),
    )
)]
async fn ready(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    app.engine.ready().await?;
    Ok(Json(Health { status: "ready" }))
}
