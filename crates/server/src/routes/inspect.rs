//! `/inspect`: look into an image without running it.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use contree_api::image::Image;
use contree_api::inspect::{DirectoryList, GrepResult};
use contree_api::{ErrorBody, ErrorKind, ImageId, Tag};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::{ApiError, Caller, Ids, Query};
use crate::openapi::refusals::{BareRefused, Refused, RefusedOrMissing};
use crate::openapi::{Binary, parameters};

/// Piece in which files are sent, in bytes.
const DOWNLOAD_CHUNK: usize = 128 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(add_slash))
        .routes(routes!(add_slash_to_image))
        .routes(routes!(find_by_tag))
        .routes(routes!(image))
        .routes(routes!(list))
        .routes(routes!(download, check_file))
        .routes(routes!(archive, check_archive))
        .routes(routes!(grep))
}

/// Go to the same path with a slash
///
/// Tells nothing, so it needs no token.
#[utoipa::path(
    get,
    path = "/v1/inspect",
    operation_id = "inspectRedirect",
    tag = "inspect",
    security(()),
    responses((
        status = 307,
        description = "The same with a slash.",
        headers(("Location" = String, description = "The same path and query with a slash.")),
    ))
)]
async fn add_slash(uri: Uri) -> Result<Response, ApiError> {
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    redirect(
        StatusCode::TEMPORARY_REDIRECT,
        &format!("{}/{query}", uri.path()),
    )
}

/// Go to the same path of an image with a slash
///
/// Tells nothing, so it needs no token, and whether there is such an image.
#[utoipa::path(
    get,
    path = "/v1/inspect/{imageUUID}",
    operation_id = "inspectImageRedirect",
    tag = "inspect",
    security(()),
    params(("imageUUID" = ImageId, Path, description = "The image.")),
    responses((
        status = 307,
        description = "The same with a slash.",
        headers(("Location" = String, description = "The same path and query with a slash.")),
    ))
)]
async fn add_slash_to_image(uri: Uri) -> Result<Response, ApiError> {
    add_slash(uri).await
}

/// Find the image of a tag
///
/// Among the project's tags, then among the public ones. Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/inspect/",
    operation_id = "inspectFindImageByTag",
    tag = "inspect",
    params(("tag" = String, Query, description = "The tag.")),
    responses(
        (
            status = 302,
            description = "There is one.",
            headers((
                "Location" = String,
                description = "The image's id and a slash, relative to this path."
            )),
        ),
        RefusedOrMissing,
    )
)]
async fn find_by_tag(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Response, ApiError> {
    query.required_text("tag")?;
    let Some(tag) = query.value::<Tag>("tag")? else {
        return Err(ApiError::bad_request("query parameter `tag` is required"));
    };
    let image = app.engine.resolve_tag(&caller, &tag).await?;
    // Relative, so that it also holds when the server is mounted below a prefix.
    redirect(StatusCode::FOUND, &format!("{image}/"))
}

fn redirect(status: StatusCode, place: &str) -> Result<Response, ApiError> {
    let place = HeaderValue::from_str(place)
        .map_err(|_| ApiError::bad_request("the path cannot be redirected"))?;
    Ok((status, [(header::LOCATION, place)]).into_response())
}

/// Show an image
///
/// Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/inspect/{image_uuid}/",
    operation_id = "inspectImage",
    tag = "inspect",
    params(("image_uuid" = ImageId, Path, description = "The image.")),
    responses((status = 200, description = "The image.", body = Image), RefusedOrMissing)
)]
async fn image(State(app): State<App>, caller: Caller, ids: Ids) -> Result<Json<Image>, ApiError> {
    Ok(Json(
        app.engine.image(&caller, ids.get("image_uuid")?).await?,
    ))
}

/// List a folder
///
/// Nothing is mounted or started for it. Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/inspect/{image_uuid}/list",
    operation_id = "inspectImageFile",
    tag = "inspect",
    params(
        ("image_uuid" = ImageId, Path, description = "The image."),
        parameters::PathInside,
        parameters::AsText,
    ),
    responses(
        (
            status = 200,
            description = "Its entries by name; as text in the form of `ls -l`.",
            content(
                (DirectoryList = "application/json"),
                (String = "text/plain"),
            ),
        ),
        (status = 404, description = "There is no such image, or no such folder in it.", body = ErrorBody),
        (status = 422, description = "The path names no folder.", body = ErrorBody),
        Refused,
    )
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<Response, ApiError> {
    let image = ids.get("image_uuid")?;
    let path = query.required_text("path")?;
    if query.present("text") {
        let text = app.engine.list_directory_text(&caller, image, path).await?;
        return Ok(([(header::CONTENT_TYPE, PLAIN_TEXT)], text).into_response());
    }
    Ok(Json(app.engine.list_directory(&caller, image, path).await?).into_response())
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// Download a file
///
/// The last link of the path is followed, inside the image only. Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/inspect/{image_uuid}/download",
    operation_id = "inspectImageDownload",
    tag = "inspect",
    params(
        ("image_uuid" = ImageId, Path, description = "The image."),
        parameters::PathInside,
        parameters::AsText,
    ),
    responses(
        (
            status = 200,
            description = "Its content.",
            content(
                (inline(Binary) = "application/octet-stream"),
                (String = "text/plain"),
            ),
        ),
        (status = 404, description = "There is no such image, or no such file in it.", body = ErrorBody),
        (status = 422, description = "The path names no regular file.", body = ErrorBody),
        Refused,
    )
)]
async fn download(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    ids: Ids,
    query: Query,
) -> Result<Response, ApiError> {
    let image = ids.get("image_uuid")?;
    let path = query.required_text("path")?;
    let content_type = if query.present("text") {
        PLAIN_TEXT
    } else {
        BYTES
    };
    let found = app.engine.open_image_file(&caller, image, path).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_LENGTH, HeaderValue::from(found.size)),
    ];
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let file = tokio::fs::File::from_std(found.file).take(found.size);
        Body::from_stream(ReaderStream::with_capacity(file, DOWNLOAD_CHUNK))
    };
    Ok((headers, body).into_response())
}

/// Download a file or a folder as a tar archive
///
/// In PAX format, streamed. A folder comes with all that is in it, a file alone. Needs the
/// permission `list`.
#[utoipa::path(
    get,
    path = "/v1/inspect/{image_uuid}/archive",
    operation_id = "inspectImageArchive",
    tag = "inspect",
    params(("image_uuid" = ImageId, Path, description = "The image."), parameters::PathInside),
    responses(
        (
            status = 200,
            description = "The archive.",
            body = inline(Binary),
            content_type = "application/x-tar",
            headers((
                "Content-Disposition" = String,
                description = "`attachment`, with a file name made of the path."
            )),
        ),
        (status = 404, description = "There is no such image, or no such path in it.", body = ErrorBody),
        (status = 422, description = "The path names neither a regular file nor a folder.", body = ErrorBody),
        Refused,
    )
)]
async fn archive(_: State<App>, _: Caller) -> ApiError {
    ApiError::new(
        ErrorKind::NotImplemented,
        "this server does not make archives of folders yet; download files one by one",
    )
}

/// Search in files
///
/// Regular expressions in the syntax of Rust's `regex`, in all files below the given paths.
/// Symbolic links are not followed, binary files are left out. Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/inspect/{image_uuid}/grep",
    operation_id = "inspectImageGrep",
    tag = "inspect",
    params(("image_uuid" = ImageId, Path, description = "The image."), parameters::Search),
    responses(
        (status = 200, description = "The lines that were found.", body = GrepResult),
        (status = 404, description = "There is no such image, or no such path in it.", body = ErrorBody),
        Refused,
    )
)]
async fn grep(_: State<App>, _: Caller) -> ApiError {
    ApiError::new(
        ErrorKind::NotImplemented,
        "this server does not search in images yet; run grep in a disposable instance",
    )
}

/// Ask whether there is a file
///
/// Needs the permission `list`.
#[utoipa::path(
    head,
    path = "/v1/inspect/{image_uuid}/download",
    operation_id = "checkImageFile",
    tag = "inspect",
    params(("image_uuid" = ImageId, Path, description = "The image."), parameters::PathInside),
    responses(
        (status = 200, description = "There is."),
        (status = 404, description = "There is no such image, or no such file in it."),
        (status = 422, description = "The path names no regular file."),
        BareRefused,
    )
)]
async fn check_file(
    app: State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<Response, ApiError> {
    download(app, caller, Method::HEAD, ids, query).await
}

/// Ask whether a path can be archived
///
/// Needs the permission `list`.
#[utoipa::path(
    head,
    path = "/v1/inspect/{image_uuid}/archive",
    operation_id = "checkImageArchive",
    tag = "inspect",
    params(("image_uuid" = ImageId, Path, description = "The image."), parameters::PathInside),
    responses(
        (status = 200, description = "There is."),
        (status = 404, description = "There is no such image, or no such path in it."),
        (status = 422, description = "The path names neither a regular file nor a folder."),
        BareRefused,
    )
)]
async fn check_archive(app: State<App>, caller: Caller) -> ApiError {
    archive(app, caller).await
}
