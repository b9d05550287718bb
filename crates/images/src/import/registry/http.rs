//! One request to a registry, redirects followed by hand.
//!
//! reqwest would follow redirects itself, but then neither the URL it goes to could be checked
//! nor the decision made which credentials go along. Here every hop passes the [`Guard`], and the
//! `Authorization` header goes only to the very origin (scheme, host, port) that the request was
//! made to: a blob's redirect to somebody's object storage carries no credentials.
//!
//! Three clients exist because reqwest binds the resolver and the certificates to the client: one
//! resolves to public addresses only, one (for the operator's list) to any, and one is for plain
//! HTTP and trusts no certificate, so that it works on a machine that has none. Proxies of the environment are not used:
//! the proxy would resolve the names, out of the guard's sight.

use std::error::Error as _;
use std::sync::OnceLock;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Response, StatusCode, Url};

use super::RegistryError;
use crate::import::guard::{Guard, PublicOnly, Refused, Route, named};
use crate::import::limits::{Limits, MAX_REDIRECTS};

/// How requests are made. Holds no credentials; shared by all imports of the server.
#[derive(Debug)]
pub(in crate::import) struct Http {
    guard: Guard,
    limits: Limits,
    /// Made when first used: reading the machine's certificates takes time, and a server on
    /// which nobody imports needs none.
    public: OnceLock<reqwest::Client>,
    trusted: OnceLock<reqwest::Client>,
    plain: OnceLock<reqwest::Client>,
}

/// One request.
pub(super) struct Request<'r> {
    pub(super) url: &'r Url,
    pub(super) accept: &'static str,
    pub(super) authorization: Option<&'r HeaderValue>,
    /// First byte wanted.
    pub(super) offset: u64,
}

/// What came back.
pub(super) struct Answer {
    pub(super) response: Response,
    /// Whether it is of the origin that was asked, not of one it redirected to.
    pub(super) of_origin: bool,
}

impl Http {
    pub(in crate::import) fn new(guard: Guard, limits: Limits) -> Self {
        Self {
            guard,
            limits,
            public: OnceLock::new(),
            trusted: OnceLock::new(),
            plain: OnceLock::new(),
        }
    }

    pub(in crate::import) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(in crate::import) const fn guard(&self) -> &Guard {
        &self.guard
    }

    fn client(&self, route: Route) -> Result<&reqwest::Client, RegistryError> {
        let cell = match route {
            Route::Public => &self.public,
            Route::Trusted => &self.trusted,
            Route::Plain => &self.plain,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = reqwest::Client::builder()
            .user_agent(concat!("contree/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(self.limits.connect_timeout)
            .read_timeout(self.limits.silence_timeout)
            .pool_max_idle_per_host(self.limits.parallel_fetches);
        let builder = match route {
            Route::Public => builder.https_only(true).dns_resolver(PublicOnly),
            Route::Trusted => builder.https_only(true),
            Route::Plain => builder.tls_certs_only([]),
        };
        let client = builder.build().map_err(|source| RegistryError::Client {
            source: source.without_url(),
        })?;
        Ok(cell.get_or_init(|| client))
    }

    /// Makes the request and follows where it leads.
    pub(super) async fn get(&self, request: Request<'_>) -> Result<Answer, RegistryError> {
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let of_origin = url.origin() == request.url.origin();
            let response = self.hop(&url, &request, of_origin).await?;
            if !is_redirect(response.status()) {
                return Ok(Answer {
                    response,
                    of_origin,
                });
            }
            let target = response
                .headers()
                .get(LOCATION)
                .and_then(|target| target.to_str().ok());
            url = target
                .and_then(|target| url.join(target).ok())
                .ok_or_else(|| RegistryError::Redirect { host: named(&url) })?;
        }
        Err(RegistryError::TooManyRedirects {
            host: named(request.url),
        })
    }

    async fn hop(
        &self,
        url: &Url,
        request: &Request<'_>,
        of_origin: bool,
    ) -> Result<Response, RegistryError> {
        let route = self.guard.admit(url)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(request.accept));
        if let Some(authorization) = request.authorization.filter(|_| of_origin) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if request.offset > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", request.offset));
            headers.insert(RANGE, range.expect("digits and ASCII make a header value"));
        }
        let sent = self
            .client(route)?
            .get(url.clone())
            .headers(headers)
            .send()
            .await;
        sent.map_err(|error| connect_error(named(url), error))
    }
}

const fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The guard's refusal comes out of the resolver wrapped in reqwest's error. URLs are taken out
/// of what is left: those of token servers and object storage carry secrets.
fn connect_error(host: String, error: reqwest::Error) -> RegistryError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return RegistryError::Refused(refused.clone());
        }
        cause = inner.source();
    }
    RegistryError::Connect {
        host,
        source: error.without_url(),
    }
}

/// Reads an answer that should be small.
pub(super) async fn read_small(
    mut response: Response,
    what: &'static str,
    limit: u64,
) -> Result<Vec<u8>, RegistryError> {
    let host = named(response.url());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() as u64 + chunk.len() as u64 <= limit => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Err(RegistryError::TooLarge { host, what, limit }),
            Err(source) => {
                return Err(RegistryError::Connect {
                    host,
                    source: source.without_url(),
                });
            }
        }
    }
}
