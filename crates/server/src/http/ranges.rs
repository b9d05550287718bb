//! Parts of contents that never change, and whether a client has them already (RFC 9110).
//!
//! Of `Range` single ranges of bytes are understood; several at once, other units and what is
//! malformed are answered with the whole, as the RFC has it. Entity tags are strong, because what
//! they stand for is always the same bytes, which is also why there is no `Last-Modified` to
//! compare: a date in `If-Range` never holds.

use axum::http::{HeaderMap, HeaderName, header};

/// What of a content is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// From the first up to the last byte, both included.
    Range(u64, u64),
    /// The range lies behind the end.
    Nothing,
}

/// Which part of `size` bytes a request asks for.
pub(crate) fn part(headers: &HeaderMap, size: u64, tag: &str) -> Part {
    let Some(range) = text(headers, &header::RANGE) else {
        return Part::Whole;
    };
    // Whoever has a part of something else wants all of this.
    let is_of_this = match headers.get(header::IF_RANGE) {
        Some(value) => value.as_bytes() == tag.as_bytes(),
        None => true,
    };
    if !is_of_this {
        return Part::Whole;
    }
    single(range).map_or(Part::Whole, |range| range.within(size))
}

/// Whether the client says that it has this content.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// Whether the client wants this only if it is something else. True as well without the header.
pub(crate) fn is_expected(headers: &HeaderMap, tag: &str) -> bool {
    let mut expected = headers.get_all(header::IF_MATCH).iter().peekable();
    expected.peek().is_none()
        || expected
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|expected| expected == "*" || expected == tag)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A range as it is written.
enum Written {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

fn single(range: &str) -> Option<Written> {
    let (unit, range) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let range = match (first.trim(), last.trim()) {
        ("", last) => Written::Last(number(last)?),
        (first, "") => Written::From(number(first)?),
        (first, last) => Written::Between(number(first)?, number(last)?),
    };
    match range {
        Written::Between(first, last) if first > last => None,
        range => Some(range),
    }
}

/// Digits alone; more than fit are more than any content has.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

impl Written {
    fn within(self, size: u64) -> Part {
        let (first, last) = match self {
            Self::From(first) => (first, u64::MAX),
            Self::Between(first, last) => (first, last),
            Self::Last(0) => return Part::Nothing,
            Self::Last(length) => (size.saturating_sub(length), u64::MAX),
        };
        if first >= size {
            return Part::Nothing;
        }
        Part::Range(first, last.min(size - 1))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TAG: &str = "\"tag\"";

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-0", Part::Range(0, 0)),
            ("bytes=0-", Part::Range(0, 99)),
            ("Bytes = 10 - 19 ", Part::Range(10, 19)),
            ("bytes=90-1000", Part::Range(90, 99)),
            ("bytes=-10", Part::Range(90, 99)),
            ("bytes=-1000", Part::Range(0, 99)),
            ("bytes=0-99999999999999999999999", Part::Range(0, 99)),
            ("bytes=99-", Part::Range(99, 99)),
            ("bytes=100-", Part::Nothing),
            ("bytes=99999999999999999999999-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=2-1", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes", Part::Whole),
            ("lines=0-1", Part::Whole),
        ] {
            assert_eq!(
                part(&headers(&[(header::RANGE, range)]), 100, TAG),
                expected,
                "{range}"
            );
        }
        assert_eq!(part(&HeaderMap::new(), 100, TAG), Part::Whole);
        for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(
                part(&headers(&[(header::RANGE, range)]), 0, TAG),
                Part::Nothing
            );
        }
    }

    #[test]
    fn ranges_of_something_else() {
        for (of, expected) in [
            (TAG, Part::Range(0, 1)),
            ("\"other\"", Part::Whole),
            ("W/\"tag\"", Part::Whole),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Part::Whole),
        ] {
            let headers = headers(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, of)]);
            assert_eq!(part(&headers, 100, TAG), expected, "{of}");
        }
    }

    #[test]
    fn what_clients_have() {
        for (known, is) in [
            (TAG, true),
            ("W/\"tag\"", true),
            ("*", true),
            ("\"a\", \"tag\" ,\"b\"", true),
            ("\"other\"", false),
            ("tag", false),
        ] {
            let headers = headers(&[(header::IF_NONE_MATCH, known)]);
            assert_eq!(is_known(&headers, TAG), is, "{known}");
        }
        assert!(!is_known(&HeaderMap::new(), TAG));
        assert!(is_expected(&HeaderMap::new(), TAG));
        for (expected, is) in [
            (TAG, true),
            ("*", true),
            ("\"other\"", false),
            ("W/\"tag\"", false),
        ] {
            let headers = headers(&[(header::IF_MATCH, expected)]);
            assert_eq!(is_expected(&headers, TAG), is, "{expected}");
        }
    }
}
