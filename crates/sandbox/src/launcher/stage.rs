//! Where sandboxes are put together: the launcher's own, nearly empty, root.
//!
//! Every sandbox starts as a copy of the launcher's mount namespace, so what is mounted here
//! costs each of them, and what is *not* here cannot leak into any: of the host's filesystem only
//! the layer store is left. The root is a tmpfs:
//!
//! ```text
//! /store     the layer store as it is on disk
//! /proc      a full procfs: a user namespace may mount its own only while it sees one
//! /sys       what sandboxes get as /sys: real are only the processors, for those who count them
//! /empty     what hides folders; read-only
//! /layers    ┐
//! /scratch   │ mount points for crate::rootfs
//! /newproc   │
//! /root      ┘
//! ```

use std::os::fd::AsFd as _;

use rustix::fs::{CWD, Mode, mkdirat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use crate::protocol::{Failure, Step};
use crate::rootfs::{ProcPaths, place};
use crate::sys::clone::{SingleThread, unshare};
use crate::sys::mount::set_attributes;

/// Folders of the launcher's root.
const FOLDERS: [&str; 16] = [
    "store",
    "proc",
    "sys",
    "sys/class",
    "sys/class/net",
    "sys/block",
    "sys/bus",
    "sys/devices",
    "sys/devices/system",
    "sys/devices/system/cpu",
    "sys/fs",
    "sys/fs/cgroup",
    "empty",
    "layers",
    "scratch",
    "newproc",
];

/// What of /sys a sandbox sees as it is.
const PROCESSORS: &str = "sys/devices/system/cpu";

/// The stage, entered.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Paths of /proc that this kernel has and sandboxes must not use.
    pub(crate) proc_paths: ProcPaths,
}

impl Stage {
    /// Leaves the host's filesystem for the stage. The working directory is the layer store.
    pub(super) fn enter(thread: SingleThread) -> Result<Self, Failure> {
        let store = ".";
        unshare(thread, libc::CLONE_NEWNS).step("unshare the mount namespace")?;
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )
        .step("make mounts private")?;
        let tree = open_tree(
            CWD,
            store,
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        )
        .step("clone the mount of the layer store")?;
        let root = filesystem("tmpfs", &[("mode", "755"), ("size", "1m")], nothing())
            .step("make the stage")?;
        // The store's own folder is the one place that is sure to exist.
        move_mount(
            &root,
            "",
            CWD,
            store,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .step("attach the stage")?;
        for folder in FOLDERS.into_iter().chain(["root"]) {
            mkdirat(&root, folder, Mode::from_raw_mode(0o755))
                .step("make a folder of the stage")?;
        }
        fchdir(&root).step("change to the stage")?;
        place(&tree, CWD, "store").step("attach the layer store")?;
        place(
            filesystem("proc", &[], nothing()).step("make procfs")?,
            CWD,
            "proc",
        )
        .step("attach procfs")?;
        let sysfs = filesystem("sysfs", &[], MountAttrFlags::MOUNT_ATTR_RDONLY);
        // Where there is no sysfs there are no processors to show in it.
        if let Ok(sysfs) = sysfs {
            place(sysfs, CWD, "empty").step("attach sysfs")?;
            let processors = open_tree(
                CWD,
                "empty/devices/system/cpu",
                OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
            )
            .step("clone the processors' folder")?;
            place(processors, CWD, PROCESSORS).step("attach the processors' folder")?;
            unmount("empty", UnmountFlags::DETACH).step("detach sysfs")?;
        }
        // Everything that covers a folder with it inherits that.
        let empty = open_tree(
            CWD,
            "empty",
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        )
        .step("clone the empty folder")?;
        set_attributes(
            empty.as_fd(),
            false,
            MountAttrFlags::MOUNT_ATTR_RDONLY,
            None,
        )
        .step("make the empty folder read-only")?;
        place(empty, CWD, "empty").step("attach the empty folder")?;
        pivot_root(".", ".").step("pivot to the stage")?;
        unmount(".", UnmountFlags::DETACH).step("detach the host's filesystem")?;
        chdir("/").step("change to the stage's root")?;
        Ok(Self {
            proc_paths: ProcPaths::present(),
        })
    }
}

/// A mount of a new filesystem, not attached anywhere yet.
pub(crate) fn filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<std::os::fd::OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

const fn nothing() -> MountAttrFlags {
    MountAttrFlags::empty()
}
