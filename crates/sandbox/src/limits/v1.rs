//! Control groups, version 1: a hierarchy, and a group in it, per controller.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::{Doors, LimitError, cpu_quota, field, make, write};
use crate::job::Limits;

/// The folder of the server in each hierarchy, by controller.
#[derive(Debug)]
pub(crate) struct Groups {
    folders: HashMap<&'static str, PathBuf>,
}

/// The folders of one sandbox.
#[derive(Debug)]
pub(crate) struct Group {
    folders: HashMap<&'static str, PathBuf>,
}

impl Groups {
    /// Makes the server's folders; controllers where that fails are not there for us.
    pub(super) fn prepare(
        hierarchies: &HashMap<&'static str, PathBuf>,
        base: &Path,
    ) -> (Self, Vec<&'static str>) {
        let mut folders = HashMap::new();
        for (controller, root) in hierarchies {
            let folder = root.join(base);
            match make(&folder) {
                Ok(()) => {
                    folders.insert(*controller, folder);
                }
                Err(error) => tracing::warn!(
                    controller,
                    error = %crate::probe::chain(&error),
                    "no control group"
                ),
            }
        }
        let has = folders.keys().copied().collect();
        (Self { folders }, has)
    }

    pub(super) fn create(&self, name: &str) -> Result<Group, LimitError> {
        // `cpu,cpuacct` in one hierarchy makes no difference: folders that exist are fine.
        let folders = self.folders.iter().map(|(controller, folder)| {
            let folder = folder.join(name);
            make(&folder).map(|()| (*controller, folder))
        });
        Ok(Group {
            folders: folders.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.values().map(PathBuf::as_path)
    }
}

impl Group {
    pub(super) fn limit(&self, limits: Limits) -> Result<(), LimitError> {
        if let (Some(bytes), Some(folder)) = (limits.memory_bytes, self.folders.get("memory")) {
            let bytes = bytes.to_string();
            write(folder.join("memory.limit_in_bytes"), &bytes)?;
            // Memory and swap together, so that there is no swap; only where swap is accounted.
            let swap = folder.join("memory.memsw.limit_in_bytes");
            if swap.exists() {
                write(swap, &bytes)?;
            }
        }
        if let (Some(count), Some(folder)) = (limits.pids, self.folders.get("pids")) {
            write(folder.join("pids.max"), &count.to_string())?;
        }
        if let (Some(cpus), Some(folder)) = (limits.cpus, self.folders.get("cpu")) {
            let (quota, period) = cpu_quota(cpus);
            write(folder.join("cpu.cfs_period_us"), &period.to_string())?;
            write(folder.join("cpu.cfs_quota_us"), &quota.to_string())?;
        }
        Ok(())
    }

    /// The `tasks` files.
    pub(super) fn doors(&self) -> Result<Doors, LimitError> {
        let fds = self.folders.values().map(|folder| {
            let path = folder.join("tasks");
            let file = fs::OpenOptions::new().write(true).open(&path);
            file.map(OwnedFd::from)
                .map_err(|source| LimitError::Open { path, source })
        });
        Ok(Doors {
            unified: false,
            fds: fds.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn oom_kills(&self) -> u64 {
        self.folders
            .get("memory")
            .and_then(|folder| fs::read_to_string(folder.join("memory.oom_control")).ok())
            .and_then(|text| field(&text, "oom_kill"))
            .unwrap_or(0)
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.values().map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folders that look like the kernel's after `create`.
    fn fixture(root: &Path) -> (HashMap<&'static str, PathBuf>, Groups) {
        let mut hierarchies = HashMap::new();
        for controller in ["memory", "pids", "cpu"] {
            hierarchies.insert(controller, root.join(controller));
        }
        let (groups, mut has) = Groups::prepare(&hierarchies, Path::new("contree/2"));
        has.sort_unstable();
        assert_eq!(has, ["cpu", "memory", "pids"]);
        (hierarchies, groups)
    }

    #[test]
    fn writes_what_is_limited_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (_, groups) = fixture(dir.path());
        let group = groups.create("job").unwrap();
        let file = |name: &str| dir.path().join(name);
        for name in [
            "memory/contree/2/job/memory.limit_in_bytes",
            "pids/contree/2/job/pids.max",
            "cpu/contree/2/job/cpu.cfs_quota_us",
            "cpu/contree/2/job/cpu.cfs_period_us",
            "memory/contree/2/job/tasks",
            "pids/contree/2/job/tasks",
            "cpu/contree/2/job/tasks",
        ] {
            fs::write(file(name), "").unwrap();
        }
        group
            .limit(Limits {
                memory_bytes: Some(1 << 20),
                pids: None,
                cpus: Some(0.5),
            })
            .unwrap();
        let read = |name: &str| fs::read_to_string(file(name)).unwrap();
        assert_eq!(
            read("memory/contree/2/job/memory.limit_in_bytes"),
            "1048576"
        );
        assert_eq!(read("cpu/contree/2/job/cpu.cfs_quota_us"), "50000");
        assert_eq!(read("pids/contree/2/job/pids.max"), "");
        assert_eq!(group.doors().unwrap().fds.len(), 3);
        fs::write(
            file("memory/contree/2/job/memory.oom_control"),
            "oom_kill 2\n",
        )
        .unwrap();
        assert_eq!(group.oom_kills(), 2);
    }

    #[test]
    fn a_limit_that_cannot_be_written_is_an_error_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (_, groups) = fixture(dir.path());
        let group = groups.create("job").unwrap();
        let error = group
            .limit(Limits {
                pids: Some(9),
                ..Limits::default()
            })
            .unwrap_err();
        assert!(
            error.to_string().ends_with("contree/2/job/pids.max"),
            "{error}"
        );
    }
}
