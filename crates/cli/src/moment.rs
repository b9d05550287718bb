//! The texts that `--since` and `--until` take.
//!
//! - a date or date-time, `YYYY[-MM[-DD]][ T]HH[:MM[:SS]]` with `-`, `.`, `/` or nothing between
//!   the parts of the date, UTC unless an offset is given
//! - `HH:MM[:SS]`, today, UTC
//! - intervals before now: sums of `<n>s|m|h|d|w|M|y`, a bare number being seconds (`1d12h`, `90`)
//!
//! Digits alone are a date when they can be one (`2025`, `202504`, `20250401`), as with
//! contree-cli, and otherwise seconds.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A text that is none of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a date such as 2026-01-31 or 2026-01-31T12:00, a time such as 14:30, \
     or an interval such as 90s, 15m, 2h, 3d or 1d12h"
)]
pub(crate) struct InvalidMoment;

/// A moment as the API takes it: ISO 8601 with offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Timestamp);

impl Moment {
    /// For requests.
    pub(crate) fn wire(self) -> String {
        // To the microsecond, as the server tells moments: without it `--until 0s` leaves out what
        // is of this very second.
        let nanosecond = self.0.subsec_nanosecond();
        let moment = self.0 - SignedDuration::from_nanos((nanosecond % 1_000).into());
        format!("{}+00:00", moment.strftime("%Y-%m-%dT%H:%M:%S%.f"))
    }

    /// To compare with.
    pub(crate) const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl std::str::FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        parse(text, Timestamp::now()).map(Self)
    }
}

fn parse(text: &str, now: Timestamp) -> Result<Timestamp, InvalidMoment> {
    let text = text.trim();
    // RFC 3339 with an offset, or with a fraction of a second: they are exact.
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let utc = |civil: DateTime| {
        let zoned = civil.to_zoned(TimeZone::UTC).map_err(|_| InvalidMoment)?;
        Ok(zoned.timestamp())
    };
    if text.contains('.')
        && text.contains(':')
        && let Ok(civil) = text.parse::<DateTime>()
    {
        return utc(civil);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let next = text.as_bytes().get(digits);
    let is_date = match digits {
        4 => matches!(next, None | Some(b'-' | b'.' | b'/' | b' ' | b'T')),
        6 | 8 => matches!(next, None | Some(b' ' | b'T')) && date(&text[..digits]).is_ok(),
        _ => false,
    };
    if is_date {
        utc(date_time(text)?)
    } else if text.contains(':') {
        let today = now.to_zoned(TimeZone::UTC).date();
        utc(today.to_datetime(time(text)?))
    } else {
        interval(text, now)
    }
}

fn date_time(text: &str) -> Result<DateTime, InvalidMoment> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (day, time_of_day) = match text.split_once(['T', ' ']) {
        Some((day, rest)) => (day, time(rest)?),
        None => (text, Time::midnight()),
    };
    Ok(date(day)?.to_datetime(time_of_day))
}

fn date(text: &str) -> Result<Date, InvalidMoment> {
    let mut parts: Vec<&str> = text.split(['-', '.', '/']).collect();
    if let [whole] = parts[..]
        && whole.is_ascii()
    {
        parts = match whole.len() {
            8 => vec![&whole[..4], &whole[4..6], &whole[6..]],
            6 => vec![&whole[..4], &whole[4..]],
            _ => parts,
        };
    }
    if parts.len() > 3 {
        return Err(InvalidMoment);
    }
    let mut numbers = [1_i16; 3];
    for (slot, part) in numbers.iter_mut().zip(parts) {
        *slot = number(part)?;
    }
    let small = |n: i16| i8::try_from(n).map_err(|_| InvalidMoment);
    Date::new(numbers[0], small(numbers[1])?, small(numbers[2])?).map_err(|_| InvalidMoment)
}

fn time(text: &str) -> Result<Time, InvalidMoment> {
    let mut numbers = [0_i8; 3];
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(InvalidMoment);
    }
    for (slot, part) in numbers.iter_mut().zip(parts) {
        *slot = number(part)?;
    }
    Time::new(numbers[0], numbers[1], numbers[2], 0).map_err(|_| InvalidMoment)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, InvalidMoment> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if is_number {
        text.parse().map_err(|_| InvalidMoment)
    } else {
        Err(InvalidMoment)
    }
}

fn interval(text: &str, now: Timestamp) -> Result<Timestamp, InvalidMoment> {
    now.checked_sub(SignedDuration::from_secs(seconds(text)?))
        .map_err(|_| InvalidMoment)
}

/// A length of time, written as an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(u32);

/// A text that is none, or too long a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a length of time such as 90s, 15m, 2h, 30d or 1d12h, at most 136 years")]
pub(crate) struct InvalidSpan;

impl Span {
    pub(crate) const fn seconds(self) -> u32 {
        self.0
    }
}

impl std::str::FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let seconds = seconds(text.trim()).map_err(|_| InvalidSpan)?;
        u32::try_from(seconds).map(Self).map_err(|_| InvalidSpan)
    }
}

fn seconds(text: &str) -> Result<i64, InvalidMoment> {
    let mut rest = text;
    let mut total: i64 = 0;
    if rest.is_empty() {
        return Err(InvalidMoment);
    }
    while !rest.is_empty() {
        rest = rest.trim_start_matches(['+', '-', ' ']);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = number(&rest[..digits])?;
        rest = &rest[digits..];
        let unit = match rest.chars().next() {
            None | Some('0'..='9' | '+' | '-') => 1,
            Some(letter) => {
                rest = &rest[letter.len_utf8()..];
                match letter {
                    's' => 1,
                    'm' => 60,
                    'h' => 3_600,
                    'd' => 86_400,
                    'w' => 604_800,
                    'M' => 30 * 86_400,
                    'y' => 365 * 86_400,
                    _ => return Err(InvalidMoment),
                }
            }
        };
        let seconds = count.checked_mul(unit).ok_or(InvalidMoment)?;
        total = total.checked_add(seconds).ok_or(InvalidMoment)?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        let now = "2026-11-22T08:00:00Z".parse().unwrap();
        parse(text, now).map_or_else(|_| "invalid".into(), |moment| moment.to_string())
    }

    #[test]
    fn forms() {
        for (text, expected) in [
            ("2025-04-01", "2025-04-01T00:00:00Z"),
            ("2025", "2025-01-01T00:00:00Z"),
            ("2025.04", "2025-04-01T00:00:00Z"),
            ("2025/4/1 7", "2025-04-01T07:00:00Z"),
            ("20250401", "2025-04-01T00:00:00Z"),
            ("2025-04-01T12:30", "2025-04-01T12:30:00Z"),
            ("2025-04-01 12:30:15Z", "2025-04-01T12:30:15Z"),
            ("2025-04-01T12:30:15+02:00", "2025-04-01T10:30:15Z"),
            ("2025-04-01 12:30:15.25", "2025-04-01T12:30:15.25Z"),
            ("202504", "2025-04-01T00:00:00Z"),
            ("20250401 7", "2025-04-01T07:00:00Z"),
            ("07:30", "2026-11-22T07:30:00Z"),
            ("1d", "2026-11-21T08:00:00Z"),
            ("1d12h", "2026-11-20T20:00:00Z"),
            ("1d 12h", "2026-11-20T20:00:00Z"),
            ("3600s", "2026-11-22T07:00:00Z"),
            ("86400", "2026-11-21T08:00:00Z"),
            ("999999", "2026-11-10T18:13:21Z"),
            ("-2h", "2026-11-22T06:00:00Z"),
            ("90", "2026-11-22T07:58:30Z"),
            ("1M", "2026-10-23T08:00:00Z"),
            ("1w", "2026-11-15T08:00:00Z"),
            ("0", "2026-11-22T08:00:00Z"),
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
        for bad in [
            "",
            "-",
            "yesterday",
            "2025-13-01",
            "25:00",
            "1x",
            "1d2",
            "99999999999999999y",
        ] {
            let expected = if bad == "1d2" {
                "2026-11-21T07:59:58Z"
            } else {
                "invalid"
            };
            assert_eq!(at(bad), expected, "{bad}");
        }
    }

    #[test]
    fn spans() {
        for (text, expected) in [
            ("30d", Some(2_592_000)),
            ("1d12h", Some(129_600)),
            ("90", Some(90)),
        ] {
            assert_eq!(
                text.parse::<Span>().ok().map(Span::seconds),
                expected,
                "{text}"
            );
        }
        for bad in ["", "soon", "1x", "200y"] {
            assert_eq!(bad.parse::<Span>(), Err(InvalidSpan), "{bad}");
        }
    }

    #[test]
    fn on_the_wire() {
        let moment = Moment("2026-11-22T08:00:00Z".parse().unwrap());
        assert_eq!(moment.wire(), "2026-11-22T08:00:00+00:00");
        let moment = Moment("2026-11-22T08:00:00.000123456Z".parse().unwrap());
        assert_eq!(moment.wire(), "2026-11-22T08:00:00.000123+00:00");
    }
}
