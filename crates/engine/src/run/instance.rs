//! A running sandbox and its processes.
//!
//! Process 1 is the command; it is supervised by the task that runs the operation
//! ([`super::supervise`]). Further ones have a task each, which ends with the process: when
//! process 1 has ended the sandbox kills the rest.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contree_api::event::{EventData, StreamName};
use contree_sandbox::{ProcessId, Running, Sandbox, SpawnError, StdinPipe};
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::events::{exit_event, killed_event, spawn_event};
use super::output::{Pump, Recorder};
use super::plan::{Env, ProcessPlan, Stdin};
use crate::events::log::EventLog;
use crate::operation::live::Live;

/// Bytes of stdin that one event holds at most.
const STDIN_CHUNK: usize = 16 * 1024;

/// How long a process may take to read a chunk of stdin.
const STDIN_PATIENCE: Duration = Duration::from_secs(30);

/// A running sandbox.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) sandbox: Sandbox,
    /// What the command was given; further processes start from it.
    pub(crate) env: Env,
    /// The image's.
    pub(crate) cwd: Option<String>,
    /// In seconds, for the events of further processes.
    pub(crate) timeout: u32,
    processes: Mutex<Processes>,
    /// Set when process 1 has ended.
    over: Arc<AtomicBool>,
    /// The tasks of further processes and of those that feed stdin or trees.
    pub(crate) tasks: TaskTracker,
}

#[derive(Debug)]
struct Processes {
    known: BTreeMap<u32, Arc<ProcessHandle>>,
    next: u32,
    /// Process 1 has ended.
    closed: bool,
}

/// A process that was started.
#[derive(Debug)]
pub(crate) struct ProcessHandle {
    id: ProcessId,
    ended: AtomicBool,
    stdin: Arc<tokio::sync::Mutex<StdinState>>,
}

#[derive(Debug)]
struct StdinState {
    /// None: never opened, or closed.
    pipe: Option<StdinPipe>,
    recorder: Recorder,
}

/// Why bytes did not get to a process.
#[derive(Debug)]
pub(crate) enum StdinError {
    /// Its stdin is not open.
    Closed,
    /// It does not read.
    Patience,
}

impl Instance {
    pub(crate) fn new(sandbox: Sandbox, env: Env, cwd: Option<String>, timeout: u32) -> Self {
        let processes = Processes {
            known: BTreeMap::new(),
            next: 2,
            closed: false,
        };
        Self {
            sandbox,
            env,
            cwd,
            timeout,
            processes: Mutex::new(processes),
            over: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        // Nothing panics while holding it.
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A process by its number, running or not.
    pub(crate) fn process(&self, spid: u32) -> Option<Arc<ProcessHandle>> {
        self.processes().known.get(&spid).cloned()
    }

    /// Process 1 has ended: there will be no further ones.
    pub(crate) fn close(&self) {
        self.processes().closed = true;
        self.over.store(true, Ordering::Relaxed);
        self.tasks.close();
    }

    /// What tells a thread that process 1 has ended.
    pub(crate) fn over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.over)
    }

    /// Takes note of a process that was started, logs it and begins to feed it.
    pub(crate) fn adopt(
        &self,
        spid: u32,
        running: &mut Running,
        stdin: Option<Stdin>,
        truncate_at: u64,
        live: &Arc<Live>,
    ) -> Arc<ProcessHandle> {
        let recorder = Recorder::new(spid, StreamName::Stdin, truncate_at);
        let state = StdinState {
            pipe: running.stdin.take(),
            recorder,
        };
        let handle = Arc::new(ProcessHandle {
            id: running.id,
            ended: AtomicBool::new(false),
            stdin: Arc::new(tokio::sync::Mutex::new(state)),
        });
        if let Some(Stdin { bytes, close }) = stdin.filter(|s| s.close || !s.bytes.is_empty()) {
            // Locked before anyone else can have the handle, so that these bytes come first.
            let state = Arc::clone(&handle.stdin)
                .try_lock_owned()
                .expect("nobody else has the handle yet");
            let live = Arc::clone(live);
            self.tasks.spawn(async move {
                let mut state = state;
                // A process that ends without reading everything is its own affair.
                let _ = state.write(&bytes, &live.log).await;
                if close {
                    state.close(&live.log);
                }
            });
        }
        self.processes().known.insert(spid, Arc::clone(&handle));
        handle
    }

    /// Starts a further process. None: process 1 has ended.
    pub(crate) async fn exec(
        self: &Arc<Self>,
        plan: ProcessPlan,
        live: &Arc<Live>,
    ) -> Result<Option<u32>, SpawnError> {
        let spid = {
            let mut processes = self.processes();
            if processes.closed {
                return Ok(None);
            }
            let spid = processes.next;
            processes.next += 1;
            spid
        };
        let mut running = self.sandbox.exec(plan.process.clone()).await?;
        live.log
            .append(spid, spawn_event(&plan, &running, self.timeout));
        let handle = self.adopt(spid, &mut running, plan.stdin, plan.truncate_at, live);
        let (instance, live, truncate_at) = (Arc::clone(self), Arc::clone(live), plan.truncate_at);
        let began = Instant::now();
        self.tasks.spawn(async move {
            let Running {
                pid,
                stdout,
                stderr,
                exit,
                ..
            } = running;
            let recorder = |stream| Recorder::new(spid, stream, truncate_at);
            let mut out = Pump::new(stdout, recorder(StreamName::Stdout));
            let mut err = Pump::new(stderr, recorder(StreamName::Stderr));
            let ended = CancellationToken::new();
            let exit = async {
                let exit = exit.await;
                handle.set_ended();
                ended.cancel();
                exit
            };
            let (exit, (), ()) = tokio::join!(
                exit,
                out.run_until(ended.cancelled(), &live.log),
                err.run_until(ended.cancelled(), &live.log),
            );
            let exit = match exit {
                Ok(exit) => exit_event(pid, &exit, false),
                // Nobody saw its end; it was killed with the sandbox.
                Err(_) => killed_event(pid, false, began.elapsed()),
            };
            live.log.append(spid, EventData::Exit(exit));
            // What it left running, a daemon say, may hold its streams for as long as it lives.
            tokio::join!(out.run(&live.log), err.run(&live.log));
            // Until here: the sandbox ends when its last handle is dropped.
            drop(instance);
        });
        Ok(Some(spid))
    }
}

impl ProcessHandle {
    pub(crate) const fn id(&self) -> &ProcessId {
        &self.id
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn set_ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Writes to the stdin of the process, after all that was written before.
    pub(crate) async fn write_stdin(
        &self,
        bytes: &[u8],
        close: bool,
        log: &EventLog,
    ) -> Result<(), StdinError> {
        let write = async {
            let mut state = self.stdin.lock().await;
            state.write(bytes, log).await?;
            if close {
                state.close(log);
            }
            Ok(())
        };
        tokio::time::timeout(STDIN_PATIENCE, write)
            .await
            .map_err(|_| StdinError::Patience)?
    }
}

impl StdinState {
    async fn write(&mut self, bytes: &[u8], log: &EventLog) -> Result<(), StdinError> {
        let Some(pipe) = &mut self.pipe else {
            return Err(StdinError::Closed);
        };
        for chunk in bytes.chunks(STDIN_CHUNK) {
            if pipe.write_all(chunk).await.is_err() {
                // The process closed its end.
                self.close(log);
                return Err(StdinError::Closed);
            }
            self.recorder.record(log, chunk);
        }
        Ok(())
    }

    fn close(&mut self, log: &EventLog) {
        if self.pipe.take().is_some() {
            self.recorder.end(log);
        }
    }
}
