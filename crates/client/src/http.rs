//! One request, with everything that every request needs: address, headers, timeouts, retries,
//! and errors in the server's own words.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use contree_api::OperationId;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RETRY_AFTER, USER_AGENT,
};
use reqwest::{Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Error;
use crate::call::{Call, Sent, Started, Turn};
use crate::config::Config;
use crate::error::Refusal;
use crate::retry::{Attempts, OnRetry, RetryPolicy, parse_retry_after};

/// Largest JSON answer that is read.
pub(crate) const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;
/// Largest error answer that is read; the rest cannot be a sentence.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Requests at a time of each kind that comes by the thousand. Each at a time needs a connection,
/// and more than this many make neither side faster. Who asks for the result of one run does not
/// stand behind the starts of a thousand others.
const MAX_TURNS: usize = 32;

/// A connection to one server with one token, with a method for each route. Cheap to clone; clones
/// share connections.
///
/// ```
/// # contree_e2e::Example::run(async |example| {
/// # let (url, token) = (example.url(), example.token());
/// use contree_client::{Client, Config};
///
/// let client = Client::new(Config::new(url, token))?;
/// let image = client.find_image(&"debian".parse()?).await?;
/// let folder = client.list_directory(image, "/etc").await?;
/// assert!(folder.files.iter().any(|file| file.path == "passwd"));
/// # Ok(()) });
/// ```
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
    starts: Semaphore,
    asks: Semaphore,
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
        let mut builder = reqwest::Client::builder()
            .default_headers(headers(&config)?)
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
        // With HTTP/2 all streams share one window: some that nobody reads for a while, such as
        // the output of runs, would hold up all answers.
        builder = builder.http1_only();
        if url.scheme() == "http" {
            // Reading the system's certificates takes longer than most requests do. Nothing is
            // redirected, so a client of a plain server never needs them.
            builder = builder.tls_certs_only([]);
        }
        let is_https = url.scheme() == "https";
        let http = builder.build().map_err(|source| {
            let source = source.into();
            // Nothing else can go wrong there.
            if is_https {
                Error::Certificates { source }
            } else {
                Error::Setup { source }
            }
        })?;
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
                starts: Semaphore::new(MAX_TURNS),
                asks: Semaphore::new(MAX_TURNS),
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
        self.again(call, || self.bytes_in_turn(call)).await
    }

    /// Starts an operation.
    pub(crate) async fn start(&self, call: &Call) -> Result<OperationId, Error> {
        let started: Started = self.json(call).await?;
        Ok(started.uuid)
    }

    /// The same, unless `gone` is done before: `None`. It is looked at only while nothing is on its
    /// way to the server.
    pub(crate) async fn start_unless(
        &self,
        call: &Call,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<OperationId>, Error> {
        let mut gone = std::pin::pin!(gone);
        let mut attempts = Attempts::new(call.repeat);
        loop {
            let turn = tokio::select! {
                biased;
                () = &mut gone => return Ok(None),
                turn = self.turn(call) => turn,
            };
            let error = match self.json_once::<Started>(call).await {
                Ok(started) => return Ok(Some(started.uuid)),
                Err(error) => error,
            };
            drop(turn);
            let wait = self.next_wait(call, &mut attempts, error)?;
            tokio::select! {
                () = &mut gone => return Ok(None),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// A place among the requests of its kind, where there are few.
    async fn turn(&self, call: &Call) -> Option<SemaphorePermit<'_>> {
        let turns = match call.turn? {
            Turn::Start => &self.shared.starts,
            Turn::Ask => &self.shared.asks,
        };
        // Never closed, so that there is always one some time.
        turns.acquire().await.ok()
    }

    /// One attempt in its turn, with the whole answer.
    async fn bytes_in_turn(&self, call: &Call) -> Result<Bytes, Error> {
        let _turn = self.turn(call).await;
        self.bytes_once(call).await
    }

    /// One attempt, with the whole answer.
    async fn bytes_once(&self, call: &Call) -> Result<Bytes, Error> {
        let response = self.once(call).await?;
        self.read_body(call, response, MAX_ANSWER_BYTES).await
    }

    /// One attempt, with the answer's JSON.
    async fn json_once<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let body = self.bytes_once(call).await?;
        serde_json::from_slice(&body).map_err(|error| call.answer(&error))
    }

    /// One attempt in its turn, with the answer's JSON.
    pub(crate) async fn json_in_turn<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let _turn = self.turn(call).await;
        self.json_once(call).await
    }

    /// Sends, again where that is right, and hands out the answer once its head is there.
    pub(crate) async fn response(&self, call: &Call) -> Result<Response, Error> {
        self.again(call, || self.once(call)).await
    }

    /// Sends where only the success counts.
    pub(crate) async fn done(&self, call: &Call) -> Result<(), Error> {
        self.bytes(call).await.map(drop)
    }

    /// Sends where the answer says whether something is there.
    pub(crate) async fn is_there(&self, call: &Call) -> Result<bool, Error> {
        match self.done(call).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
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
        let mut attempts = Attempts::new(call.repeat);
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let wait = self.next_wait(call, &mut attempts, error)?;
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait before the next attempt after this failure, which is told; or the failure,
    /// when it is final.
    fn next_wait(
        &self,
        call: &Call,
        attempts: &mut Attempts,
        error: Error,
    ) -> Result<Duration, Error> {
        let Some(wait) = attempts.next_wait(&self.shared.retry, &error) else {
            return Err(error);
        };
        let failures = attempts.failures();
        tracing::debug!(
            request = %call.name(), failures, wait_ms = wait.as_millis(), %error, "trying again"
        );
        self.retrying(&error, failures, wait);
        Ok(wait)
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

    /// How errors name a call.
    pub(crate) fn sent(&self, call: &Call) -> Sent {
        Sent {
            request: call.name(),
            url: self.url(call),
        }
    }

    fn url(&self, call: &Call) -> String {
        format!("{}{}", self.shared.root, call.path)
    }

    pub(crate) fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        tracing::debug!(request = %call.name(), "sending");
        let mut request = self
            .shared
            .http
            .request(call.method.clone(), self.url(call));
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
            let to = response.headers().get(LOCATION);
            let to = to.and_then(|to| to.to_str().ok());
            let to = to.map_or_else(String::new, |to| format!(", which leads to {to}"));
            return Err(call.answer(&format!("status {status}{to}")));
        }
        let headers = response.headers().clone();
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| parse_retry_after(value, jiff::Timestamp::now()));
        let body = self
            .read_body(call, response, MAX_ERROR_BYTES)
            .await
            .unwrap_or_default();
        Err(Error::Status {
            request: call.name(),
            status: status.as_u16(),
            message: error_message(status, &body),
            retry_after,
            refusal: Box::new(Refusal {
                method: call.method.to_string(),
                url: self.url(call),
                headers: headers
                    .iter()
                    .map(|(name, value)| {
                        let value = String::from_utf8_lossy(value.as_bytes());
                        (name.to_string(), value.into_owned())
                    })
                    .collect(),
                body,
            }),
        })
    }

    pub(crate) fn failed(&self, call: &Call, source: reqwest::Error) -> Error {
        if source.is_connect() {
            Error::Connect {
                url: self.shared.origin.clone(),
                request: call.name(),
                source: source.without_url().into(),
            }
        } else {
            self.sent(call).broke(source)
        }
    }

    async fn within<T>(
        &self,
        call: &Call,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let after = self.shared.timeout;
        tokio::time::timeout(after, work)
            .await
            .unwrap_or_else(|_| Err(self.sent(call).timed_out(after)))
    }

    /// The whole body. The bound is on silence: a large answer may take as long as it moves.
    pub(crate) async fn read_body(
        &self,
        call: &Call,
        mut response: Response,
        limit: usize,
    ) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        loop {
            let chunk = async { response.chunk().await.map_err(|e| self.sent(call).broke(e)) };
            let Some(chunk) = self.within(call, chunk).await? else {
                return Ok(body.freeze());
            };
            if body.len() + chunk.len() > limit {
                return Err(call.answer(&format!("it is larger than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
    }
}

/// What every request has.
fn headers(config: &Config) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, header(&config.user_agent, "user agent")?);
    if !config.token.is_empty() {
        let mut bearer = header(&format!("Bearer {}", config.token), "token")?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    if let Some(project) = &config.project {
        headers.insert("Project", header(project, "project")?);
    }
    for (name, value) in &config.headers {
        let name = HeaderName::from_str(name).map_err(|_| Error::Header {
            what: "name of a header",
        })?;
        let mut value = header(value, "value of a header")?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn header(value: &str, what: &'static str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(value.trim()).map_err(|_| Error::Header { what })
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
    fn headers_of_its_own() {
        let mut config = Config::new("http://h", "t");
        config.headers = vec![
            ("authorization".to_owned(), "Basic eDp5".to_owned()),
            ("X-Api-Key".to_owned(), "key".to_owned()),
        ];
        let sent = headers(&config).unwrap();
        assert_eq!(sent["Authorization"], "Basic eDp5");
        assert_eq!(sent["X-Api-Key"], "key");
        let nobody = headers(&Config::new("http://h", "")).unwrap();
        assert!(!nobody.contains_key(AUTHORIZATION));
        for (name, value) in [("no name", "v"), ("n", "two\nlines")] {
            config.headers = vec![(name.to_owned(), value.to_owned())];
            assert!(matches!(headers(&config), Err(Error::Header { .. })));
        }
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
