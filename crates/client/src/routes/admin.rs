//! Projects, tokens and public images: a token with admin rights is needed.

use contree_api::admin::{
    Project, ProjectCreate, ProjectList, Publish, TokenCreate, TokenCreated, TokenInfo, TokenList,
};
use contree_api::image::Image;
use contree_api::{Tag, TokenId};

use crate::call::{Call, encode};
use crate::{Client, Error};

impl Client {
    /// `GET /admin/projects`: all of them, by age.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_projects(&self) -> Result<Vec<Project>, Error> {
        self.json::<ProjectList>(&Call::get("/admin/projects"))
            .await
            .map(|list| list.projects)
    }

    /// `POST /admin/projects`: makes one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_project(&self, request: &ProjectCreate) -> Result<Project, Error> {
        self.json(&Call::post("/admin/projects").json_body(request))
            .await
    }

    /// `DELETE /admin/projects/{project}`: removes one, `force` even when it has images.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete_project(&self, project: &str, force: bool) -> Result<(), Error> {
        let path = format!("/admin/projects/{}", encode(project, false));
        let call = Call::delete(path).query_some("force", force.then_some(1));
        self.done(&call).await
    }

    /// `GET /admin/tokens`: all of them, or those of one project, by age.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_tokens(&self, project: Option<&str>) -> Result<Vec<TokenInfo>, Error> {
        let call = Call::get("/admin/tokens").query_some("project", project);
        self.json::<TokenList>(&call).await.map(|list| list.tokens)
    }

    /// `POST /admin/tokens`: makes one; the answer is the one place where its text is told.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_token(&self, request: &TokenCreate) -> Result<TokenCreated, Error> {
        self.json(&Call::post("/admin/tokens").json_body(request))
            .await
    }

    /// `DELETE /admin/tokens/{token}`: makes one stop working.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn revoke_token(&self, token: TokenId) -> Result<(), Error> {
        self.done(&Call::delete(format!("/admin/tokens/{token}")))
            .await
    }

    /// `POST /admin/public`: makes an image public under a tag.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn publish(&self, request: &Publish) -> Result<Image, Error> {
        self.json(&Call::post("/admin/public").json_body(request))
            .await
    }

    /// `DELETE /admin/public`: takes a public tag back.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn unpublish(&self, tag: &Tag) -> Result<(), Error> {
        self.done(&Call::delete("/admin/public").query("tag", tag))
            .await
    }
}
