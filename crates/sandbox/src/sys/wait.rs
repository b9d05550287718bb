//! Dead children.

use std::io;

/// How a child ended and what it used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) pid: i32,
    /// As `wait4` gives it; see [`Ended::code`] and [`Ended::signal`].
    status: i32,
    pub(crate) usage: libc::rusage,
}

impl Ended {
    /// Exit code of a child that ended by itself.
    pub(crate) const fn code(&self) -> Option<i32> {
        if libc::WIFEXITED(self.status) {
            Some(libc::WEXITSTATUS(self.status))
        } else {
            None
        }
    }

    /// Signal that killed it.
    pub(crate) const fn signal(&self) -> Option<i32> {
        if libc::WIFSIGNALED(self.status) {
            Some(libc::WTERMSIG(self.status))
        } else {
            None
        }
    }

    /// Whether it left a core dump.
    pub(crate) const fn core_dump(&self) -> bool {
        libc::WIFSIGNALED(self.status) && libc::WCOREDUMP(self.status)
    }
}

/// What [`next`] found.
#[derive(Debug)]
pub(crate) enum Next {
    /// A child ended, and is reaped.
    Ended(Box<Ended>),
    /// All children live.
    Living,
    /// There are none.
    Childless,
}

/// Reaps a child that has ended; with `block` waits until one does.
pub(crate) fn next(block: bool) -> io::Result<Next> {
    let mut status = 0;
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let options = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: both pointers are to live values of the right type.
        match unsafe { libc::wait4(-1, &raw mut status, options, &raw mut usage) } {
            0 => return Ok(Next::Living),
            -1 => {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::ECHILD) => return Ok(Next::Childless),
                    _ => return Err(error),
                }
            }
            pid => return Ok(Next::Ended(Box::new(Ended { pid, status, usage }))),
        }
    }
}
