//! `/dev`, on a tmpfs of the sandbox's own.
//!
//! Made by the host's root, because device nodes open only on a filesystem that it mounted. One
//! tmpfs with real nodes costs less than six bind mounts of the host's, and a guest may add
//! what it likes (except devices: the kernel lets only the host's root make those).
//!
//! It is capped ([`SIZE`], [`FILES`]): what lies in it is memory that no kill of a process frees.
//! Room enough for what programs share through /dev/shm, and a memory limit counts it as well.
//!
//! The same tmpfs has `etc/`, out of the guest's sight, for the files that are supplied to it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Uid, chmodat, chownat, makedev, mkdirat, mknodat, symlinkat,
};
use rustix::mount::MountAttrFlags;

use crate::launcher::stage::filesystem;
use crate::protocol::{Failure, Step};

/// Bytes the tmpfs holds at most.
const SIZE: &str = "1g";

/// Files and folders it holds at most.
const FILES: &str = "65536";

/// Name, major and minor number.
const NODES: [(&str, u32, u32); 6] = [
    ("dev/null", 1, 3),
    ("dev/zero", 1, 5),
    ("dev/full", 1, 7),
    ("dev/random", 1, 8),
    ("dev/urandom", 1, 9),
    ("dev/tty", 5, 0),
];

const FOLDERS: [(&str, u32); 4] = [
    ("dev", 0o755),
    ("dev/pts", 0o755),
    ("dev/shm", 0o1777),
    ("etc", 0o755),
];

const LINKS: [(&str, &str); 5] = [
    ("dev/ptmx", "pts/ptmx"),
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
];

/// Makes the tmpfs, owned by the host's `id_base`.
pub(super) fn make(id_base: u32) -> Result<OwnedFd, Failure> {
    let owner = id_base.to_string();
    let scratch = filesystem(
        "tmpfs",
        &[
            ("mode", "755"),
            ("uid", &owner),
            ("gid", &owner),
            ("size", SIZE),
            ("nr_inodes", FILES),
        ],
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
    .step("make a tmpfs for /dev")?;
    let root = scratch.as_fd();
    for (name, mode) in FOLDERS {
        mkdirat(root, name, Mode::from_raw_mode(mode)).step("make a folder of /dev")?;
        own(root, name, mode, id_base).step("give a folder of /dev away")?;
    }
    for (name, major, minor) in NODES {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(
            root,
            name,
            FileType::CharacterDevice,
            mode,
            makedev(major, minor),
        )
        .step("make a device node")?;
        own(root, name, 0o666, id_base).step("give a device node away")?;
    }
    for (name, target) in LINKS {
        symlinkat(target, root, name).step("make a link of /dev")?;
    }
    Ok(scratch)
}

/// Sets the mode again after the owner, whatever our umask is.
fn own(root: BorrowedFd<'_>, name: &str, mode: u32, id: u32) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    chownat(root, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    chmodat(root, name, Mode::from_raw_mode(mode), AtFlags::empty())
}
