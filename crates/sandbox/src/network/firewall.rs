//! Other firewalls of this machine.
//!
//! nftables runs every table that hooks a packet's path, and each can drop it: our `accept` does
//! not outrank docker's `policy drop` for forwarded packets. Changing another's rules would be
//! wrong and would not last, so this only finds out and says what to do.

use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use super::plan::AddressPlan;
use crate::probe::Finding;

const NAME: &str = "other firewalls";

/// A chain that drops forwarded packets unless a rule of its table accepts them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dropper {
    /// Such as `ip filter`.
    table: String,
    chain: String,
    /// Whether docker made it, which leaves a chain for others' rules.
    docker: bool,
}

/// Looks for firewalls that drop forwarded packets by default.
pub(crate) async fn look(plan: &AddressPlan) -> Finding {
    let mut droppers = match run("nft", &["list", "chains"]).await {
        Some(text) => droppers(&text),
        None => Vec::new(),
    };
    // The older tables have no place in nft's list.
    let legacy = std::fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if legacy.lines().any(|table| table == "filter")
        && let Some(text) = run("iptables-legacy", &["-S"]).await
    {
        droppers.extend(legacy_dropper(&text));
    }
    let firewalld = Path::new("/run/firewalld").exists();
    finding(&droppers, firewalld, plan)
}

async fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let Output { status, stdout, .. } = Command::new(program)
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    status
        .success()
        .then(|| String::from_utf8_lossy(&stdout).into_owned())
}

/// Reads `nft list chains`:
///
/// ```text
/// table ip filter {
///     chain FORWARD {
///         type filter hook forward priority filter; policy drop;
///     }
///     chain DOCKER-USER {
///     }
/// }
/// ```
fn droppers(text: &str) -> Vec<Dropper> {
    let mut found: Vec<Dropper> = Vec::new();
    let mut docker: Vec<&str> = Vec::new();
    let mut table = "";
    let mut chain = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix("table ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            table = name;
        } else if let Some(name) = line
            .strip_prefix("chain ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            chain = name;
            if chain == "DOCKER-USER" {
                docker.push(table);
            }
        } else if line.contains("hook forward") && line.contains("policy drop") {
            found.push(Dropper {
                table: table.to_owned(),
                chain: chain.to_owned(),
                docker: false,
            });
        }
    }
    for dropper in &mut found {
        dropper.docker = docker.contains(&dropper.table.as_str());
    }
    found
}

/// Reads `iptables-legacy -S`: `-P FORWARD DROP`, `-N DOCKER-USER`.
fn legacy_dropper(text: &str) -> Option<Dropper> {
    text.lines()
        .any(|line| line == "-P FORWARD DROP")
        .then(|| Dropper {
            table: "ip filter (iptables-legacy)".to_owned(),
            chain: "FORWARD".to_owned(),
            docker: text.lines().any(|line| line == "-N DOCKER-USER"),
        })
}

fn finding(droppers: &[Dropper], firewalld: bool, plan: &AddressPlan) -> Finding {
    // Interface names of every server on this machine, as iptables writes a prefix.
    const OURS: &str = "ct+";
    if let Some(Dropper {
        table,
        chain,
        docker,
    }) = droppers.first()
    {
        let into = if *docker {
            "DOCKER-USER"
        } else {
            chain.as_str()
        };
        let iptables = if table.contains("legacy") {
            "iptables-legacy"
        } else {
            "iptables"
        };
        return Finding::limited(
            NAME,
            format!(
                "{chain} of table {table} drops forwarded packets, those of sandboxes included"
            ),
            format!(
                "let them pass: {iptables} -I {into} -i {OURS} -j ACCEPT; \
                 {iptables} -I {into} -o {OURS} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
            ),
        );
    }
    if firewalld {
        let subnet = plan.subnet();
        return Finding::limited(
            NAME,
            "firewalld rejects forwarded packets unless their zone allows them",
            format!(
                "let sandboxes pass: firewall-cmd --permanent --zone=trusted \
                 --add-source={subnet} && firewall-cmd --reload"
            ),
        );
    }
    Finding::ok(NAME, "none drops forwarded packets by default")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::State;

    const DOCKER: &str = "table ip nat {
	chain DOCKER {
	}
}
table ip filter {
	chain DOCKER {
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
	chain DOCKER-USER {
	}
}
table inet contree_0 {
	chain forward {
		type filter hook forward priority filter; policy accept;
	}
}
";

    fn plan() -> AddressPlan {
        AddressPlan::new(0, None).expect("a plan")
    }

    #[test]
    fn docker_is_recognised() {
        let found = droppers(DOCKER);
        assert_eq!(
            found,
            [Dropper {
                table: "ip filter".into(),
                chain: "FORWARD".into(),
                docker: true
            }]
        );
        let finding = finding(&found, false, &plan());
        assert_eq!(finding.state, State::Limited);
        assert!(
            finding
                .next_step
                .contains("iptables -I DOCKER-USER -i ct+ -j ACCEPT")
        );
    }

    #[test]
    fn input_policies_and_our_own_tables_are_no_concern() {
        let text = "table inet fw {\n\tchain in {\n\t\ttype filter hook input priority 0; policy \
                    drop;\n\t}\n}\ntable inet contree_0 {\n\tchain forward {\n\t\ttype filter \
                    hook forward priority filter; policy accept;\n\t}\n}\n";
        assert_eq!(droppers(text), []);
        assert_eq!(finding(&[], false, &plan()).state, State::Ok);
        assert!(
            finding(&[], true, &plan())
                .next_step
                .contains("--add-source=10.200.0.0/16")
        );
    }

    #[test]
    fn the_older_tables_are_read_too() {
        let text = "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N DOCKER-USER\n";
        let found = legacy_dropper(text).expect("a dropper");
        assert!(
            finding(&[found], false, &plan())
                .next_step
                .contains("iptables-legacy -I DOCKER-USER")
        );
        assert_eq!(legacy_dropper("-P FORWARD ACCEPT\n"), None);
    }
}
