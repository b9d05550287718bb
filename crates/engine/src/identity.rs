//! Who asks: tokens, the project behind them and what they may do.

use contree_api::whoami::{Permission, WhoAmI};
use contree_api::{ErrorKind, ProjectId, TokenId};

use crate::{Engine, Error};

/// A token that was accepted.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The token.
    pub token_id: TokenId,
    /// The project all calls are scoped to.
    pub project_id: ProjectId,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Unix seconds; none: never.
    pub expires_at: Option<i64>,
}

impl Identity {
    /// Checks that the token may do this.
    ///
    /// # Errors
    /// `Forbidden`, naming the permission.
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        if self.permissions.contains(&permission) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Forbidden,
            format!("this token lacks the permission \"{}\"", permission.name()),
        ))
    }
}

impl Engine {
    /// Looks a bearer token up.
    ///
    /// # Errors
    /// `Unauthorized` when it is unknown or expired.
    pub async fn authenticate(&self, token: &str) -> Result<Identity, Error> {
        let _ = token;
        Err(Error::not_yet())
    }

    /// What the token is told about itself.
    ///
    /// # Errors
    /// `Internal` when the records cannot be read.
    pub async fn whoami(&self, identity: &Identity) -> Result<WhoAmI, Error> {
        let _ = identity;
        Err(Error::not_yet())
    }
}
