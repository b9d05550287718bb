//! `/inspect`: look into an image without running it.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contree_api::ErrorKind;
use contree_api::Tag;
use contree_api::image::Image;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::app::App;
use crate::http::{ApiError, Caller, Ids, Query};

/// Piece in which files are sent, in bytes.
const DOWNLOAD_CHUNK: usize = 128 * 1024;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/inspect", get(add_slash))
        .route("/v1/inspect/", get(find_by_tag))
        .route("/v1/inspect/{image}", get(add_slash))
        .route("/v1/inspect/{image}/", get(image))
        .route("/v1/inspect/{image}/list", get(list))
        .route("/v1/inspect/{image}/download", get(download))
        .route("/v1/inspect/{image}/archive", get(archive))
        .route("/v1/inspect/{image}/grep", get(grep))
}

/// Sends the client to the same path with a slash. Tells nothing, so it asks for no token.
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

/// Sends the client to the image of a tag. The place is relative, so that it also holds when the
/// server is mounted below a prefix.
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
    redirect(StatusCode::FOUND, &format!("{image}/"))
}

fn redirect(status: StatusCode, place: &str) -> Result<Response, ApiError> {
    let place = HeaderValue::from_str(place)
        .map_err(|_| ApiError::bad_request("the path cannot be redirected"))?;
    Ok((status, [(header::LOCATION, place)]).into_response())
}

async fn image(State(app): State<App>, caller: Caller, ids: Ids) -> Result<Json<Image>, ApiError> {
    Ok(Json(app.engine.image(&caller, ids.get("image")?).await?))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<Response, ApiError> {
    let image = ids.get("image")?;
    let path = query.required_text("path")?;
    if query.present("text") {
        let text = app.engine.list_directory_text(&caller, image, path).await?;
        return Ok(([(header::CONTENT_TYPE, PLAIN_TEXT)], text).into_response());
    }
    Ok(Json(app.engine.list_directory(&caller, image, path).await?).into_response())
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

async fn download(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    ids: Ids,
    query: Query,
) -> Result<Response, ApiError> {
    let image = ids.get("image")?;
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

async fn archive(_: State<App>, _: Caller) -> ApiError {
    ApiError::new(
        ErrorKind::NotImplemented,
        "this server does not make archives of folders yet; download files one by one",
    )
}

async fn grep(_: State<App>, _: Caller) -> ApiError {
    ApiError::new(
        ErrorKind::NotImplemented,
        "this server does not search in images yet; run grep in a disposable instance",
    )
}
