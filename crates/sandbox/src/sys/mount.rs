//! `mount_setattr`, which rustix does not have.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::mount::MountAttrFlags;

/// Adds attributes to a mount, and with `recursive` to all below it. With `idmap`, a user
/// namespace, what is on disk as id X appears through the mount as the namespace's id X; only a
/// detached mount that nobody uses yet can get one.
pub(crate) fn set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    add: MountAttrFlags,
    idmap: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut attributes: libc::mount_attr = unsafe { std::mem::zeroed() };
    attributes.attr_set = add.bits().into();
    if add.contains(MountAttrFlags::MOUNT_ATTR_NOATIME) {
        // The access-time attributes are one field; it is cleared before it is set.
        attributes.attr_clr = MountAttrFlags::MOUNT_ATTR__ATIME.bits().into();
    }
    if let Some(namespace) = idmap {
        attributes.attr_set |= u64::from(MountAttrFlags::MOUNT_ATTR_IDMAP.bits());
        attributes.userns_fd = namespace.as_raw_fd() as u64;
    }
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a C string, `attributes` lives through the call, and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(&attributes),
            std::mem::size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
