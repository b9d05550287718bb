//! What can be read off the machine without trying anything.
//!
//! Parsers take texts and folders, so that other machines than this one can be tested.

use std::path::Path;

use rustix::fs::StatVfs;
use rustix::process::{Resource, getrlimit};

use super::Finding;

/// Kernels from here on show idmapped layers through overlay (5.19) and are what is tested.
const LEAST_KERNEL: (u32, u32) = (5, 19);
/// Below this much free space images and layers are soon out of room.
const LITTLE_SPACE: u64 = 5 << 30;

/// Every fact; `data_dir` is where layers are, or will be, kept.
pub(super) fn all(data_dir: &Path) -> Vec<Finding> {
    let proc = Path::new("/proc");
    let mut findings = vec![
        kernel(rustix::system::uname().release().to_string_lossy().as_ref()),
        privileges(&read(&proc.join("self/status"))),
        namespaces(proc),
        seccomp(&read(&proc.join("sys/kernel/seccomp/actions_avail"))),
        overlay(&read(&proc.join("filesystems"))),
        disk(data_dir),
    ];
    findings.extend(counters(proc));
    findings.push(open_files());
    findings
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn kernel(release: &str) -> Finding {
    const NAME: &str = "kernel";
    let mut numbers = release
        .split(['.', '-', '+'])
        .map(|part| part.parse::<u32>().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    match version {
        Some(version) if version >= LEAST_KERNEL => Finding::ok(NAME, release),
        Some(_) => Finding::missing(
            NAME,
            format!("{release} cannot show layers through overlay with a sandbox's ids"),
            "run on Linux 5.19 or newer, such as Debian 12",
        ),
        None => Finding::limited(
            NAME,
            format!("{release:?} is no version number"),
            "check that it is Linux 5.19 or newer",
        ),
    }
}

/// What the server does with each capability; all of them are needed.
const CAPABILITIES: [(u32, &str); 9] = [
    (0, "CHOWN"),
    (1, "DAC_OVERRIDE"),
    (5, "KILL"),
    (6, "SETGID"),
    (7, "SETUID"),
    (12, "NET_ADMIN"),
    (18, "SYS_CHROOT"),
    (21, "SYS_ADMIN"),
    (27, "MKNOD"),
];

/// Reads the `CapEff` line of `/proc/self/status`.
fn privileges(status: &str) -> Finding {
    const NAME: &str = "privileges";
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let lacking: Vec<&str> = CAPABILITIES
        .into_iter()
        .filter(|(number, _)| effective & (1 << number) == 0)
        .map(|(_, name)| name)
        .collect();
    if lacking.is_empty() {
        Finding::ok(NAME, "every capability the server needs")
    } else {
        Finding::missing(
            NAME,
            format!("without {}", lacking.join(", ")),
            "run as root of the machine, not of a container",
        )
    }
}

fn namespaces(proc: &Path) -> Finding {
    const NAME: &str = "namespaces";
    let kinds = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];
    let lacking: Vec<&str> = kinds
        .into_iter()
        .filter(|kind| !proc.join("self/ns").join(kind).exists())
        .collect();
    if lacking.is_empty() {
        Finding::ok(NAME, kinds.join(", "))
    } else {
        Finding::missing(
            NAME,
            format!("the kernel has no {} namespaces", lacking.join(", ")),
            "run a kernel built with all namespaces",
        )
    }
}

fn seccomp(actions: &str) -> Finding {
    const NAME: &str = "seccomp";
    let needed = ["kill_process", "errno", "allow"];
    if needed
        .iter()
        .all(|action| actions.split_whitespace().any(|had| had == *action))
    {
        Finding::ok(NAME, "filters")
    } else {
        Finding::missing(
            NAME,
            "the kernel has no seccomp filters",
            "run a kernel built with CONFIG_SECCOMP_FILTER",
        )
    }
}

/// Reads `/proc/filesystems`.
fn overlay(filesystems: &str) -> Finding {
    const NAME: &str = "overlay";
    let known = |line: &str| line.split_whitespace().last() == Some("overlay");
    if filesystems.lines().any(known) {
        Finding::ok(NAME, "known to the kernel")
    } else {
        Finding::limited(
            NAME,
            "not loaded (yet)",
            "run: modprobe overlay (and list it in /etc/modules-load.d)",
        )
    }
}

fn disk(data_dir: &Path) -> Finding {
    const NAME: &str = "disk";
    let Some(existing) = data_dir.ancestors().find(|path| path.exists()) else {
        return Finding::missing(
            NAME,
            format!("no folder above {} exists", data_dir.display()),
            "choose another data folder",
        );
    };
    let shown = existing.display();
    let found = rustix::fs::statfs(existing)
        .and_then(|filesystem| Ok((filesystem, rustix::fs::statvfs(existing)?)));
    match found {
        Ok((filesystem, space)) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "magic numbers have 32 bits"
            )]
            let magic = filesystem.f_type as u32;
            disk_of(&shown.to_string(), magic, &space)
        }
        Err(errno) => Finding::missing(
            NAME,
            format!(
                "{shown} cannot be looked at: {}",
                std::io::Error::from(errno)
            ),
            "choose another data folder",
        ),
    }
}

fn disk_of(folder: &str, magic: u32, space: &StatVfs) -> Finding {
    const NAME: &str = "disk";
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
    let gib = free as f64 / f64::from(1 << 30);
    let (filesystem, suits) = filesystem(magic);
    let detail = format!("{gib:.1} GiB free in {folder} ({filesystem})");
    if !suits {
        return Finding::missing(
            NAME,
            format!("{detail}: this filesystem cannot hold layers that sandboxes write to"),
            "put the data folder on ext4, xfs or btrfs",
        );
    }
    if free < LITTLE_SPACE {
        return Finding::limited(
            NAME,
            detail,
            "free some space, or choose another data folder",
        );
    }
    Finding::ok(NAME, detail)
}

/// Name of a filesystem, and whether it can be idmapped and be overlay's upper layer.
fn filesystem(magic: u32) -> (String, bool) {
    let (name, suits) = match magic {
        0xef53 => ("ext4", true),
        0x5846_5342 => ("xfs", true),
        0x9123_683e => ("btrfs", true),
        0xf2f5_2010 => ("f2fs", true),
        0x0102_1994 => ("tmpfs", true),
        0x2fc1_2fc1 => ("zfs", true),
        0x794c_7630 => ("overlay", false),
        0x6969 => ("nfs", false),
        0x6573_5546 => ("fuse", false),
        0x0102_1997 => ("9p", false),
        0xff53_4d42 | 0xfe53_4d42 => ("smb", false),
        0x4d44 => ("vfat", false),
        other => return (format!("type {other:#x}"), true),
    };
    (name.to_owned(), suits)
}

/// A number of the kernel's that many sandboxes together run into.
struct Counter {
    name: &'static str,
    /// Below /proc/sys.
    path: &'static str,
    /// Less than this many sandboxes' worth is worth a word.
    enough: u64,
    /// What it bounds.
    bounds: &'static str,
}

const COUNTERS: [Counter; 7] = [
    Counter {
        name: "user namespaces",
        path: "user/max_user_namespaces",
        enough: 4_096,
        bounds: "sandboxes, ready or running",
    },
    Counter {
        name: "mount namespaces",
        path: "user/max_mnt_namespaces",
        enough: 4_096,
        bounds: "running sandboxes",
    },
    Counter {
        name: "network namespaces",
        path: "user/max_net_namespaces",
        enough: 4_096,
        bounds: "sandboxes, ready or running",
    },
    Counter {
        name: "processes",
        path: "kernel/pid_max",
        enough: 32_768,
        bounds: "processes of all sandboxes together",
    },
    Counter {
        name: "threads",
        path: "kernel/threads-max",
        enough: 32_768,
        bounds: "threads of all sandboxes together",
    },
    Counter {
        name: "neighbours",
        path: "net/ipv4/neigh/default/gc_thresh3",
        enough: 1_024,
        bounds: "running sandboxes with network, two each",
    },
    Counter {
        name: "tracked connections",
        path: "net/netfilter/nf_conntrack_max",
        enough: 65_536,
        bounds: "connections of all sandboxes together",
    },
];

/// Looks at each counter that this kernel has.
fn counters(proc: &Path) -> Vec<Finding> {
    COUNTERS
        .iter()
        .filter_map(|counter| {
            let text = read(&proc.join("sys").join(counter.path));
            let value: u64 = text.trim().parse().ok()?;
            let Counter {
                name,
                path,
                enough,
                bounds,
            } = counter;
            let key = path.replace('/', ".");
            let detail = format!("{key} is {value}, which bounds {bounds}");
            Some(match value {
                0 => Finding::missing(
                    name,
                    format!("{key} is 0: no sandbox can start"),
                    format!("run: sysctl -w {key}={enough}"),
                ),
                _ if value < *enough => {
                    Finding::limited(name, detail, format!("run: sysctl -w {key}={enough}"))
                }
                _ => Finding::ok(name, detail),
            })
        })
        .collect()
}

/// A running sandbox holds about ten descriptors of the server, its clients a few more.
fn open_files() -> Finding {
    const NAME: &str = "open files";
    const ENOUGH: u64 = 65_536;
    let limit = getrlimit(Resource::Nofile).maximum;
    match limit {
        Some(limit) if limit < ENOUGH => Finding::limited(
            NAME,
            format!(
                "at most {limit}, enough for about {} sandboxes at a time",
                limit / 16
            ),
            format!("start the server with a higher limit (LimitNOFILE={ENOUGH}, ulimit -n)"),
        ),
        Some(limit) => Finding::ok(NAME, format!("at most {limit}")),
        None => Finding::ok(NAME, "no limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::State;

    #[test]
    fn kernels_are_told_apart() {
        for release in ["6.1.0-37-amd64", "6.18.44-fc-v669", "5.19.0", "7.0-rc1"] {
            assert_eq!(kernel(release).state, State::Ok, "{release}");
        }
        for release in ["5.10.0-35-amd64", "4.19.0", "5.18.9"] {
            assert_eq!(kernel(release).state, State::Missing, "{release}");
        }
        assert_eq!(kernel("linux").state, State::Limited);
    }

    #[test]
    fn capabilities_are_named() {
        assert_eq!(
            privileges("Name:\tx\nCapEff:\t000001ffffffffff\n").state,
            State::Ok
        );
        // A container's usual set.
        let finding = privileges("CapEff:\t00000000a80425fb\n");
        assert_eq!(finding.state, State::Missing);
        assert_eq!(finding.detail, "without NET_ADMIN, SYS_ADMIN");
        assert_eq!(privileges("").state, State::Missing);
    }

    #[test]
    fn overlay_is_found_among_filesystems() {
        assert_eq!(
            overlay("nodev\tsysfs\n\text4\nnodev\toverlay\n").state,
            State::Ok
        );
        assert_eq!(overlay("\text4\nnodev\toverlayfs2\n").state, State::Limited);
    }

    #[test]
    fn counters_that_are_low_are_pointed_out() {
        let proc = tempfile::tempdir().unwrap();
        let set = |path: &str, value: &str| {
            let path = proc.path().join("sys").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, value).unwrap();
        };
        set("user/max_user_namespaces", "0\n");
        set("user/max_mnt_namespaces", "100\n");
        set("kernel/pid_max", "4194304\n");
        let found = counters(proc.path());
        let states: Vec<_> = found
            .iter()
            .map(|finding| (finding.name, finding.state))
            .collect();
        assert_eq!(
            states,
            [
                ("user namespaces", State::Missing),
                ("mount namespaces", State::Limited),
                ("processes", State::Ok)
            ]
        );
        assert_eq!(
            found[1].next_step,
            "run: sysctl -w user.max_mnt_namespaces=4096"
        );
    }

    #[test]
    fn filesystems_that_cannot_hold_layers_are_refused() {
        let space = rustix::fs::statvfs("/").unwrap();
        assert_eq!(disk_of("/x", 0x6969, &space).state, State::Missing);
        let full = StatVfs {
            f_bavail: 10,
            ..space
        };
        let finding = disk_of("/x", 0xef53, &full);
        assert_eq!(finding.state, State::Limited);
        assert_eq!(finding.detail, "0.0 GiB free in /x (ext4)");
        assert!(
            disk(Path::new("/nonexistent/data"))
                .detail
                .contains(" free in / (")
        );
    }

    #[test]
    fn this_machine_has_something_to_say() {
        let findings = all(Path::new("/"));
        for finding in &findings {
            assert!(!finding.detail.is_empty());
            assert_eq!(
                finding.state == State::Ok,
                finding.next_step.is_empty(),
                "{finding:?}"
            );
        }
        assert!(findings.iter().any(|finding| finding.name == "kernel"));
    }
}
