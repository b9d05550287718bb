//! `/images`: the project's images and their tags.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use contree_api::image::{Image, ImageList, TagUpdate};
use contree_api::whoami::Permission;
use contree_api::{ImageId, Tag};
use contree_engine::{ImageFilter, ImageKind};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::{ApiError, Caller, Ids, Query, read_json};
use crate::openapi::parameters;
use crate::openapi::refusals::{Missing, Refused, RefusedOrMissing};

/// Room for a tag of the greatest length, however it is escaped.
const MAX_TAG_BODY: u64 = 64 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(set_tag, delete_tag))
}

/// List images
///
/// The project's images and the public ones, newest first. An image with several tags appears
/// once per tag. Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/images",
    operation_id = "listImages",
    tag = "images",
    params(parameters::Page, parameters::ImageFilter, parameters::Period),
    responses((status = 200, description = "The images.", body = ImageList), Refused)
)]
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

/// Set a tag
///
/// A tag names one image of a project. One that another image has is moved here; one that a
/// public image has hides that image from the project until the tag is removed. Needs the
/// permission `set_image_tag`.
#[utoipa::path(
    patch,
    path = "/v1/images/{imageUUID}/tag",
    operation_id = "updateImageTag",
    tag = "images",
    params(("imageUUID" = ImageId, Path, description = "The image.")),
    request_body = TagUpdate,
    responses((status = 200, description = "The image with its tag.", body = Image), RefusedOrMissing)
)]
async fn set_tag(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    body: Body,
) -> Result<Json<Image>, ApiError> {
    caller.require_any(&[Permission::SetImageTag])?;
    let image = ids.get("imageUUID")?;
    let TagUpdate { tag } = read_json(body, MAX_TAG_BODY).await?;
    Ok(Json(app.engine.set_tag(&caller, image, tag).await?))
}

/// Remove a tag, or all tags of an image
///
/// The image stays, reachable by its id. A public image with the same tag is found by it again.
/// Needs the permission `set_image_tag`.
#[utoipa::path(
    delete,
    path = "/v1/images/{imageUUID}/tag",
    operation_id = "deleteImageTag",
    tag = "images",
    params(
        ("imageUUID" = ImageId, Path, description = "The image."),
        ("tag" = Option<String>, Query, description = "The tag to remove; without it, all of them."),
    ),
    responses((status = 204, description = "The tag is removed."), Missing)
)]
async fn delete_tag(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let tag = query.value::<Tag>("tag").map_err(ApiError::into_missing)?;
    let image = ids.get("imageUUID").map_err(ApiError::into_missing)?;
    app.engine.delete_tag(&caller, image, tag.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
