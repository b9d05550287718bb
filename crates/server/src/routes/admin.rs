//! `/admin`: projects, tokens and the public namespace, for tokens with admin rights. These routes
//! are this server's own, beside the contract.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use contree_api::Tag;
use contree_api::admin::{
    Project, ProjectCreate, ProjectList, Publish, TokenCreate, TokenCreated, TokenList,
};
use contree_api::image::Image;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::{Administrator, ApiError, Ids, Query, read_json};
use crate::openapi::refusals::{Refused, RefusedOrMissing};

/// Names, permissions and limits are small.
const MAX_BODY: u64 = 64 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_projects, create_project))
        .routes(routes!(delete_project))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
        .routes(routes!(publish, unpublish))
}

/// List projects
///
/// By age. Needs a token with admin rights, as all of these.
#[utoipa::path(
    get,
    path = "/v1/admin/projects",
    operation_id = "listProjects",
    tag = "admin",
    responses((status = 200, description = "The projects.", body = ProjectList), Refused)
)]
async fn list_projects(
    State(app): State<App>,
    caller: Administrator,
) -> Result<Json<ProjectList>, ApiError> {
    let projects = app.engine.projects(&caller).await?;
    Ok(Json(ProjectList { projects }))
}

/// Make a project
///
/// 409: there is one of that name.
#[utoipa::path(
    post,
    path = "/v1/admin/projects",
    operation_id = "createProject",
    tag = "admin",
    request_body = ProjectCreate,
    responses((status = 201, description = "The project.", body = Project), Refused)
)]
async fn create_project(
    State(app): State<App>,
    caller: Administrator,
    body: Body,
) -> Result<(StatusCode, Json<Project>), ApiError> {
    let request: ProjectCreate = read_json(body, MAX_BODY).await?;
    let project = app.engine.create_project(&caller, request).await?;
    Ok((StatusCode::CREATED, Json(project)))
}

/// Remove a project with everything in it
///
/// Its tokens, tags, images, files, operations and logs. 409: it has operations that have not
/// ended, or images and `force` is not set.
#[utoipa::path(
    delete,
    path = "/v1/admin/projects/{project}",
    operation_id = "deleteProject",
    tag = "admin",
    params(
        ("project" = String, Path, description = "Name or id."),
        ("force" = Option<String>, Query, description = "Whether its images go as well: `1`."),
    ),
    responses((status = 204, description = "It is gone."), RefusedOrMissing)
)]
async fn delete_project(
    State(app): State<App>,
    caller: Administrator,
    ids: Ids,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let project: String = ids.get("project")?;
    let force = query.flag("force")?;
    app.engine.delete_project(&caller, &project, force).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List tokens
///
/// By age, without their texts, which are not stored.
#[utoipa::path(
    get,
    path = "/v1/admin/tokens",
    operation_id = "listTokens",
    tag = "admin",
    params((
        "project" = Option<String>,
        Query,
        description = "Only those of this project, by name or id.",
    )),
    responses((status = 200, description = "The tokens.", body = TokenList), RefusedOrMissing)
)]
async fn list_tokens(
    State(app): State<App>,
    caller: Administrator,
    query: Query,
) -> Result<Json<TokenList>, ApiError> {
    let tokens = app.engine.tokens(&caller, query.text("project")?).await?;
    Ok(Json(TokenList { tokens }))
}

/// Make a token
///
/// The answer is the one place where its text is told.
#[utoipa::path(
    post,
    path = "/v1/admin/tokens",
    operation_id = "createToken",
    tag = "admin",
    request_body = TokenCreate,
    responses((status = 201, description = "The token.", body = TokenCreated), RefusedOrMissing)
)]
async fn create_token(
    State(app): State<App>,
    caller: Administrator,
    body: Body,
) -> Result<(StatusCode, Json<TokenCreated>), ApiError> {
    let request: TokenCreate = read_json(body, MAX_BODY).await?;
    let token = app.engine.create_token(&caller, request).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

/// Revoke a token
///
/// The next request with it is refused, and its event streams end.
#[utoipa::path(
    delete,
    path = "/v1/admin/tokens/{token}",
    operation_id = "revokeToken",
    tag = "admin",
    params(("token" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It is revoked."), RefusedOrMissing)
)]
async fn revoke_token(
    State(app): State<App>,
    caller: Administrator,
    ids: Ids,
) -> Result<StatusCode, ApiError> {
    app.engine.revoke_token(&caller, ids.get("token")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make an image public
///
/// Every project sees it under the tag, unless it has the tag itself. Publishing another image
/// under the tag moves it.
#[utoipa::path(
    post,
    path = "/v1/admin/public",
    operation_id = "publishImage",
    tag = "admin",
    request_body = Publish,
    responses((status = 201, description = "The public image.", body = Image), RefusedOrMissing)
)]
async fn publish(
    State(app): State<App>,
    caller: Administrator,
    body: Body,
) -> Result<(StatusCode, Json<Image>), ApiError> {
    let request: Publish = read_json(body, MAX_BODY).await?;
    let image = app.engine.publish(&caller, request).await?;
    Ok((StatusCode::CREATED, Json(image)))
}

/// Take a public tag back
///
/// The image that had it goes too, unless another tag names it.
#[utoipa::path(
    delete,
    path = "/v1/admin/public",
    operation_id = "unpublishTag",
    tag = "admin",
    params(("tag" = String, Query, description = "The tag.")),
    responses((status = 204, description = "The tag is taken back."), RefusedOrMissing)
)]
async fn unpublish(
    State(app): State<App>,
    caller: Administrator,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let tag: Tag = query.required("tag")?;
    app.engine.unpublish(&caller, &tag).await?;
    Ok(StatusCode::NO_CONTENT)
}
