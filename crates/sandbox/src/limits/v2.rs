//! Control groups, version 2: one hierarchy.
//!
//! A controller works in a group when every group above it has it in `cgroup.subtree_control`,
//! which the kernel refuses for a group with processes in it (except the very top). So ours holds
//! no processes, only groups that do.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::find::CONTROLLERS;
use super::{Doors, LimitError, cpu_quota, field, make, write};
use crate::job::Limits;

/// The folder of the server.
#[derive(Debug)]
pub(crate) struct Groups {
    folder: PathBuf,
    controllers: Vec<&'static str>,
}

/// The folder of one sandbox.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    controllers: Vec<&'static str>,
}

impl Groups {
    /// Makes the server's folder and lets the controllers down to it.
    pub(super) fn prepare(root: &Path, base: &Path) -> (Self, Vec<&'static str>) {
        let mut controllers = CONTROLLERS.to_vec();
        let mut folder = root.to_owned();
        let mut parts = base.components();
        loop {
            controllers.retain(|controller| match enable(&folder, controller) {
                Ok(()) => true,
                Err(error) => {
                    let error = crate::probe::chain(&error);
                    tracing::warn!(controller, error, "no control group controller");
                    false
                }
            });
            let Some(part) = parts.next() else { break };
            folder.push(part);
            if let Err(error) = make(&folder) {
                tracing::warn!(error = %crate::probe::chain(&error), "no control group");
                controllers.clear();
                break;
            }
        }
        (
            Self {
                folder,
                controllers: controllers.clone(),
            },
            controllers,
        )
    }

    pub(super) fn create(&self, name: &str) -> Result<Group, LimitError> {
        let folder = self.folder.join(name);
        make(&folder)?;
        Ok(Group {
            folder,
            controllers: self.controllers.clone(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn enable(folder: &Path, controller: &str) -> Result<(), LimitError> {
    write(
        folder.join("cgroup.subtree_control"),
        &format!("+{controller}"),
    )
}

impl Group {
    pub(super) fn limit(&self, limits: Limits) -> Result<(), LimitError> {
        let has = |name| self.controllers.contains(&name);
        if let Some(bytes) = limits.memory_bytes.filter(|_| has("memory")) {
            write(self.folder.join("memory.max"), &bytes.to_string())?;
            // There only where the kernel accounts swap.
            let swap = self.folder.join("memory.swap.max");
            if swap.exists() {
                write(swap, "0")?;
            }
        }
        if let Some(count) = limits.pids.filter(|_| has("pids")) {
            write(self.folder.join("pids.max"), &count.to_string())?;
        }
        if let Some(cpus) = limits.cpus.filter(|_| has("cpu")) {
            let (quota, period) = cpu_quota(cpus);
            write(self.folder.join("cpu.max"), &format!("{quota} {period}"))?;
        }
        Ok(())
    }

    /// The folder, to be cloned into.
    pub(super) fn doors(&self) -> Result<Doors, LimitError> {
        let folder = fs::File::open(&self.folder).map_err(|source| LimitError::Open {
            path: self.folder.clone(),
            source,
        })?;
        Ok(Doors {
            unified: true,
            fds: vec![OwnedFd::from(folder)],
        })
    }

    pub(super) fn oom_kills(&self) -> u64 {
        fs::read_to_string(self.folder.join("memory.events"))
            .ok()
            .and_then(|text| field(&text, "oom_kill"))
            .unwrap_or(0)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root whose groups look like the kernel's, `without` one controller.
    fn fixture(root: &Path) -> Groups {
        fs::create_dir_all(root.join("contree/7")).unwrap();
        for folder in ["", "contree", "contree/7"] {
            fs::write(root.join(folder).join("cgroup.subtree_control"), "").unwrap();
        }
        let (groups, has) = Groups::prepare(root, Path::new("contree/7"));
        assert_eq!(has, CONTROLLERS);
        groups
    }

    #[test]
    fn writes_limits() {
        let dir = tempfile::tempdir().unwrap();
        let group = fixture(dir.path()).create("job").unwrap();
        let file = |name: &str| dir.path().join("contree/7/job").join(name);
        for name in ["memory.max", "memory.swap.max", "pids.max", "cpu.max"] {
            fs::write(file(name), "").unwrap();
        }
        group
            .limit(Limits {
                memory_bytes: Some(4096),
                pids: Some(7),
                cpus: Some(2.0),
            })
            .unwrap();
        let read = |name: &str| fs::read_to_string(file(name)).unwrap();
        assert_eq!(read("memory.max"), "4096");
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("pids.max"), "7");
        assert_eq!(read("cpu.max"), "200000 100000");
        let doors = group.doors().unwrap();
        assert!(doors.unified && doors.fds.len() == 1);
        assert_eq!(group.oom_kills(), 0);
        fs::write(
            file("memory.events"),
            "low 0\noom 4\noom_kill 3\noom_group_kill 0\n",
        )
        .unwrap();
        assert_eq!(group.oom_kills(), 3);
    }

    #[test]
    fn lets_controllers_down_level_by_level() {
        let dir = tempfile::tempdir().unwrap();
        fixture(dir.path());
        for folder in ["", "contree", "contree/7"] {
            let file = dir.path().join(folder).join("cgroup.subtree_control");
            let text = fs::read_to_string(file).unwrap();
            // The kernel would add them up; a plain file keeps the last.
            assert_eq!(
                text, "+cpusry",
                "three writes at offset 0: +memory, +pids, +cpu"
            );
        }
    }

    #[test]
    fn a_controller_that_is_missing_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        // No file to enable controllers with at the top.
        let (groups, has) = Groups::prepare(dir.path(), Path::new("contree/7"));
        assert!(has.is_empty());
        let group = groups.create("job").unwrap();
        group
            .limit(Limits {
                memory_bytes: Some(1),
                pids: Some(1),
                cpus: Some(1.0),
            })
            .unwrap();
        assert!(group.try_remove_for_test());
    }

    impl Group {
        fn try_remove_for_test(&self) -> bool {
            super::super::remove(&self.folder).unwrap()
        }
    }
}
