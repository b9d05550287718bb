//! When a failed request is sent again, and how long to wait before.
//!
//! - Requests that may be sent twice (all without side effects, `DELETE`, tags, uploads) are sent
//!   again after 410, 425, 429, any 5xx but 501 (which never heals), and broken connections.
//! - Other requests only after 425 and 429, which promise that nothing was executed, and when no
//!   connection came about, so that nothing was sent.
//! - Where an operation is to be started, 425 and 429 mean that its turn has not come: that is no
//!   failure, and is waited out for [`RetryPolicy::busy_timeout`].
//! - `Retry-After` (seconds or a date) beats the schedule. A wait longer than
//!   [`RetryPolicy::max_wait`] is not waited for: the caller gets the error.
//! - There is always a last attempt.
//! - Whoever wants to tell a user why it takes so long hears of each wait: [`OnRetry`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;

/// Shortest wait for a busy server, so that one which says `Retry-After: 0` is not overrun.
const MIN_BUSY_WAIT: Duration = Duration::from_millis(50);

/// A failure after which is waited and tried again.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
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
#[non_exhaustive]
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
    /// For how long an operation that is to be started waits for a busy server (425, 429) to take
    /// it, from the first such answer. `Retry-After` is honoured, attempts are not counted. Default
    /// 60 seconds.
    pub busy_timeout: Duration,
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
            busy_timeout: Duration::from_secs(60),
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
            busy_timeout: Duration::ZERO,
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
}

/// What sending a request twice would mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The same as sending it once.
    Safe,
    /// Something else.
    Unsafe,
    /// Two operations. A server that is busy has started none.
    WhenFree,
}

/// The failures of one request so far.
#[derive(Debug)]
pub(crate) struct Attempts {
    repeat: Repeat,
    failures: u32,
    /// How often the server was busy, and since when.
    busy: u32,
    busy_since: Option<Instant>,
}

impl Attempts {
    pub(crate) const fn new(repeat: Repeat) -> Self {
        Self {
            repeat,
            failures: 0,
            busy: 0,
            busy_since: None,
        }
    }

    /// Failures so far, and answers that the server is busy.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures + self.busy
    }

    /// How long to wait before the next attempt after this failure, or `None` when it is final.
    pub(crate) fn next_wait(&mut self, policy: &RetryPolicy, error: &Error) -> Option<Duration> {
        if self.repeat == Repeat::WhenFree && matches!(error.status(), Some(425 | 429)) {
            return self.busy_wait(policy, error);
        }
        self.failures += 1;
        let attempts = match error {
            Error::Connect { .. } => policy.max_connects.min(policy.max_attempts),
            _ => policy.max_attempts,
        };
        if self.failures >= attempts || !heals(error, self.repeat == Repeat::Safe) {
            return None;
        }
        let wait = error
            .retry_after()
            .unwrap_or_else(|| policy.delay(self.failures));
        (wait <= policy.max_wait).then_some(wait)
    }

    fn busy_wait(&mut self, policy: &RetryPolicy, error: &Error) -> Option<Duration> {
        let since = *self.busy_since.get_or_insert_with(Instant::now);
        self.busy += 1;
        let wait = error
            .retry_after()
            .unwrap_or_else(|| policy.delay(self.busy))
            .max(MIN_BUSY_WAIT);
        (since.elapsed() + wait <= policy.busy_timeout).then_some(wait)
    }
}

/// Whether the same request may succeed later.
pub(crate) fn heals(error: &Error, repeatable: bool) -> bool {
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
pub(crate) fn parse_retry_after(value: &str, now: jiff::Timestamp) -> Option<Duration> {
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
    use crate::error::Refusal;

    fn status(status: u16, retry_after: Option<u64>) -> Error {
        Error::Status {
            request: "GET /v1/images".into(),
            status,
            message: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
            refusal: Box::new(Refusal {
                method: "GET".into(),
                url: "http://h/v1/images".into(),
                headers: Vec::new(),
                body: bytes::Bytes::new(),
            }),
        }
    }

    fn first_wait(repeat: Repeat, error: &Error) -> Option<Duration> {
        Attempts::new(repeat).next_wait(&RetryPolicy::default(), error)
    }

    #[test]
    fn what_is_sent_again() {
        let again = |code, repeat| first_wait(repeat, &status(code, None)).is_some();
        for code in [410, 425, 429, 500, 502, 503, 504] {
            assert!(again(code, Repeat::Safe), "{code}");
        }
        for code in [400, 401, 403, 404, 409, 422, 501] {
            assert!(!again(code, Repeat::Safe), "{code}");
        }
        for (code, expected) in [
            (410, false),
            (425, true),
            (429, true),
            (500, false),
            (504, false),
        ] {
            for repeat in [Repeat::Unsafe, Repeat::WhenFree] {
                assert_eq!(again(code, repeat), expected, "POST and {code}");
            }
        }
    }

    #[test]
    fn attempts_end() {
        let policy = RetryPolicy::default();
        let mut attempts = Attempts::new(Repeat::Safe);
        let waits: Vec<u128> =
            std::iter::from_fn(|| attempts.next_wait(&policy, &status(500, None)))
                .map(|wait| wait.as_millis())
                .collect();
        assert_eq!(waits, [100, 200, 500, 1000, 2000, 5000, 5000, 5000, 5000]);
        assert_eq!(
            Attempts::new(Repeat::Safe).next_wait(&RetryPolicy::never(), &status(500, None)),
            None
        );
    }

    #[test]
    fn the_server_decides_how_long() {
        let wait = |seconds| first_wait(Repeat::Unsafe, &status(429, Some(seconds)));
        assert_eq!(wait(0), Some(Duration::ZERO));
        assert_eq!(wait(7), Some(Duration::from_secs(7)));
        assert_eq!(wait(3_600), None);
    }

    #[test]
    fn a_busy_server_is_waited_for_as_long_as_was_said() {
        let mut policy = RetryPolicy {
            max_attempts: 1,
            busy_timeout: Duration::from_secs(3_600),
            ..RetryPolicy::default()
        };
        let mut attempts = Attempts::new(Repeat::WhenFree);
        for _ in 0..100 {
            let wait = attempts.next_wait(&policy, &status(429, Some(0)));
            assert_eq!(wait, Some(MIN_BUSY_WAIT));
        }
        // As long as it says, even beyond what other requests wait.
        let wait = attempts.next_wait(&policy, &status(429, Some(600)));
        assert_eq!(wait, Some(Duration::from_secs(600)));
        // Other failures are those of any request.
        assert_eq!(attempts.next_wait(&policy, &status(500, None)), None);
        policy.busy_timeout = Duration::from_secs(5);
        let mut attempts = Attempts::new(Repeat::WhenFree);
        assert_eq!(attempts.next_wait(&policy, &status(429, Some(6))), None);
        assert!(attempts.next_wait(&policy, &status(429, Some(4))).is_some());
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
