//! `/files`: bytes uploaded to be attached to runs or imported.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::routing::head;
use contree_api::ErrorKind;
use contree_api::file::{File, FileList, FileResponse};
use contree_api::whoami::Permission;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::body::BoundedBody;
use crate::http::query::quoted;
use crate::http::{ApiError, Caller, Ids, Query, error};
use crate::openapi::refusals::{Missing, Refused, RefusedOrMissing};
use crate::openapi::{Binary, parameters};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list, upload))
        .route("/v1/files", head(no_head_of_the_list))
        .routes(routes!(find, exists))
}

/// An older API was asked for a file by `HEAD /files?sha256=`. What still does so must not take a
/// list, which is always there, for a file that is.
async fn no_head_of_the_list() -> ([(HeaderName, HeaderValue); 1], ApiError) {
    let allow = (header::ALLOW, HeaderValue::from_static("GET,POST"));
    ([allow], error::no_such_method().await)
}

/// List uploaded files
///
/// Newest first. Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/files",
    operation_id = "listFiles",
    tag = "files",
    params(parameters::Page, parameters::Period),
    responses((status = 200, description = "The files.", body = FileList), Refused)
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<FileList>, ApiError> {
    let files = app.engine.files(&caller, &query.page()?).await?;
    Ok(Json(FileList { files }))
}

/// Upload a file
///
/// The body is the content, with or without a length. The same content has the same id, however
/// often it is uploaded. Needs the permission `import`, `spawn` or `spawn_disposable`.
#[utoipa::path(
    post,
    path = "/v1/files",
    operation_id = "uploadFile",
    tag = "files",
    request_body(content = inline(Binary), content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "The content is stored.", body = FileResponse),
        RefusedOrMissing,
    )
)]
async fn upload(
    State(app): State<App>,
    caller: Caller,
    body: Body,
) -> Result<(StatusCode, Json<FileResponse>), ApiError> {
    caller.require_any(&[
        Permission::Import,
        Permission::Spawn,
        Permission::SpawnDisposable,
    ])?;
    let mut body = BoundedBody::new(body, app.bounds.upload)?;
    let mut upload = app.engine.begin_upload(&caller).await?;
    // A body that breaks off leaves nothing.
    while let Some(piece) = body.next().await? {
        upload.write(&piece).await?;
    }
    Ok((StatusCode::CREATED, Json(upload.finish().await?)))
}

/// Find an uploaded file by its content
///
/// Needs the permission `list`.
#[utoipa::path(
    get,
    path = "/v1/files/{sha256}",
    operation_id = "getFile",
    tag = "files",
    params(parameters::Sha256),
    responses((status = 200, description = "The file.", body = File), Missing)
)]
async fn find(State(app): State<App>, caller: Caller, ids: Ids) -> Result<Json<File>, ApiError> {
    let sha256: String = ids.get("sha256").map_err(ApiError::into_missing)?;
    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        let expected = format!(
            "path parameter `sha256`: expected 64 hex digits; got `{}`",
            quoted(&sha256)
        );
        return Err(ApiError::new(ErrorKind::NotFound, expected));
    }
    Ok(Json(
        app.engine
            .file(&caller, &sha256.to_ascii_lowercase())
            .await?,
    ))
}

/// Ask whether a content is uploaded
///
/// Needs the permission `list`.
#[utoipa::path(
    head,
    path = "/v1/files/{sha256}",
    operation_id = "checkFileExists",
    tag = "files",
    params(parameters::Sha256),
    responses(
        (status = 200, description = "It is."),
        (status = 401, description = "No token, or one that is not accepted."),
        (status = 403, description = "The token lacks the permission."),
        (status = 404, description = "It is not."),
        (status = "default", description = "Any other refusal."),
    )
)]
async fn exists(app: State<App>, caller: Caller, ids: Ids) -> Result<Json<File>, ApiError> {
    find(app, caller, ids).await
}
