//! Making processes without `exec`.
//!
//! A process made by `clone` keeps one thread of its parent and all of its memory, so whatever
//! lock another thread held stays locked for ever in the child. That is why the launcher has one
//! thread, and why these functions ask for the proof of it.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

/// `CLONE_INTO_CGROUP`; the libc crate's constant overflows its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Proof that this process has one thread.
///
/// The code that holds it starts none: the launcher and init use neither tokio nor
/// `std::thread`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SingleThread(PhantomData<*const ()>);

impl SingleThread {
    /// Looks at the process's tasks.
    pub(crate) fn prove() -> io::Result<Self> {
        let tasks = std::fs::read_dir("/proc/self/task")?.count();
        if tasks == 1 {
            Ok(Self(PhantomData))
        } else {
            Err(io::Error::other(format!("the process has {tasks} threads")))
        }
    }
}

/// Which side of a clone we are on.
#[derive(Debug)]
pub(crate) enum Cloned {
    /// The new process.
    Child,
    /// The process that called.
    Parent {
        /// The child, in our pid namespace.
        pid: Pid,
        /// The child, as a descriptor (closed on exec).
        pidfd: OwnedFd,
    },
}

/// How to clone.
#[derive(Debug, Default)]
pub(crate) struct CloneOptions<'fd> {
    /// `CLONE_NEW…` flags.
    pub(crate) namespaces: u64,
    /// Make it a child of our parent.
    pub(crate) sibling: bool,
    /// Start it in this version 2 control group.
    pub(crate) control_group: Option<BorrowedFd<'fd>>,
}

/// Clones this process.
pub(crate) fn clone(_proof: SingleThread, options: &CloneOptions<'_>) -> io::Result<Cloned> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = options.namespaces | libc::CLONE_PIDFD as u64;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if options.sibling {
        // The kernel wants 0 here: a sibling signals what we would.
        args.flags |= libc::CLONE_PARENT as u64;
        args.exit_signal = 0;
    }
    if let Some(group) = options.control_group {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = group.as_raw_fd() as u64;
    }
    // SAFETY: `args` outlives the call and points to a live `pidfd`. Without CLONE_VM the child
    // gets a copy of our memory and stack; `_proof` says that no other thread left a lock behind.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_mut(&mut args),
            std::mem::size_of::<libc::clone_args>(),
        )
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| io::Error::other("clone returned no pid"))?;
            // SAFETY: the kernel has just put a new descriptor there, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}

/// Forks with plain `fork`, which the seccomp filter of a sandbox lets through (`clone3` gets
/// ENOSYS there, because its flags cannot be seen by a filter). `None` in the child.
pub(crate) fn fork(_proof: SingleThread) -> io::Result<Option<Pid>> {
    // SAFETY: `_proof` says that there is one thread, so the child may go on as if nothing was.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Ends this process at once: no destructors, no flushing of what the parent had buffered.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// `unshare`, of namespaces that belong to the process and not to descriptors or memory.
pub(crate) fn unshare(_proof: SingleThread, namespaces: libc::c_int) -> io::Result<()> {
    // SAFETY: only namespace flags are passed, which change no memory and no descriptor table.
    match unsafe { libc::unshare(namespaces) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Enters the namespace behind `fd`, which must be of kind `namespace` (a `CLONE_NEW…` flag).
pub(crate) fn enter(fd: BorrowedFd<'_>, namespace: libc::c_int) -> io::Result<()> {
    // SAFETY: `fd` is open for the whole call; the kernel checks that it is such a namespace.
    match unsafe { libc::setns(fd.as_raw_fd(), namespace) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
