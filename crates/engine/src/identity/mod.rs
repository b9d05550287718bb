//! Who asks: tokens, the project behind them and what they may do.
//!
//! A token is one of two things. Opaque ones were made here, and the records have the SHA-256 of
//! their text. Others are signed by someone whose public key the operator has configured
//! ([`jwt`]). Either is looked at on every request, so what is revoked or expires stops working at
//! once; streams that are open end ([`streams`]).

mod first_start;
pub(crate) mod jwt;
pub(crate) mod limits;
pub(crate) mod streams;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use contree_api::admin::TokenLimits;
use contree_api::operation::OperationStatus;
use contree_api::whoami::{Permission, WhoAmI};
use contree_api::{ErrorKind, ProjectId, Timestamp, TokenId};
use contree_records::Token;
use sha2::{Digest as _, Sha256};

pub use first_start::ADMIN_TOKEN;
pub(crate) use first_start::first_start;
pub use streams::OfToken;

use self::streams::Moment;
use crate::admin::Administrator;
use crate::remembered::Remembered;
use crate::{Engine, EngineLimits, Error};

/// Longest text that is looked at as a token.
const LONGEST_TOKEN: usize = 16 * 1_024;

/// What was looked up on behalf of callers.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By the SHA-256 of their text.
    tokens: Remembered<[u8; 32], Token, 10_000>,
    /// By what callers name them, id or name.
    projects: Remembered<String, ProjectId, 10_000>,
}

impl Known {
    pub(crate) fn forget_all(&self) {
        self.tokens.forget_all();
        self.projects.forget_all();
    }
}

/// A token that was accepted, for one request: the next looks it up again.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The token.
    pub token_id: TokenId,
    /// The project all calls are scoped to.
    pub project_id: ProjectId,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Limits of its own.
    pub limits: TokenLimits,
    /// Unix seconds; none: never.
    pub expires_at: Option<i64>,
    /// Refused from then on; none: never.
    pub(crate) accepted_until: Option<Timestamp>,
    /// Before it was looked up.
    pub(crate) as_of: Moment,
}

impl Identity {
    /// Checks that the token may do this.
    ///
    /// # Errors
    /// `Forbidden`, naming the permission.
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        self.require_any(&[permission])
    }

    /// Checks that the token may do one of these.
    ///
    /// # Errors
    /// `Forbidden`, naming them.
    pub fn require_any(&self, permissions: &[Permission]) -> Result<(), Error> {
        if permissions
            .iter()
            .any(|permission| self.permissions.contains(permission))
        {
            return Ok(());
        }
        let mut names = String::new();
        for permission in permissions {
            let between = if names.is_empty() { "" } else { " or " };
            // Writing to a String cannot fail.
            let _ = write!(names, "{between}\"{}\"", permission.name());
        }
        Err(Error::new(
            ErrorKind::Forbidden,
            format!("this token lacks the permission {names}"),
        ))
    }

    /// What it is held to on this server.
    pub(crate) fn limits_within(&self, server: &EngineLimits) -> EngineLimits {
        limits::within(&self.limits, server)
    }
}

pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn unauthorized(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unauthorized, message)
}

impl Engine {
    /// Looks a bearer token up. `project` is the one that the request names (by name or id); it
    /// counts for tokens of all projects alone.
    ///
    /// # Errors
    /// `Unauthorized` when the token is unknown or expired, or is for all projects and none is
    /// named; `Forbidden` when there is no project of that name.
    pub async fn authenticate(
        &self,
        token: &str,
        project: Option<&str>,
    ) -> Result<Identity, Error> {
        if let Some(verifier) = self.verifier_of(token) {
            return self.authenticate_signed(verifier, token).await;
        }
        let as_of = self.streams().moment();
        let token = self.stored_token(token).await?;
        let project_id = match token.project {
            Some(project) => project,
            None => self.project_asked_for(project).await?,
        };
        Ok(Identity {
            token_id: token.id,
            project_id,
            permissions: token.permissions,
            limits: token.limits,
            expires_at: token
                .expires_at
                .map(|at| at.as_micros().div_euclid(1_000_000)),
            accepted_until: token.expires_at,
            as_of,
        })
    }

    /// Looks a bearer token up that is to administer the server. Only tokens of this server's own
    /// do.
    ///
    /// # Errors
    /// `Unauthorized` when it is unknown or expired; `Forbidden` without admin rights.
    pub async fn authenticate_administrator(&self, token: &str) -> Result<Administrator, Error> {
        if let Some(verifier) = self.verifier_of(token) {
            self.authenticate_signed(verifier, token).await?;
            return Err(no_admin());
        }
        let token = self.stored_token(token).await?;
        if !token.admin {
            return Err(no_admin());
        }
        Ok(Administrator {
            project_id: token.project,
        })
    }

    /// What checks a token that someone else has signed; none when it is not of that kind.
    fn verifier_of(&self, token: &str) -> Option<&jwt::Verifier> {
        let is_signed = jwt::looks_like_one(token) && token.len() <= LONGEST_TOKEN;
        self.config().jwt.as_ref().filter(|_| is_signed)
    }

    async fn stored_token(&self, token: &str) -> Result<Token, Error> {
        let unknown = || unauthorized("the token is not valid");
        if token.is_empty() || token.len() > LONGEST_TOKEN {
            return Err(unknown());
        }
        let hash = hash(token);
        let token = match self.known().tokens.get(&hash) {
            Ok(token) => token,
            Err(asked) => {
                let token = self.records().token(&hash).await?.ok_or_else(unknown)?;
                self.known().tokens.add(asked, hash, token.clone());
                token
            }
        };
        if token.expires_at.is_some_and(|at| at <= Timestamp::now()) {
            return Err(unauthorized("the token has expired"));
        }
        Ok(token)
    }

    async fn project_asked_for(&self, project: Option<&str>) -> Result<ProjectId, Error> {
        let Some(named) = project.map(str::trim).filter(|named| !named.is_empty()) else {
            return Err(unauthorized(
                "this token is for all projects; name one in the header \"Project\"",
            ));
        };
        self.project_named(named).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::Forbidden,
                "the header \"Project\" names no project of this server",
            )
        })
    }

    async fn project_named(&self, named: &str) -> Result<Option<ProjectId>, Error> {
        let known = &self.known().projects;
        let asked = match known.get(&named.to_owned()) {
            Ok(project) => return Ok(Some(project)),
            Err(asked) => asked,
        };
        let Some(project) = self.records().project(named).await? else {
            return Ok(None);
        };
        known.add(asked, named.to_owned(), project.id);
        Ok(Some(project.id))
    }

    async fn authenticate_signed(
        &self,
        verifier: &jwt::Verifier,
        token: &str,
    ) -> Result<Identity, Error> {
        let as_of = self.streams().moment();
        let signed = verifier.verify(token).map_err(|error| {
            let message = error.to_string();
            unauthorized(message).with_source(error)
        })?;
        let project_id = self.project_named(&signed.project).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::Forbidden,
                "the claim \"project\" of the token names no project of this server",
            )
        })?;
        let accepted_until = Some(signed.accepted_until());
        Ok(Identity {
            token_id: signed.id,
            project_id,
            permissions: signed.permissions,
            limits: signed.limits,
            expires_at: Some(signed.expires_at),
            accepted_until,
            as_of,
        })
    }

    /// What the token is told about itself.
    ///
    /// # Errors
    /// `Internal` when the records cannot be read.
    pub async fn whoami(&self, identity: &Identity) -> Result<WhoAmI, Error> {
        let permissions = Permission::ALL
            .into_iter()
            .map(|permission| {
                (
                    permission.name().to_owned(),
                    identity.permissions.contains(&permission),
                )
            })
            .collect();
        let limits = limits::told(&identity.limits_within(&self.config().limits));
        let mut operations_stat: BTreeMap<String, i64> = OperationStatus::ALL
            .iter()
            .map(|status| (status.name().to_owned(), 0))
            .collect();
        for (status, count) in self.records().operation_counts(identity.project_id).await? {
            operations_stat.insert(status.to_owned(), count);
        }
        // On record a live operation is PENDING.
        for status in self.live_statuses(identity.project_id) {
            if status != OperationStatus::Pending && !status.is_terminal() {
                *operations_stat.entry(status.name().to_owned()).or_default() += 1;
                if let Some(pending) = operations_stat.get_mut(OperationStatus::Pending.name()) {
                    *pending = (*pending - 1).max(0);
                }
            }
        }
        Ok(WhoAmI {
            token_uuid: identity.token_id,
            token_expiration: identity.expires_at,
            permissions,
            limits,
            operations_stat,
        })
    }
}

fn no_admin() -> Error {
    Error::new(ErrorKind::Forbidden, "this token has no admin rights")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_permission_of_several_is_enough() {
        let identity = Identity {
            token_id: TokenId::new(),
            project_id: ProjectId::new(),
            permissions: vec![Permission::List, Permission::SpawnDisposable],
            limits: TokenLimits::default(),
            expires_at: None,
            accepted_until: None,
            as_of: Moment::default(),
        };
        let either = [Permission::Spawn, Permission::SpawnDisposable];
        assert!(identity.require_any(&either).is_ok());
        assert_eq!(
            identity
                .require_any(&[Permission::Import, Permission::Spawn])
                .unwrap_err()
                .message(),
            "this token lacks the permission \"import\" or \"spawn\""
        );
    }
}
