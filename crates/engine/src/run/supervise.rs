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
use super::output::{Pump, Recorder};
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

/// Bytes that no run writes in a second.
const FASTEST: u64 = 4 << 30;

/// Bounds of the time between looks at the disk.
const GLANCE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What a run has written is measured this often at least, whatever the disk shows.
const MEASURE: Duration = Duration::from_secs(5);

/// A measure takes time in proportion to what was written; this many times as long passes before
/// the next.
const MEASURE_PAUSE: u32 = 20;

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
        let recorder = |stream| Recorder::new(1, stream, process.truncate_at);
        let mut out = Pump::new(stdout, recorder(StreamName::Stdout));
        let mut err = Pump::new(stderr, recorder(StreamName::Stderr));
        let mut pumps = pin!(async {
            tokio::join!(out.run(&live.log), err.run(&live.log));
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
    ///
    /// To measure what was written is to walk through it. So the disk as a whole is glanced at
    /// first, as often as a run needs at least to write what it has left: only when as much has
    /// come to the disk is there anything to measure. What others remove at the same time can
    /// hide it, so it is measured now and then in any case.
    async fn watch_size(&self, upper: &Writable, cap: u64) {
        let mut room = cap;
        let mut before = self.store().disk_use().ok();
        let mut measured = Instant::now();
        let mut pause = GLANCE.0;
        loop {
            tokio::time::sleep(pause).await;
            let now = self.store().disk_use().ok();
            let left = match (&before, &now) {
                (Some(before), Some(now)) => room.saturating_sub(now.grown_since(before)),
                // A disk that does not tell has to be measured.
                _ => 0,
            };
            if left > 0 && measured.elapsed() < MEASURE {
                pause = glance(left);
                continue;
            }
            let began = Instant::now();
            match upper.measure(self.store(), Some(cap)).await {
                Ok(usage) if usage.exceeds(Some(cap)) => return,
                Ok(usage) => room = cap - usage.charge(),
                // What keeps it from being measured now will come up when it is committed.
                Err(_) => {}
            }
            (before, measured) = (now, Instant::now());
            pause = glance(room).max(began.elapsed() * MEASURE_PAUSE);
        }
    }
}

/// How long it takes at least to write `left` bytes.
fn glance(left: u64) -> Duration {
    Duration::from_millis(left / (FASTEST / 1_000)).clamp(GLANCE.0, GLANCE.1)
}
