//! Bytes inside JSON: `ascii` when every byte is printable or `\n`, `\r`, `\t`; else base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// How a [`StreamRepr`] holds its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// The text is the bytes.
    #[default]
    Ascii,
    /// Standard base64 with padding.
    Base64,
}

/// Bytes of a stream with their encoding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamRepr {
    /// The content, encoded.
    #[cfg_attr(feature = "openapi", schema(example = "Y29tbWFuZCBvdXRwdXQK"))]
    pub value: String,
    /// How `value` is encoded.
    pub encoding: Encoding,
    /// Whether bytes were dropped because a cap was reached.
    #[serde(default)]
    pub truncated: bool,
}

impl StreamRepr {
    /// Encodes bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], truncated: bool) -> Self {
        let (value, encoding) = encode(bytes);
        Self {
            value,
            encoding,
            truncated,
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// [`InvalidStream`] when `value` is not valid base64.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InvalidStream> {
        decode(&self.value, self.encoding)
    }
}

/// What a process is fed on stdin, and whether end of file follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClosableStreamRepr {
    /// The content, encoded; may be empty.
    #[cfg_attr(feature = "openapi", schema(example = "aGVsbG8K"))]
    pub value: String,
    /// How `value` is encoded; default ascii.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::encoding_or_ascii))]
    pub encoding: Encoding,
    /// Whether end of file follows `value`; default true.
    #[serde(default = "yes")]
    #[cfg_attr(feature = "openapi", schema(default = yes))]
    pub close: bool,
}

const fn yes() -> bool {
    true
}

impl ClosableStreamRepr {
    /// The bytes.
    ///
    /// # Errors
    /// [`InvalidStream`] when `value` is not valid base64.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InvalidStream> {
        decode(&self.value, self.encoding)
    }
}

/// A `value` that does not fit its `encoding`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("value is not valid base64")]
pub struct InvalidStream;

/// Encodes bytes the way events and results carry them.
#[must_use]
pub fn encode(bytes: &[u8]) -> (String, Encoding) {
    let plain = bytes
        .iter()
        .all(|b| matches!(b, b' '..=b'~' | b'\n' | b'\r' | b'\t'));
    if plain && let Ok(text) = std::str::from_utf8(bytes) {
        return (text.to_owned(), Encoding::Ascii);
    }
    (STANDARD.encode(bytes), Encoding::Base64)
}

fn decode(value: &str, encoding: Encoding) -> Result<Vec<u8>, InvalidStream> {
    match encoding {
        // A sender that puts other text here means its UTF-8 bytes.
        Encoding::Ascii => Ok(value.as_bytes().to_vec()),
        Encoding::Base64 => STANDARD.decode(value).map_err(|_| InvalidStream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for (bytes, encoding) in [
            (&b"hello\r\n\tworld"[..], Encoding::Ascii),
            (b"", Encoding::Ascii),
            (b"\x00", Encoding::Base64),
            ("\u{e9}".as_bytes(), Encoding::Base64),
            (b"\x7f", Encoding::Base64),
        ] {
            let repr = StreamRepr::from_bytes(bytes, false);
            assert_eq!(repr.encoding, encoding);
            assert_eq!(repr.to_bytes().as_deref(), Ok(bytes));
        }
    }
}
