//! The server's side: who makes sandboxes, and holds them.
//!
//! ```text
//! Host ── launcher process ──► init of each sandbox ──► its processes
//!   │         (one request         ▲    │  ▲                │
//!   │          per cell)           │    │  │                │
//!   ├─ cells: ready inits ─────────┘    │  │ orders         │ output, input:
//!   ├─ supervising task per sandbox ◄───┘  │                │ pipes straight
//!   └─ Sandbox: the owner's handle ────────┘ ◄──────────────┘ to the owner
//! ```
//!
//! There are two launcher processes, one for sandboxes and one for namespaces: making a network
//! namespace takes a millisecond in which the other could not clone.
//!
//! What is machine-wide is under the server's [slot](crate::slot), and is found and removed by
//! the next server should this one be killed. Processes need no finding: inits die with the
//! launcher, the launcher with the server.

mod cell;
mod control;
mod error;
pub mod launcher;
mod sandbox;
mod supervise;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

pub use error::{Lost, SignalError, SpawnError, StartError};
pub use sandbox::{Exit, ExitFuture, Running, Sandbox};

use crate::job::{Attachment, Job, Limits, Process};
use crate::limits::{ControlGroups, Hierarchies, rlimits};
use crate::network::{self, Network, NetworkConfig};
use crate::probe::Finding;
use crate::protocol::sandbox::Begin;
use crate::slot::{RUN_DIR, Slot};
use cell::{Cell, Maker, ReadyCells};
use launcher::Launcher;
use sandbox::Shared;
use supervise::{Supervised, remove_group};

/// Cells kept ready, with network and without. Each is a process of some 100 KiB.
const READY: (usize, usize) = (6, 2);

/// How to start a [`Host`].
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// The `contree-sandbox` program.
    pub launcher: PathBuf,
    /// The layer store's root.
    pub store: PathBuf,
    /// The sandboxes' network.
    pub network: NetworkConfig,
    /// What a sandbox may use when its job does not say.
    pub defaults: Limits,
}

/// Makes sandboxes. Clones are the same host.
#[derive(Debug, Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Dropped first: what is ready needs the rest.
    networked: ReadyCells,
    loopback: ReadyCells,
    maker: Arc<Maker>,
    defaults: Limits,
    findings: Vec<Finding>,
    slot: Mutex<Option<Slot>>,
    living: Mutex<Living>,
}

/// Sandboxes that are not gone, so that a shutdown can end them.
#[derive(Debug, Default)]
struct Living {
    sandboxes: Vec<Weak<Shared>>,
    tasks: tokio::task::JoinSet<()>,
    stopped: bool,
}

impl Host {
    /// Takes a slot, cleans up after dead servers, starts launchers and network, and makes the
    /// first sandbox ready.
    pub async fn start(config: HostConfig) -> Result<Self, StartError> {
        let HostConfig {
            launcher: program,
            store,
            network: network_config,
            defaults,
        } = config;
        // The launcher runs elsewhere.
        let program = std::path::absolute(program).map_err(StartError::Path)?;
        let store = std::fs::canonicalize(store).map_err(StartError::Store)?;
        let mountinfo =
            std::fs::read_to_string("/proc/self/mountinfo").map_err(StartError::Mounts)?;
        let hierarchies = Hierarchies::parse(&mountinfo);
        let run_dir = Path::new(RUN_DIR);
        for slot in Slot::abandoned(run_dir)? {
            clean(&slot, hierarchies.clone()).await?;
            slot.release()?;
        }
        let slot = Slot::take(run_dir)?;
        let (groups, mut findings) = ControlGroups::prepare(hierarchies, &slot.control_group());
        findings.push(rlimits::finding());
        for finding in &findings {
            finding.log();
        }
        let namespaces = Launcher::new(&program, None);
        let network = Network::start(&network_config, slot.number(), namespaces)
            .await
            .map_err(StartError::Network)?;
        findings.extend_from_slice(network.report());
        let launcher = Launcher::new(&program, Some(&store));
        let maker = Arc::new(Maker {
            launcher,
            network,
            groups,
            next: AtomicU64::new(0),
        });
        // The first one tells whether sandboxes can be made here at all.
        let first = maker.make(false).await.map_err(StartError::Sandbox)?;
        first.discard().await;
        let inner = Inner {
            networked: ReadyCells::keep(Arc::clone(&maker), true, READY.0),
            loopback: ReadyCells::keep(Arc::clone(&maker), false, READY.1),
            maker,
            defaults,
            findings,
            slot: Mutex::new(Some(slot)),
            living: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What this machine offers to sandboxes, and what not.
    #[must_use]
    pub fn report(&self) -> &[Finding] {
        &self.inner.findings
    }

    /// Makes a sandbox and starts its first process.
    pub async fn spawn(&self, job: Job) -> Result<(Sandbox, Running), SpawnError> {
        let Job {
            name,
            lowers,
            upper,
            work,
            hostname,
            network,
            limits,
            files,
            process,
        } = job;
        for path in lowers.iter().chain([&upper, &work]) {
            check_name(path)?;
        }
        for Attachment { source, .. } in &files {
            check_name(source)?;
        }
        let cells = if network {
            &self.inner.networked
        } else {
            &self.inner.loopback
        };
        let cell = cells.take().await?;
        tracing::debug!(name, id_base = cell.lease.id_base, "a sandbox gets its job");
        if let Err(error) = cell.group.limit(limits.or(self.inner.defaults)) {
            cell.discard().await;
            return Err(SpawnError::Limits(error));
        }
        let sandbox = match self.supervise(cell) {
            Ok(sandbox) => sandbox,
            Err(cell) => {
                cell.discard().await;
                return Err(SpawnError::Stopped);
            }
        };
        let Process { program, stdin, .. } = &process;
        let (argv, stdin) = (program.argv().to_vec(), *stdin);
        let resolvers = sandbox.network().map_or(&[][..], |info| &info.resolvers);
        let resolv_conf = network::resolv_conf(resolvers).into_bytes();
        let hosts = network::hosts(&hostname).into_bytes();
        let begin = |id| Begin {
            lowers,
            upper,
            work,
            hostname,
            hosts,
            resolv_conf,
            files,
            id,
            process,
        };
        // When this fails, or is given up, the handle's drop ends the sandbox.
        let running = sandbox.shared.begin(begin, argv, stdin).await;
        match running {
            Ok(running) => Ok((sandbox, running)),
            Err(error) => {
                sandbox.kill();
                sandbox.gone().await;
                Err(error)
            }
        }
    }

    /// Gives a cell its task; gives it back when the host has been shut down.
    fn supervise(&self, cell: Cell) -> Result<Sandbox, Box<Cell>> {
        let mut living = self
            .inner
            .living
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if living.stopped {
            return Err(Box::new(cell));
        }
        let Cell {
            control,
            listener,
            pidfd,
            parent,
            group,
            lease,
        } = cell;
        let shared = Arc::new(Shared::new(control, lease.info.clone()));
        let (sender, gone) = watch::channel(false);
        let supervised = Supervised {
            shared: Arc::clone(&shared),
            listener,
            pidfd,
            parent,
            group,
            lease,
            last_words: None,
            gone: sender,
        };
        while living.tasks.try_join_next().is_some() {}
        living
            .sandboxes
            .retain(|sandbox| sandbox.strong_count() > 0);
        living.sandboxes.push(Arc::downgrade(&shared));
        living.tasks.spawn(supervised.run());
        Ok(Sandbox { shared, gone })
    }

    /// Kills every sandbox, and removes all that is the server's on this machine.
    pub async fn shutdown(&self) {
        let mut tasks = {
            let mut living = self
                .inner
                .living
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            living.stopped = true;
            for sandbox in living
                .sandboxes
                .drain(..)
                .filter_map(|sandbox| sandbox.upgrade())
            {
                sandbox.kill();
            }
            std::mem::take(&mut living.tasks)
        };
        while tasks.join_next().await.is_some() {}
        self.inner.networked.close().await;
        self.inner.loopback.close().await;
        if let Err(error) = self.inner.maker.groups.remove_all() {
            tracing::warn!(error = %crate::probe::chain(&error), "control groups stay");
        }
        let network = self.inner.maker.network.shutdown().await;
        if let Err(error) = &network {
            tracing::warn!(error = %crate::probe::chain(error), "the network was not taken down");
        }
        let slot = self
            .inner
            .slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A slot that is not clean keeps its mark, for the next server to see.
        if let (Some(slot), Ok(())) = (slot, network)
            && let Err(error) = slot.release()
        {
            tracing::warn!(error = %crate::probe::chain(&error), "the slot keeps its mark");
        }
    }
}

/// Removes what a dead server left.
async fn clean(slot: &Slot, hierarchies: Hierarchies) -> Result<(), StartError> {
    tracing::info!(slot = slot.number(), "cleaning up after a dead server");
    let base = slot.control_group();
    let removed = tokio::task::spawn_blocking(move || {
        let (groups, _) = ControlGroups::prepare(hierarchies, &base);
        groups.remove_all()
    });
    match removed.await {
        Ok(removed) => removed.map_err(StartError::CleanGroups)?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
    network::clean(slot.number())
        .await
        .map_err(StartError::CleanNetwork)
}

/// Names in the store go into a list separated by colons and commas, and must not lead out of it.
fn check_name(name: &str) -> Result<(), SpawnError> {
    let good = |part: &str| {
        !part.is_empty()
            && part != ".."
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if name.split('/').all(good) {
        Ok(())
    } else {
        Err(SpawnError::Name {
            name: name.to_owned(),
        })
    }
}
