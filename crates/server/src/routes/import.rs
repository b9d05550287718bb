//! `/images/import`: bring an image in from a registry or an uploaded archive.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use contree_api::image::ImageImportResponse;
use contree_api::whoami::Permission;

use super::operations::location;
use crate::app::App;
use crate::http::{ApiError, Caller, read_json};

/// A reference, credentials and a tag are small; access tokens may be a few KiB.
const MAX_BODY: u64 = 1024 * 1024;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/images/import", post(import))
}

type Created<T> = (StatusCode, [(HeaderName, String); 1], Json<T>);

async fn import(
    State(app): State<App>,
    caller: Caller,
    body: Body,
) -> Result<Created<ImageImportResponse>, ApiError> {
    caller.require_any(&[Permission::Import])?;
    let request = read_json(body, MAX_BODY).await?;
    let uuid = app.engine.import(&caller, request).await?;
    let headers = [(header::LOCATION, location(uuid))];
    Ok((
        StatusCode::CREATED,
        headers,
        Json(ImageImportResponse { uuid }),
    ))
}
