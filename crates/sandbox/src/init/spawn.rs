//! From an order to a running program.
//!
//! The child tells over a pipe which program it found and, should a step or the exec fail, which
//! and why; a successful exec closes the pipe. Init does not wait for that but polls the pipe: a
//! guest's root may stop the child half-way. A child that puts trees in place instead closes the
//! pipe itself, with everything else that it has from init.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::fs::{Access, AtFlags, CWD, FileType, Gid, Mode, Uid, accessat, chownat, mkdir, stat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{chdir, setsid, umask};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::job::{self, Process};
use crate::protocol::codec::{Decoder, Encoder};
use crate::protocol::sandbox::{NotStarted, ProcessId, clip};
use crate::protocol::{Failure, FailureSource, Step};
use crate::slot::IDS_PER_SANDBOX;
use crate::sys::clone::{SingleThread, exit_now, fork};
use crate::sys::exec::{StringVector, exec};
use crate::sys::{fds, signals};
use crate::trees;

/// Where commands are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &[u8] = contree_api::limits::DEFAULT_PATH.as_bytes();

/// A child on its way to its program.
#[derive(Debug)]
pub(super) struct Spawning {
    pub(super) id: ProcessId,
    pub(super) pid: i32,
    pub(super) since: Instant,
    /// Read end, non-blocking.
    pub(super) pipe: OwnedFd,
    said: Vec<u8>,
}

/// What became of a child.
pub(super) enum Outcome {
    /// It is still on its way.
    OnItsWay,
    /// It runs this program.
    Runs(Vec<u8>),
    /// It failed, and has ended or soon will.
    Failed(NotStarted),
}

/// Standard input, output and error output.
#[derive(Debug)]
pub(super) struct Stdio {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Forks the child that will become `process`.
pub(super) fn spawn(
    thread: SingleThread,
    id: ProcessId,
    process: Process,
    stdio: &Stdio,
) -> Result<Spawning, NotStarted> {
    let (pipe, child_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .step("make a pipe")
        .map_err(other)?;
    let plan = Plan::new(process)?;
    let since = Instant::now();
    match fork(thread).step("fork").map_err(other)? {
        Some(pid) => {
            let pid = pid.as_raw_nonzero().get();
            Ok(Spawning {
                id,
                pid,
                since,
                pipe,
                said: Vec::new(),
            })
        }
        None => {
            let why = plan.follow(stdio, &child_end);
            // The pipe has room for it: nothing but a path was written before.
            let _ = rustix::io::write(&child_end, &message(false, &why.to_bytes()));
            exit_now(127)
        }
    }
}

impl Spawning {
    /// Reads what the child has said so far.
    pub(super) fn look(&mut self) -> Outcome {
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(&self.pipe, &mut buffer) {
                Ok(0) => return self.conclude(),
                Ok(length) => self.said.extend_from_slice(&buffer[..length]),
                Err(Errno::AGAIN) => return Outcome::OnItsWay,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Outcome::Failed(other(Failure::new(
                        "hear from the child",
                        &errno.into(),
                    )));
                }
            }
        }
    }

    /// The pipe is closed: by exec, or because the child is dead.
    fn conclude(&self) -> Outcome {
        let mut from = Decoder::new(&self.said);
        let mut program = None;
        while let (Ok(found), Ok(bytes)) = (from.flag(), from.bytes()) {
            if found {
                program = Some(bytes.to_vec());
            } else if let Ok(why) = NotStarted::from_bytes(bytes) {
                return Outcome::Failed(why);
            }
        }
        match program {
            Some(program) => Outcome::Runs(program),
            None => Outcome::Failed(other(Failure {
                step: "start the process: it was killed before it ran".into(),
                source: FailureSource(libc::ESRCH),
            })),
        }
    }
}

/// A process that is ready to be one.
struct Plan {
    /// None: it puts trees in place.
    program: Option<Program>,
    cwd: Vec<u8>,
    uid: u32,
    gid: u32,
}

/// A program whose strings are ready for the kernel.
struct Program {
    argv: StringVector,
    env: StringVector,
    command: Vec<u8>,
    path: Vec<u8>,
}

impl Plan {
    fn new(process: Process) -> Result<Self, NotStarted> {
        let Process {
            program,
            env,
            cwd,
            uid,
            gid,
            stdin: _,
        } = process;
        let program = match program {
            job::Program::Command(argv) => Some(Program::new(argv, env)?),
            job::Program::Trees => None,
        };
        Ok(Self {
            program,
            cwd,
            uid,
            gid,
        })
    }

    /// Becomes the program, or does what it is to do. Comes back only to say why not.
    fn follow(&self, stdio: &Stdio, pipe: &OwnedFd) -> NotStarted {
        match self.prepare(stdio) {
            Ok(()) => match &self.program {
                Some(program) => program.take_over(pipe),
                None => put_trees(pipe),
            },
            Err(why) => why,
        }
    }

    fn prepare(&self, stdio: &Stdio) -> Result<(), NotStarted> {
        setsid().step("start a session").map_err(other)?;
        rustix::stdio::dup2_stdin(&stdio.stdin)
            .step("set standard input")
            .map_err(other)?;
        rustix::stdio::dup2_stdout(&stdio.stdout)
            .step("set standard output")
            .map_err(other)?;
        rustix::stdio::dup2_stderr(&stdio.stderr)
            .step("set error output")
            .map_err(other)?;
        umask(Mode::from_raw_mode(0o022));
        enter(&self.cwd, self.uid, self.gid).map_err(|errno| NotStarted::Cwd {
            path: self.cwd.clone(),
            errno: errno.raw_os_error(),
        })?;
        // Whoever puts trees in place gives them owners of their own.
        if self.program.is_some() {
            become_user(self.uid, self.gid).map_err(|errno| NotStarted::User {
                uid: self.uid,
                gid: self.gid,
                errno: errno.raw_os_error(),
            })?;
        }
        signals::reset().step("reset signals").map_err(other)
    }
}

/// Says that it runs, keeps nothing but the standard streams, and works until the end of the
/// process.
fn put_trees(pipe: &OwnedFd) -> NotStarted {
    // Fails only when init is dead, and then so are we.
    let _ = rustix::io::write(pipe, &message(true, b""));
    if let Err(failure) = fds::close_all_but(&[]).step("close inherited descriptors") {
        return other(failure);
    }
    exit_now(trees::run())
}

impl Program {
    fn new(argv: Vec<Vec<u8>>, env: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, NotStarted> {
        let command = argv.first().cloned().unwrap_or_default();
        let path = env.iter().rev().find(|(name, _)| name == b"PATH");
        let path = path.map_or(DEFAULT_PATH, |(_, value)| value).to_vec();
        let joined = env.into_iter().map(|(mut name, value)| {
            name.push(b'=');
            name.extend_from_slice(&value);
            name
        });
        let no_nul = |_| NotStarted::Exec {
            path: command.clone(),
            errno: libc::EINVAL,
        };
        Ok(Self {
            argv: StringVector::new(argv).map_err(no_nul)?,
            env: StringVector::new(joined.collect()).map_err(no_nul)?,
            path,
            command,
        })
    }

    /// Becomes the program. Comes back only to say why not.
    fn take_over(&self, pipe: &OwnedFd) -> NotStarted {
        let refused = |path: &[u8], errno| NotStarted::Exec {
            path: path.to_vec(),
            errno,
        };
        let program = match find(&self.command, &self.path) {
            Ok(program) => program,
            Err(errno) => return refused(&self.command, errno.raw_os_error()),
        };
        let Ok(program) = CString::new(program) else {
            return refused(&self.command, libc::EINVAL);
        };
        // Fails only when init is dead, and then so are we.
        let _ = rustix::io::write(pipe, &message(true, clip(program.as_bytes())));
        let error = exec(&program, &self.argv, &self.env);
        refused(
            program.as_bytes(),
            error.raw_os_error().unwrap_or(libc::EIO),
        )
    }
}

/// Changes to `cwd`, making what is missing for the process's user.
fn enter(cwd: &[u8], uid: u32, gid: u32) -> rustix::io::Result<()> {
    chdir("/")?;
    if cwd.is_empty() {
        return Ok(());
    }
    match chdir(cwd) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let mut end = 0;
    while end < cwd.len() {
        end = cwd[end + 1..]
            .iter()
            .position(|byte| *byte == b'/')
            .map_or(cwd.len(), |slash| end + 1 + slash);
        let folder = &cwd[..end];
        match mkdir(folder, Mode::from_raw_mode(0o755)) {
            Ok(()) => chownat(
                CWD,
                folder,
                Some(Uid::from_raw(valid(uid)?)),
                Some(Gid::from_raw(valid(gid)?)),
                AtFlags::SYMLINK_NOFOLLOW,
            )?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    chdir(cwd)
}

fn become_user(uid: u32, gid: u32) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(valid(uid)?), Gid::from_raw(valid(gid)?));
    set_thread_groups(&[gid])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// An id that exists in the sandbox; the largest number would mean "leave it as it is".
const fn valid(id: u32) -> rustix::io::Result<u32> {
    if id < IDS_PER_SANDBOX {
        Ok(id)
    } else {
        Err(Errno::INVAL)
    }
}

/// The program of a command, as a shell would find it, with the rights of the user we are.
fn find(command: &[u8], path: &[u8]) -> rustix::io::Result<Vec<u8>> {
    if command.is_empty() {
        return Err(Errno::NOENT);
    }
    if command.contains(&b'/') {
        return Ok(command.to_vec());
    }
    let mut reason = Errno::NOENT;
    for folder in path.split(|byte| *byte == b':') {
        // An empty part of PATH means the working directory.
        let mut candidate = folder.to_vec();
        if !candidate.is_empty() {
            candidate.push(b'/');
        }
        candidate.extend_from_slice(command);
        let is_file = stat(candidate.as_slice())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        if !is_file {
            continue;
        }
        match accessat(CWD, candidate.as_slice(), Access::EXEC_OK, AtFlags::EACCESS) {
            Ok(()) => return Ok(candidate),
            Err(errno) => reason = errno,
        }
    }
    Err(reason)
}

fn message(found: bool, bytes: &[u8]) -> Vec<u8> {
    Encoder::default().flag(found).bytes(bytes).finish()
}

const fn other(failure: Failure) -> NotStarted {
    NotStarted::Other(failure)
}
