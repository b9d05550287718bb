//! The kinds of value a setting can have. Each reads from the same text on the command line, in
//! the environment and in the file (where whole numbers may also be written as numbers).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use contree_engine::{HostPort, InvalidHostPort};
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};

/// Implements `Deserialize` through `FromStr`, for strings and numbers.
macro_rules! read_as_text {
    ($name:ty, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
    };
}

/// A number of bytes: `4096`, `64KiB`, `512MiB`, `12GiB`, `1TiB` (`K`, `M`, `G`, `T` alone mean
/// the same powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A text that is no number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of bytes such as 4096, 64KiB, 512MiB or 12GiB")]
pub struct InvalidByteSize;

const BYTE_UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let (number, unit) = split_unit(text);
        let factor = match unit {
            "" | "B" => 1,
            "K" | "KiB" => 1 << 10,
            "M" | "MiB" => 1 << 20,
            "G" | "GiB" => 1 << 30,
            "T" | "TiB" => 1 << 40,
            _ => return Err(InvalidByteSize),
        };
        let number: u64 = number.parse().map_err(|_| InvalidByteSize)?;
        number.checked_mul(factor).map(Self).ok_or(InvalidByteSize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match BYTE_UNITS
            .iter()
            .find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit))
        {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

read_as_text!(ByteSize, "a number of bytes such as 4096 or \"512MiB\"");

/// A length of time in whole seconds: `90`, `90s`, `15m`, `2h`, `3d`, `1w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u32);

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a length of time such as 90s, 15m, 2h, 3d or 1w")]
pub struct InvalidSpan;

const TIME_UNITS: [(&str, u32); 5] = [
    ("w", 604_800),
    ("d", 86_400),
    ("h", 3_600),
    ("m", 60),
    ("s", 1),
];

impl Span {
    /// The same as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let (number, unit) = split_unit(text);
        let unit = if unit.is_empty() { "s" } else { unit };
        let (_, factor) = TIME_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or(InvalidSpan)?;
        let number: u32 = number.parse().map_err(|_| InvalidSpan)?;
        number.checked_mul(*factor).map(Self).ok_or(InvalidSpan)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match TIME_UNITS
            .iter()
            .find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit))
        {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}s", self.0),
        }
    }
}

read_as_text!(Span, "a length of time such as \"90s\" or \"15m\"");

/// A setting that can be switched off: `none`, or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrNone<T> {
    /// Off.
    None,
    /// On, with this value.
    Some(T),
}

impl<T> OrNone<T> {
    /// As an option.
    pub fn get(self) -> Option<T> {
        match self {
            Self::None => None,
            Self::Some(value) => Some(value),
        }
    }
}

impl<T: FromStr> FromStr for OrNone<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == "none" {
            Ok(Self::None)
        } else {
            text.parse().map(Self::Some)
        }
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for OrNone<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = NumberOrText::deserialize(deserializer)?.0;
        text.parse().map_err(D::Error::custom)
    }
}

struct NumberOrText(String);
struct InvalidText;

impl fmt::Display for InvalidText {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl FromStr for NumberOrText {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Ok(Self(text.to_owned()))
    }
}

read_as_text!(NumberOrText, "a text or a number");

/// A positive amount, fractions allowed: CPUs, or a price.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Amount(pub f64);

/// A text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number that is not negative, such as 1.5")]
pub struct InvalidAmount;

impl FromStr for Amount {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let number: f64 = text.parse().map_err(|_| InvalidAmount)?;
        if number.is_finite() && number >= 0.0 {
            Ok(Self(number))
        } else {
            Err(InvalidAmount)
        }
    }
}

read_as_text!(Amount, "a number such as 1.5");

/// A range of IPv4 addresses in CIDR notation; sandboxes have no IPv6. The bits after the prefix
/// are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// First address.
    pub first: Ipv4Addr,
    /// Leading bits that are fixed, at most 32.
    pub prefix: u8,
}

/// A text that is no address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// Not `ADDRESS/BITS` or an address alone.
    #[error("expected a range of IPv4 addresses such as 10.1.0.0/16 or 192.168.7.9")]
    Shape,
    /// Bits are set after the prefix.
    #[error("{0} has bits set after its prefix; write the first address of the range")]
    HostBits(String),
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let first: Ipv4Addr = address.parse().map_err(|_| InvalidCidr::Shape)?;
        let prefix: u8 = prefix.parse().map_err(|_| InvalidCidr::Shape)?;
        if prefix > 32 {
            return Err(InvalidCidr::Shape);
        }
        if first.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0 {
            return Err(InvalidCidr::HostBits(text.to_owned()));
        }
        Ok(Self { first, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

read_as_text!(Cidr, "an address range such as \"10.1.0.0/16\"");

/// A host with an optional port, in settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host(pub HostPort);

impl FromStr for Host {
    type Err = InvalidHostPort;

    fn from_str(text: &str) -> Result<Self, InvalidHostPort> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

read_as_text!(Host, "a host such as \"registry.example.com:5000\"");

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (&text[..digits], text[digits..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_sizes() {
        for (text, bytes, shown) in [
            ("0", 0, "0"),
            ("4096", 4096, "4KiB"),
            ("1000", 1000, "1000"),
            ("64MiB", 64 << 20, "64MiB"),
            ("12 GiB", 12 << 30, "12GiB"),
            ("2T", 2 << 40, "2TiB"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.to_string(), shown);
            assert_eq!(shown.parse(), Ok(size));
        }
        for bad in ["", "GiB", "-1", "1.5GiB", "1GB", "99999999999TiB", "1 2"] {
            assert_eq!(bad.parse::<ByteSize>(), Err(InvalidByteSize), "{bad}");
        }
    }

    #[test]
    fn spans() {
        for (text, seconds, shown) in [
            ("0", 0, "0s"),
            ("90", 90, "90s"),
            ("60m", 3_600, "1h"),
            ("180d", 15_552_000, "180d"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, seconds, "{text}");
            assert_eq!(span.to_string(), shown);
            assert_eq!(shown.parse(), Ok(span));
        }
        for bad in ["", "s", "1y", "-1s", "1.5h", "9999999999w"] {
            assert_eq!(bad.parse::<Span>(), Err(InvalidSpan), "{bad}");
        }
    }

    #[test]
    fn ranges() {
        for good in ["10.0.0.0/8", "0.0.0.0/0", "192.168.7.9"] {
            assert!(good.parse::<Cidr>().is_ok(), "{good}");
        }
        assert_eq!(
            "192.168.7.9".parse::<Cidr>().unwrap().to_string(),
            "192.168.7.9/32"
        );
        for bad in [
            "",
            "10.0.0.0/33",
            "10/8",
            "example.com",
            "fd00::/8",
            "10.0.0.0/",
        ] {
            assert_eq!(bad.parse::<Cidr>(), Err(InvalidCidr::Shape), "{bad}");
        }
        assert!(matches!(
            "10.0.0.1/8".parse::<Cidr>(),
            Err(InvalidCidr::HostBits(_))
        ));
    }
}
