//! A user namespace and a network namespace that it owns.
//!
//! Both are made by one clone whose child brings the loopback interface up and then waits to be
//! killed: descriptors keep namespaces alive, no process is needed. The network namespace is
//! what is slow here (1.4 ms), so the server keeps ready pairs.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, pidfd_send_signal, set_parent_process_death_signal};

use crate::protocol::{Failure, FailureSource, Step};
use crate::slot::IDS_PER_SANDBOX;
use crate::sys::clone::{CloneOptions, Cloned, SingleThread, clone};
use crate::sys::loopback;

/// What was made.
pub(super) struct Namespaces {
    pub(super) user: OwnedFd,
    pub(super) network: OwnedFd,
}

/// Makes them, mapping ids from `id_base` on.
pub(super) fn make(thread: SingleThread, id_base: u32) -> Result<Namespaces, Failure> {
    let (report, report_end) = pipe_with(PipeFlags::CLOEXEC).step("make a pipe")?;
    let options = CloneOptions {
        namespaces: (libc::CLONE_NEWUSER | libc::CLONE_NEWNET) as u64,
        ..CloneOptions::default()
    };
    match clone(thread, &options).step("clone with new user and network namespaces")? {
        Cloned::Child => {
            drop(report);
            let up = set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
            let errno = match up.and_then(|()| loopback::bring_up()) {
                Ok(()) => 0,
                Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
            };
            // When this fails the parent is gone.
            let _ = rustix::io::write(&report_end, &errno.to_le_bytes());
            loop {
                rustix::event::pause();
            }
        }
        Cloned::Parent { pid, pidfd } => {
            drop(report_end);
            let result = finish(&report, pid.as_raw_nonzero().get(), id_base);
            // Fails only when the child is dead already.
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            result
        }
    }
}

fn finish(report: &OwnedFd, pid: i32, id_base: u32) -> Result<Namespaces, Failure> {
    let child = rustix::fs::open(
        format!("/proc/{pid}"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .step("open the child's folder in /proc")?;
    let child = std::os::fd::AsFd::as_fd(&child);
    let map = format!("0 {id_base} {IDS_PER_SANDBOX}\n");
    write_map(child, "uid_map", &map).step("map user ids")?;
    write_map(child, "gid_map", &map).step("map group ids")?;
    let user = open_namespace(child, "ns/user").step("open the user namespace")?;
    let network = open_namespace(child, "ns/net").step("open the network namespace")?;
    let mut errno = [0_u8; 4];
    let length = rustix::io::read(report, &mut errno).step("wait for the child")?;
    match i32::from_le_bytes(errno) {
        _ if length != errno.len() => Err(Failure {
            step: "wait for the child".into(),
            source: FailureSource(libc::ECHILD),
        }),
        0 => Ok(Namespaces { user, network }),
        errno => Err(Failure {
            step: "bring up loopback".into(),
            source: FailureSource(errno),
        }),
    }
}

fn write_map(child: BorrowedFd<'_>, name: &str, map: &str) -> rustix::io::Result<()> {
    let file = openat(child, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    // The kernel takes a map in one write or not at all.
    rustix::io::write(&file, map.as_bytes()).map(drop)
}

fn open_namespace(child: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    openat(child, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}
