//! `/files`: bytes uploaded to be attached to runs or imported.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use contree_api::file::{File, FileList, FileResponse};
use contree_api::whoami::Permission;

use crate::app::App;
use crate::http::body::BoundedBody;
use crate::http::query::quoted;
use crate::http::{ApiError, Caller, Ids, Query};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/files", get(list).post(upload))
        // HEAD comes with GET: the same answer without its body.
        .route("/v1/files/{sha256}", get(find))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Json<FileList>, ApiError> {
    let files = app.engine.files(&caller, &query.page()?).await?;
    Ok(Json(FileList { files }))
}

/// Streams the body to disk; a body that breaks off leaves nothing.
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
    while let Some(piece) = body.next().await? {
        upload.write(&piece).await?;
    }
    Ok((StatusCode::CREATED, Json(upload.finish().await?)))
}

async fn find(State(app): State<App>, caller: Caller, ids: Ids) -> Result<Json<File>, ApiError> {
    let sha256: String = ids.get("sha256")?;
    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ApiError::bad_request(format!(
            "path parameter `sha256`: expected 64 hex digits; got `{}`",
            quoted(&sha256)
        )));
    }
    Ok(Json(
        app.engine
            .file(&caller, &sha256.to_ascii_lowercase())
            .await?,
    ))
}
