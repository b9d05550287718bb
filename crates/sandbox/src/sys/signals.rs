//! Signal dispositions and masks.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Leaves dead children to the kernel: they are reaped at once and no signal is sent.
pub(crate) fn ignore_children() -> io::Result<()> {
    // SAFETY: SIG_IGN is a valid disposition and needs no handler.
    match unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Blocks SIGCHLD and gives a descriptor that is readable while one is pending. Children are
/// kept for `wait` from here on.
pub(crate) fn watch_children() -> io::Result<OwnedFd> {
    // SAFETY: SIG_DFL is a valid disposition and needs no handler.
    if unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    let mut set = empty_set();
    // SAFETY: `set` is initialised, SIGCHLD is a signal.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
    // SAFETY: `set` is initialised; the old mask is not asked for.
    if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: `set` is initialised; −1 asks for a new descriptor.
    match unsafe { libc::signalfd(-1, &raw const set, flags) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the descriptor is new and nobody else's.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// Gives the next program a clean start: no signal blocked, and none ignored that Rust's start-up
/// (SIGPIPE) or we (SIGCHLD) changed.
pub(crate) fn reset() -> io::Result<()> {
    for signal in [libc::SIGPIPE, libc::SIGCHLD] {
        // SAFETY: SIG_DFL is a valid disposition and needs no handler.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    let set = empty_set();
    // SAFETY: `set` is initialised; the old mask is not asked for.
    match unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What [`send`] sends to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// One process.
    Process(i32),
    /// A process group.
    Group(i32),
    /// Every process of our pid namespace but ourselves.
    Everyone,
}

/// `kill`.
pub(crate) fn send(target: Target, signal: i32) -> io::Result<()> {
    let pid = match target {
        Target::Process(pid) => pid,
        Target::Group(pid) => -pid,
        Target::Everyone => -1,
    };
    // SAFETY: plain numbers; only init, which is pid 1 of its own namespace, calls this.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: all-zero is a valid value, and sigemptyset initialises it whatever it was.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        set
    }
}
