//! When a failed request is sent again, and how long to wait before.
//!
//! - Requests without side effects, and `DELETE`, are sent again after 410, 425, 429, any 5xx but
//!   501 (which never heals), and broken connections.
//! - `POST` and `PATCH` only after 425 and 429, which promise that nothing was executed, and when
//!   no connection came about, so that nothing was sent.
//! - `Retry-After` (seconds or a date) beats the schedule. A wait longer than
//!   [`RetryPolicy::max_wait`] is not waited for: the caller gets the error.
//! - There is always a last attempt.
//! - Whoever wants to tell a user why it takes so long hears of each wait: [`OnRetry`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;

/// A failure after which is waited and tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retrying<'a> {
    /// What failed.
    pub error: &'a Error,
    /// Failures in a row, this one included.
    pub failures: u32,
    /// How long is waited now.
    pub wait: Duration,
}

/// Hears of every wait before another attempt, when it begins.
#[derive(Clone)]
pub struct OnRetry(Arc<dyn Fn(Retrying<'_>) + Send + Sync>);

impl OnRetry {
    /// Calls this.
    pub fn new(hear: impl Fn(Retrying<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    pub(crate) fn tell(&self, error: &Error, failures: u32, wait: Duration) {
        (self.0)(Retrying {
            error,
            failures,
            wait,
        });
    }
}

impl fmt::Debug for OnRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRetry")
    }
}

/// Bounds of the retries of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Waits between attempts; the last one repeats. Default .1 .2 .5 1 2 5 seconds.
    pub delays: Vec<Duration>,
    /// Attempts in all, at least 1. Default 10.
    pub max_attempts: u32,
    /// Attempts in all while no connection comes about. Default 4, so that a server that is not
    /// running is reported within a second.
    pub max_connects: u32,
    /// Longest `Retry-After` that is honoured. Default 60 seconds.
    pub max_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            delays: [100, 200, 500, 1_000, 2_000, 5_000]
                .map(Duration::from_millis)
                .to_vec(),
            max_attempts: 10,
            max_connects: 4,
            max_wait: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// One attempt, no retries.
    #[must_use]
    pub fn never() -> Self {
        Self {
            max_attempts: 1,
            max_connects: 1,
            ..Self::default()
        }
    }

    /// The scheduled wait after `failures` failures in a row (1 and up).
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
        self.delays
            .get(index)
            .or(self.delays.last())
            .copied()
            .unwrap_or_default()
    }

    /// How long to wait before the next attempt, or `None` when this failure is final.
    #[must_use]
    pub fn next_wait(&self, error: &Error, repeatable: bool, failures: u32) -> Option<Duration> {
        let attempts = match error {
            Error::Connect { .. } => self.max_connects.min(self.max_attempts),
            _ => self.max_attempts,
        };
        if failures >= attempts || !is_retryable(error, repeatable) {
            return None;
        }
        let wait = error.retry_after().unwrap_or_else(|| self.delay(failures));
        (wait <= self.max_wait).then_some(wait)
    }
}

fn is_retryable(error: &Error, repeatable: bool) -> bool {
    match error {
        Error::Connect { .. } => true,
        Error::Transport { .. } | Error::TimedOut { .. } => repeatable,
        Error::Status {
            status: 425 | 429, ..
        } => true,
        Error::Status { status, .. } => {
            repeatable && (*status == 410 || (*status >= 500 && *status != 501))
        }
        _ => false,
    }
}

/// Reads a `Retry-After` value: seconds, possibly fractional, or an HTTP date. What lies in the
/// past is zero; what cannot be read is nothing.
#[must_use]
pub fn parse_retry_after(value: &str, now: jiff::Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        let seconds = if seconds > 0.0 { seconds } else { 0.0 };
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let moment = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value)
        .ok()?;
    Some(Duration::try_from(moment.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, retry_after: Option<u64>) -> Error {
        Error::Status {
            request: "GET /v1/images".into(),
            status,
            message: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn what_is_sent_again() {
        let policy = RetryPolicy::default();
        let again = |code, repeatable| {
            policy
                .next_wait(&status(code, None), repeatable, 1)
                .is_some()
        };
        for code in [410, 425, 429, 500, 502, 503, 504] {
            assert!(again(code, true), "{code}");
        }
        for code in [400, 401, 403, 404, 409, 422, 501] {
            assert!(!again(code, true), "{code}");
        }
        for (code, expected) in [
            (410, false),
            (425, true),
            (429, true),
            (500, false),
            (504, false),
        ] {
            assert_eq!(again(code, false), expected, "POST and {code}");
        }
    }

    #[test]
    fn attempts_end() {
        let policy = RetryPolicy::default();
        let waits: Vec<u128> = (1..)
            .map_while(|failures| policy.next_wait(&status(500, None), true, failures))
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 500, 1000, 2000, 5000, 5000, 5000, 5000]);
        assert_eq!(
            RetryPolicy::never().next_wait(&status(500, None), true, 1),
            None
        );
    }

    #[test]
    fn the_server_decides_how_long() {
        let policy = RetryPolicy::default();
        let wait = |seconds| policy.next_wait(&status(429, Some(seconds)), false, 1);
        assert_eq!(wait(0), Some(Duration::ZERO));
        assert_eq!(wait(7), Some(Duration::from_secs(7)));
        assert_eq!(wait(3_600), None);
    }

    #[test]
    fn retry_after_forms() {
        let now: jiff::Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let read = |text| parse_retry_after(text, now);
        assert_eq!(read("2"), Some(Duration::from_secs(2)));
        assert_eq!(read(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(read("-3"), Some(Duration::ZERO));
        assert_eq!(
            read("Sun, 22 Nov 2026 08:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(read("Sun, 22 Nov 2026 07:00:00 GMT"), Some(Duration::ZERO));
        for bad in ["soon", "", "inf", "1e300"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read("nan"), Some(Duration::ZERO));
    }
}
