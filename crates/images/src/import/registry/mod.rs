//! A client of the registry protocol (OCI distribution, Docker registry v2), as far as pulling
//! an image needs it.
//!
//! ```text
//! GET /v2/                          asks how to authenticate            (Session::open)
//! GET /v2/REPO/manifests/TAG        index or manifest, digest checked   (Session::manifest)
//! GET /v2/REPO/blobs/DIGEST         config; layers from any offset      (Session::blob)
//! ```
//! [`http`] makes one request, [`auth`] says who we are, [`retry`] when to try again; a
//! [`Session`] joins them for one import of one repository and is dropped with it, credentials
//! and tokens included. Existing clients were weighed and not taken: none lets the addresses
//! behind registry, token server and redirects be checked, and they keep credentials per registry
//! where several users share the process.
//!
//! What a registry writes into an error's body is not repeated, since it could repeat what it
//! was sent; only the codes of the specification are looked at.

mod auth;
mod http;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use contree_api::image::Credentials;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use self::auth::Auth;
pub(super) use self::http::Http;
use self::http::{Request, read_small};
pub(super) use self::retry::Attempts;
use self::retry::{is_passing, retry_after};
use super::digest::{Digest, Hasher};
use super::guard::Refused;
use super::limits::{MAX_CONFIG, MAX_MANIFEST};
use super::manifest::{ACCEPT_MANIFEST, Descriptor};
use super::reference::Reference;

/// Largest error body that is looked at, in bytes.
const MAX_ERROR_BODY: u64 = 64 << 10;
/// How often one request answers a 401 with something new.
const MAX_CHALLENGES: u32 = 2;

/// Why a registry does not give what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A host that is not to be reached.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The machine's certificates could not be read, or the like.
    #[error("the server cannot speak HTTPS; are CA certificates installed (ca-certificates)?")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
    /// Not reached, or lost on the way.
    #[error("{host} could not be reached, or broke off")]
    Connect {
        /// Who.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Something else lives there.
    #[error("{host} does not answer as a container registry; is the name right?")]
    NotARegistry {
        /// Who.
        host: String,
    },
    /// A redirect to nowhere.
    #[error("{host} redirects to something that is not a URL")]
    Redirect {
        /// Who.
        host: String,
    },
    /// Redirects without end.
    #[error("{host} redirects too often")]
    TooManyRedirects {
        /// Who.
        host: String,
    },
    /// Neither Basic nor Bearer.
    #[error("{host} asks for a way to authenticate that is not supported")]
    UnknownChallenge {
        /// Who.
        host: String,
    },
    /// A token server's URL that is none.
    #[error("{host} names a token server that is not a URL")]
    BadRealm {
        /// Who.
        host: String,
    },
    /// A token server's answer without a token.
    #[error("the token server {host} gave no usable token")]
    BadToken {
        /// Who.
        host: String,
    },
    /// Nobody said who asks.
    #[error(
        "{host} wants a user name and password for this (or it does not exist there); give them \
         with the import"
    )]
    CredentialsMissing {
        /// Who.
        host: String,
    },
    /// Somebody unknown asks.
    #[error("{host} does not accept this user name and password for this")]
    CredentialsRefused {
        /// Who.
        host: String,
    },
    /// Not for this user.
    #[error("{host} denies access to {what}")]
    Denied {
        /// Who.
        host: String,
        /// To what.
        what: String,
    },
    /// Not there.
    #[error("{host} has no {what}")]
    NotFound {
        /// Who.
        host: String,
        /// What.
        what: String,
    },
    /// Too many requests, and not soon fewer.
    #[error("{host} allows no more requests for now; try again later, or with credentials")]
    RateLimited {
        /// Who.
        host: String,
    },
    /// Anything else.
    #[error("{host} answered {status} when asked for {what}")]
    Status {
        /// Who.
        host: String,
        /// What was asked for.
        what: String,
        /// HTTP status.
        status: u16,
    },
    /// More than can be meant.
    #[error("{host} sent {what} of more than {limit} bytes")]
    TooLarge {
        /// Who.
        host: String,
        /// What.
        what: &'static str,
        /// Most that is read.
        limit: u64,
    },
    /// Not what the digest says.
    #[error("{host} sent {what} with the wrong content: its digest is {actual}, not {expected}")]
    Digest {
        /// Who.
        host: String,
        /// What.
        what: String,
        /// As asked for.
        expected: Digest,
        /// As received.
        actual: Digest,
    },
    /// Not what the manifest says.
    #[error("{host} sent {what} of {actual} bytes, the manifest says {expected}")]
    Size {
        /// Who.
        host: String,
        /// What.
        what: String,
        /// By the manifest.
        expected: u64,
        /// As received or announced.
        actual: u64,
    },
    /// It ended early, again and again.
    #[error("{host} broke off {what} after {received} of {expected} bytes, several times")]
    Truncated {
        /// Who.
        host: String,
        /// What.
        what: String,
        /// By the manifest.
        expected: u64,
        /// As received.
        received: u64,
    },
}

impl RegistryError {
    fn unauthorised(host: String, with_credentials: bool) -> Self {
        if with_credentials {
            Self::CredentialsRefused { host }
        } else {
            Self::CredentialsMissing { host }
        }
    }

    /// Whether the same request may succeed the next time.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }
}

/// The error body of the specification: `{"errors": [{"code": …}]}`.
#[derive(Deserialize)]
struct ErrorBody {
    errors: Vec<ErrorCode>,
}

#[derive(Deserialize)]
struct ErrorCode {
    #[serde(default)]
    code: String,
}

/// One import of one repository.
pub(super) struct Session {
    http: Arc<Http>,
    auth: Auth,
    /// `SCHEME://HOST/v2/`.
    base: Url,
    reference: Reference,
}

/// Part of a blob, from some offset on.
pub(super) struct BlobPart {
    response: Response,
    /// Where it begins; 0 when the registry does not do ranges.
    pub(super) offset: u64,
}

impl BlobPart {
    /// The next piece; `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, reqwest::Error> {
        self.response
            .chunk()
            .await
            .map_err(reqwest::Error::without_url)
    }
}

impl Session {
    /// Finds out how the registry wants to be spoken to.
    pub(super) async fn open(
        http: Arc<Http>,
        reference: Reference,
        credentials: Option<&Credentials>,
    ) -> Result<Self, RegistryError> {
        let endpoint = reference.endpoint();
        let scheme = http.guard().scheme(endpoint.host(), endpoint.port());
        let base = Url::parse(&format!("{scheme}://{endpoint}/v2/")).map_err(|_| {
            RegistryError::NotARegistry {
                host: endpoint.to_string(),
            }
        })?;
        let session = Self {
            auth: Auth::new(credentials),
            http,
            base,
            reference,
        };
        session.ping().await?;
        Ok(session)
    }

    async fn ping(&self) -> Result<(), RegistryError> {
        let mut attempts = Attempts::new(self.http.limits());
        loop {
            let request = Request {
                url: &self.base,
                accept: "application/json",
                authorization: None,
                offset: 0,
            };
            let answer = match self.http.get(request).await {
                Ok(answer) => answer,
                Err(error) if error.is_passing() && attempts.next(None).await => continue,
                Err(error) => return Err(error),
            };
            let (status, headers) = (answer.response.status(), answer.response.headers());
            return match status.as_u16() {
                200..=299 => Ok(()),
                401 => {
                    let repository = self.reference.repository();
                    self.auth
                        .challenged(&self.base, repository, headers, None)
                        .await
                        .map(|_| ())
                }
                429 | 500.. if is_passing(status) => {
                    let asked = retry_after(headers);
                    if attempts.next(asked).await {
                        continue;
                    }
                    Err(self.failed(status, "its version"))
                }
                // Some registries keep this door shut and others open.
                403 => Ok(()),
                _ => Err(RegistryError::NotARegistry { host: self.host() }),
            };
        }
    }

    /// The registry as users name it.
    pub(super) fn host(&self) -> String {
        self.reference.registry().to_string()
    }

    pub(super) const fn reference(&self) -> &Reference {
        &self.reference
    }

    pub(super) fn limits(&self) -> &super::limits::Limits {
        self.http.limits()
    }

    /// The document behind a tag or digest, whose digest is checked where one is known.
    pub(super) async fn manifest(
        &self,
        identifier: &str,
        expected: Option<&Descriptor>,
    ) -> Result<Vec<u8>, RegistryError> {
        let what = format!("{}:{identifier}", self.reference.repository());
        let what = if identifier.contains(':') {
            what.replacen(':', "@", 1)
        } else {
            what
        };
        let url = self.url(&format!(
            "{}/manifests/{identifier}",
            self.reference.repository()
        ));
        let body = self
            .small(&url, ACCEPT_MANIFEST, &what, |response| {
                read_small(response, "a manifest", MAX_MANIFEST)
            })
            .await?;
        let by_request = identifier.parse::<Digest>().ok();
        if let Some(digest) = expected
            .map(|target| &target.digest)
            .or(by_request.as_ref())
        {
            self.check(&what, digest, expected.map(|target| target.size), &body)?;
        }
        Ok(body)
    }

    /// A small blob, whole and checked.
    pub(super) async fn small_blob(&self, target: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let what = format!("blob {}", target.digest);
        if target.size > MAX_CONFIG {
            let (host, limit) = (self.host(), MAX_CONFIG);
            return Err(RegistryError::TooLarge {
                host,
                what: "an image config",
                limit,
            });
        }
        let url = self.url(&format!(
            "{}/blobs/{}",
            self.reference.repository(),
            target.digest
        ));
        let body = self
            .small(&url, "*/*", &what, |response| {
                read_small(response, "an image config", MAX_CONFIG)
            })
            .await?;
        self.check(&what, &target.digest, Some(target.size), &body)?;
        Ok(body)
    }

    /// A layer from `offset` on.
    pub(super) async fn blob(
        &self,
        target: &Descriptor,
        offset: u64,
    ) -> Result<BlobPart, RegistryError> {
        let what = format!("blob {}", target.digest);
        let url = self.url(&format!(
            "{}/blobs/{}",
            self.reference.repository(),
            target.digest
        ));
        let response = self.get(&url, "*/*", &what, offset).await?;
        let begins = match response.status() {
            StatusCode::PARTIAL_CONTENT => range_start(response.headers())
                .filter(|begins| *begins == offset)
                .ok_or_else(|| RegistryError::Status {
                    host: self.host(),
                    what: format!("{what} from byte {offset}"),
                    status: 206,
                })?,
            _ => 0,
        };
        let announced = response
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if let Some(actual) = announced.map(|length| length.saturating_add(begins))
            && actual != target.size
        {
            let (host, expected) = (self.host(), target.size);
            return Err(RegistryError::Size {
                host,
                what,
                expected,
                actual,
            });
        }
        Ok(BlobPart {
            response,
            offset: begins,
        })
    }

    fn check(
        &self,
        what: &str,
        expected: &Digest,
        size: Option<u64>,
        body: &[u8],
    ) -> Result<(), RegistryError> {
        let (host, what, actual) = (self.host(), what.to_owned(), body.len() as u64);
        if let Some(expected) = size.filter(|size| *size != actual) {
            return Err(RegistryError::Size {
                host,
                what,
                expected,
                actual,
            });
        }
        let mut hasher = Hasher::like(expected);
        hasher.update(body);
        let actual = hasher.finish();
        if actual != *expected {
            let expected = expected.clone();
            return Err(RegistryError::Digest {
                host,
                what,
                expected,
                actual,
            });
        }
        Ok(())
    }

    /// The whole of a small answer; one that breaks off is asked for again.
    async fn small<F, R>(
        &self,
        url: &Url,
        accept: &'static str,
        what: &str,
        read: F,
    ) -> Result<Vec<u8>, RegistryError>
    where
        F: Fn(Response) -> R,
        R: Future<Output = Result<Vec<u8>, RegistryError>>,
    {
        let mut attempts = Attempts::new(self.http.limits());
        loop {
            match read(self.get(url, accept, what, 0).await?).await {
                Err(error) if error.is_passing() && attempts.next(None).await => {}
                other => return other,
            }
        }
    }

    /// Makes a request until it has an answer that will not change by waiting.
    async fn get(
        &self,
        url: &Url,
        accept: &'static str,
        what: &str,
        offset: u64,
    ) -> Result<Response, RegistryError> {
        let mut attempts = Attempts::new(self.http.limits());
        let mut challenges = 0;
        loop {
            let header = self.auth.header(&self.http).await?;
            let request = Request {
                url,
                accept,
                authorization: header.as_ref(),
                offset,
            };
            let answer = match self.http.get(request).await {
                Ok(answer) => answer,
                Err(error) if error.is_passing() && attempts.next(None).await => continue,
                Err(error) => return Err(error),
            };
            let (status, response) = (answer.response.status(), answer.response);
            match status {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok(response),
                StatusCode::UNAUTHORIZED if answer.of_origin && challenges < MAX_CHALLENGES => {
                    challenges += 1;
                    let repository = self.reference.repository();
                    let headers = response.headers();
                    let new =
                        self.auth
                            .challenged(&self.base, repository, headers, header.as_ref());
                    if !new.await? {
                        return Err(self.failed(status, what));
                    }
                }
                status if is_passing(status) => {
                    let asked: Option<Duration> = retry_after(response.headers());
                    if !attempts.next(asked).await {
                        return Err(self.failed(status, what));
                    }
                }
                StatusCode::NOT_FOUND => return Err(self.not_found(response, what).await),
                status => return Err(self.failed(status, what)),
            }
        }
    }

    /// Tells a missing repository from a missing tag, where the registry does.
    async fn not_found(&self, response: Response, what: &str) -> RegistryError {
        let body = read_small(response, "an error", MAX_ERROR_BODY)
            .await
            .unwrap_or_default();
        let codes = serde_json::from_slice::<ErrorBody>(&body).map(|body| body.errors);
        let unknown_name = codes
            .unwrap_or_default()
            .iter()
            .any(|error| error.code == "NAME_UNKNOWN");
        let what = if unknown_name {
            format!("repository {}", self.reference.repository())
        } else {
            what.to_owned()
        };
        RegistryError::NotFound {
            host: self.host(),
            what,
        }
    }

    fn failed(&self, status: StatusCode, what: &str) -> RegistryError {
        let (host, what) = (self.host(), what.to_owned());
        match status.as_u16() {
            401 => RegistryError::unauthorised(host, self.auth.has_credentials()),
            403 => RegistryError::Denied { host, what },
            404 => RegistryError::NotFound { host, what },
            429 => RegistryError::RateLimited { host },
            status => RegistryError::Status { host, what, status },
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{path}"));
        url
    }
}

/// `Content-Range: bytes 1000-1999/2000` begins at 1000.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers
        .get(CONTENT_RANGE)?
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}
