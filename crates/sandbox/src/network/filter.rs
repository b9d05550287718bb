//! The packet filter: one nftables table per slot, loaded once at start.
//!
//! The text of the whole table is made here and given to `nft -f -` in one transaction, so there
//! is never a moment with half a filter; sandboxes come and go without any further call, because
//! the set `senders` already lists every (interface, address) pair the slot can have.
//!
//! What a packet of a sandbox meets, in this order:
//!
//! ```text
//! prerouting, raw   before connection tracking and before any address translation, ours or not:
//!                   IPv4 only; the sender's address must be that interface's own; then `wanted`:
//!                   port 53 of a resolver passes; the host's own addresses, broadcast and
//!                   multicast do not; ranges the operator allows pass; non-global ones do not
//! input             delivered to this machine: only port 53 of a resolver
//! forward           to another interface: never to a sandbox; not more connections at a time
//!                   than one sandbox may have; and `wanted` again for where it goes now, since
//!                   another table (docker's published ports) may have translated the address
//! postrouting       masquerade
//! ```
//!
//! and a packet to a sandbox: in forward, only replies; in output, nothing that opens a connection.
//! A table only protects its own slot's sandboxes from whatever comes in, so servers that share a
//! machine need not know each other. Refused destinations are answered rather than met with silence,
//! because cloud SDKs look for a metadata service and would wait for it: TCP with a reset, the rest
//! with an ICMP error. (An ICMP error would do for TCP, but slowly: it reaches the socket while
//! `connect` still holds it, so that only the one for the next SYN, a second later, ends the call;
//! and the kernel sends no more than about one of them per second and receiver.)
//!
//! An `accept` here ends the evaluation of this table's hook only: other tables can still drop,
//! which is why `crate::probe` looks for firewalls that drop forwarded packets.

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::config::Ipv4Cidr;
use super::plan::AddressPlan;

/// Connections one sandbox may have tracked at a time. The host's table of them (262,144 entries
/// on a usual machine) is shared by all, and a port scan must not fill it.
const MAX_CONNECTIONS: u32 = 8_192;

/// Ranges that are not the public internet, after IANA's special-purpose address registry.
///
/// The three documentation ranges (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24) are left out:
/// nothing private is numbered from them, while test networks and closed build farms put their
/// stand-ins for public servers there. 224.0.0.0/4 and 255.255.255.255 are also refused by their
/// route's type.
const NON_GLOBAL: [&str; 13] = [
    "0.0.0.0/8",      // this network
    "10.0.0.0/8",     // RFC 1918
    "100.64.0.0/10",  // carrier-grade NAT
    "127.0.0.0/8",    // loopback
    "169.254.0.0/16", // link-local, cloud metadata
    "172.16.0.0/12",  // RFC 1918
    "192.0.0.0/24",   // protocol assignments
    "192.88.99.0/24", // deprecated 6to4 relays
    "192.168.0.0/16", // RFC 1918
    "198.18.0.0/15",  // benchmarking
    "224.0.0.0/4",    // multicast
    "240.0.0.0/4",    // reserved, with broadcast
    "168.63.129.16",  // Azure's metadata and host agent, on a public address
];

/// What the filter depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// Names and addresses of the slot's sandboxes.
    pub(super) plan: AddressPlan,
    /// Reachable on port 53.
    pub(super) resolvers: Vec<Ipv4Addr>,
    /// Reachable although private.
    pub(super) allow: Vec<Ipv4Cidr>,
    /// The machine's own routers: they forward, but offer sandboxes nothing.
    pub(super) routers: Vec<Ipv4Addr>,
}

/// Why the filter is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// No `nft` on this machine, or it cannot be started.
    #[error("start nft")]
    Start {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The script could not be handed over, or the outcome not read.
    #[error("talk to nft")]
    Talk {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel or `nft` refused.
    #[error("nft refused: {message}")]
    Refused {
        /// First line of its complaint.
        message: String,
    },
}

/// The name of a slot's table.
fn table(slot: u32) -> String {
    format!("contree_{slot}")
}

/// The script that replaces the slot's table by what `policy` says.
#[must_use]
pub(super) fn script(policy: &Policy) -> String {
    let plan = &policy.plan;
    let table = table(plan.slot());
    let ours = format!("\"{}*\"", plan.interface_prefix());
    let subnet = plan.subnet();
    let senders = elements(
        (0..plan.capacity())
            .map(|index| format!("\"{}\" . {}", plan.interface(index), plan.address(index))),
    );
    let resolvers = elements(policy.resolvers.iter().map(ToString::to_string));
    let allowed = elements(policy.allow.iter().map(ToString::to_string));
    let refused = elements(
        NON_GLOBAL
            .into_iter()
            .map(str::to_owned)
            .chain(policy.routers.iter().map(ToString::to_string)),
    );
    let size = plan.capacity();
    // `table` twice: deleting one that does not exist would fail the transaction.
    format!(
        r#"table inet {table} {{
}}
delete table inet {table}
table inet {table} {{
	set senders {{
		type ifname . ipv4_addr{senders}
	}}

	set resolvers {{
		type ipv4_addr{resolvers}
	}}

	set allowed {{
		type ipv4_addr
		flags interval
		auto-merge{allowed}
	}}

	set refused {{
		type ipv4_addr
		flags interval
		auto-merge{refused}
	}}

	set connections {{
		type ipv4_addr
		size {size}
		flags dynamic
	}}

	chain refuse {{
		meta l4proto tcp reject with tcp reset
		reject with icmpx type admin-prohibited
	}}

	chain prerouting {{
		type filter hook prerouting priority raw; policy accept;
		iifname {ours} goto sent
	}}

	chain sent {{
		meta nfproto != ipv4 drop
		iifname . ip saddr != @senders drop
		meta l4proto {{ tcp, udp }} ip daddr @resolvers th dport 53 accept
		fib daddr type != unicast goto refuse
		ip daddr @allowed accept
		ip daddr @refused goto refuse
	}}

	chain input {{
		type filter hook input priority filter; policy accept;
		iifname {ours} goto to_host
	}}

	chain to_host {{
		meta l4proto {{ tcp, udp }} ct original ip daddr @resolvers ct original proto-dst 53 accept
		drop
	}}

	chain forward {{
		type filter hook forward priority filter; policy accept;
		oifname {ours} goto to_sandbox
		iifname {ours} goto from_sandbox
		ip daddr {subnet} drop
	}}

	chain to_sandbox {{
		iifname {ours} drop
		meta nfproto ipv4 ct state established,related accept
		drop
	}}

	chain from_sandbox {{
		meta nfproto != ipv4 drop
		ct state invalid drop
		ct state established,related accept
		add @connections {{ ip saddr ct count over {MAX_CONNECTIONS} }} drop
		meta l4proto {{ tcp, udp }} ct original ip daddr @resolvers ct original proto-dst 53 accept
		ct original ip daddr @allowed accept
		ip daddr @refused goto refuse
	}}

	chain output {{
		type filter hook output priority filter; policy accept;
		oifname {ours} meta nfproto != ipv4 drop
		oifname {ours} ct state new drop
	}}

	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {subnet} oifname != {ours} masquerade
	}}
}}
"#
    )
}

/// An `elements` clause, or nothing for no elements, which nft does not allow to be written.
fn elements(items: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for item in items {
        let separator = if text.is_empty() {
            "\n\t\telements = {"
        } else {
            ","
        };
        // Writing to a String does not fail.
        let _ = write!(text, "{separator}\n\t\t\t{item}");
    }
    if !text.is_empty() {
        text.push_str("\n\t\t}");
    }
    text
}

/// Puts the slot's filter in place, replacing what was there.
pub(super) async fn load(policy: &Policy) -> Result<(), FilterError> {
    nft(&script(policy)).await
}

/// Removes the slot's table if there is one.
pub(super) async fn unload(slot: u32) -> Result<(), FilterError> {
    let table = table(slot);
    nft(&format!(
        "table inet {table} {{\n}}\ndelete table inet {table}\n"
    ))
    .await
}

/// Runs one transaction.
async fn nft(script: &str) -> Result<(), FilterError> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| FilterError::Start { source })?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let written = async {
        stdin.write_all(script.as_bytes()).await?;
        stdin.shutdown().await?;
        drop(stdin);
        io::Result::Ok(())
    };
    let (written, output) = tokio::join!(written, child.wait_with_output());
    let output = output.map_err(|source| FilterError::Talk { source })?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let message = match complaint.lines().find(|line| !line.trim().is_empty()) {
            Some(line) => line.trim().to_owned(),
            None => output.status.to_string(),
        };
        return Err(FilterError::Refused { message });
    }
    // A broken pipe matters only if nft was content with half a script.
    written.map_err(|source| FilterError::Talk { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(slot: u32, subnet: Option<&str>) -> Policy {
        let subnet = subnet.map(|text| text.parse().expect("a range"));
        Policy {
            plan: AddressPlan::new(slot, subnet).expect("a plan"),
            resolvers: vec![Ipv4Addr::new(10, 53, 0, 53), Ipv4Addr::new(192, 0, 2, 53)],
            allow: vec!["10.20.0.0/16".parse().unwrap()],
            routers: vec![Ipv4Addr::new(192, 0, 2, 1)],
        }
    }

    /// Compares with `src/network/golden/NAME`; `UPDATE_GOLDEN=1` rewrites it.
    fn assert_golden(name: &str, text: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/network/golden")
            .join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, text).expect("write the golden file");
        }
        let golden = std::fs::read_to_string(&path).expect("read the golden file");
        assert!(
            golden == text,
            "{name} differs; UPDATE_GOLDEN=1 rewrites it. Now:\n{text}"
        );
    }

    #[test]
    fn the_whole_table() {
        assert_golden(
            "small_subnet.nft",
            &script(&policy(7, Some("10.77.0.0/29"))),
        );
    }

    #[test]
    fn nothing_configured() {
        let plan = AddressPlan::new(0, Some("10.77.0.0/29".parse().unwrap())).expect("a plan");
        let bare = Policy {
            plan,
            resolvers: vec![],
            allow: vec![],
            routers: vec![],
        };
        assert_golden("bare.nft", &script(&bare));
    }

    #[test]
    fn a_full_slot_lists_every_sender() {
        let text = script(&policy(29, None));
        assert!(text.contains("\"ct29-0\" . 10.229.0.2,"));
        assert!(text.contains("\"ct29-2047\" . 10.229.8.1\n"));
        assert_eq!(text.matches("\" . 10.229.").count(), 2_048);
    }
}
