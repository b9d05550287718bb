//! Signal dispositions and masks.

use std::io;

/// Leaves dead children to the kernel: they are reaped at once and no signal is sent.
pub(crate) fn ignore_children() -> io::Result<()> {
    // SAFETY: SIG_IGN is a valid disposition and needs no handler.
    match unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
