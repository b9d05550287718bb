//! What an operator may set, and the one kind of address range it is said in.
//!
//! Only IPv4: sandboxes have no IPv6 (see the head of [`crate::network`]), so an IPv6 range here
//! would promise something that never happens; it is refused with a sentence instead.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Settings of the sandboxes' network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Addresses the sandboxes of this server take, /8 to /29. Default: `10.(200+slot).0.0/16`.
    /// Servers on one machine need different ones.
    pub subnet: Option<Ipv4Cidr>,
    /// Ranges sandboxes may reach although they are private; default none. Other sandboxes and
    /// the machine's own addresses stay out of reach whatever is listed here.
    pub allow: Vec<Ipv4Cidr>,
    /// Name servers for sandboxes, reachable on port 53 also when private.
    /// Default (empty): the ones this machine uses.
    pub resolvers: Vec<Ipv4Addr>,
    /// Networked namespaces kept ready; default 16. A quarter as many (at least 2) are kept for
    /// sandboxes without network.
    pub pool: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            subnet: None,
            allow: Vec::new(),
            resolvers: Vec::new(),
            pool: 16,
        }
    }
}

/// A range of IPv4 addresses, `ADDRESS/PREFIX`, with no bits set past the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ipv4Cidr {
    first: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Cidr {
    /// Every address.
    pub const ALL: Self = Self {
        first: Ipv4Addr::UNSPECIFIED,
        prefix: 0,
    };

    /// The range of `prefix` leading bits that `address` is in; `None` when `prefix` is above 32.
    #[must_use]
    pub const fn containing(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        if prefix > 32 {
            return None;
        }
        let first = Ipv4Addr::from_bits(address.to_bits() & mask(prefix));
        Some(Self { first, prefix })
    }

    /// The lowest address.
    #[must_use]
    pub const fn first(self) -> Ipv4Addr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub const fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits() | !mask(self.prefix))
    }

    /// How many leading bits are fixed.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// How many addresses there are.
    #[must_use]
    pub const fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.first.to_bits()
    }

    /// Whether any address is in both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }
}

const fn mask(prefix: u8) -> u32 {
    match u32::MAX.checked_shl(32 - prefix as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

impl fmt::Display for Ipv4Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// Why a text is no [`Ipv4Cidr`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// An IPv6 range.
    #[error("{text:?} is an IPv6 range, and sandboxes have IPv4 only")]
    Ipv6 {
        /// What was given.
        text: String,
    },
    /// Not of the form at all.
    #[error("{text:?} is no address range such as 10.20.0.0/16")]
    Form {
        /// What was given.
        text: String,
    },
    /// Bits set past the prefix, so it is unclear which was meant.
    #[error("{text:?} has bits set past its prefix; the range is {range}")]
    HostBits {
        /// What was given.
        text: String,
        /// The range its address is in.
        range: Ipv4Cidr,
    },
}

impl FromStr for Ipv4Cidr {
    type Err = CidrError;

    /// `ADDRESS/PREFIX`, or an address alone for just that one.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let form = || CidrError::Form {
            text: text.to_owned(),
        };
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        if address.parse::<std::net::Ipv6Addr>().is_ok() {
            return Err(CidrError::Ipv6 {
                text: text.to_owned(),
            });
        }
        let address: Ipv4Addr = address.parse().map_err(|_| form())?;
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        let prefix: u8 = prefix.parse().map_err(|_| form())?;
        let range = Self::containing(address, prefix).ok_or_else(form)?;
        if range.first != address {
            return Err(CidrError::HostBits {
                text: text.to_owned(),
                range,
            });
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Ipv4Cidr {
        text.parse().expect("a range")
    }

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "192.168.7.0/24",
            "203.0.113.9/32",
        ] {
            assert_eq!(cidr(text).to_string(), text);
        }
        assert_eq!(cidr("203.0.113.9"), cidr("203.0.113.9/32"));
    }

    #[test]
    fn refuses_what_is_unclear() {
        assert_eq!(
            "10.1.0.0/8".parse::<Ipv4Cidr>().unwrap_err().to_string(),
            "\"10.1.0.0/8\" has bits set past its prefix; the range is 10.0.0.0/8"
        );
        assert!(matches!(
            "fd00::/8".parse::<Ipv4Cidr>(),
            Err(CidrError::Ipv6 { .. })
        ));
        for text in [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "a/8",
        ] {
            assert!(
                matches!(text.parse::<Ipv4Cidr>(), Err(CidrError::Form { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn knows_its_bounds() {
        let range = cidr("10.200.0.0/16");
        assert_eq!(range.last(), Ipv4Addr::new(10, 200, 255, 255));
        assert_eq!(range.size(), 65_536);
        assert!(range.contains(Ipv4Addr::new(10, 200, 3, 4)));
        assert!(!range.contains(Ipv4Addr::new(10, 201, 0, 0)));
        assert!(range.overlaps(cidr("10.0.0.0/8")) && cidr("10.0.0.0/8").overlaps(range));
        assert!(!range.overlaps(cidr("10.201.0.0/16")));
        assert_eq!(cidr("0.0.0.0/0").size(), 1 << 32);
        assert!(cidr("0.0.0.0/0").contains(Ipv4Addr::BROADCAST));
    }
}
