//! What a [`Client`](crate::Client) is made from.

use std::fmt;
use std::time::Duration;

use crate::retry::{OnRetry, RetryPolicy};

/// What a [`Client`](crate::Client) is made from.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// `http` or `https`, host, port and any path prefix; `/v1` is appended.
    pub base_url: String,
    /// Sent as bearer token, unless it is empty.
    pub token: String,
    /// Sent as `Project` header when set.
    pub project: Option<String>,
    /// Sent as `User-Agent`. Default `contree-client/VERSION`.
    pub user_agent: String,
    /// Names and values that are sent with every request, in place of those above where these have
    /// the same names: what a gateway in front of the server asks for, for example. Default none.
    pub headers: Vec<(String, String)>,
    /// From sending a request to the head of its answer, and then longest silence until its end.
    /// Event streams, uploads and downloads are bounded by [`Config::idle_timeout`] instead. Default
    /// 300 seconds.
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
            headers: Vec::new(),
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
