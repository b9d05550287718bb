//! When to try again, and how long to wait before.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::import::limits::Limits;

/// The attempts of one request, or of one layer since it last made progress.
#[derive(Debug)]
pub(in crate::import) struct Attempts {
    left: u32,
    wait: Duration,
    longest: Duration,
}

impl Attempts {
    pub(in crate::import) fn new(limits: &Limits) -> Self {
        Self {
            left: limits.attempts.saturating_sub(1),
            wait: limits.first_wait,
            longest: limits.longest_wait,
        }
    }

    /// Waits before the next attempt; false when there is none, because they are used up or the
    /// registry asks for more patience than there is.
    pub(in crate::import) async fn next(&mut self, asked: Option<Duration>) -> bool {
        let Some(wait) = self.take(asked) else {
            return false;
        };
        tokio::time::sleep(wait).await;
        true
    }

    fn take(&mut self, asked: Option<Duration>) -> Option<Duration> {
        if asked.is_some_and(|asked| asked > self.longest) {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let wait = asked.unwrap_or_default().max(self.wait).min(self.longest);
        self.wait = self.wait.saturating_mul(2);
        Some(wait)
    }
}

/// Whether an answer may be another one next time.
pub(super) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// What the registry says about when to come back: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(
        headers.get(RETRY_AFTER)?.to_str().ok()?.trim(),
        Timestamp::now(),
    )
}

fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let second = Duration::from_secs(1);
        let limits = Limits {
            attempts: 5,
            first_wait: second,
            longest_wait: 3 * second,
            ..Limits::default()
        };
        let mut attempts = Attempts::new(&limits);
        assert_eq!(attempts.take(None), Some(second));
        assert_eq!(attempts.take(None), Some(2 * second));
        assert_eq!(attempts.take(Some(second)), Some(3 * second));
        assert_eq!(attempts.take(Some(60 * second)), None);
        assert_eq!(attempts.take(Some(2 * second)), Some(3 * second));
        assert_eq!(attempts.take(None), None);
    }

    #[test]
    fn retry_after_both_ways() {
        let now: Timestamp = "2026-06-08T20:00:00Z".parse().unwrap();
        let parse = |text: &str| parse_retry_after(text, now);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            parse("Mon, 08 Jun 2026 20:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(parse("Mon, 08 Jun 2026 19:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-1"), None);
    }
}
