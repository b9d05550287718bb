//! Tokens: made, listed, revoked. A token's text is random and told once; the records have its
//! SHA-256.

use std::collections::HashMap;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contree_api::admin::{MAX_TOKEN_NAME, TokenCreate, TokenCreated, TokenInfo, TokenLimits};
use contree_api::whoami::Permission;
use contree_api::{ProjectId, Timestamp, TokenId};
use contree_records::{Change, NewToken, Records, Token};

use super::{in_order, projects};
use crate::Error;
use crate::identity::hash;

/// What every token begins with, so that a leaked one can be recognised.
const TOKEN_PREFIX: &str = "contree_";

/// The text of a new token: 256 random bits.
pub(crate) fn fresh_token() -> io::Result<String> {
    let mut secret = [0_u8; 32];
    let filled = rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
    if filled != secret.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
}

pub(super) async fn create(records: &Records, request: TokenCreate) -> Result<TokenCreated, Error> {
    let project = match (&request.project, request.all_projects) {
        (Some(project), false) => Some(projects::find(records, project).await?),
        (None, true) => None,
        (None, false) => {
            return Err(Error::bad_request(
                "project is required: the name or id of a project, or all_projects",
            ));
        }
        (Some(_), true) => {
            return Err(Error::bad_request(
                "all_projects does not go with project: choose one of them",
            ));
        }
    };
    if request.name.chars().count() > MAX_TOKEN_NAME || request.name.chars().any(char::is_control) {
        return Err(Error::bad_request(format!(
            "name must have at most {MAX_TOKEN_NAME} characters, none of them control characters"
        )));
    }
    check_limits(&request.limits, "limits.").map_err(Error::bad_request)?;
    if request.expires_in == Some(0) {
        return Err(Error::bad_request("expires_in must be at least 1 second"));
    }
    let created_at = Timestamp::now();
    let token = Token {
        id: TokenId::new(),
        project: project.as_ref().map(|project| project.id),
        name: request.name,
        permissions: in_order(request.permissions.as_deref().unwrap_or(&Permission::ALL)),
        limits: request.limits,
        admin: request.admin,
        created_at,
        expires_at: request.expires_in.map(|seconds| {
            Timestamp::from_micros(created_at.as_micros() + i64::from(seconds) * 1_000_000)
        }),
    };
    let text =
        fresh_token().map_err(|error| Error::internal("the token could not be made", error))?;
    let new = NewToken {
        token: token.clone(),
        hash: hash(&text),
    };
    match records.apply(Change::NewToken(Box::new(new)), true).await {
        // The project went in between.
        Err(contree_records::Error::Reference { .. }) => Err(super::no_project(
            request.project.as_deref().unwrap_or_default(),
        )),
        outcome => {
            outcome?;
            Ok(TokenCreated {
                token: text,
                info: shown(token, project.map(|project| project.name)),
            })
        }
    }
}

/// No limit is 0: that would be a token that waits for ever. `prefix` stands before the name.
pub(crate) fn check_limits(limits: &TokenLimits, prefix: &str) -> Result<(), String> {
    match limits.named().into_iter().find(|(_, limit)| *limit == 0) {
        Some((name, _)) => Err(format!("{prefix}{name} must be at least 1")),
        None => Ok(()),
    }
}

fn shown(token: Token, project: Option<String>) -> TokenInfo {
    TokenInfo {
        id: token.id,
        name: token.name,
        project,
        permissions: token.permissions,
        limits: token.limits,
        admin: token.admin,
        created_at: token.created_at,
        expires_at: token.expires_at,
    }
}

pub(super) async fn list(
    records: &Records,
    project: Option<&str>,
) -> Result<Vec<TokenInfo>, Error> {
    let only = match project {
        Some(project) => Some(projects::find(records, project).await?.id),
        None => None,
    };
    let names: HashMap<ProjectId, String> = records
        .projects()
        .await?
        .into_iter()
        .map(|project| (project.id, project.name))
        .collect();
    let tokens = records.tokens(only).await?;
    Ok(tokens
        .into_iter()
        .map(|token| {
            // One that was made between the two looks has its id for a name.
            let project = token.project.map(|project| {
                let name = names.get(&project).cloned();
                name.unwrap_or_else(|| project.to_string())
            });
            shown(token, project)
        })
        .collect())
}

pub(super) async fn revoke(records: &Records, token: TokenId) -> Result<(), Error> {
    let change = Change::RemoveToken { token };
    match records.apply(change, true).await? {
        0 => Err(Error::not_found(format!("there is no token {token}"))),
        _ => Ok(()),
    }
}
