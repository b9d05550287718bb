//! Who calls: the bearer token of a request, looked up.
//!
//! The token itself goes no further than this file; it is neither logged nor kept. A `Project`
//! header counts for tokens of all projects alone: for others any value is accepted and ignored,
//! since they belong to one project and clients send placeholders there.

use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use contree_api::ErrorKind;
use contree_engine::Identity;

use super::error::ApiError;
use crate::app::App;

/// The accepted token of a request. The engine checks what exactly a call needs; handlers ask it
/// first where a body would otherwise be read in vain.
pub(crate) struct Caller(Identity);

impl Deref for Caller {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(parts)?;
        let project = parts
            .headers
            .get("project")
            .and_then(|name| name.to_str().ok());
        Ok(Self(app.engine.authenticate(token, project).await?))
    }
}

/// The accepted token of a request that administers the server.
pub(crate) struct Administrator(contree_engine::Administrator);

impl Deref for Administrator {
    type Target = contree_engine::Administrator;

    fn deref(&self) -> &contree_engine::Administrator {
        &self.0
    }
}

impl FromRequestParts<App> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(parts)?;
        Ok(Self(app.engine.authenticate_administrator(token).await?))
    }
}

fn bearer(parts: &Parts) -> Result<&str, ApiError> {
    let unauthorized = |message: &str| ApiError::new(ErrorKind::Unauthorized, message);
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let header = headers.next().ok_or_else(|| {
        unauthorized("no token; send it as the header \"Authorization: Bearer TOKEN\"")
    })?;
    // A proxy in front may have looked at the other.
    if headers.next().is_some() {
        return Err(unauthorized(
            "the header Authorization is there more than once; send one token",
        ));
    }
    header
        .to_str()
        .ok()
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| unauthorized("the header Authorization is not of the form \"Bearer TOKEN\""))
}
