//! `/images`: the project's images and their tags.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, patch};
use axum::{Json, Router};
use contree_api::Tag;
use contree_api::image::{Image, ImageList, TagUpdate};
use contree_api::whoami::Permission;
use contree_engine::{ImageFilter, ImageKind};

use crate::app::App;
use crate::http::{ApiError, Caller, Ids, Query, read_json};

/// Room for a tag of the greatest length, however it is escaped.
const MAX_TAG_BODY: u64 = 64 * 1024;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/images", get(list))
        .route("/v1/images/{image}/tag", patch(set_tag).delete(delete_tag))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<ImageList>, ApiError> {
    let tag_prefix = query.value::<Tag>("tag")?;
    // `?tagged` alone and any value but 0 turn it on; a prefix implies it.
    let tagged = query.present("tagged") || tag_prefix.is_some();
    let kind = query.number("kind", 0..=1)?.map(|kind| match kind {
        0 => ImageKind::Run,
        _ => ImageKind::Import,
    });
    let filter = ImageFilter {
        page: query.page()?,
        tagged,
        tag_prefix,
        id: query.value("uuid")?,
        kind,
    };
    let images = app.engine.images(&caller, &filter).await?;
    Ok(Json(ImageList { images }))
}

async fn set_tag(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    body: Body,
) -> Result<Json<Image>, ApiError> {
    caller.require_any(&[Permission::SetImageTag])?;
    let image = ids.get("image")?;
    let TagUpdate { tag } = read_json(body, MAX_TAG_BODY).await?;
    Ok(Json(app.engine.set_tag(&caller, image, tag).await?))
}

async fn delete_tag(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let tag = query.value::<Tag>("tag")?;
    app.engine
        .delete_tag(&caller, ids.get("image")?, tag.as_ref())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
