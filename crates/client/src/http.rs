//! One request, with everything that every request needs: address, headers, timeouts, retries,
//! and errors in the server's own words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
    RETRY_AFTER,
};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::retry::{OnRetry, RetryPolicy, parse_retry_after};

/// Largest JSON answer that is read.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;
/// Largest error answer that is read; the rest cannot be a sentence.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// What a [`Client`] is made from.
#[derive(Clone)]
pub struct Config {
    /// `http` or `https`, host, port and any path prefix; `/v1` is appended.
    pub base_url: String,
    /// Sent as bearer token.
    pub token: String,
    /// Sent as `Project` header when set.
    pub project: Option<String>,
    /// Sent as `User-Agent`. Default `contree-client/VERSION`.
    pub user_agent: String,
    /// From sending a request to the end of its answer. Event streams, uploads and downloads are
    /// bounded by [`Config::idle_timeout`] instead. Default 300 seconds.
    pub timeout: Duration,
    /// Until a connection is there. Default 10 seconds.
    pub connect_timeout: Duration,
    /// Longest silence of a stream. Servers send a comment every few seconds. Default 90 seconds.
    pub idle_timeout: Duration,
    /// When requests are sent again.
    pub retry: RetryPolicy,
    /// Who hears of that. Default nobody.
    pub on_retry: Option<OnRetry>,
}

impl Config {
    /// All defaults.
    #[must_use]
    pub fn new(base_url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            token: token.into(),
            project: None,
            user_agent: concat!("contree-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            retry: RetryPolicy::default(),
            on_retry: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("base_url", &self.base_url)
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

/// A connection to one server with one token. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    /// Without a slash at the end, `/v1` included.
    root: String,
    /// Scheme, host and port, for messages.
    origin: String,
    timeout: Duration,
    idle_timeout: Duration,
    retry: RetryPolicy,
    on_retry: Option<OnRetry>,
}

impl Client {
    /// Checks the configuration; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::BaseUrl`], [`Error::Header`] or [`Error::Setup`].
    pub fn new(config: Config) -> Result<Self, Error> {
        let invalid = || Error::BaseUrl {
            url: config.base_url.clone(),
        };
        let url = Url::parse(config.base_url.trim()).map_err(|_| invalid())?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(invalid)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid());
        }
        let mut headers = HeaderMap::new();
        let mut bearer = header(&format!("Bearer {}", config.token), "token")?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        if let Some(project) = &config.project {
            headers.insert("Project", header(project, "project")?);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(header(&config.user_agent, "user agent")?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.connect_timeout)
            .tcp_keepalive(Duration::from_secs(30));
        let is_loopback = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        if is_loopback {
            // A proxy of the environment never reaches this machine's own loopback.
            builder = builder.no_proxy();
        }
        if url.scheme() == "http" {
            // Reading the system's certificates takes longer than most requests do. Nothing is
            // redirected, so a client of a plain server never needs them.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|source| Error::Setup { source })?;
        let prefix = url.path().trim_end_matches('/');
        let origin = url.origin().ascii_serialization();
        Ok(Self {
            shared: Arc::new(Shared {
                http,
                root: format!("{origin}{prefix}/v1"),
                origin,
                timeout: config.timeout,
                idle_timeout: config.idle_timeout,
                retry: config.retry,
                on_retry: config.on_retry,
            }),
        })
    }

    /// Scheme, host and port of the server.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared.origin
    }

    pub(crate) fn retry_policy(&self) -> &RetryPolicy {
        &self.shared.retry
    }

    /// Tells whoever wants to hear of it that is waited before another attempt.
    pub(crate) fn retrying(&self, error: &Error, failures: u32, wait: Duration) {
        if let Some(on_retry) = &self.shared.on_retry {
            on_retry.tell(error, failures, wait);
        }
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.shared.idle_timeout
    }

    /// Sends, again where that is right, and reads the answer's JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let body = self.bytes(call).await?;
        serde_json::from_slice(&body).map_err(|error| call.answer(&error))
    }

    /// Sends, again where that is right, and reads the whole answer.
    pub(crate) async fn bytes(&self, call: &Call) -> Result<Bytes, Error> {
        let whole = || async {
            let response = self.once(call).await?;
            self.within(call, read_body(response, MAX_ANSWER_BYTES, call))
                .await
        };
        self.again(call, whole).await
    }

    /// Sends, again where that is right, and hands out the answer once its head is there.
    pub(crate) async fn response(&self, call: &Call) -> Result<Response, Error> {
        self.again(call, || self.once(call)).await
    }

    /// Sends where only the success counts.
    pub(crate) async fn done(&self, call: &Call) -> Result<(), Error> {
        self.bytes(call).await.map(drop)
    }

    /// The retry loop around one attempt. (Not an async closure: their futures cannot be shown to
    /// be `Send` for every lifetime, and callers spawn these calls.)
    pub(crate) async fn again<T, F>(
        &self,
        call: &Call,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut failures = 0;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failures += 1;
            let Some(wait) = self
                .shared
                .retry
                .next_wait(&error, call.repeatable, failures)
            else {
                return Err(error);
            };
            tracing::debug!(
                request = %call.name(), failures, wait_ms = wait.as_millis(), %error, "trying again"
            );
            self.retrying(&error, failures, wait);
            tokio::time::sleep(wait).await;
        }
    }

    /// One attempt, up to the head of the answer.
    pub(crate) async fn once(&self, call: &Call) -> Result<Response, Error> {
        let request = self.request(call);
        let response = self
            .within(call, async {
                request.send().await.map_err(|e| self.failed(call, e))
            })
            .await?;
        self.checked(call, response).await
    }

    pub(crate) fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        tracing::debug!(request = %call.name(), "sending");
        let url = format!("{}{}", self.shared.root, call.path);
        let mut request = self.shared.http.request(call.method.clone(), url);
        if let Some(accept) = call.accept {
            request = request.header(ACCEPT, accept);
        }
        if call.accepts_gzip {
            request = request.header(ACCEPT_ENCODING, "gzip");
        }
        if let Some(id) = call.last_event_id {
            request = request.header("Last-Event-Id", id);
        }
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        request
    }

    /// Turns an answer that is no success into an error with the server's words.
    pub(crate) async fn checked(&self, call: &Call, response: Response) -> Result<Response, Error> {
        let status = response.status();
        tracing::debug!(request = %call.name(), status = status.as_u16(), "answered");
        let is_expected = match call.expected {
            Some(expected) => status == expected,
            None => status.is_success(),
        };
        if is_expected {
            return Ok(response);
        }
        if status.is_success() || status.is_redirection() {
            return Err(call.answer(&format!("status {status}")));
        }
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| parse_retry_after(value, jiff::Timestamp::now()));
        let body = self
            .within(call, read_body(response, MAX_ERROR_BYTES, call))
            .await
            .unwrap_or_default();
        Err(Error::Status {
            request: call.name(),
            status: status.as_u16(),
            message: error_message(status, &body),
            retry_after,
        })
    }

    pub(crate) fn failed(&self, call: &Call, source: reqwest::Error) -> Error {
        // The URL in reqwest's own text repeats ours, and may be long.
        let source = source.without_url();
        if source.is_connect() {
            Error::Connect {
                url: self.shared.origin.clone(),
                source,
            }
        } else {
            Error::Transport {
                request: call.name(),
                source,
            }
        }
    }

    async fn within<T>(
        &self,
        call: &Call,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let after = self.shared.timeout;
        tokio::time::timeout(after, work).await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                request: call.name(),
                after,
            })
        })
    }
}

fn header(value: &str, what: &'static str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(value.trim()).map_err(|_| Error::Header { what })
}

async fn read_body(mut response: Response, limit: usize, call: &Call) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    loop {
        let chunk = response.chunk().await.map_err(|source| Error::Transport {
            request: call.name(),
            source: source.without_url(),
        })?;
        let Some(chunk) = chunk else {
            return Ok(body.freeze());
        };
        if body.len() + chunk.len() > limit {
            return Err(call.answer(&format!("it is larger than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
}

/// The server's sentence, or for answers that are not ours (a proxy's page) the status' name.
fn error_message(status: StatusCode, body: &[u8]) -> String {
    if let Ok(body) = serde_json::from_slice::<contree_api::ErrorBody>(body) {
        return body.message();
    }
    let name = status.canonical_reason().unwrap_or("unknown status");
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    let is_sentence = !text.is_empty() && text.len() <= 500 && !text.starts_with('<');
    if is_sentence {
        format!("{} {name}: {text}", status.as_u16())
    } else {
        format!("{} {name}", status.as_u16())
    }
}

/// A request before it is sent, so that it can be sent again.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    /// With the query, percent-encoded.
    path: String,
    body: Option<Bytes>,
    accept: Option<&'static str>,
    accepts_gzip: bool,
    last_event_id: Option<u64>,
    /// The one status that is a success; none: any 2xx.
    expected: Option<StatusCode>,
    /// Whether sending it twice is the same as sending it once.
    repeatable: bool,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let repeatable = matches!(method, Method::GET | Method::HEAD | Method::DELETE);
        Self {
            method,
            path: path.into(),
            body: None,
            accept: None,
            accepts_gzip: false,
            last_event_id: None,
            expected: None,
            repeatable,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn query(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.path
            .push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        self.path.push_str(&encode(&value.to_string(), true));
        self
    }

    pub(crate) fn query_some(self, name: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(crate) fn json_body(mut self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("wire types have string keys only");
        self.body = Some(body.into());
        self
    }

    pub(crate) fn accept(mut self, media_type: &'static str) -> Self {
        self.accept = Some(media_type);
        self
    }

    /// The answer may be compressed; nothing here unpacks it.
    pub(crate) fn accept_gzip(mut self) -> Self {
        self.accepts_gzip = true;
        self
    }

    pub(crate) fn last_event_id(mut self, id: Option<u64>) -> Self {
        self.last_event_id = id;
        self
    }

    pub(crate) fn expect(mut self, status: StatusCode) -> Self {
        self.expected = Some(status);
        self
    }

    pub(crate) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Method and path, for messages. The query may hold what does not belong into them.
    pub(crate) fn name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} /v1{path}", self.method)
    }

    pub(crate) fn answer(&self, reason: &impl fmt::Display) -> Error {
        Error::Answer {
            request: self.name(),
            reason: reason.to_string(),
        }
    }
}

/// Percent-encodes a path segment, or with `slashes` kept a query value.
pub(crate) fn encode(text: &str, slashes: bool) -> String {
    use std::fmt::Write as _;

    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'~')
            || (slashes && byte == b'/');
        if plain {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A file that comes in piece by piece.
#[derive(Debug)]
pub struct Download {
    response: Response,
    request: String,
    idle_timeout: Duration,
}

impl Download {
    pub(crate) fn new(client: &Client, call: &Call, response: Response) -> Self {
        Self {
            response,
            request: call.name(),
            idle_timeout: client.idle_timeout(),
        }
    }

    /// Bytes to come, if the server said.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Whether what comes is compressed with gzip.
    #[must_use]
    pub fn is_gzip(&self) -> bool {
        let coding = self.response.headers().get(CONTENT_ENCODING);
        coding.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"))
    }

    /// The next piece; `None` when the file is complete.
    ///
    /// # Errors
    /// [`Error::Transport`] when the connection breaks before the end, [`Error::TimedOut`] after a
    /// silence of [`Config::idle_timeout`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match tokio::time::timeout(self.idle_timeout, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|source| Error::Transport {
                request: self.request.clone(),
                source: source.without_url(),
            }),
            Err(_) => Err(Error::TimedOut {
                request: self.request.clone(),
                after: self.idle_timeout,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        let root = |url: &str| Client::new(Config::new(url, "t")).map(|c| c.shared.root.clone());
        assert_eq!(
            root("http://127.0.0.1:9450").unwrap(),
            "http://127.0.0.1:9450/v1"
        );
        assert_eq!(root("http://h/a/b/").unwrap(), "http://h/a/b/v1");
        assert_eq!(
            root(" https://h:443/sandboxes/ ").unwrap(),
            "https://h/sandboxes/v1"
        );
        for bad in ["", "127.0.0.1:9450", "ftp://h", "http://", "unix:/x"] {
            assert!(matches!(root(bad), Err(Error::BaseUrl { .. })), "{bad}");
        }
        let odd = Config::new("http://h", "two\nlines");
        assert!(matches!(
            Client::new(odd),
            Err(Error::Header { what: "token" })
        ));
    }

    #[test]
    fn queries_are_encoded() {
        let call = Call::get("/inspect/x/list")
            .query("path", "/a b/ü+&")
            .query("text", 1);
        assert_eq!(call.path, "/inspect/x/list?path=/a%20b/%C3%BC%2B%26&text=1");
        assert_eq!(call.name(), "GET /v1/inspect/x/list");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }

    #[test]
    fn messages_of_foreign_answers() {
        let message = |body: &str| error_message(StatusCode::BAD_GATEWAY, body.as_bytes());
        assert_eq!(
            message(r#"{"error":"no such image","status":404}"#),
            "no such image"
        );
        assert_eq!(message(r#"{"error":[1]}"#), "[1]");
        assert_eq!(message("<html>…"), "502 Bad Gateway");
        assert_eq!(
            message("upstream is away"),
            "502 Bad Gateway: upstream is away"
        );
    }
}
