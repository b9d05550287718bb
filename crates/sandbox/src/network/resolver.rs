//! Names: which servers sandboxes ask, and the two files that say so inside.
//!
//! A sandbox cannot use a resolver on the host's loopback (`127.0.0.53` of systemd-resolved,
//! `127.0.0.1` of dnsmasq): its loopback is its own. Such resolvers keep a second file with the
//! servers that they ask themselves, and those are used instead. `search` and `options` lines
//! stay behind: they would tell a guest the operator's domains, and make runs differ by machine.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::config::NetworkConfig;
use crate::probe::Finding;

const NAME: &str = "name resolution";
const SET_RESOLVER: &str =
    "name a resolver that sandboxes can reach over IPv4 in the server's resolver setting";

/// The machine's resolver configuration.
const MAIN: &str = "etc/resolv.conf";
/// Where local resolvers write the servers they ask themselves, in order of preference.
const BEHIND_LOCAL: [&str; 3] = [
    "run/systemd/resolve/resolv.conf",
    "run/NetworkManager/no-stub-resolv.conf",
    "run/dnsmasq/resolv.conf",
];
/// What resolvers read of a resolv.conf (`MAXNS`).
const MAX_SERVERS: usize = 3;

/// The servers sandboxes ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolvers {
    /// Their addresses, at most three when found on the machine.
    pub(super) servers: Vec<Ipv4Addr>,
    /// How they were found, or why there are none.
    pub(super) finding: Finding,
}

impl Resolvers {
    /// The configured ones, else those of the machine whose root folder is `root`.
    #[must_use]
    pub(super) fn find(config: &NetworkConfig, root: &Path) -> Self {
        if config.resolvers.is_empty() {
            return Self::of_machine(root);
        }
        let servers = config.resolvers.clone();
        Self {
            finding: Finding::ok(NAME, format!("{}, as set", list(&servers))),
            servers,
        }
    }

    fn of_machine(root: &Path) -> Self {
        let main = root.join(MAIN);
        let listed = match std::fs::read_to_string(&main) {
            Ok(text) => name_servers(&text),
            Err(error) => {
                return Self::none(format!("/{MAIN} cannot be read: {error}"));
            }
        };
        let servers = reachable(&listed);
        if !servers.is_empty() {
            return Self::found(servers, Path::new("/").join(MAIN));
        }
        for path in BEHIND_LOCAL {
            let Ok(text) = std::fs::read_to_string(root.join(path)) else {
                continue;
            };
            let servers = reachable(&name_servers(&text));
            if !servers.is_empty() {
                return Self::found(servers, Path::new("/").join(path));
            }
        }
        Self::none(match listed.as_slice() {
            [] => format!("/{MAIN} names no server"),
            listed => format!(
                "/{MAIN} names only {}, which sandboxes cannot reach",
                listed
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        })
    }

    fn found(servers: Vec<Ipv4Addr>, path: PathBuf) -> Self {
        let detail = format!("{}, from {}", list(&servers), path.display());
        Self {
            servers,
            finding: Finding::ok(NAME, detail),
        }
    }

    fn none(detail: String) -> Self {
        let detail = format!("{detail}: no names are resolved in sandboxes");
        Self {
            servers: Vec::new(),
            finding: Finding::limited(NAME, detail, SET_RESOLVER),
        }
    }
}

fn list(servers: &[Ipv4Addr]) -> String {
    servers
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The addresses of a resolv.conf's `nameserver` lines; what is no address is passed over, as
/// the C library does.
fn name_servers(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next())?
        })
        .filter_map(|address| address.split('%').next()?.parse().ok())
        .collect()
}

/// Those a sandbox can reach: IPv4, and not the host's loopback.
fn reachable(servers: &[IpAddr]) -> Vec<Ipv4Addr> {
    servers
        .iter()
        .filter_map(|server| match server {
            IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => {
                Some(*address)
            }
            _ => None,
        })
        .take(MAX_SERVERS)
        .collect()
}

/// `/etc/resolv.conf` of a sandbox that asks `servers`; without any when it has no network.
#[must_use]
pub fn resolv_conf(servers: &[Ipv4Addr]) -> String {
    let mut text = String::new();
    for server in servers.iter().take(MAX_SERVERS) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "nameserver {server}");
    }
    if text.is_empty() {
        // Without a server line the C library asks 127.0.0.1, which refuses at once.
        text.push_str("# no name server\n");
    }
    text
}

/// `/etc/hosts` of a sandbox called `hostname`.
///
/// The hostname is 127.0.1.1, as Debian has it, so that the file, and what programs derive from
/// it, is the same in every run. IPv6 names are left out because sandboxes have none.
#[must_use]
pub fn hosts(hostname: &str) -> String {
    if hostname == "localhost" {
        return "127.0.0.1\tlocalhost\n".to_owned();
    }
    format!("127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::State;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn of_machine(files: &[(&str, &str)]) -> Resolvers {
        Resolvers::find(&NetworkConfig::default(), machine(files).path())
    }

    #[test]
    fn takes_the_machines_servers() {
        let found = of_machine(&[(
            MAIN,
            "# made by hand\nsearch corp.example\nnameserver 10.0.0.2\nnameserver\t2001:db8::1\n\
             nameserver junk\n;nameserver 9.9.9.9\n  nameserver 192.0.2.53 # second\noptions ndots:5",
        )]);
        assert_eq!(
            found.servers,
            [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(192, 0, 2, 53)]
        );
        assert_eq!(
            found.finding.detail,
            "10.0.0.2, 192.0.2.53, from /etc/resolv.conf"
        );
        assert_eq!(
            resolv_conf(&found.servers),
            "nameserver 10.0.0.2\nnameserver 192.0.2.53\n"
        );
    }

    #[test]
    fn looks_behind_a_local_resolver() {
        let found = of_machine(&[
            (
                MAIN,
                "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n",
            ),
            (
                BEHIND_LOCAL[0],
                "nameserver 172.31.0.2\nnameserver fe80::1%eth0\n",
            ),
        ]);
        assert_eq!(found.servers, [Ipv4Addr::new(172, 31, 0, 2)]);
        assert_eq!(
            found.finding.detail,
            "172.31.0.2, from /run/systemd/resolve/resolv.conf"
        );
    }

    #[test]
    fn says_when_there_is_none() {
        let found = of_machine(&[(MAIN, "nameserver 127.0.0.1\nnameserver ::1\n")]);
        assert!(found.servers.is_empty());
        assert_eq!(found.finding.state, State::Limited);
        assert_eq!(
            found.finding.detail,
            "/etc/resolv.conf names only 127.0.0.1, ::1, which sandboxes cannot reach: \
             no names are resolved in sandboxes"
        );
        assert!(!found.finding.next_step.is_empty());
        assert_eq!(of_machine(&[]).finding.state, State::Limited);
        assert_eq!(resolv_conf(&[]), "# no name server\n");
    }

    #[test]
    fn the_operators_choice_wins() {
        let config = NetworkConfig {
            resolvers: vec![Ipv4Addr::new(10, 9, 9, 9)],
            ..Default::default()
        };
        let root = machine(&[(MAIN, "nameserver 192.0.2.1\n")]);
        let found = Resolvers::find(&config, root.path());
        assert_eq!(found.servers, config.resolvers);
        assert_eq!(found.finding.state, State::Ok);
    }

    #[test]
    fn hosts_names_the_sandbox() {
        assert_eq!(hosts("box"), "127.0.0.1\tlocalhost\n127.0.1.1\tbox\n");
        assert_eq!(hosts("localhost"), "127.0.0.1\tlocalhost\n");
    }
}
