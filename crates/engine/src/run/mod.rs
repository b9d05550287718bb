//! A run, from its turn to its end: upper and chain, sandbox, supervision, commit.
//!
//! | what happened | status | image |
//! | --- | --- | --- |
//! | the command ended, whatever its exit code, or a signal ended it | SUCCESS | committed |
//! | it ran past its timeout | SUCCESS, `timed_out`, signal 9 | committed |
//! | it could not be started | FAILED, `spawn failed: …` | none |
//! | it wrote more than `max_layer_bytes` | FAILED | none |
//! | the sandbox died under it | FAILED | none |
//! | a client cancelled it | CANCELLED | none |
//! | the server was stopped before it ended | FAILED | none |
//!
//! A run without a command puts files and trees in place ([`trees`]) and is a run like any other:
//! it needs nothing of the image, and nothing else can be started in its sandbox.
//!
//! A committed image is the source image itself when nothing changed, and a new image on the same
//! layer when only environment or working directory did.

mod commit;
pub(crate) mod events;
pub(crate) mod instance;
pub(crate) mod output;
pub(crate) mod plan;
pub(crate) mod signals;
mod supervise;
mod trees;

use std::sync::Arc;

use contree_api::event::{EventData, ShutdownReason};
use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::OperationStatus;
use contree_sandbox::{Job, Running, SpawnError};

use crate::engine::Engine;
use crate::events::fold::cpu_seconds;
use crate::layers::{Ground, GroundError};
use crate::operation::end::End;
use crate::operation::live::{Live, Stop};
use commit::Writable;
use instance::Instance;
use plan::{ProcessPlan, RunPlan, attachments, main_process};
use supervise::{Supervised, Verdict};

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Ground(#[from] GroundError),
    #[error("the event log could not be written")]
    Log(#[source] std::io::Error),
    #[error("the image's layers could not be used")]
    Store(#[from] contree_images::StoreError),
    #[error("{0}")]
    Sandbox(#[from] SpawnError),
    #[error("the server could not go on")]
    Thread(#[source] tokio::task::JoinError),
}

impl StartError {
    /// Whether the server is at fault rather than the request.
    const fn is_ours(&self) -> bool {
        match self {
            Self::Sandbox(error) => error.is_host(),
            _ => true,
        }
    }

    /// What the caller is told: all of what the request did wrong, of the server's own faults
    /// only the step. The log has the rest.
    fn told(&self) -> String {
        match self {
            Self::Sandbox(error) if !error.is_host() => crate::error::chain(error),
            error => error.to_string(),
        }
    }
}

impl Engine {
    /// Carries a run out. Its end is not on record yet when this returns.
    pub(crate) async fn run(
        &self,
        live: &Arc<Live>,
        request: &InstanceSpawnRequest,
        plan: RunPlan,
    ) -> End {
        let process = main_process(request, &plan.image);
        let started = self.start_sandbox(live, request, &plan, &process).await;
        let (instance, running, upper, ground) = match started {
            Ok(started) => started,
            Err(error) => {
                let message = format!("spawn failed: {}", error.told());
                let cause = crate::error::chain(&error);
                if error.is_ours() {
                    tracing::error!(operation = %live.id, error = cause, "a run did not start");
                } else {
                    tracing::debug!(operation = %live.id, error = cause, "a run did not start");
                }
                // The sandbox was up when its process could not be started.
                let init = matches!(&error, StartError::Sandbox(error) if !error.is_host())
                    .then(|| self.machine().init_event(live.id, &request.hostname));
                let shutdown = events::shutdown_event(ShutdownReason::SpawnFailed);
                live.log
                    .append_all(init.into_iter().chain([shutdown]).map(|event| (0, event)));
                return stopped_or(live, End::failed(message));
            }
        };

        let cap = request.resources_limits.max_layer_bytes;
        let timeout = request
            .timeout
            .unwrap_or(self.config().limits.instance_default_timeout);
        let Supervised { verdict, exit } = self
            .supervise(live, &instance, running, process, &upper, cap, timeout)
            .await;
        drop(instance);

        let reason = match verdict {
            Verdict::TimedOut => ShutdownReason::Timeout,
            Verdict::Ended if exit.signal <= 0 => ShutdownReason::JobComplete,
            Verdict::Ended | Verdict::Stopped | Verdict::TooLarge | Verdict::Lost => {
                ShutdownReason::Signal
            }
        };
        live.log.append(0, events::shutdown_event(reason));

        let mut end = match verdict {
            Verdict::Stopped => stopped_or(live, End::failed("the run was stopped")),
            Verdict::TooLarge => End::failed(too_large(cap)),
            Verdict::Lost => stopped_or(
                live,
                End::failed("the sandbox was lost; see the log of the server"),
            ),
            Verdict::Ended | Verdict::TimedOut => {
                self.commit(live, request, &plan.image, upper, ground).await
            }
        };
        end.cpu = Some(cpu_seconds(&exit));
        end.memory = Some(exit.resources.max_rss_kb);
        end
    }

    /// From an image to a sandbox with a running process.
    async fn start_sandbox(
        &self,
        live: &Arc<Live>,
        request: &InstanceSpawnRequest,
        plan: &RunPlan,
        process: &ProcessPlan,
    ) -> Result<(Arc<Instance>, Running, Writable, Ground), StartError> {
        live.log.open().map_err(StartError::Log)?;
        let trees = if request.command.is_empty() {
            Some(self.open_trees(live, request).await?)
        } else {
            None
        };
        let ground = self.merger().ground_for_run(plan.image.layer).await?;
        let (store, folders, id) = (self.store().clone(), ground.folders(), live.id);
        let (upper, lowers) = tokio::task::spawn_blocking(move || {
            Ok::<_, contree_images::StoreError>((
                store.new_upper(id, &folders)?,
                store.lower_names(&folders),
            ))
        })
        .await
        .map_err(StartError::Thread)??;
        let job = Job {
            name: live.id.to_string(),
            lowers,
            upper: upper.upper_name(),
            work: upper.work_name(),
            hostname: request.hostname.clone(),
            // Trees come from the server.
            network: request.networking.enabled && trees.is_none(),
            limits: contree_sandbox::Limits::default(),
            files: attachments(request, self.store()),
            process: process.process.clone(),
        };
        let (sandbox, mut running) = self.host().spawn(job).await?;

        live.advance(OperationStatus::Executing, self.feed());
        let timeout = request
            .timeout
            .unwrap_or(self.config().limits.instance_default_timeout);
        let init = self.machine().init_event(live.id, &request.hostname);
        let network = sandbox.network().map(events::network_event);
        let spawn = events::spawn_event(process, &running, timeout);
        let events = std::iter::once((0, init))
            .chain(network.map(|network| (0, network)))
            .chain(std::iter::once((1, spawn)));
        live.log.append_all(events);
        let instance = Arc::new(Instance::new(
            sandbox,
            process.env.clone(),
            plan.image.cwd.clone(),
            timeout,
        ));
        if let Some(trees) = trees
            && let Some(stdin) = running.stdin.take()
        {
            let over = instance.over();
            let feed = move || trees.feed(stdin, &over);
            instance.tasks.spawn_blocking(feed);
        }
        Ok((instance, running, Writable::new(upper), ground))
    }
}

/// The end of a run that was asked to stop, else the given one.
pub(crate) fn stopped_or(live: &Live, otherwise: End) -> End {
    match live.stop_reason() {
        Some(Stop::Cancelled) => End::cancelled(),
        Some(Stop::Shutdown) => End::failed("the server was stopped before the operation ended"),
        None => otherwise,
    }
}

fn too_large(cap: u64) -> String {
    format!("the run wrote more than max_layer_bytes ({cap} bytes)")
}

/// Logs the end of a process.
fn log_exit(live: &Live, spid: u32, exit: contree_api::event::Exit) {
    live.log.append(spid, EventData::Exit(exit));
}
