//! Watching a sandbox until nothing is left in it.
//!
//! Whatever happens, the order is the same: process 1 ends (by itself, or because it is killed),
//! its output is read to the end, the sandbox is gone, the tasks of further processes are done.
//! Then the upper does not change any more.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contree_api::event::{Exit, StreamName};
use contree_sandbox::Running;

use super::commit::Writable;
use super::instance::Instance;
use super::output::{Recorder, pump};
use super::plan::ProcessPlan;
use super::signals::SIGKILL;
use super::{events, log_exit};
use crate::engine::Engine;
use crate::operation::live::Live;

/// How long the end of a killed process may take before its sandbox is given up on.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How long output may keep coming from a sandbox that is gone: as long as it takes to read what
/// is left in a pipe.
const PIPE_PATIENCE: Duration = Duration::from_secs(10);

/// First look at what a run has written, after this long.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// A look takes time in proportion to what was written; this many times as long passes before
/// the next.
const LOOK_PAUSE: u32 = 20;

/// How a run ended.
#[derive(Debug)]
pub(super) struct Supervised {
    pub(super) verdict: Verdict,
    pub(super) exit: Exit,
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// By itself, or by a signal from inside or from a client.
    Ended,
    /// Its time was up.
    TimedOut,
    /// It was asked to stop.
    Stopped,
    /// It wrote more than it may.
    TooLarge,
    /// The sandbox died under it.
    Lost,
}

impl Engine {
    #[expect(
        clippy::too_many_arguments,
        reason = "one run's parts, named at the one caller"
    )]
    pub(super) async fn supervise(
        &self,
        live: &Arc<Live>,
        instance: &Arc<Instance>,
        mut running: Running,
        process: ProcessPlan,
        upper: &Writable,
        cap: u64,
        timeout: u32,
    ) -> Supervised {
        let began = Instant::now();
        let handle = instance.adopt(1, &mut running, process.stdin, process.truncate_at, live);
        live.set_instance(Arc::clone(instance));
        let Running {
            pid,
            stdout,
            stderr,
            exit,
            ..
        } = running;
        let out = Recorder::new(1, StreamName::Stdout, process.truncate_at);
        let err = Recorder::new(1, StreamName::Stderr, process.truncate_at);
        let mut pumps = pin!(async {
            tokio::join!(pump(stdout, out, &live.log), pump(stderr, err, &live.log));
        });
        let mut pumped = false;
        let mut exit = pin!(exit);
        let mut time_is_up = pin!(tokio::time::sleep(Duration::from_secs(timeout.into())));
        let mut too_large = pin!(self.watch_size(upper, cap));
        let mut verdict = Verdict::Ended;
        // Set when the command was killed: until then its end has to be told.
        let mut patience: Option<tokio::time::Instant> = None;

        let exit = loop {
            let out_of_patience =
                tokio::time::sleep_until(patience.unwrap_or_else(tokio::time::Instant::now));
            verdict = tokio::select! {
                biased;
                exit = &mut exit => break exit.ok(),
                () = &mut pumps, if !pumped => {
                    pumped = true;
                    continue;
                }
                () = live.stopped.cancelled(), if patience.is_none() => Verdict::Stopped,
                () = &mut time_is_up, if patience.is_none() => Verdict::TimedOut,
                () = &mut too_large, if patience.is_none() => Verdict::TooLarge,
                () = out_of_patience, if patience.is_some() => break None,
            };
            patience = Some(tokio::time::Instant::now() + KILL_PATIENCE);
            // The command alone first, so that its end and what it used are told; what it leaves
            // running goes with it.
            if instance.sandbox.signal(handle.id(), SIGKILL).is_err() {
                instance.sandbox.kill();
            }
        };
        handle.set_ended();
        instance.close();
        if exit.is_none() {
            tracing::warn!(operation = %live.id, ?verdict, "the end of a process was not told");
            instance.sandbox.kill();
            if patience.is_none() {
                verdict = Verdict::Lost;
            }
        }

        // What process 1 left running holds its pipes open until the sandbox has killed it.
        if !pumped {
            let gone = async {
                instance.sandbox.gone().await;
                tokio::time::sleep(PIPE_PATIENCE).await;
            };
            tokio::select! {
                () = &mut pumps => {}
                () = gone => {
                    tracing::warn!(operation = %live.id, "output was left in a pipe");
                }
            }
        }
        let timed_out = verdict == Verdict::TimedOut;
        let exit = match exit {
            Some(exit) => events::exit_event(pid, &exit, timed_out),
            None => events::killed_event(pid, timed_out, began.elapsed()),
        };
        log_exit(live, 1, exit);
        instance.sandbox.gone().await;
        instance.tasks.wait().await;
        Supervised { verdict, exit }
    }

    /// Ends when more than `cap` bytes were written.
    async fn watch_size(&self, upper: &Writable, cap: u64) {
        let mut pause = FIRST_LOOK;
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            match upper.measure(self.store(), Some(cap)).await {
                Ok(usage) if usage.exceeds(Some(cap)) => return,
                // What keeps it from being measured now will come up when it is committed.
                Ok(_) | Err(_) => {}
            }
            pause = FIRST_LOOK.max(began.elapsed() * LOOK_PAUSE);
        }
    }
}
