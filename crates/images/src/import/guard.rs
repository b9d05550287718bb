//! Keeps imports away from what only the server can reach.
//!
//! A user names the registry, the registry names its token server, and any of them redirects: all
//! of these are requests made by the server on somebody else's word. So every single one passes
//! [`Guard::admit`], which sees the URL, and, when the host is a name, the resolver of the HTTP
//! client ([`PublicOnly`]), which sees the addresses that will really be connected to (so that a
//! name cannot answer differently the second time). Only hosts on the operator's list go past it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::allow::{AllowedRegistry, literal_address};

/// Decides on each URL before it is requested.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    allowed: Arc<[AllowedRegistry]>,
}

/// How an admitted URL is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Public addresses only, over HTTPS.
    Public,
    /// On the operator's list: any address, over HTTPS.
    Trusted,
    /// On the operator's list for plain HTTP.
    Plain,
}

/// Why a host is not reached. What to do about it is part of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A private, loopback or otherwise special address.
    #[error(
        "{host} is at a private or local address; the server's operator can allow it with \
         --allow-registry {host}"
    )]
    Address {
        /// As named.
        host: String,
    },
    /// Plain HTTP to a host that is not on the list.
    #[error(
        "{host} asks for plain HTTP; the server's operator can allow it with \
         --allow-registry http://{host}"
    )]
    PlainHttp {
        /// As named.
        host: String,
    },
    /// Something other than HTTP.
    #[error("{scheme}: is not how a registry is reached")]
    Scheme {
        /// What was asked for.
        scheme: String,
    },
}

impl Guard {
    pub(super) fn new(allowed: &[AllowedRegistry]) -> Self {
        Self {
            allowed: allowed.into(),
        }
    }

    /// The scheme to speak with a registry that a reference names.
    pub(super) fn scheme(&self, host: &str, port: Option<u16>) -> &'static str {
        let plain = self
            .allowed
            .iter()
            .any(|entry| entry.plain_http() && entry.matches(host, port.unwrap_or(80)));
        if plain { "http" } else { "https" }
    }

    /// Whether `url` may be requested, and which way.
    pub(super) fn admit(&self, url: &Url) -> Result<Route, Refused> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let entry = self.allowed.iter().find(|entry| entry.matches(host, port));
        match (url.scheme(), entry) {
            ("https", Some(_)) => return Ok(Route::Trusted),
            ("http", Some(entry)) if entry.plain_http() => return Ok(Route::Plain),
            ("https", None) => {}
            ("http", _) => return Err(Refused::PlainHttp { host: named(url) }),
            (scheme, _) => {
                return Err(Refused::Scheme {
                    scheme: scheme.to_owned(),
                });
            }
        }
        match literal_address(host) {
            Some(address) if !is_public(address) => Err(Refused::Address { host: named(url) }),
            _ => Ok(Route::Public),
        }
    }
}

/// Host and port as an operator would write them.
pub(super) fn named(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A resolver that answers with public addresses alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let addresses: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = addresses
                .into_iter()
                .filter(|address| is_public(address.ip()))
                .collect();
            if public.is_empty() {
                return Err(Refused::Address { host }.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Everything but the special-purpose blocks of RFC 6890 and its successors.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)            // this network, private, loopback
            | (100, 64..=127, _)        // carrier-grade NAT
            | (169, 254, _)             // link-local, metadata services
            | (172, 16..=31, _)         // private
            | (192, 0, 0 | 2)           // protocol assignments, documentation
            | (192, 88, 99)             // 6to4 relays
            | (192, 168, _)             // private
            | (198, 18..=19, _)         // benchmarks
            | (198, 51, 100)            // documentation
            | (203, 0, 113)             // documentation
            | (224..=255, _, _) // multicast, reserved, broadcast
    )
}

/// The global unicast block less what is carved out of it. Addresses that carry one of version 4
/// count as that one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0x2002, high, low, ..] => embedded(high, low), // 6to4
        [0x2001, 0..=0x1ff, ..]                         // protocol assignments, Teredo
        | [0x2001, 0xdb8, ..]                           // documentation
        | [0x3fff, 0..=0xfff, ..] => false,             // documentation
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for public in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.0.1",
            "223.255.255.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2001:200::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "::127.0.0.1",
            "100::1",
            "fec0::1",
            "64:ff9b:1::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn admits_by_scheme_host_and_list() {
        let guard = Guard::new(&[
            "localhost:5000".parse().unwrap(),
            "10.0.0.5".parse().unwrap(),
            "http://registry.corp:8080".parse().unwrap(),
        ]);
        let admit = |url: &str| guard.admit(&Url::parse(url).unwrap());
        assert_eq!(admit("https://ghcr.io/v2/"), Ok(Route::Public));
        assert_eq!(admit("http://localhost:5000/v2/"), Ok(Route::Plain));
        assert_eq!(admit("https://10.0.0.5:5000/v2/"), Ok(Route::Trusted));
        assert_eq!(admit("http://registry.corp:8080/v2/"), Ok(Route::Plain));
        for refused in [
            "http://ghcr.io/v2/",
            "http://localhost:5001/v2/",
            "http://10.0.0.5/v2/",
            "http://registry.corp/v2/",
        ] {
            assert!(
                matches!(admit(refused), Err(Refused::PlainHttp { .. })),
                "{refused}"
            );
        }
        for refused in [
            "https://127.0.0.1/v2/",
            "https://[::1]:5000/v2/",
            "https://[::ffff:10.0.0.1]/v2/",
            "https://0x7f000001/v2/",
            "https://2130706433/v2/",
            "https://169.254.169.254/latest/meta-data/",
        ] {
            assert!(
                matches!(admit(refused), Err(Refused::Address { .. })),
                "{refused}"
            );
        }
        assert!(matches!(
            admit("ftp://ghcr.io/x"),
            Err(Refused::Scheme { .. })
        ));
        assert_eq!(
            admit("https://192.168.0.1:5000/v2/")
                .unwrap_err()
                .to_string(),
            "192.168.0.1:5000 is at a private or local address; the server's operator can allow \
             it with --allow-registry 192.168.0.1:5000"
        );
        assert_eq!(guard.scheme("localhost", Some(5000)), "http");
        assert_eq!(guard.scheme("localhost", Some(5001)), "https");
        assert_eq!(guard.scheme("10.0.0.5", None), "https");
    }
}
