//! Query parameters, read so that every complaint names the parameter.
//!
//! Unknown parameters are ignored, since clients send extras. One that is read must be well formed,
//! UTF-8, and there once: of two values either could be the one that was meant.

use std::convert::Infallible;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use contree_api::limits::{DEFAULT_PAGE, MAX_PAGE};
use contree_api::time::{Timestamp, parse_moment};
use contree_engine::Page;
use percent_encoding::percent_decode;

use super::error::ApiError;

/// Longest piece of a bad value that an answer repeats, in characters.
const QUOTED: usize = 64;

/// The query of a request.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(Vec<u8>, Value)>,
}

/// A value, and whether its percent-encoding is right.
#[derive(Debug)]
struct Value {
    decoded: Vec<u8>,
    is_well_formed: bool,
}

impl Value {
    /// What keeps it from being text is told after the name of the parameter.
    fn text(&self) -> Result<&str, &'static str> {
        if !self.is_well_formed {
            return Err("has a `%` that is not followed by two hex digits");
        }
        std::str::from_utf8(&self.decoded).map_err(|_| "is not UTF-8")
    }
}

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let decode = |text: &str| percent_decode(text.replace('+', " ").as_bytes()).collect();
        let is_escape = |rest: &str| {
            let digits = rest.as_bytes().get(..2);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let value = Value {
                    decoded: decode(value),
                    is_well_formed: value.split('%').skip(1).all(is_escape),
                };
                (decode(name), value)
            })
            .collect();
        Self { pairs }
    }

    /// The value as text; empty when the name stands alone.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.values(name);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let refuse = |why: &str| ApiError::bad_request(format!("query parameter `{name}` {why}"));
        if values.next().is_some() {
            return Err(refuse("is given more than once"));
        }
        value.text().map(Some).map_err(refuse)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.pairs
            .iter()
            .filter(move |(key, _)| key == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The value of a parameter that must be there.
    pub(crate) fn required_text(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// The values of a parameter that may be given up to `most` times, each of up to `characters`.
    pub(crate) fn texts(
        &self,
        name: &str,
        most: usize,
        characters: usize,
    ) -> Result<Vec<&str>, ApiError> {
        let refuse = |why: &str| ApiError::bad_request(format!("query parameter `{name}` {why}"));
        let texts = self
            .values(name)
            .map(|value| value.text().map_err(refuse))
            .collect::<Result<Vec<&str>, ApiError>>()?;
        if texts.len() > most {
            return Err(refuse(&format!("is given more than {most} times")));
        }
        if texts
            .iter()
            .any(|text| text.chars().nth(characters).is_some())
        {
            return Err(refuse(&format!("is longer than {characters} characters")));
        }
        Ok(texts)
    }

    /// The value read as `T`, whose error says what was expected.
    pub(crate) fn value<T>(&self, name: &str) -> Result<Option<T>, ApiError>
    where
        T: FromStr<Err: Display>,
    {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|error: T::Err| bad(name, text, &error))
    }

    /// The same for a parameter that must be there.
    pub(crate) fn required<T>(&self, name: &str) -> Result<T, ApiError>
    where
        T: FromStr<Err: Display>,
    {
        self.value(name)?.ok_or_else(|| missing(name))
    }

    /// A whole number within `range`.
    pub(crate) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(bad(name, text, &expected_number(&range))),
        }
    }

    /// An HTTP flag: on when it stands alone or is `1` or `true`; off when absent, `0` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name)? {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(other) => Err(bad(name, other, &"expected 1 or 0, or no value for 1")),
        }
    }

    /// Whether a parameter is there with any value but `0` or `false`, or with none.
    pub(crate) fn present(&self, name: &str) -> bool {
        self.values(name)
            .next()
            .is_some_and(|value| value.decoded != b"0" && value.decoded != b"false")
    }

    /// One of `values`, by its name on the wire.
    pub(crate) fn one_of<T: Copy>(
        &self,
        name: &str,
        values: &[T],
        name_of: fn(T) -> &'static str,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        if let Some(value) = values.iter().find(|value| name_of(**value) == text) {
            return Ok(Some(*value));
        }
        let names: Vec<&str> = values.iter().map(|value| name_of(*value)).collect();
        Err(bad(
            name,
            text,
            &format!("expected one of {}", names.join(", ")),
        ))
    }

    /// A moment, or an interval before now.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        // A client that leaves the `+` of an offset unencoded means the `+`.
        let mended = match text.split_once('T') {
            Some((day, time)) => format!("{day}T{}", time.replace(' ', "+")),
            None => text.to_owned(),
        };
        parse_moment(&mended, Timestamp::now())
            .map(Some)
            .map_err(|error| bad(name, text, &error))
    }

    /// `limit`, `offset`, `since` and `until` of a list.
    pub(crate) fn page(&self) -> Result<Page, ApiError> {
        let limit = self
            .number("limit", 1..=u64::from(MAX_PAGE))?
            .unwrap_or(DEFAULT_PAGE.into());
        let offset = self.number("offset", 0..=u64::MAX)?.unwrap_or(0);
        // The limit fits; no list is as long as the greatest offset.
        Ok(Page {
            limit: u32::try_from(limit).unwrap_or(MAX_PAGE),
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            since: self.moment("since")?,
            until: self.moment("until")?,
        })
    }
}

/// Says what a number out of `range` should have been.
pub(crate) fn expected_number(range: &RangeInclusive<u64>) -> String {
    match (*range.start(), *range.end()) {
        (start, u64::MAX) => format!("expected a whole number from {start} up"),
        (start, end) => format!("expected a whole number from {start} to {end}"),
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::bad_request(format!("query parameter `{name}` is required"))
}

fn bad(name: &str, value: &str, why: &dyn Display) -> ApiError {
    ApiError::bad_request(format!(
        "query parameter `{name}`: {why}; got `{}`",
        quoted(value)
    ))
}

/// A value as an answer repeats it: cut, and on one line.
pub(crate) fn quoted(value: &str) -> String {
    let mut text: String = value
        .chars()
        .take(QUOTED)
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect();
    if value.chars().nth(QUOTED).is_some() {
        text.push('…');
    }
    text
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(result: Result<impl std::fmt::Debug, ApiError>) -> String {
        result.unwrap_err().message().to_owned()
    }

    #[test]
    fn decoding() {
        let query = Query::parse(
            "path=/a%20b+c%2Fd&raw=%ff&odd=100%&odd2=%zz&odd3=%a&&a=b=c&twice=1&twice=1&x&%C3%BC=%C3%BC",
        );
        assert_eq!(query.text("path").unwrap(), Some("/a b c/d"));
        assert_eq!(query.text("a").unwrap(), Some("b=c"));
        assert_eq!(query.text("x").unwrap(), Some(""));
        assert_eq!(query.text("ü").unwrap(), Some("ü"));
        assert_eq!(query.text("nope").unwrap(), None);
        assert_eq!(
            says(query.text("raw")),
            "query parameter `raw` is not UTF-8"
        );
        for odd in ["odd", "odd2", "odd3"] {
            assert_eq!(
                says(query.text(odd)),
                format!("query parameter `{odd}` has a `%` that is not followed by two hex digits")
            );
        }
        assert_eq!(
            says(query.text("twice")),
            "query parameter `twice` is given more than once"
        );
        assert_eq!(
            says(query.required_text("tag")),
            "query parameter `tag` is required"
        );
    }

    #[test]
    fn flags() {
        for (query, on) in [
            ("", false),
            ("follow", true),
            ("follow=", true),
            ("follow=1", true),
            ("follow=true", true),
            ("follow=0", false),
            ("follow=false", false),
        ] {
            assert_eq!(Query::parse(query).flag("follow").unwrap(), on, "{query}");
        }
        assert_eq!(
            says(Query::parse("follow=maybe").flag("follow")),
            "query parameter `follow`: expected 1 or 0, or no value for 1; got `maybe`"
        );
    }

    #[test]
    fn numbers() {
        assert_eq!(Query::parse("").page().unwrap(), Page::default());
        let page = Query::parse("limit=1000&offset=7").page().unwrap();
        assert_eq!((page.limit, page.offset), (1000, 7));
        let page = Query::parse("offset=18446744073709551615").page().unwrap();
        assert_eq!(page.offset, u32::MAX);
        for (query, message) in [
            (
                "limit=0",
                "query parameter `limit`: expected a whole number from 1 to 1000; got `0`",
            ),
            (
                "limit=1001",
                "query parameter `limit`: expected a whole number from 1 to 1000; got `1001`",
            ),
            (
                "limit=ten",
                "query parameter `limit`: expected a whole number from 1 to 1000; got `ten`",
            ),
            (
                "offset=-1",
                "query parameter `offset`: expected a whole number from 0 up; got `-1`",
            ),
            (
                "limit",
                "query parameter `limit`: expected a whole number from 1 to 1000; got ``",
            ),
        ] {
            assert_eq!(says(Query::parse(query).page()), message);
        }
        let long = format!("limit={}", "9".repeat(100));
        assert!(says(Query::parse(&long).page()).ends_with(&format!("`{}…`", "9".repeat(64))));
    }

    #[test]
    fn moments() {
        let micros = |query: &str| {
            Query::parse(query)
                .moment("since")
                .unwrap()
                .unwrap()
                .as_micros()
        };
        assert_eq!(micros("since=12"), 12_000_000);
        assert_eq!(micros("since=1970-01-01T01:00:00%2B01:00"), 0);
        assert_eq!(micros("since=1970-01-01T01:00:00+01:00"), 0);
        assert_eq!(micros("since=1970-01-01+00:00:01"), 1_000_000);
        assert!(Query::parse("").moment("since").unwrap().is_none());
        assert!(
            says(Query::parse("since=soon").moment("since"))
                .starts_with("query parameter `since`: expected a date such as")
        );
    }
}
