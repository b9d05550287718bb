//! Init's loop: orders in, ends out.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

use super::spawn::{Outcome, Spawning, Stdio, spawn};
use super::{Stop, next_order, out_of_order};
use crate::job::{Process, Program};
use crate::protocol::sandbox::{End, NotStarted, Notice, Order, ProcessId};
use crate::protocol::transport::write_frame;
use crate::protocol::{Failure, FailureSource, Step};
use crate::sys::clone::SingleThread;
use crate::sys::signals::{self, Target};
use crate::sys::wait::{self, Ended, Next};

pub(super) struct Processes {
    thread: SingleThread,
    control: OwnedFd,
    /// Readable while children have ended.
    children: OwnedFd,
    /// `/dev/null` of the sandbox, opened before a guest could put something else there.
    null: OwnedFd,
    first: Option<ProcessId>,
    /// The first process becomes no program: there will be no other.
    alone: bool,
    spawning: Vec<Spawning>,
    /// By pid.
    running: HashMap<i32, (ProcessId, Instant)>,
}

/// Whether the loop goes on.
enum Then {
    Continue,
    /// The sandbox is over.
    Finish,
}

impl Processes {
    pub(super) fn new(
        thread: SingleThread,
        control: OwnedFd,
        null: OwnedFd,
    ) -> Result<Self, Failure> {
        Ok(Self {
            thread,
            control,
            children: signals::watch_children().step("watch children")?,
            null,
            first: None,
            alone: false,
            spawning: Vec::new(),
            running: HashMap::new(),
        })
    }

    /// Starts the process whose end is the end of the sandbox.
    pub(super) fn start_first(&mut self, id: ProcessId, process: Process, fds: Vec<OwnedFd>) {
        let alone = process.program == Program::Trees;
        self.first = Some(id);
        self.start(id, process, fds);
        self.alone = alone;
    }

    /// Until the first process has ended, or nobody wants it any more.
    pub(super) fn serve(mut self) -> Result<(), Stop> {
        loop {
            // A first process that cannot be forked never becomes `spawning`.
            if self.spawning.is_empty() && self.running.is_empty() {
                return Ok(());
            }
            let (ordered, ended) = self.wait()?;
            // A process that has started and ended already is reported in this order.
            let started = self.look_at_spawning();
            let ends = if ended {
                self.reap(false)?
            } else {
                Then::Continue
            };
            if matches!(started, Then::Finish) || matches!(ends, Then::Finish) {
                break;
            }
            if ordered && matches!(self.obey()?, Then::Finish) {
                break;
            }
        }
        self.end_all()
    }

    /// Waits until something happens: whether orders came, whether children ended.
    fn wait(&self) -> Result<(bool, bool), Failure> {
        let mut watched = vec![
            PollFd::new(&self.control, PollFlags::IN),
            PollFd::new(&self.children, PollFlags::IN),
        ];
        watched.extend(
            self.spawning
                .iter()
                .map(|s| PollFd::new(&s.pipe, PollFlags::IN)),
        );
        rustix::io::retry_on_intr(|| poll(&mut watched, None)).step("wait for something to do")?;
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(watched);
        if ready[1] {
            // Emptied before the reaping, so that a child which ends in between is not missed.
            let mut buffer = [0; 128];
            while rustix::io::read(&self.children, &mut buffer).is_ok() {}
        }
        Ok((ready[0], ready[1]))
    }

    fn obey(&mut self) -> Result<Then, Stop> {
        match next_order(&self.control)? {
            None => return Err(Stop::Quietly),
            Some((Order::Kill, _)) => return Ok(Then::Finish),
            Some((Order::Start { id, process }, fds)) => self.start(id, process, fds),
            Some((Order::Signal { id, signal }, _)) => self.signal(id, signal),
            Some((Order::Begin(_), _)) => return Err(out_of_order().into()),
        }
        Ok(Then::Continue)
    }

    fn start(&mut self, id: ProcessId, process: Process, fds: Vec<OwnedFd>) {
        // Nor is the second to become what only the first may be.
        let is_later = self.first != Some(id);
        let spawned = if self.alone || (is_later && process.program == Program::Trees) {
            Err(NotStarted::Other(Failure {
                step: "start a process where trees are put in place".into(),
                source: FailureSource(libc::EPERM),
            }))
        } else {
            self.stdio(process.stdin, fds)
                .and_then(|stdio| spawn(self.thread, id, process, &stdio))
        };
        match spawned {
            Ok(spawning) => self.spawning.push(spawning),
            Err(why) => self.tell(&Notice::NotStarted { id, why }),
        }
    }

    /// The descriptors of an order, with `/dev/null` where there is no standard input.
    fn stdio(&self, has_stdin: bool, mut fds: Vec<OwnedFd>) -> Result<Stdio, NotStarted> {
        if !has_stdin {
            let null = self.null.try_clone().step("duplicate /dev/null");
            fds.insert(0, null.map_err(NotStarted::Other)?);
        }
        match <[OwnedFd; 3]>::try_from(fds) {
            Ok([stdin, stdout, stderr]) => Ok(Stdio {
                stdin,
                stdout,
                stderr,
            }),
            Err(_) => Err(NotStarted::Other(Failure {
                step: "take the process's descriptors".into(),
                source: FailureSource(libc::EBADF),
            })),
        }
    }

    /// To the group that the process leads; to the process alone when it has left that group.
    fn signal(&self, id: ProcessId, signal: i32) {
        let spawning = self.spawning.iter().find(|s| s.id == id).map(|s| s.pid);
        let running = self.running.iter().find(|(_, (running, _))| *running == id);
        let Some(pid) = spawning.or(running.map(|(pid, _)| *pid)) else {
            return;
        };
        if signals::send(Target::Group(pid), signal).is_err() {
            // It has ended meanwhile, which will be reported.
            let _ = signals::send(Target::Process(pid), signal);
        }
    }

    fn look_at_spawning(&mut self) -> Then {
        let mut then = Then::Continue;
        for mut child in std::mem::take(&mut self.spawning) {
            match child.look() {
                Outcome::OnItsWay => self.spawning.push(child),
                Outcome::Runs(program) => {
                    let Spawning { id, pid, since, .. } = child;
                    self.running.insert(pid, (id, since));
                    self.tell(&Notice::Started { id, pid, program });
                }
                Outcome::Failed(why) => {
                    self.tell(&Notice::NotStarted { id: child.id, why });
                    if self.first == Some(child.id) {
                        then = Then::Finish;
                    }
                }
            }
        }
        then
    }

    /// Takes note of the dead; with `all` waits until there is no child left.
    fn reap(&mut self, all: bool) -> Result<Then, Failure> {
        let mut then = Then::Continue;
        loop {
            match wait::next(all).step("wait for children")? {
                Next::Ended(ended) => {
                    if self.spawning.iter().any(|child| child.pid == ended.pid)
                        && matches!(self.look_at_spawning(), Then::Finish)
                    {
                        then = Then::Finish;
                    }
                    if matches!(self.bury(&ended), Then::Finish) {
                        then = Then::Finish;
                    }
                }
                Next::Living | Next::Childless => return Ok(then),
            }
        }
    }

    /// Orphans that came to us are forgotten, the others reported.
    fn bury(&mut self, ended: &Ended) -> Then {
        let Some((id, since)) = self.running.remove(&ended.pid) else {
            return Then::Continue;
        };
        let end = End {
            code: ended.code(),
            signal: ended.signal(),
            core_dump: ended.core_dump(),
            nanoseconds: u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX),
            usage: ended.usage.into(),
        };
        self.tell(&Notice::Ended { id, end });
        if self.first == Some(id) {
            Then::Finish
        } else {
            Then::Continue
        }
    }

    /// Kills and reports whoever is left.
    fn end_all(mut self) -> Result<(), Stop> {
        // ESRCH: there is nobody.
        if signals::send(Target::Everyone, libc::SIGKILL).is_ok() {
            self.reap(true)?;
        }
        Ok(())
    }

    fn tell(&self, notice: &Notice) {
        // Fails when the server is gone; the next read of an order will find that out.
        let _ = write_frame(self.control.as_fd(), &notice.encode());
    }
}
