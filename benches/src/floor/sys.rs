//! The system calls of the floor that no crate offers safely.
//!
//! All of it relies on one fact: the process has a single thread, so a forked child finds every
//! lock free and owns its whole memory.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which of the two processes a fork returned in.
pub(super) enum Side {
    /// The new one.
    Child,
    /// The old one, with the new one's id.
    Parent(Pid),
}

/// Splits the process in two.
pub(super) fn fork() -> io::Result<Side> {
    // SAFETY: this process has a single thread (the caller runs before any runtime starts), so
    // the child may use everything the parent could.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(
            Pid::from_raw(pid).expect("fork returns a positive id"),
        )),
    }
}

/// Ends the process at once; buffers and exit handlers belong to the parent it was forked from.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: _exit takes any number and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Moves the calling process into new namespaces.
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: none of the flags used here (namespaces only) unshares descriptors or memory that
    // another thread relies on; there is no other thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Sets user and group ids to 0 in the user namespace just entered.
pub(super) fn become_root() -> io::Result<()> {
    // SAFETY: setgroups reads no list when its length is 0; the others take numbers only.
    let failed = unsafe {
        libc::setgroups(0, std::ptr::null()) != 0
            || libc::setresgid(0, 0, 0) != 0
            || libc::setresuid(0, 0, 0) != 0
    };
    if failed {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Makes a detached mount show its files with the ids of a user namespace.
pub(super) fn idmap(tree: &OwnedFd, users: &OwnedFd) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(users.as_raw_fd()).expect("a descriptor is not negative"),
    };
    // SAFETY: the path is empty and zero-terminated, `attributes` outlives the call and its size
    // is given; the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Becomes another program without arguments or environment; returns only when that fails.
pub(super) fn exec(program: &CStr) -> io::Error {
    let arguments = [program.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null()];
    // SAFETY: both lists end with a null pointer, and all they point to lives until the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}
