//! `/etc/resolv.conf` and `/etc/hosts`: ours, shown over the image's and never part of it.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, move_mount};

use super::attach::clone_tree;
use super::paths::{ROOT, make_folders, open_in_root};
use crate::protocol::{Failure, Step};
use crate::sys::mount::set_attributes;

/// Mounts a file with `content` over `etc/NAME` of the guest's `root`, read-only.
///
/// A symlink there is covered, not followed. The store's lowest layer has an empty file of that
/// name, so there is nearly always something to mount over; only where an image has hidden it
/// is one made, which then is a change of the image like any other.
pub(super) fn mount_over(root: BorrowedFd<'_>, name: &str, content: &[u8]) -> Result<(), Failure> {
    let source = format!("/scratch/etc/{name}");
    write(&source, content).step("write a supplied file")?;
    let mount = clone_tree(source.as_str(), false).step("clone a supplied file")?;
    set_attributes(
        mount.as_fd(),
        false,
        MountAttrFlags::MOUNT_ATTR_RDONLY,
        None,
    )
    .step("make a supplied file read-only")?;
    let path = format!("etc/{name}");
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let target = match open_in_root(root, path.as_bytes(), flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            make_folders(root, b"etc", ROOT, &mut false).step("make /etc")?;
            let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            open_in_root(root, path.as_bytes(), create, Mode::from_raw_mode(0o644))
                .step("make a file to supply over")?;
            open_in_root(root, path.as_bytes(), flags, Mode::empty())
        }
        result => result,
    }
    .step("open the file to supply over")?;
    move_mount(
        &mount,
        "",
        &target,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .step("mount a supplied file")
}

fn write(path: &str, content: &[u8]) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o644))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    std::io::Write::write_all(&mut std::fs::File::from(file), content)
}
