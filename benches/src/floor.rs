//! The floor: what the kernel alone takes for a sandbox of this kind, and so the least any run
//! can take. One process does, and nothing else:
//!
//! 1. a user namespace with its own range of ids;
//! 2. in a child: a private mount namespace, the image and the writable folder as idmapped
//!    mounts, then into the user namespace;
//! 3. mount, pid, ipc, uts, cgroup and network namespaces of its own, an overlay over the two
//!    mounts;
//! 4. in a grandchild, pid 1: proc, `pivot_root`, exec of `/bin/true`;
//! 5. wait for both, remove the writable folder.
//!
//! There is no server, no log, no limit, no filter, no network and nothing durable.
//! It runs as a program of its own with a single thread, because it forks: the measuring program
//! starts itself again as `contree-bench floor`.

mod sys;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use rustix::process::{Pid, WaitOptions};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use serde::{Deserialize, Serialize};

use sys::Side;

/// First id outside of the sandboxes' range, and how many there are.
const ID_BASE: u32 = 0x7000_0000;
const ID_COUNT: u32 = 65_536;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with the unpacked image
    #[arg(long)]
    image: PathBuf,
    /// Folder on the same filesystem for the writable folders; its content goes
    #[arg(long)]
    scratch: PathBuf,
    /// Sandboxes in all
    #[arg(long)]
    runs: usize,
    /// Sandboxes at a time
    #[arg(long, default_value_t = 1)]
    at_once: usize,
}

/// What was measured.
#[derive(Serialize, Deserialize)]
pub(crate) struct Floor {
    /// Nanoseconds of each run.
    pub(crate) nanos: Vec<u64>,
    /// Nanoseconds from the first start to the last end.
    pub(crate) wall_nanos: u64,
}

/// Runs the recipe in `at_once` processes and prints a [`Floor`] as JSON.
pub(crate) fn run(args: &Args) -> anyhow::Result<Floor> {
    let started = Instant::now();
    let mut workers = Vec::new();
    for worker in 0..args.at_once {
        let runs = args.runs / args.at_once + usize::from(worker < args.runs % args.at_once);
        let (read, write) = io::pipe().context("cannot make a pipe")?;
        match sys::fork().context("cannot fork a worker")? {
            Side::Child => {
                drop(read);
                let outcome = work(args, worker, runs, write);
                if let Err(error) = &outcome {
                    complain(error);
                }
                sys::exit(i32::from(outcome.is_err()));
            }
            Side::Parent(child) => workers.push((child, read)),
        }
    }
    let mut nanos = Vec::with_capacity(args.runs);
    for (child, mut read) in workers {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes)
            .context("cannot read from a worker")?;
        if wait(child)? != 0 {
            bail!("a worker failed");
        }
        nanos.extend(
            bytes
                .chunks_exact(8)
                .map(|c| u64::from_ne_bytes(c.try_into().expect("8"))),
        );
    }
    Ok(Floor {
        nanos,
        wall_nanos: elapsed(started),
    })
}

fn work(args: &Args, worker: usize, runs: usize, mut out: io::PipeWriter) -> anyhow::Result<()> {
    let base = args.scratch.join(format!("worker-{worker}"));
    for name in ["lower", "rw", "root"] {
        fs::create_dir_all(base.join(name)).context("cannot make the worker's folders")?;
    }
    let mut nanos = Vec::with_capacity(runs * 8);
    for number in 0..runs {
        let files = base.join(format!("run-{number}"));
        let started = Instant::now();
        for name in ["", "upper", "work"] {
            fs::create_dir(files.join(name)).context("cannot make the run's folders")?;
        }
        one(&args.image, &base, &files)?;
        fs::remove_dir_all(&files).context("cannot remove the run's folders")?;
        nanos.extend_from_slice(&elapsed(started).to_ne_bytes());
    }
    out.write_all(&nanos).context("cannot report")
}

/// One sandbox, from nothing to nothing.
fn one(image: &Path, base: &Path, files: &Path) -> anyhow::Result<()> {
    let users = user_namespace()?;
    match sys::fork().context("cannot fork the sandbox's parent")? {
        Side::Child => {
            let outcome = assemble(image, base, files, &users);
            if let Err(error) = &outcome {
                complain(error);
            }
            sys::exit(outcome.unwrap_or(1));
        }
        Side::Parent(child) => match wait(child)? {
            0 => Ok(()),
            code => bail!("the sandbox ended with {code}"),
        },
    }
}

/// A user namespace with its range of ids, held by a descriptor.
fn user_namespace() -> anyhow::Result<OwnedFd> {
    let (mut ready, tell_ready) = io::pipe().context("cannot make a pipe")?;
    let (mut hold, release) = io::pipe().context("cannot make a pipe")?;
    match sys::fork().context("cannot fork the holder of a user namespace")? {
        Side::Child => {
            drop(ready);
            drop(release);
            let made = sys::unshare(UnshareFlags::NEWUSER);
            drop(tell_ready);
            // Until the parent has what it wants and closes its end.
            let _ = hold.read(&mut [0]);
            sys::exit(i32::from(made.is_err()));
        }
        Side::Parent(child) => {
            drop(tell_ready);
            drop(hold);
            let _ = ready
                .read(&mut [0])
                .context("cannot hear from the holder")?;
            let of = |file: &str| format!("/proc/{}/{file}", child.as_raw_nonzero());
            let range = format!("0 {ID_BASE} {ID_COUNT}");
            fs::write(of("uid_map"), &range).context("cannot map users")?;
            fs::write(of("gid_map"), &range).context("cannot map groups")?;
            let users = fs::File::open(of("ns/user")).context("cannot hold a user namespace")?;
            drop(release);
            wait(child)?;
            Ok(users.into())
        }
    }
}

/// Steps 2 and 3, in a child; returns the command's exit code.
fn assemble(image: &Path, base: &Path, files: &Path, users: &OwnedFd) -> anyhow::Result<i32> {
    sys::unshare(UnshareFlags::NEWNS).context("cannot unshare mounts")?;
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .context("cannot make mounts private")?;
    for (source, name) in [(image, "lower"), (files, "rw")] {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = rustix::mount::open_tree(CWD, source, flags).context("cannot clone a mount")?;
        sys::idmap(&tree, users).context("cannot map a mount's ids")?;
        rustix::mount::move_mount(
            &tree,
            "",
            CWD,
            base.join(name),
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .context("cannot attach a mount")?;
    }
    let lower = base.join("lower");
    let writable = base.join("rw");
    let root = base.join("root");
    rustix::thread::move_into_link_name_space(users.as_fd(), Some(LinkNameSpaceType::User))
        .context("cannot enter the user namespace")?;
    sys::become_root().context("cannot become root inside")?;
    sys::unshare(
        UnshareFlags::NEWNS
            | UnshareFlags::NEWPID
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWUTS
            | UnshareFlags::NEWCGROUP
            | UnshareFlags::NEWNET,
    )
    .context("cannot unshare the other namespaces")?;
    let options = format!(
        "lowerdir={},upperdir={}/upper,workdir={}/work,userxattr",
        lower.display(),
        writable.display(),
        writable.display()
    );
    let options = std::ffi::CString::new(options).context("a path holds a zero byte")?;
    rustix::mount::mount(
        "overlay",
        &root,
        "overlay",
        MountFlags::empty(),
        options.as_c_str(),
    )
    .context("cannot mount the overlay")?;
    match sys::fork().context("cannot fork pid 1")? {
        Side::Child => {
            let error = enter(&root).map_or_else(|error| error, |never| match never {});
            complain(&error);
            sys::exit(1);
        }
        Side::Parent(child) => wait(child),
    }
}

/// Step 4, as pid 1.
fn enter(root: &Path) -> anyhow::Result<std::convert::Infallible> {
    rustix::process::chdir(root).context("cannot enter the new root")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "proc", "proc", flags, None).context("cannot mount proc")?;
    rustix::process::pivot_root(".", ".").context("cannot pivot the root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context("cannot leave the old root")?;
    let error = sys::exec(c"/bin/true");
    Err(error).context("cannot start /bin/true")
}

/// Waits for a child and returns its exit code, 255 when a signal ended it.
fn wait(child: Pid) -> anyhow::Result<i32> {
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status.exit_status().unwrap_or(255)),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for a child"),
        }
    }
}

fn elapsed(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn complain(error: &anyhow::Error) {
    // A child has no other way to tell; a closed stderr leaves its exit code.
    let _ = writeln!(io::stderr(), "floor: {error:#}");
}
