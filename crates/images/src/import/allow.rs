//! Which registries may be reached that are not public HTTPS hosts.
//!
//! Users name the host of an import, and what the server fetches for them shows in answers. So
//! by default only public addresses are reached, and only over HTTPS; see [`super::guard`]. The
//! operator's list (`--allow-registry`) makes exceptions, one host each:
//!
//! | entry | reached at any address | over |
//! | --- | --- | --- |
//! | `HOST[:PORT]` | yes | HTTPS, or HTTP when HOST is `localhost` or a loopback address |
//! | `http://HOST[:PORT]` | yes | HTTP |

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A host with an optional port, in lower case; an IPv6 address stands in brackets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: Box<str>,
    port: Option<u16>,
}

/// An entry of the operator's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedRegistry {
    at: HostPort,
    plain_http: bool,
}

/// A text that is no entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an allowed registry is written HOST, HOST:PORT, or http://HOST[:PORT] for plain HTTP")]
pub struct InvalidAllowedRegistry;

impl HostPort {
    /// Reads `HOST[:PORT]`.
    pub(super) fn parse_host(text: &str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, after) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let port = if after.is_empty() {
                None
            } else {
                Some(after.strip_prefix(':')?)
            };
            (format!("[{address}]"), port)
        } else {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if !is_host_name(host) {
                return None;
            }
            (host.to_ascii_lowercase(), port)
        };
        let port = match port {
            None => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().ok().filter(|port| *port != 0)?)
            }
            Some(_) => return None,
        };
        Some(Self {
            host: host.into(),
            port,
        })
    }

    /// The host without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, when one is given.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it names the machine itself: `localhost`, or a loopback address.
    fn is_loopback(&self) -> bool {
        &*self.host == "localhost"
            || self.host.ends_with(".localhost")
            || literal_address(&self.host).is_some_and(|address| address.is_loopback())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for HostPort {
    type Err = InvalidAllowedRegistry;

    fn from_str(text: &str) -> Result<Self, InvalidAllowedRegistry> {
        Self::parse_host(text).ok_or(InvalidAllowedRegistry)
    }
}

impl FromStr for AllowedRegistry {
    type Err = InvalidAllowedRegistry;

    fn from_str(text: &str) -> Result<Self, InvalidAllowedRegistry> {
        let text = text.trim();
        let (text, plain_http) = match text.strip_prefix("http://") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let at = HostPort::parse_host(text).ok_or(InvalidAllowedRegistry)?;
        Ok(Self {
            plain_http: plain_http || at.is_loopback(),
            at,
        })
    }
}

impl fmt::Display for AllowedRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.plain_http && !self.at.is_loopback() {
            "http://"
        } else {
            ""
        };
        write!(f, "{scheme}{}", self.at)
    }
}

impl AllowedRegistry {
    /// Whether this entry lets `host` be reached at `port`.
    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        host.eq_ignore_ascii_case(&self.at.host) && self.at.port.is_none_or(|own| own == port)
    }

    /// Whether it is reached over plain HTTP.
    pub(super) const fn plain_http(&self) -> bool {
        self.plain_http
    }
}

/// The address that a URL's host is, when it is not a name.
pub(super) fn literal_address(host: &str) -> Option<IpAddr> {
    match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// DNS labels joined by dots, which addresses of version 4 are too. Underscores occur in names
/// of containers.
fn is_host_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let entry = |text: &str| text.parse::<AllowedRegistry>().unwrap();
        assert!(entry("localhost").plain_http());
        assert!(entry("127.0.0.9:5000").plain_http());
        assert!(entry("[::1]:5000").plain_http());
        assert!(!entry("registry.corp").plain_http());
        assert!(!entry("10.0.0.5:5000").plain_http());
        assert!(entry("http://10.0.0.5:5000").plain_http());
        assert_eq!(
            entry("http://10.0.0.5:5000").to_string(),
            "http://10.0.0.5:5000"
        );
        assert_eq!(entry("LocalHost:5000").to_string(), "localhost:5000");

        assert!(entry("registry.corp").matches("REGISTRY.corp", 8443));
        assert!(entry("registry.corp:443").matches("registry.corp", 443));
        assert!(!entry("registry.corp:443").matches("registry.corp", 22));
        assert!(!entry("registry.corp").matches("evil.registry.corp", 443));
        for wrong in [
            "",
            "https://x",
            "a/b",
            "a:b",
            "a:70000",
            "a:0",
            "[::1",
            "::1",
            "-a",
            "a b",
        ] {
            assert!(wrong.parse::<AllowedRegistry>().is_err(), "{wrong}");
        }
    }
}
