//! Moments on the wire, and the texts that `since` and `until` take.

use std::fmt;

use jiff::civil;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, to the microsecond. On the wire `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`, which every
/// published client parses; any RFC 3339 form is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The current moment.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MIN);
        write!(f, "{}+00:00", moment.strftime("%Y-%m-%dT%H:%M:%S.%6f"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(moment.as_microsecond()))
    }
}

/// The `ts` of an event: nine fractional digits and `Z`.
#[must_use]
pub fn event_ts(moment: jiff::Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// A `since` or `until` that is neither a date, nor seconds, nor an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a date such as 2026-01-31T12:00:00Z, Unix seconds, or an interval such as 600s, 15m, 2h, 3d or 1w"
)]
pub struct InvalidMoment;

/// Reads a `since` or `until` value relative to `now`: an ISO date or date-time (without offset:
/// UTC), Unix seconds (whole or fractional), or `<n>s|m|h|d|w` before now.
///
/// # Errors
/// [`InvalidMoment`] when it is none of these or lies outside what a timestamp can hold.
pub fn parse_moment(text: &str, now: Timestamp) -> Result<Timestamp, InvalidMoment> {
    let text = text.trim();
    if let Some(unit) = text.chars().last()
        && let Some(seconds) = interval_unit_seconds(unit)
    {
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| InvalidMoment)?;
        let micros = number
            .checked_mul(seconds * 1_000_000)
            .ok_or(InvalidMoment)?;
        let micros = i64::try_from(micros).map_err(|_| InvalidMoment)?;
        return checked(now.0.saturating_sub(micros));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        if !seconds.is_finite() || seconds.abs() > 253_402_300_799.0 {
            return Err(InvalidMoment);
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
        return checked((seconds * 1e6) as i64);
    }
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp(moment.as_microsecond()));
    }
    let naive = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.parse::<civil::Date>().map(|day| day.at(0, 0, 0, 0)))
        .map_err(|_| InvalidMoment)?;
    let zoned = naive.to_zoned(TimeZone::UTC).map_err(|_| InvalidMoment)?;
    Ok(Timestamp(zoned.timestamp().as_microsecond()))
}

fn checked(micros: i64) -> Result<Timestamp, InvalidMoment> {
    jiff::Timestamp::from_microsecond(micros)
        .map(|_| Timestamp(micros))
        .map_err(|_| InvalidMoment)
}

const fn interval_unit_seconds(unit: char) -> Option<u64> {
    match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        'w' => Some(604_800),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_form() {
        let moment = Timestamp::from_micros(1_779_095_816_185_199);
        assert_eq!(moment.to_string(), "2026-05-18T09:16:56.185199+00:00");
        let read: Timestamp = serde_json::from_str("\"2026-05-18T09:16:56.185199Z\"").unwrap();
        assert_eq!(read, moment);
        assert_eq!(
            event_ts(jiff::Timestamp::UNIX_EPOCH),
            "1970-01-01T00:00:00.000000000Z"
        );
    }

    #[test]
    fn moments() {
        let now = Timestamp::from_micros(1_000_000_000_000_000);
        let at = |text| parse_moment(text, now).map(|t| t.as_micros());
        assert_eq!(at("600s"), Ok(999_999_400_000_000));
        assert_eq!(at("1w"), Ok(999_395_200_000_000));
        assert_eq!(at("12"), Ok(12_000_000));
        assert_eq!(at("12.5"), Ok(12_500_000));
        assert_eq!(at("1970-01-02"), Ok(86_400_000_000));
        assert_eq!(at("1970-01-02T00:00:01"), Ok(86_401_000_000));
        assert_eq!(at("1970-01-02T00:00:01+01:00"), Ok(82_801_000_000));
        assert_eq!(at("1970-01-02T00:00:01.5Z"), Ok(86_401_500_000));
        for bad in [
            "",
            "s",
            "-3d",
            "yesterday",
            "nan",
            "1e400",
            "99999999999999999999w",
            "5é",
        ] {
            assert_eq!(at(bad), Err(InvalidMoment), "{bad}");
        }
    }
}
