//! What a process descriptor tells of a process that was never our child.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// How a process ended; `None` until it is reaped. An error where the kernel does not tell, as
/// those before 6.15.
pub(crate) fn end(pidfd: impl AsFd) -> io::Result<Option<End>> {
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = libc::PIDFD_INFO_EXIT.into();
    let pidfd = pidfd.as_fd().as_raw_fd();
    // SAFETY: PIDFD_GET_INFO fills a `pidfd_info`, whose size is in the request's number and which
    // lives through the call.
    match unsafe { libc::ioctl(pidfd, libc::PIDFD_GET_INFO, &raw mut info) } {
        -1 => Err(io::Error::last_os_error()),
        _ if info.mask & u64::from(libc::PIDFD_INFO_EXIT) == 0 => Ok(None),
        _ if libc::WIFSIGNALED(info.exit_code) => {
            Ok(Some(End::Signal(libc::WTERMSIG(info.exit_code))))
        }
        _ => Ok(Some(End::Code(libc::WEXITSTATUS(info.exit_code)))),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn ends_are_told_where_the_kernel_knows_them() {
        for (script, expected) in [
            ("read line; exit 3", End::Code(3)),
            ("read line; kill -9 $$", End::Signal(9)),
        ] {
            let mut child = Command::new("sh")
                .args(["-c", script])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let pid = rustix::process::Pid::from_child(&child);
            let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
            assert!(matches!(end(&pidfd), Ok(None) | Err(_)));
            child.wait().unwrap();
            if let Ok(told) = end(&pidfd) {
                assert_eq!(told, Some(expected));
            }
        }
    }
}
