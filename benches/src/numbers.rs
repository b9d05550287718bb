//! What a list of durations says.

use std::time::Duration;

use serde::Serialize;

/// A measured set, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// How many were measured.
    pub(crate) count: usize,
    /// Half of them were quicker.
    pub(crate) p50: f64,
    /// Nine in ten were quicker.
    pub(crate) p90: f64,
    /// All but one in a hundred were quicker.
    pub(crate) p99: f64,
}

impl Spread {
    /// Of durations in nanoseconds; `None` when there are none.
    pub(crate) fn of(nanos: &[u64]) -> Option<Self> {
        let mut sorted = nanos.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let last = sorted.len().checked_sub(1)?;
            sorted.get(last * percent / 100).map(|nanos| millis(*nanos))
        };
        Some(Self {
            count: sorted.len(),
            p50: at(50)?,
            p90: at(90)?,
            p99: at(99)?,
        })
    }
}

/// Nanoseconds of a duration; what does not fit is as good as for ever.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Things per second.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and times far below 2^52"
)]
pub(crate) fn rate(count: usize, nanos: u64) -> f64 {
    count as f64 * 1e9 / nanos.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "times far below 2^52 ns")]
fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let hundred: Vec<u64> = (1..=101).rev().map(|n| n * 1_000_000).collect();
        let spread = Spread::of(&hundred).unwrap();
        assert_eq!(
            (spread.count, spread.p50, spread.p90, spread.p99),
            (101, 51.0, 91.0, 100.0)
        );
        assert_eq!(Spread::of(&[7_000_000]).unwrap().p99, 7.0);
        assert_eq!(Spread::of(&[]), None);
        assert!((rate(50, 500_000_000) - 100.0).abs() < 1e-9);
    }
}
