//! `/images/import`: bring an image in from a registry or an uploaded archive.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use contree_api::image::{ImageImportRequest, ImageImportResponse};
use contree_api::whoami::Permission;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::operations::location;
use crate::app::App;
use crate::http::{ApiError, Caller, read_json};
use crate::openapi::refusals::RefusedOrMissing;

/// A reference, credentials and a tag are small; access tokens may be a few KiB.
const MAX_BODY: u64 = 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(import))
}

type Created<T> = (StatusCode, [(HeaderName, String); 1], Json<T>);

/// Import an image from a registry or an uploaded archive
///
/// The image's layers become one filesystem; of its configuration the environment and the working
/// directory are kept. An image that has not changed since it was imported last has the same id,
/// and nothing is fetched again. Needs the permission `import`.
#[utoipa::path(
    post,
    path = "/v1/images/import",
    operation_id = "importImage",
    tag = "images",
    request_body = ImageImportRequest,
    responses(
        (
            status = 201,
            description = "The import was accepted.",
            body = ImageImportResponse,
            headers(("Location" = String, description = "Where the operation is.")),
        ),
        RefusedOrMissing,
    )
)]
async fn import(
    State(app): State<App>,
    caller: Caller,
    body: Body,
) -> Result<Created<ImageImportResponse>, ApiError> {
    caller.require_any(&[Permission::Import])?;
    let request: ImageImportRequest = read_json(body, MAX_BODY).await?;
    let uuid = app.engine.import(&caller, request).await?;
    let headers = [(header::LOCATION, location(uuid))];
    Ok((
        StatusCode::CREATED,
        headers,
        Json(ImageImportResponse { uuid }),
    ))
}
