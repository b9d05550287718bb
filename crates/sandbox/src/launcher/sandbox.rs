//! Cloning a sandbox.
//!
//! Two processes: the *stager* is cloned with the host's privilege, joins the control groups,
//! makes what only the host's root can make, enters the sandbox's user namespace, and clones
//! *init* with all other new namespaces, owned by that user namespace. Init is the launcher's
//! child (`CLONE_PARENT`), so that it dies with the launcher; the stager answers the server with
//! init's pidfd and ends.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::Launcher;
use super::stage::Stage;
use crate::init::{self, Cradle};
use crate::protocol::{Failure, FailureSource, Step};
use crate::rootfs::Mounts;
use crate::sys::clone::{CloneOptions, Cloned, clone, enter, exit_now};

/// How much likelier than the server a sandbox is to be killed when the machine's memory ends.
const OOM_SCORE: &[u8] = b"500";

/// What a sandbox is made of.
pub(super) struct Parts {
    id_base: u32,
    control: OwnedFd,
    user: OwnedFd,
    network: OwnedFd,
    /// `tasks` files of version 1 control groups.
    tasks: Vec<OwnedFd>,
    /// The folder of a version 2 control group.
    unified: Option<OwnedFd>,
}

impl Parts {
    /// Sorts out the descriptors of a request.
    pub(super) fn new(id_base: u32, unified: bool, fds: Vec<OwnedFd>) -> Result<Self, Failure> {
        let mut fds = fds.into_iter();
        let (Some(control), Some(user), Some(network)) = (fds.next(), fds.next(), fds.next())
        else {
            return Err(Failure {
                step: "take the sandbox's descriptors".into(),
                source: FailureSource(libc::EBADF),
            });
        };
        let unified = if unified { fds.next() } else { None };
        Ok(Self {
            id_base,
            control,
            user,
            network,
            tasks: fds.collect(),
            unified,
        })
    }
}

/// Clones the stager. Its answer to the request `id` comes from itself.
pub(super) fn make(
    launcher: &Launcher,
    stage: &Stage,
    id: u64,
    parts: Parts,
) -> Result<(), Failure> {
    let options = CloneOptions {
        control_group: parts.unified.as_ref().map(AsFd::as_fd),
        ..CloneOptions::default()
    };
    if let Cloned::Child = clone(launcher.thread, &options).step("clone the stager")? {
        let made = stage_sandbox(launcher, stage, parts);
        // Fails when the server is gone, and init then sees the end of its socket.
        let _ = launcher.answer(id, made.map(|pidfd| vec![pidfd]));
        exit_now(0);
    }
    Ok(())
}

fn stage_sandbox(launcher: &Launcher, stage: &Stage, parts: Parts) -> Result<OwnedFd, Failure> {
    let Parts {
        id_base,
        control,
        user,
        network,
        tasks,
        unified,
    } = parts;
    set_parent_process_death_signal(Some(Signal::KILL)).step("set parent-death signal")?;
    for file in &tasks {
        // "tasks" and "0" together: moving oneself as a single thread needs none of the locks
        // that make moving a process (cgroup.procs) wait for a grace period of several ms.
        rustix::io::write(file, b"0").step("join a control group")?;
    }
    drop((tasks, unified));
    let score = openat(
        CWD,
        "/proc/self/oom_score_adj",
        OFlags::WRONLY,
        Mode::empty(),
    )
    .and_then(|file| rustix::io::write(&file, OOM_SCORE));
    match score {
        // Refused when the server is likelier to be killed still, which is inherited.
        Ok(_) | Err(Errno::ACCESS | Errno::PERM) => {}
        Err(errno) => return Err(Failure::new("set the OOM score", &errno.into())),
    }
    let mounts = Mounts::prepare(user.as_fd(), id_base)?;

    enter(user.as_fd(), libc::CLONE_NEWUSER).step("enter the user namespace")?;
    enter(network.as_fd(), libc::CLONE_NEWNET).step("enter the network namespace")?;
    drop((user, network));
    set_thread_groups(&[]).step("drop groups")?;
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).step("become the sandbox's group")?;
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).step("become the sandbox's root")?;

    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    let options = CloneOptions {
        namespaces: namespaces as u64,
        sibling: true,
        control_group: None,
    };
    match clone(launcher.thread, &options).step("clone init")? {
        Cloned::Child => init::run(Cradle {
            thread: launcher.thread,
            control,
            mounts,
            stage,
            filter: &launcher.filter,
        }),
        Cloned::Parent { pidfd, .. } => Ok(pidfd),
    }
}
