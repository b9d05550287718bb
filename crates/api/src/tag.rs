//! Tags: names for images, unique per project.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest tag, in bytes.
pub const MAX_TAG_BYTES: usize = 256;

/// A checked tag: `^[A-Za-z0-9][A-Za-z0-9_-]*(?:[:/.][A-Za-z0-9_-]+)*$`, at most
/// [`MAX_TAG_BYTES`] long, case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTag {
    /// Longer than [`MAX_TAG_BYTES`], or empty.
    #[error("a tag has 1 to {MAX_TAG_BYTES} characters")]
    Length,
    /// A character, or its place, is not allowed.
    #[error(
        "a tag is made of letters, digits, '_' and '-', with single ':', '/' or '.' between them, \
         and starts with a letter or digit"
    )]
    Grammar,
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        if text.is_empty() || text.len() > MAX_TAG_BYTES {
            return Err(InvalidTag::Length);
        }
        if !text.as_bytes()[0].is_ascii_alphanumeric() {
            return Err(InvalidTag::Grammar);
        }
        let is_word = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if text.split([':', '/', '.']).all(is_word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTag::Grammar)
        }
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidTag;

    fn try_from(text: String) -> Result<Self, InvalidTag> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in [
            "ubuntu",
            "ubuntu:latest",
            "ghcr.io/linuxserver/code-server:latest",
            "a/b/python:3.11-slim",
            "contree-client-it/0a1b",
            "A_b-c",
            "a:-b",
        ] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ubuntu:",
            ":a",
            "-a",
            "_a",
            "a..b",
            "a//b",
            "a b",
            "a@sha256:00",
            "é",
            "a/",
        ] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
        assert!("a".repeat(256).parse::<Tag>().is_ok());
        assert_eq!("a".repeat(257).parse::<Tag>(), Err(InvalidTag::Length));
    }
}
