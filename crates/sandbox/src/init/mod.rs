//! Pid 1 of a sandbox.
//!
//! A clone of the launcher, not a program of its own: nothing is loaded, and nothing of the guest
//! ever runs in it. It makes the root filesystem, then starts processes on the server's orders,
//! reaps whatever dies, and reports what it was told to watch.
//!
//! ```text
//! cloned → mounts attached → waits for Order::Begin → root assembled, files put, confined
//!        → first process started → orders, ends ⟲ → first process ended → all killed, reaped → gone
//! ```
//!
//! It ends, and the kernel then kills everything in its pid namespace, when the first process
//! has ended, when the server closes the control socket (or dies), and when the launcher dies.
//!
//! Among hostile processes: guests cannot trace it or look into it through /proc, because it is
//! not dumpable and its memory belongs to the host's user namespace; signals from its own
//! namespace do not reach a pid 1 that has no handlers. It never opens a guest's path itself
//! once a guest runs; the child that will become the process does that. A child that puts trees
//! in place ([`crate::trees`]) stays what init is, so beside it nothing else is started.

mod processes;
mod spawn;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal,
};

use crate::confine;
use crate::launcher::stage::Stage;
use crate::protocol::sandbox::{Begin, NotStarted, Notice, Order, ProcessId};
use crate::protocol::transport::{Frame, read_frame, write_frame};
use crate::protocol::{Failure, FailureSource, MAX_TO_INIT, Step};
use crate::rootfs::{self, Assembled, Mounts};
use crate::sys::clone::{SingleThread, exit_now};
use crate::sys::fds;
use crate::sys::seccomp::{self, Instruction};
use processes::Processes;

/// What init is given when it is cloned.
#[derive(Debug)]
pub(crate) struct Cradle<'a> {
    pub(crate) thread: SingleThread,
    /// Our end of the socket to the server.
    pub(crate) control: OwnedFd,
    pub(crate) mounts: Mounts,
    pub(crate) stage: &'a Stage,
    pub(crate) filter: &'a [Instruction],
}

/// Why init ends before its first process did.
enum Stop {
    /// The server is gone or wants it; nobody is told.
    Quietly,
    /// The sandbox cannot be.
    Failed(Failure),
    /// The first process cannot be started.
    NotStarted(ProcessId, NotStarted),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Is pid 1 until the end of the sandbox.
pub(crate) fn run(cradle: Cradle<'_>) -> ! {
    let closed = close_inherited(&cradle);
    let Ok(socket) = cradle.control.try_clone() else {
        exit_now(1)
    };
    let code = match closed.map_err(Stop::from).and_then(|()| live(cradle)) {
        Ok(()) => 0,
        Err(stop) => {
            let notice = match stop {
                Stop::Quietly => None,
                Stop::Failed(failure) => Some(Notice::Failed(failure)),
                Stop::NotStarted(id, why) => Some(Notice::NotStarted { id, why }),
            };
            if let Some(notice) = notice {
                // Fails when the server is gone, and then nobody is left to be told.
                let _ = write_frame(&socket, &notice.encode());
            }
            1
        }
    };
    exit_now(code)
}

fn live(cradle: Cradle<'_>) -> Result<(), Stop> {
    // Both were cleared when our ids changed.
    set_parent_process_death_signal(Some(Signal::KILL)).step("set parent-death signal")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step("forbid tracing of init")?;
    rootfs::attach(cradle.mounts, &cradle.stage.proc_paths)?;
    write_frame(&cradle.control, &Notice::Ready.encode()).step("tell that we are ready")?;

    let Some(First { begin, stdio }) = first_order(&cradle.control)? else {
        return Err(Stop::Quietly);
    };
    rustix::system::sethostname(begin.hostname.as_bytes()).step("set the hostname")?;
    let Assembled { store, null } = rootfs::assemble(&begin)?;
    if let Some(store) = store {
        put_files(store, &begin)?;
    }
    confine::drop_unneeded().step("drop capabilities")?;
    seccomp::install(cradle.filter).step("install the system call filter")?;

    let mut processes = Processes::new(cradle.thread, cradle.control, null)?;
    let Begin { id, process, .. } = *begin;
    processes.start_first(id, process, stdio);
    processes.serve()
}

/// The job, with the descriptors of its process.
struct First {
    begin: Box<Begin>,
    stdio: Vec<OwnedFd>,
}

/// Waits for [`Order::Begin`]. `None` when the server does not need this sandbox any more.
fn first_order(control: &OwnedFd) -> Result<Option<First>, Failure> {
    match next_order(control)? {
        Some((Order::Begin(begin), stdio)) => Ok(Some(First { begin, stdio })),
        Some((Order::Kill, _)) | None => Ok(None),
        Some(_) => Err(out_of_order()),
    }
}

fn next_order(control: &OwnedFd) -> Result<Option<(Order, Vec<OwnedFd>)>, Failure> {
    let frame = read_frame(control, MAX_TO_INIT).step("receive an order")?;
    let Some(Frame { body, fds }) = frame else {
        return Ok(None);
    };
    let order = Order::decode(&body)
        .map_err(std::io::Error::other)
        .step("decode an order")?;
    Ok(Some((order, fds)))
}

fn out_of_order() -> Failure {
    Failure {
        step: "follow the orders' order".into(),
        source: FailureSource(libc::EPROTO),
    }
}

fn put_files(store: OwnedFd, begin: &Begin) -> Result<(), Stop> {
    let root = rustix::fs::open(
        "/",
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .step("open the root")?;
    for file in &begin.files {
        if let Err(failure) = rootfs::put_file(store.as_fd(), root.as_fd(), file) {
            let why = NotStarted::File {
                path: file.dest.clone(),
                failure,
            };
            return Err(Stop::NotStarted(begin.id, why));
        }
    }
    Ok(())
}

/// Closes what was inherited from the launcher; called before anything else.
fn close_inherited(cradle: &Cradle<'_>) -> Result<(), Failure> {
    let mut keep = vec![cradle.control.as_raw_fd()];
    keep.extend(cradle.mounts.raw_fds());
    fds::close_all_but(&keep).step("close inherited descriptors")
}
