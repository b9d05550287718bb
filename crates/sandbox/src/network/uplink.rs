//! The machine around the sandboxes: where packets leave it, how large they may be, and whether
//! the kernel passes them on.
//!
//! Forwarding is switched on per interface, for those that sandboxes' packets leave by (the
//! sandboxes' own interfaces are switched on as they are made), instead of for the whole machine
//! through `net.ipv4.ip_forward`: the kernel asks the interface a packet *came in by*, so replies
//! need it on the uplink and nothing else does. It stays on when the server ends, since other
//! servers may have come to need it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::filter::Policy;
use super::netlink::{Interface, LOOPBACK, Netlink, NetlinkError, Route};
use crate::probe::Finding;

/// Addresses in each half of the address space, to ask the kernel for its way out: a VPN may
/// have a route for each. Nothing is ever sent to them.
const OUTSIDE: [Ipv4Addr; 2] = [Ipv4Addr::new(20, 0, 0, 1), Ipv4Addr::new(200, 0, 0, 1)];
/// Ethernet's, when there is no uplink.
const DEFAULT_MTU: u32 = 1_500;
/// The least that every IPv4 network carries; an uplink that claims less is not followed.
const LEAST_MTU: u32 = 576;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// Largest packet that every way out carries, in bytes.
    pub(super) mtu: u32,
    /// The machine's own next hops.
    pub(super) routers: Vec<Ipv4Addr>,
    /// Names of the interfaces packets leave by.
    pub(super) uplinks: BTreeSet<String>,
    /// What the operator should know.
    pub(super) findings: Vec<Finding>,
}

/// Why the machine could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SurroundingsError {
    /// Netlink failed.
    #[error("look at the machine's network")]
    Netlink(#[from] NetlinkError),
    /// Another server's sandboxes have the same addresses.
    #[error("subnet {subnet} is in use by another server here (interface {interface})")]
    SubnetTaken {
        /// The configured subnet.
        subnet: super::config::Ipv4Cidr,
        /// The interface of its sandbox.
        interface: String,
    },
}

/// Looks at interfaces and routes; `policy.routers` is not used.
pub(super) async fn survey(
    netlink: &Netlink,
    policy: &Policy,
) -> Result<Surroundings, SurroundingsError> {
    let interfaces: BTreeMap<u32, Interface> = netlink
        .interfaces()
        .await?
        .into_iter()
        .map(|interface| (interface.index, interface))
        .collect();
    let routes = netlink.routes().await?;
    let mut findings = Vec::new();
    findings.extend(overlap(policy, &routes, &interfaces)?);

    let mut outward = Vec::new();
    for address in OUTSIDE {
        outward.extend(netlink.route_to(address).await?);
    }
    if outward.is_empty() {
        findings.push(Finding::limited(
            "way out",
            "this machine has no default route: sandboxes reach only resolvers and allowed ranges",
            "add a default route, then restart the server",
        ));
    }
    let others = policy
        .resolvers
        .iter()
        .copied()
        .chain(policy.allow.iter().map(|range| range.first()));
    for address in others {
        outward.extend(netlink.route_to(address).await?);
    }

    let uplinks: Vec<&Interface> = outward
        .iter()
        .filter_map(|route| interfaces.get(&route.interface?))
        // A resolver on this machine is reached over loopback, which forwards nothing.
        .filter(|interface| interface.index != LOOPBACK)
        .collect();
    let mtu = uplinks
        .iter()
        .map(|interface| interface.mtu)
        .min()
        .unwrap_or(DEFAULT_MTU);
    let routers: BTreeSet<Ipv4Addr> = routes
        .iter()
        .chain(&outward)
        .filter_map(|route| route.router)
        .collect();
    Ok(Surroundings {
        mtu: mtu.max(LEAST_MTU),
        routers: routers.into_iter().collect(),
        uplinks: uplinks
            .into_iter()
            .map(|interface| interface.name.clone())
            .collect(),
        findings,
    })
}

/// Whether something else already has the slot's addresses.
fn overlap(
    policy: &Policy,
    routes: &[Route],
    interfaces: &BTreeMap<u32, Interface>,
) -> Result<Option<Finding>, SurroundingsError> {
    let subnet = policy.plan.subnet();
    let own = policy.plan.interface_prefix();
    for route in routes {
        if route.to.prefix() == 0 || !route.to.overlaps(subnet) {
            continue;
        }
        let name = route
            .interface
            .and_then(|index| interfaces.get(&index))
            .map_or_else(
                || "no interface".to_owned(),
                |interface| interface.name.clone(),
            );
        if name.starts_with(&own) {
            continue;
        }
        if is_sandbox_interface(&name) {
            return Err(SurroundingsError::SubnetTaken {
                subnet,
                interface: name,
            });
        }
        return Ok(Some(Finding::limited(
            "sandbox addresses",
            format!(
                "{subnet} overlaps this machine's route to {} ({name})",
                route.to
            ),
            "if real machines have addresses in that range, set another subnet for sandboxes",
        )));
    }
    Ok(None)
}

/// Whether a server of ours made it: `ctN-I`.
pub(super) fn is_sandbox_interface(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.strip_prefix("ct")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(slot, index)| digits(slot) && digits(index))
}

/// Where the settings of IPv4 on one interface are.
pub(super) fn ipv4_settings(interface: &str) -> PathBuf {
    // A name may have a dot but never a slash.
    Path::new("/proc/sys/net/ipv4/conf").join(interface)
}

/// Switches forwarding on where it is off, on each of `uplinks`.
pub(super) fn enable_forwarding(uplinks: &BTreeSet<String>) -> Finding {
    const NAME: &str = "forwarding";
    let mut switched = Vec::new();
    for interface in uplinks {
        match enable(&ipv4_settings(interface).join("forwarding")) {
            Ok(true) => switched.push(interface.as_str()),
            Ok(false) => {}
            Err(error) => {
                return Finding::limited(
                    NAME,
                    format!("cannot be switched on for {interface}: {error}; no replies arrive"),
                    format!("run: sysctl -w net.ipv4.conf.{interface}.forwarding=1"),
                );
            }
        }
    }
    let all = uplinks
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    Finding::ok(
        NAME,
        match (all.is_empty(), switched.is_empty()) {
            (true, _) => "no uplink needs it".to_owned(),
            (false, true) => format!("was on for {all}"),
            (false, false) => format!(
                "on for {all} (switched on now for {}, and left on at the end)",
                switched.join(", ")
            ),
        },
    )
}

/// Whether it had to be switched.
fn enable(path: &Path) -> io::Result<bool> {
    if std::fs::read_to_string(path)?.trim() == "1" {
        return Ok(false);
    }
    std::fs::write(path, "1")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_sandbox_interfaces_from_others() {
        for name in ["ct0-0", "ct29-2047"] {
            assert!(is_sandbox_interface(name), "{name}");
        }
        for name in ["ct0", "ct-1", "ctl-0", "eth0", "act0-0", "ct0-x"] {
            assert!(!is_sandbox_interface(name), "{name}");
        }
    }
}
