//! A request before it is sent.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use contree_api::OperationId;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::retry::Repeat;

/// The kinds of requests that come by the thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Starting an operation.
    Start,
    /// Asking for one.
    Ask,
}

/// A request before it is sent, so that it can be sent again.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// With the query, percent-encoded.
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) accept: Option<&'static str>,
    pub(crate) accepts_gzip: bool,
    pub(crate) last_event_id: Option<u64>,
    /// The one status that is a success; none: any 2xx.
    pub(crate) expected: Option<StatusCode>,
    /// What sending it twice would mean.
    pub(crate) repeat: Repeat,
    /// It is one of possibly thousands at once, and waits for one of the few places that there are
    /// for those of its kind.
    pub(crate) turn: Option<Turn>,
}

/// What matters of the answer to a request that starts an operation. Whatever else is in it, or is not:
/// the operation is there, and whoever started it has to know.
#[derive(Debug, Deserialize)]
pub(crate) struct Started {
    pub(crate) uuid: OperationId,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let repeat = match method {
            Method::GET | Method::HEAD | Method::DELETE => Repeat::Safe,
            _ => Repeat::Unsafe,
        };
        Self {
            method,
            path: path.into(),
            body: None,
            accept: None,
            accepts_gzip: false,
            last_event_id: None,
            expected: None,
            repeat,
            turn: None,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn head(path: impl Into<String>) -> Self {
        Self::new(Method::HEAD, path)
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
        self.repeat = Repeat::Safe;
        self
    }

    /// It starts an operation: that the server is busy is waited out, and nothing else.
    pub(crate) fn starts_operation(mut self) -> Self {
        self.repeat = Repeat::WhenFree;
        self.turn = Some(Turn::Start);
        self
    }

    /// It asks for an operation.
    pub(crate) fn asks_operation(mut self) -> Self {
        self.turn = Some(Turn::Ask);
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

/// A request that was sent, as errors name it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Method and path.
    pub(crate) request: String,
    /// The query included.
    pub(crate) url: String,
}

impl Sent {
    /// The connection broke.
    pub(crate) fn broke(self, source: reqwest::Error) -> Error {
        Error::Transport {
            request: self.request,
            url: self.url,
            // The URL in reqwest's own text repeats ours, and may be long.
            source: source.without_url().into(),
        }
    }

    /// Nothing came for so long.
    pub(crate) fn timed_out(self, after: Duration) -> Error {
        Error::TimedOut {
            request: self.request,
            url: self.url,
            after,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        let call = Call::get("/inspect/x/list")
            .query("path", "/a b/ü+&")
            .query("text", 1);
        assert_eq!(call.path, "/inspect/x/list?path=/a%20b/%C3%BC%2B%26&text=1");
        assert_eq!(call.name(), "GET /v1/inspect/x/list");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }
}
