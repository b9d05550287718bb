//! `/inspect`: look into an image without running it.

use std::convert::Infallible;
use std::io::{Seek as _, SeekFrom};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use contree_api::image::Image;
use contree_api::inspect::{self, DirectoryList, GrepCase, GrepQuery, GrepResult};
use contree_api::{ErrorBody, ImageId, Tag};
use contree_engine::ImageFile;
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::http::encoding::wants_gzip;
use crate::http::produced::produced;
use crate::http::ranges::{self, Part};
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
const TAR: &str = "application/x-tar";
/// `Cache-Control` of content that never changes but is not everybody's.
const FOR_EVER: &str = "private, max-age=31536000, immutable";
/// What is percent-encoded in `filename*`.
const NOT_IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// Download a file
///
/// The last link of the path is followed, inside the image only. The bytes of a path in an image
/// never change: they may be kept for ever, asked for again by `If-None-Match`, and taken in parts
/// by `Range` (one range of bytes at a time) with `If-Range`. Needs the permission `list`.
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
            headers(
                ("ETag" = String, description = "Strong."),
                ("Accept-Ranges" = String, description = "`bytes`."),
            ),
        ),
        (
            status = 206,
            description = "The range that `Range` asked for.",
            body = inline(Binary),
            content_type = "application/octet-stream",
            headers(("Content-Range" = String, description = "Where it lies, and the size.")),
        ),
        (status = 304, description = "The content is the one that `If-None-Match` names."),
        (status = 412, description = "The content is not the one that `If-Match` names.", body = ErrorBody),
        (status = 416, description = "The range begins behind the end; `Content-Range` has the size.", body = ErrorBody),
        (status = 404, description = "There is no such image, or no such file in it.", body = ErrorBody),
        (status = 422, description = "The path names no regular file.", body = ErrorBody),
        Refused,
    )
)]
async fn download(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    send_file(&app, &caller, &ids, &query, &headers, Content::Sent).await
}

/// Whether an answer has the content that it tells of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Sent,
    Withheld,
}

/// Answers with a file, or a part of it, by what the client has and wants.
async fn send_file(
    app: &App,
    caller: &Caller,
    ids: &Ids,
    query: &Query,
    headers: &HeaderMap,
    content: Content,
) -> Result<Response, ApiError> {
    let image: ImageId = ids.get("image_uuid")?;
    let path = query.required_text("path")?;
    let ImageFile { mut file, size } = app.engine.open_image_file(caller, image, path).await?;
    // An image never changes, so a path in it always names the same bytes.
    let tag = Uuid::new_v5(&image.uuid(), path.as_bytes()).simple();
    let tag = format!("\"{tag}\"");
    if !ranges::is_expected(headers, &tag) {
        return Err(ApiError::with_status(
            StatusCode::PRECONDITION_FAILED,
            "header `If-Match`: the file has another entity tag",
        ));
    }
    let mut head = HeaderMap::new();
    head.insert(header::ETAG, header_value(&tag)?);
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    if ranges::is_known(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A range is for GET alone.
    let part = match content {
        Content::Sent => ranges::part(headers, size, &tag),
        Content::Withheld => Part::Whole,
    };
    let (status, first, length) = match part {
        Part::Whole => (StatusCode::OK, 0, size),
        Part::Range(first, last) => {
            let range = format!("bytes {first}-{last}/{size}");
            head.insert(header::CONTENT_RANGE, header_value(&range)?);
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Part::Nothing => return not_satisfiable(size),
    };
    let content_type = if query.present("text") {
        PLAIN_TEXT
    } else {
        BYTES
    };
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    head.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if content == Content::Withheld {
        return Ok((status, head).into_response());
    }
    file.seek(SeekFrom::Start(first))
        .map_err(|error| ApiError::internal(&error))?;
    let file = tokio::fs::File::from_std(file).take(length);
    let body = Body::from_stream(ReaderStream::with_capacity(file, DOWNLOAD_CHUNK));
    Ok((status, head, body).into_response())
}

fn not_satisfiable(size: u64) -> Result<Response, ApiError> {
    let refusal = ApiError::with_status(
        StatusCode::RANGE_NOT_SATISFIABLE,
        format!("header `Range`: the file has {size} bytes, and the range begins behind them"),
    );
    let mut response = refusal.into_response();
    let range = header_value(&format!("bytes */{size}"))?;
    response.headers_mut().insert(header::CONTENT_RANGE, range);
    Ok(response)
}

fn header_value(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text).map_err(|error| ApiError::internal(&error))
}

/// Download a file or a folder as a tar archive
///
/// In PAX format, made from the image's layers while it is sent, so its size is not known
/// before; compressed with gzip where that is accepted. A folder comes with all that is in it, a
/// file alone; names start with the path's last name, those in `/` with nothing. The last link of
/// the path is followed, inside the image only. Needs the permission `list`.
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
async fn archive(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = query.required_text("path")?;
    let archive = app
        .engine
        .archive(&caller, ids.get("image_uuid")?, path)
        .await?;
    let gzip = wants_gzip(&headers);
    let body = produced(archive, gzip);
    Ok((archive_head(path, gzip)?, body).into_response())
}

/// The headers of an archive. Its size is not known before it is made.
fn archive_head(path: &str, gzip: bool) -> Result<HeaderMap, ApiError> {
    let mut head = HeaderMap::new();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(TAR));
    head.insert(
        header::CONTENT_DISPOSITION,
        header_value(&attachment(path))?,
    );
    head.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        head.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(head)
}

/// `Content-Disposition` with the path, `_` for `/`, and `.tar`: `bin_true.tar` for `/bin/true`.
/// A name that is not plain ASCII comes twice, as RFC 6266 has it.
fn attachment(path: &str) -> String {
    let names: Vec<&str> = path
        .split('/')
        .filter(|name| !matches!(*name, "" | "."))
        .collect();
    let name = match names.as_slice() {
        [] => "root.tar".to_owned(),
        names => format!("{}.tar", names.join("_")),
    };
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ';
    if name.chars().all(is_plain) {
        return format!("attachment; filename=\"{name}\"");
    }
    let plain: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let encoded = utf8_percent_encode(&name, NOT_IN_NAMES);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// Search in files
///
/// Regular expressions in the syntax of Rust's `regex`, in all files below the given paths.
/// What matches is what ripgrep finds: symbolic links are not followed, hidden files are searched,
/// binary files are left out, globs are taken from the image's root. Takes ten seconds at most.
/// Needs the permission `list`.
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
async fn grep(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
) -> Result<Json<GrepResult>, ApiError> {
    let image = ids.get("image_uuid")?;
    let texts = |name, most| {
        let texts = query.texts(name, most, inspect::MAX_GREP_CHARS)?;
        Ok::<_, ApiError>(
            texts
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<String>>(),
        )
    };
    let number = |name, least, most: u32| {
        let number = query.number(name, least..=u64::from(most))?;
        // It fits: the range ends at one that does.
        Ok::<_, ApiError>(number.map(|number| u32::try_from(number).unwrap_or(most)))
    };
    let search = GrepQuery {
        patterns: texts("pattern", inspect::MAX_GREP_PATTERNS)?,
        paths: texts("path", inspect::MAX_GREP_PATHS)?,
        globs: texts("glob", inspect::MAX_GREP_GLOBS)?,
        max_count: number("max_count", 1, inspect::MAX_GREP_MATCHES)?,
        max_total: number("max_total", 1, inspect::MAX_GREP_MATCHES)?,
        case: query
            .one_of("case", &GrepCase::ALL, GrepCase::name)?
            .unwrap_or_default(),
        before: number("before", 0, inspect::MAX_GREP_CONTEXT)?.unwrap_or(0),
        after: number("after", 0, inspect::MAX_GREP_CONTEXT)?.unwrap_or(0),
    };
    if search.patterns.is_empty() {
        return Err(ApiError::bad_request(
            "query parameter `pattern` is required",
        ));
    }
    Ok(Json(app.engine.grep(&caller, image, search).await?))
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
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    send_file(&app, &caller, &ids, &query, &headers, Content::Withheld).await
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
async fn check_archive(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = query.required_text("path")?;
    // Opened, and nothing of it is read.
    app.engine
        .archive(&caller, ids.get("image_uuid")?, path)
        .await?;
    // A body whose length nobody knows, or the answer would say that the archive has no bytes.
    let body = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>());
    Ok((archive_head(path, wants_gzip(&headers))?, body).into_response())
}

#[cfg(test)]
mod tests {
    use super::attachment;

    #[test]
    fn names_of_archives() {
        for (path, expected) in [
            ("/etc", "filename=\"etc.tar\""),
            ("/bin/true", "filename=\"bin_true.tar\""),
            ("//usr/./lib/", "filename=\"usr_lib.tar\""),
            ("/", "filename=\"root.tar\""),
            ("a b", "filename=\"a b.tar\""),
            (
                "/ü\"x",
                "filename=\"__x.tar\"; filename*=UTF-8''%C3%BC%22x.tar",
            ),
            (
                "a\r\nB: c",
                "filename=\"a__B: c.tar\"; filename*=UTF-8''a%0D%0AB%3A%20c.tar",
            ),
        ] {
            assert_eq!(attachment(path), format!("attachment; {expected}"));
        }
    }
}
