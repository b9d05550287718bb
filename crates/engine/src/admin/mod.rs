//! What operators do: projects, tokens and the public namespace.
//!
//! The rules are functions over the records, in `projects`, `tokens` and `public`. An [`Engine`]
//! calls them and sees that what it remembers stays true; [`Offline`] calls them on a data folder
//! that no server has open. Both hold the folder's lock, so the records have one writer.

mod offline;
mod projects;
mod public;
mod tokens;

use contree_api::admin::{Project, ProjectCreate, Publish, TokenCreate, TokenCreated, TokenInfo};
use contree_api::image::Image;
use contree_api::whoami::Permission;
use contree_api::{ErrorKind, ProjectId, Tag, TokenId};

pub use offline::{Offline, OfflineError};
pub(crate) use projects::{Closing, FIRST_PROJECT};
pub(crate) use tokens::{check_limits, fresh_token};

use crate::{Engine, Error};

/// A token with admin rights.
#[derive(Debug, Clone, Copy)]
pub struct Administrator {
    /// The project of the token; none when it is for all.
    pub project_id: Option<ProjectId>,
}

impl Engine {
    /// Makes a project.
    ///
    /// # Errors
    /// `BadRequest` when the name is none; `Conflict` when it is taken.
    pub async fn create_project(
        &self,
        _: &Administrator,
        request: ProjectCreate,
    ) -> Result<Project, Error> {
        projects::create(self.records(), request).await
    }

    /// All projects, by age.
    ///
    /// # Errors
    /// `Internal` when the records cannot be read.
    pub async fn projects(&self, _: &Administrator) -> Result<Vec<Project>, Error> {
        projects::list(self.records()).await
    }

    /// Removes a project with everything in it, `force` even when it has images.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while it has operations that have not ended, and without `force`
    /// while it has images; `Forbidden` for the public one.
    pub async fn delete_project(
        &self,
        _: &Administrator,
        project: &str,
        force: bool,
    ) -> Result<(), Error> {
        let project = projects::find(self.records(), project).await?;
        // On a task of its own: a caller that goes away must not leave half of it undone.
        let engine = self.clone();
        tokio::spawn(async move { engine.delete(&project, force).await })
            .await
            .map_err(|error| Error::internal("the project could not be removed", error))?
    }

    async fn delete(&self, project: &Project, force: bool) -> Result<(), Error> {
        // Whatever gets accepted after this sees that the project is closing; what was accepted
        // before is seen here.
        let closing = self.closing().begin(project.id)?;
        let live = self.live_set().of_project(project.id).len();
        if live > 0 {
            return Err(projects::busy(&project.name, live));
        }
        projects::close(self.records(), project, force).await?;
        self.known().forget_all();
        self.streams().project_is_gone(project.id);
        self.known_images().forget_all();
        self.remove_closed(project.id)
            .await
            .map_err(|error| Error::internal("the project could not be removed entirely", error))?;
        drop(closing);
        Ok(())
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `BadRequest` naming the field; `NotFound` when there is no such project.
    pub async fn create_token(
        &self,
        _: &Administrator,
        request: TokenCreate,
    ) -> Result<TokenCreated, Error> {
        tokens::create(self.records(), request).await
    }

    /// All tokens, by age, or those of one project.
    ///
    /// # Errors
    /// `NotFound` when there is no such project.
    pub async fn tokens(
        &self,
        _: &Administrator,
        project: Option<&str>,
    ) -> Result<Vec<TokenInfo>, Error> {
        tokens::list(self.records(), project).await
    }

    /// Makes a token stop working: the next request with it is refused, and its streams end.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn revoke_token(&self, _: &Administrator, token: TokenId) -> Result<(), Error> {
        // On a task of its own: a caller that goes away must not leave a token remembered that is
        // on record no more.
        let engine = self.clone();
        tokio::spawn(async move { engine.revoke(token).await })
            .await
            .map_err(|error| Error::internal("the token could not be revoked", error))?
    }

    async fn revoke(&self, token: TokenId) -> Result<(), Error> {
        let revoked = tokens::revoke(self.records(), token).await;
        if let Err(error) = &revoked
            && error.kind() == ErrorKind::NotFound
        {
            return revoked;
        }
        // After other failures, too: it may be gone all the same.
        self.known().forget_all();
        self.streams().token_is_gone(token);
        revoked
    }

    /// Makes an image public under a tag.
    ///
    /// # Errors
    /// `NotFound` when there is no such project or image; `BadRequest` when no project is named
    /// and the caller's token has none.
    pub async fn publish(&self, caller: &Administrator, request: Publish) -> Result<Image, Error> {
        public::publish(self.records(), caller.project_id, request).await
    }

    /// Takes a public tag back, and the image that had it unless another tag names that.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn unpublish(&self, _: &Administrator, tag: &Tag) -> Result<(), Error> {
        public::unpublish(self.records(), tag).await?;
        self.known_images().forget_all();
        Ok(())
    }
}

/// The permissions named, each once, in the order of the contract.
fn in_order(named: &[Permission]) -> Vec<Permission> {
    Permission::ALL
        .into_iter()
        .filter(|permission| named.contains(permission))
        .collect()
}

fn no_project(project: &str) -> Error {
    Error::not_found(format!("there is no project {project:?}"))
}

fn conflict(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, message)
}
