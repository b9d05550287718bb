//! What a sandbox may use: control groups of either version, and resource limits.
//!
//! Every sandbox has a control group `contree/SLOT/NAME`, in each hierarchy that limits something
//! (version 1), or in the one there is (version 2). The launcher's stager joins it before
//! anything of the sandbox exists, so all of it is counted, and nothing in it can leave: it sees
//! no control group filesystem but through a namespace whose root is its own group, owned by
//! the host's root.
//!
//! [`ControlGroups`] takes the hierarchies' folders, so that tests run on plain ones.

mod find;
pub(crate) mod rlimits;
mod v1;
mod v2;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub(crate) use find::Hierarchies;

use crate::job::Limits;
use crate::probe::Finding;

/// A group could not be made, limited or removed.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The group's folder.
    #[error("make control group {path}")]
    Make {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the group that is to be written.
    #[error("write {value:?} to {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        value: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the group that is to be opened or read.
    #[error("open {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The group's folder again.
    #[error("remove control group {path}")]
    Remove {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The control groups of one server.
#[derive(Debug)]
pub(crate) enum ControlGroups {
    V1(v1::Groups),
    V2(v2::Groups),
    /// This machine has none that limit anything.
    Absent,
}

/// The control group of one sandbox.
#[derive(Debug)]
pub(crate) enum Group {
    V1(v1::Group),
    V2(v2::Group),
    Absent,
}

/// How a process gets into a group: what is passed to the launcher.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    /// Whether `fds` is a folder to be cloned into; otherwise they are files to write "0" to.
    pub(crate) unified: bool,
    pub(crate) fds: Vec<OwnedFd>,
}

impl ControlGroups {
    /// Prepares the folder `base` (such as `contree/0`) of the hierarchies, and tells what of
    /// them is there.
    pub(crate) fn prepare(hierarchies: Hierarchies, base: &str) -> (Self, Vec<Finding>) {
        let (groups, has) = match hierarchies {
            Hierarchies::V1(folders) => {
                let (groups, has) = v1::Groups::prepare(&folders, Path::new(base));
                (Self::V1(groups), has)
            }
            Hierarchies::V2(folder) => {
                let (groups, has) = v2::Groups::prepare(&folder, Path::new(base));
                (Self::V2(groups), has)
            }
            Hierarchies::Absent => (Self::Absent, Vec::new()),
        };
        let findings = [
            (
                "memory limit",
                "memory",
                "a sandbox may use all of the machine's memory",
            ),
            (
                "process limit",
                "pids",
                "a sandbox may start processes without end",
            ),
            ("cpu limit", "cpu", "a sandbox may use all processors"),
        ]
        .into_iter()
        .map(|(name, controller, without)| {
            if has.contains(&controller) {
                Finding::ok(name, format!("cgroup controller {controller}"))
            } else {
                Finding::missing(
                    name,
                    format!("no cgroup controller {controller}: {without}"),
                    format!("enable the {controller} controller and mount its hierarchy"),
                )
            }
        })
        .collect();
        (groups, findings)
    }

    /// Makes the group of one sandbox.
    pub(crate) fn create(&self, name: &str) -> Result<Group, LimitError> {
        Ok(match self {
            Self::V1(groups) => Group::V1(groups.create(name)?),
            Self::V2(groups) => Group::V2(groups.create(name)?),
            Self::Absent => Group::Absent,
        })
    }

    /// Kills and removes every group below ours, and ours. For the groups of a dead server.
    pub(crate) fn remove_all(&self) -> Result<(), LimitError> {
        match self {
            Self::V1(groups) => groups.folders().try_for_each(remove_tree),
            Self::V2(groups) => remove_tree(groups.folder()),
            Self::Absent => Ok(()),
        }
    }
}

impl Group {
    /// Sets what is limited; what is not stays without limit.
    pub(crate) fn limit(&self, limits: Limits) -> Result<(), LimitError> {
        match self {
            Self::V1(group) => group.limit(limits),
            Self::V2(group) => group.limit(limits),
            Self::Absent => Ok(()),
        }
    }

    /// The ways in.
    pub(crate) fn doors(&self) -> Result<Doors, LimitError> {
        match self {
            Self::V1(group) => group.doors(),
            Self::V2(group) => group.doors(),
            Self::Absent => Ok(Doors::default()),
        }
    }

    /// How many of its processes were killed because its memory was used up.
    pub(crate) fn oom_kills(&self) -> u64 {
        match self {
            Self::V1(group) => group.oom_kills(),
            Self::V2(group) => group.oom_kills(),
            Self::Absent => 0,
        }
    }

    /// Removes the group; false while a dying process is still in it.
    pub(crate) fn try_remove(&self) -> Result<bool, LimitError> {
        match self {
            Self::V1(group) => group
                .folders()
                .try_fold(true, |gone, folder| Ok(remove(folder)? && gone)),
            Self::V2(group) => remove(group.folder()),
            Self::Absent => Ok(true),
        }
    }
}

/// Quota and period of a number of processors, in microseconds.
///
/// The kernel's shortest quota is 1 ms, and its usual period 100 ms.
fn cpu_quota(cpus: f64) -> (u64, u64) {
    const PERIOD: u64 = 100_000;
    const LEAST: f64 = 1_000.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 1,000, and a cast of what is too large stops at the largest number"
    )]
    let quota = (cpus * PERIOD as f64).max(LEAST) as u64;
    (quota, PERIOD)
}

/// Finds `key NUMBER` among the lines of a control group's file.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

fn make(path: &Path) -> Result<(), LimitError> {
    fs::create_dir_all(path).map_err(|source| LimitError::Make {
        path: path.to_owned(),
        source,
    })
}

fn write(path: PathBuf, value: &str) -> Result<(), LimitError> {
    // Not `fs::write`, which would make a file that should be there.
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
        .map_err(|source| LimitError::Write {
            path,
            value: value.to_owned(),
            source,
        })
}

/// Removes a group's folder (its files go with it); false when processes are still in it.
fn remove(path: &Path) -> Result<bool, LimitError> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(source) => Err(LimitError::Remove {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Kills what is in a group and in those below it, and removes them all.
fn remove_tree(path: &Path) -> Result<(), LimitError> {
    use std::time::{Duration, Instant};
    /// Killed processes go away in microseconds, unless they wait for a disk.
    const PATIENCE: Duration = Duration::from_secs(10);

    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(LimitError::Open {
                path: path.to_owned(),
                source,
            });
        }
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    let since = Instant::now();
    loop {
        kill_members(path)?;
        if remove(path)? {
            return Ok(());
        }
        if since.elapsed() > PATIENCE {
            let source = io::ErrorKind::ResourceBusy.into();
            return Err(LimitError::Remove {
                path: path.to_owned(),
                source,
            });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill_members(group: &Path) -> Result<(), LimitError> {
    let path = group.join("cgroup.procs");
    let members = match fs::read_to_string(&path) {
        Ok(members) => members,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(LimitError::Open { path, source }),
    };
    for pid in members.lines().filter_map(|line| line.parse().ok()) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid) {
            // It may have died by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas() {
        assert_eq!(cpu_quota(1.5), (150_000, 100_000));
        assert_eq!(
            cpu_quota(0.001),
            (1_000, 100_000),
            "never below what the kernel takes"
        );
        assert_eq!(cpu_quota(f64::NAN), (1_000, 100_000));
    }

    #[test]
    fn fields() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(field(text, "oom_kill"), Some(3));
        assert_eq!(field(text, "oom"), None);
    }

    #[test]
    fn a_machine_without_control_groups_says_so() {
        let (groups, findings) = ControlGroups::prepare(Hierarchies::Absent, "contree/0");
        assert_eq!(findings.len(), 3);
        assert!(
            findings
                .iter()
                .all(|finding| finding.state == crate::probe::State::Missing)
        );
        let group = groups.create("x").unwrap();
        group
            .limit(Limits {
                memory_bytes: Some(1),
                pids: Some(1),
                cpus: Some(1.0),
            })
            .unwrap();
        assert!(group.doors().unwrap().fds.is_empty());
        assert!(group.try_remove().unwrap());
    }
}
