//! Everything that does not depend on the job.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::devices;
use crate::launcher::stage::filesystem;
use crate::protocol::{Failure, Step};
use crate::sys::mount::set_attributes;

/// Mounts that need the host's privilege to make, not attached yet.
#[derive(Debug)]
pub(crate) struct Mounts {
    /// The layer store with the sandbox's ids.
    store: OwnedFd,
    /// A tmpfs with `dev/` and room for supplied files.
    scratch: OwnedFd,
}

/// Paths of /proc that a sandbox must not use.
///
/// The user namespace already keeps a sandbox's root from all of these: they belong to the host's
/// root. Hiding them is a second wall, and spares programs the attempt; a sandbox's root may
/// unmount the hiding, and gains nothing by it.
#[derive(Debug)]
pub(crate) struct ProcPaths {
    hidden_files: Vec<PathBuf>,
    hidden_folders: Vec<PathBuf>,
    read_only: Vec<PathBuf>,
}

const HIDDEN: [&str; 12] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "kmsg",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];

const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

impl ProcPaths {
    /// Those that this kernel has; looked up once, in the launcher.
    pub(crate) fn present() -> Self {
        let proc = Path::new("/proc");
        let (hidden_folders, hidden_files) = HIDDEN
            .iter()
            .map(PathBuf::from)
            .filter(|path| proc.join(path).exists())
            .partition(|path| proc.join(path).is_dir());
        let read_only = READ_ONLY
            .iter()
            .map(PathBuf::from)
            .filter(|path| proc.join(path).exists())
            .collect();
        Self {
            hidden_files,
            hidden_folders,
            read_only,
        }
    }
}

impl Mounts {
    /// Makes them, for a sandbox in `user_namespace` whose root is the host's `id_base`.
    pub(crate) fn prepare(user_namespace: BorrowedFd<'_>, id_base: u32) -> Result<Self, Failure> {
        let store = clone_tree("/store", false).step("clone the mount of the layer store")?;
        set_attributes(
            store.as_fd(),
            false,
            MountAttrFlags::MOUNT_ATTR_NOATIME | MountAttrFlags::MOUNT_ATTR_NODEV,
            Some(user_namespace),
        )
        .step("map the ids of the layer store")?;
        Ok(Self {
            store,
            scratch: devices::make(id_base)?,
        })
    }

    /// Numbers of the descriptors, which are not to be closed.
    pub(crate) fn raw_fds(&self) -> [RawFd; 2] {
        [self.store.as_raw_fd(), self.scratch.as_raw_fd()]
    }
}

/// Attaches them to the stage, with proc and the terminals beside them.
pub(crate) fn attach(mounts: Mounts, paths: &ProcPaths) -> Result<(), Failure> {
    place(mounts.store, CWD, "/layers").step("attach the layer store")?;
    place(mounts.scratch, CWD, "/scratch").step("attach /dev")?;
    let terminals = filesystem(
        "devpts",
        &[("ptmxmode", "666"), ("mode", "620"), ("gid", "5")],
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
    .step("make devpts")?;
    place(terminals, CWD, "/scratch/dev/pts").step("attach /dev/pts")?;
    let proc = filesystem(
        "proc",
        &[],
        MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
    .step("make procfs")?;
    place(&proc, CWD, "/newproc").step("attach procfs")?;
    for path in &paths.hidden_files {
        cover(&proc, "/scratch/dev/null", path).step("hide a file of /proc")?;
    }
    for path in &paths.hidden_folders {
        cover(&proc, "/empty", path).step("hide a folder of /proc")?;
    }
    for path in &paths.read_only {
        let itself =
            clone_tree(Path::new("/newproc").join(path), false).step("clone a path of /proc")?;
        set_attributes(
            itself.as_fd(),
            false,
            MountAttrFlags::MOUNT_ATTR_RDONLY,
            None,
        )
        .step("make a path of /proc read-only")?;
        place(itself, &proc, path).step("attach a read-only path of /proc")?;
    }
    Ok(())
}

fn cover(proc: &OwnedFd, with: &str, path: &Path) -> rustix::io::Result<()> {
    place(clone_tree(with, false)?, proc, path)
}

/// Attaches a detached mount at `path`, whose last name is not followed when it is a symlink.
pub(crate) fn place(
    mount: impl AsFd,
    at: impl AsFd,
    path: impl rustix::path::Arg,
) -> rustix::io::Result<()> {
    move_mount(mount, "", at, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// A detached mount that shows what is at `path` (with `recursive` also what is mounted below).
pub(super) fn clone_tree(
    path: impl rustix::path::Arg,
    recursive: bool,
) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    open_tree(CWD, path, flags)
}
