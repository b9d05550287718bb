//! Who we are to a registry.
//!
//! ```text
//!            401 Basic                      credentials, if any, with each request
//!   Open ──┬───────────► Basic ───────────► (a second 401 is final)
//!          │ 401 Bearer
//!          └───────────► Bearer ──realm──► token ──expired or 401──► realm again
//! ```
//! Nothing is sent before the registry has asked. Credentials go to the registry's own origin
//! (Basic) or to the realm that it names (Bearer), which must be HTTPS unless the registry itself
//! is spoken to over plain HTTP, and never along a redirect elsewhere. They live in the
//! [`Session`](super::Session), which lives as long as the import.
//!
//! Layers are fetched in parallel and all of them see a token expire at once; the lock makes one
//! of them get a new one while the others wait, and then find that it is not the one they used.

use std::time::{Duration, Instant};

use contree_api::image::Credentials;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::RegistryError;
use super::http::{Http, Request, read_small};
use super::retry::{Attempts, is_passing, retry_after};
use crate::import::challenge::{self, Challenge};
use crate::import::guard::{Refused, named};
use crate::import::limits::MAX_TOKEN_ANSWER;

/// Validity of a token whose server does not say, by the distribution specification.
const DEFAULT_VALIDITY: Duration = Duration::from_secs(60);
/// How long before its end a token is no longer used.
const VALIDITY_MARGIN: Duration = Duration::from_secs(5);

/// Credentials and what they were exchanged for. No `Debug`: nothing in it may be shown.
pub(super) struct Auth {
    /// `Authorization: Basic …`, marked sensitive.
    credentials: Option<HeaderValue>,
    state: Mutex<State>,
}

enum State {
    Open,
    Basic,
    Bearer { realm: Url, token: Option<Token> },
}

struct Token {
    header: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Auth {
    pub(super) fn new(credentials: Option<&Credentials>) -> Self {
        let credentials = credentials.and_then(|given| {
            let user = given.username.as_deref().unwrap_or_default();
            let password = given.password.as_deref().unwrap_or_default();
            (!user.is_empty() || !password.is_empty()).then(|| basic(user, password))
        });
        Self {
            credentials,
            state: Mutex::new(State::Open),
        }
    }

    /// Whether there are credentials.
    pub(super) const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// The header for the next request to the registry; fetches a token when one is needed.
    pub(super) async fn header(&self, http: &Http) -> Result<Option<HeaderValue>, RegistryError> {
        let mut state = self.state.lock().await;
        match &mut *state {
            State::Open => Ok(None),
            State::Basic => Ok(self.credentials.clone()),
            State::Bearer { realm, token } => {
                if let Some(valid) = token.as_ref().filter(|token| token.until > Instant::now()) {
                    return Ok(Some(valid.header.clone()));
                }
                let fresh = self.fetch(http, realm).await?;
                Ok(Some(token.insert(fresh).header.clone()))
            }
        }
    }

    /// Takes a 401 to a request that was made with `used`. False when there is nothing new to
    /// try.
    pub(super) async fn challenged(
        &self,
        registry: &Url,
        repository: &str,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
    ) -> Result<bool, RegistryError> {
        let offers: Vec<Challenge> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        let mut state = self.state.lock().await;
        if let State::Bearer {
            token: Some(token), ..
        } = &*state
            && used.is_some_and(|used| *used != token.header)
        {
            return Ok(true);
        }
        let bearer = offers
            .iter()
            .find(|offer| matches!(offer, Challenge::Bearer { .. }));
        let Some(offer) = bearer.or(offers.first()) else {
            return Err(RegistryError::UnknownChallenge {
                host: named(registry),
            });
        };
        match offer {
            Challenge::Basic => {
                let new = !matches!(*state, State::Basic) && self.has_credentials();
                *state = State::Basic;
                Ok(new)
            }
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let realm = token_url(
                    registry,
                    repository,
                    realm,
                    service.as_deref(),
                    scope.as_deref(),
                )?;
                *state = State::Bearer { realm, token: None };
                Ok(true)
            }
        }
    }

    async fn fetch(&self, http: &Http, realm: &Url) -> Result<Token, RegistryError> {
        let mut attempts = Attempts::new(http.limits());
        loop {
            let request = Request {
                url: realm,
                accept: "application/json",
                authorization: self.credentials.as_ref(),
                offset: 0,
            };
            let answer = match http.get(request).await {
                Ok(answer) => answer,
                Err(error) if error.is_passing() && attempts.next(None).await => continue,
                Err(error) => return Err(error),
            };
            let status = answer.response.status();
            if status == StatusCode::OK {
                let body = read_small(answer.response, "a token server's answer", MAX_TOKEN_ANSWER)
                    .await?;
                return read_token(&body)
                    .ok_or_else(|| RegistryError::BadToken { host: named(realm) });
            }
            let asked = retry_after(answer.response.headers());
            if is_passing(status) && attempts.next(asked).await {
                continue;
            }
            return Err(match status.as_u16() {
                400 | 401 | 403 => {
                    RegistryError::unauthorised(named(realm), self.has_credentials())
                }
                429 => RegistryError::RateLimited { host: named(realm) },
                status => RegistryError::Status {
                    host: named(realm),
                    what: "a token".into(),
                    status,
                },
            });
        }
    }
}

/// The token server's URL with what the token is for. The scope is always a pull of the one
/// repository, whatever wider one the registry suggests; only its spelling of the repository's
/// name is taken over, since some put another name in front of it.
fn token_url(
    registry: &Url,
    repository: &str,
    realm: &str,
    service: Option<&str>,
    scope: Option<&str>,
) -> Result<Url, RegistryError> {
    let bad = || RegistryError::BadRealm {
        host: named(registry),
    };
    let mut url = Url::parse(realm).map_err(|_| bad())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad());
    }
    if url.scheme() == "http" && registry.scheme() != "http" {
        return Err(Refused::PlainHttp { host: named(&url) }.into());
    }
    let name = scope
        .and_then(|scope| scope.split(' ').next()?.strip_prefix("repository:"))
        .and_then(|rest| rest.rsplit_once(':'))
        .map_or(repository, |(name, _)| name);
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        query.append_pair("scope", &format!("repository:{name}:pull"));
    }
    Ok(url)
}

fn read_token(body: &[u8]) -> Option<Token> {
    let answer: TokenAnswer = serde_json::from_slice(body).ok()?;
    let token = answer
        .token
        .or(answer.access_token)
        .filter(|token| !token.is_empty())?;
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    let validity = answer.expires_in.filter(|seconds| *seconds > 0);
    let validity = validity.map_or(DEFAULT_VALIDITY, Duration::from_secs);
    let usable = validity
        .checked_sub(VALIDITY_MARGIN)
        .unwrap_or(validity / 2);
    // A registry that promises a century gets a day.
    let until = Instant::now() + usable.min(Duration::from_secs(86_400));
    Some(Token { header, until })
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = base64(format!("{user}:{password}").as_bytes());
    let mut header =
        HeaderValue::try_from(format!("Basic {encoded}")).expect("base64 makes a header value");
    header.set_sensitive(true);
    header
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at)) & 63;
            let padding = at > group.len();
            text.push(if padding {
                '='
            } else {
                char::from(DIGITS[digit as usize])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_credentials() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("\u{fc}:\u{1f511}", "w7w68J+UkQ=="),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(format!("{:?}", basic("user", "hunter2")), "Sensitive");
    }

    #[test]
    fn asks_for_no_more_than_a_pull() {
        let https = Url::parse("https://ghcr.io/v2/").unwrap();
        let http = Url::parse("http://localhost:5000/v2/").unwrap();
        let url = |registry: &Url, realm: &str, service, scope| {
            token_url(registry, "o/i", realm, service, scope).map(|url| url.to_string())
        };
        assert_eq!(
            url(
                &https,
                "https://ghcr.io/token?a=b",
                Some("ghcr.io"),
                Some("repository:o/i:pull,push registry:catalog:*")
            )
            .unwrap(),
            "https://ghcr.io/token?a=b&service=ghcr.io&scope=repository%3Ao%2Fi%3Apull"
        );
        assert_eq!(
            url(&https, "https://t/", None, Some("repository:proxy/o/i:*")).unwrap(),
            "https://t/?scope=repository%3Aproxy%2Fo%2Fi%3Apull"
        );
        assert!(url(&http, "http://localhost:5001/token", None, None).is_ok());
        assert!(url(&https, "http://ghcr.io/token", None, None).is_err());
        assert!(url(&https, "/token", None, None).is_err());
        assert!(url(&https, "https://user:hunter2@t/", None, None).is_err());
    }

    #[test]
    fn tokens() {
        assert!(read_token(br#"{"token":"abc","expires_in":300}"#).is_some());
        assert!(read_token(br#"{"access_token":"abc","token":null}"#).is_some());
        for bad in [
            &b"{}"[..],
            b"",
            br#"{"token":""}"#,
            b"{\"token\":\"a\\nb\"}",
        ] {
            assert!(read_token(bad).is_none());
        }
    }
}
