//! Start and end of an engine.
//!
//! Start, in this order, each step undone by the failure of a later one:
//! 1. the lock on the data folder (`DATA_DIR/lock`), so that there is one engine at a time;
//! 2. the records;
//! 3. the sandbox host, which takes a slot and kills what a dead server left running;
//! 4. the layer store, which throws half-written uppers away: nothing writes to them any more;
//! 5. the first project and its token, when there is none;
//! 6. recovery ([`crate::recover`]), and the background work ([`crate::gc`]).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use contree_api::ErrorKind;
use contree_images::Store;
use contree_images::import::{ImportConfig, Importer};
use contree_records::Records;
use contree_sandbox::probe::State;
use contree_sandbox::{Finding, Host, HostConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::Closing;
use crate::identity::streams::OpenStreams;
use crate::identity::{self, Known};
use crate::images::KnownImages;
use crate::import_job::ImportLocks;
use crate::layers::Grounds;
use crate::layers::merger::Merger;
use crate::lock::DataLock;
use crate::operation::feed::Feed;
use crate::operation::live::{Live, LiveSet, Stop};
use crate::operation::scheduler::Scheduler;
use crate::operation::shutting_down;
use crate::run::events::Machine;
use crate::{Durability, EngineConfig, Error, settings};

/// How long what was stopped at the deadline of a drain may take to wind down.
const WIND_DOWN: Duration = Duration::from_secs(15);

/// When to try again while the disk is nearly full, in seconds.
const RETRY_SPACE: u32 = 30;

/// Joins records, images and sandboxes. Cheap to clone; all clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: EngineConfig,
    events: PathBuf,
    /// The event logs are on another filesystem than the layers.
    events_apart: bool,
    records: Records,
    store: Store,
    host: Host,
    importer: Importer,
    grounds: Grounds,
    merger: Merger,
    scheduler: Scheduler,
    live: LiveSet,
    feed: Feed,
    streams: OpenStreams,
    known: Known,
    closing: Closing,
    known_images: KnownImages,
    import_locks: ImportLocks,
    machine: Machine,
    /// Everything that goes on by itself.
    tasks: TaskTracker,
    /// Held while the log of an operation that has ended is looked at or mended.
    sealing: tokio::sync::Mutex<()>,
    /// Held for reading while an upload gets its name and its record, for writing while files
    /// that nobody used lose theirs: the same content may come again in that moment.
    naming_files: tokio::sync::RwLock<()>,
    draining: CancellationToken,
    shutdown: CancellationToken,
    lock: DataLock,
}

/// The first half of a start: all that has to be undone when the second fails.
struct Prepared {
    config: EngineConfig,
    importer: ImportConfig,
    root: PathBuf,
    events: PathBuf,
    records: Records,
    host: Host,
    lock: DataLock,
}

/// What the first start of a data folder made.
#[derive(Debug, Clone)]
pub struct FirstStart {
    /// Name of the project.
    pub project: String,
    /// A token with every permission. Shown this once; its hash alone is stored.
    pub token: String,
    /// Where the token was written, mode 0600.
    pub token_path: PathBuf,
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder could not be made or locked.
    #[error("could not open the data folder {path}")]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Another engine has the data folder open.
    #[error("the data folder {path} is in use by another server")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A setting of the network is malformed.
    #[error("the network setting {value:?} is not usable: {reason}")]
    Network {
        /// The setting.
        value: String,
        /// Why.
        reason: String,
    },
    /// An allowed registry is malformed.
    #[error("the allowed registry {value:?} is not usable")]
    Registry {
        /// The setting.
        value: String,
    },
    /// The database could not be opened.
    #[error("could not open the records")]
    OpenRecords(#[source] contree_records::OpenError),
    /// The records could not be read or written.
    #[error("could not use the records")]
    Records(#[source] contree_records::Error),
    /// The layer store could not be opened.
    #[error("could not open the layer store")]
    Store(#[source] contree_images::StoreError),
    /// Sandboxes cannot be made on this machine.
    #[error("could not get ready for sandboxes")]
    Host(#[source] contree_sandbox::StartError),
    /// The system gave no random bytes.
    #[error("could not make a token")]
    Random(#[source] io::Error),
    /// The first token could not be written.
    #[error("could not write the token file {path}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// What a removed project had could not be taken away.
    #[error("could not take away what a removed project had")]
    Removal(#[source] crate::SweepError),
    /// An event log could not be read or written.
    #[error("could not bring the event log {path} to its end")]
    Log {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Counts of what is going on, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Runs that have a sandbox or are getting one.
    pub running_instances: usize,
    /// Imports under way.
    pub running_imports: usize,
    /// Operations waiting for their turn.
    pub pending: usize,
}

impl Engine {
    /// Opens the data folder, recovers what an earlier server left, and begins to accept.
    /// `FirstStart` is there when the folder was new.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: EngineConfig) -> Result<(Self, Option<FirstStart>), StartError> {
        let data_dir = |source| StartError::DataDir {
            path: config.data_dir.clone(),
            source,
        };
        let network = settings::network(&config)?;
        let importer = settings::import(&config)?;
        make_private(&config.data_dir).map_err(data_dir)?;
        let lock = DataLock::take(&config.data_dir)?;
        let (root, events) = (
            config.data_dir.join("store"),
            config.data_dir.join("events"),
        );
        make_private(&root).map_err(data_dir)?;
        make_private(&events).map_err(data_dir)?;

        let records = Records::open(&config.data_dir.join("records.db"))
            .await
            .map_err(StartError::OpenRecords)?;
        let host = Host::start(HostConfig {
            launcher: config.sandbox_binary.clone(),
            store: root.clone(),
            network,
            defaults: contree_sandbox::Limits {
                memory_bytes: config.sandbox.memory_bytes,
                pids: config.sandbox.pids,
                cpus: config.sandbox.cpus,
            },
        })
        .await
        .map_err(StartError::Host)?;
        let prepared = Prepared {
            config,
            importer,
            root,
            events,
            records,
            host: host.clone(),
            lock,
        };
        match Self::assemble(prepared).await {
            Ok(started) => Ok(started),
            Err(error) => {
                host.shutdown().await;
                Err(error)
            }
        }
    }

    /// What follows once there is a sandbox host.
    async fn assemble(prepared: Prepared) -> Result<(Self, Option<FirstStart>), StartError> {
        let Prepared {
            config,
            importer,
            root,
            events,
            records,
            host,
            lock,
        } = prepared;
        let data_dir = |source| StartError::DataDir {
            path: config.data_dir.clone(),
            source,
        };
        let store = Store::open(&root).map_err(StartError::Store)?;
        let first = identity::first_start(&records, &config.data_dir).await?;
        let grounds = Grounds::new(records.clone());
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let inner = Inner {
            events_apart: device(&events).map_err(data_dir)? != device(&root).map_err(data_dir)?,
            events,
            importer: Importer::new(store.clone(), importer),
            merger: Merger::start(
                &tasks,
                shutdown.clone(),
                records.clone(),
                store.clone(),
                grounds.clone(),
            ),
            tasks,
            scheduler: Scheduler::new(&config.limits),
            live: LiveSet::default(),
            feed: Feed::default(),
            streams: OpenStreams::default(),
            known: Known::default(),
            closing: Closing::default(),
            known_images: KnownImages::default(),
            import_locks: ImportLocks::default(),
            machine: Machine::of_host(),
            sealing: tokio::sync::Mutex::default(),
            naming_files: tokio::sync::RwLock::default(),
            draining: CancellationToken::new(),
            shutdown,
            config,
            records,
            store,
            host,
            grounds,
            lock,
        };
        let engine = Self {
            inner: Arc::new(inner),
        };
        engine.recover().await?;
        engine.start_sweeping();
        Ok((engine, first))
    }

    /// Stops accepting, lets running operations end until the deadline, then stops those left;
    /// what had not started is started by the next server. Event streams end.
    pub async fn drain(&self, deadline: Duration) {
        self.inner.draining.cancel();
        self.scheduler().close();
        let running: Vec<Arc<Live>> = self
            .live_set()
            .all()
            .into_iter()
            .filter(|live| {
                // What waits in a lane does not end by itself.
                self.scheduler().withdraw(live).is_none()
            })
            .collect();
        let all_ended = async {
            for live in &running {
                live.ended.cancelled().await;
            }
        };
        if tokio::time::timeout(deadline, all_ended).await.is_err() {
            for live in &running {
                live.stop(Stop::Shutdown);
            }
            let all_ended = async {
                for live in &running {
                    live.ended.cancelled().await;
                }
            };
            if tokio::time::timeout(WIND_DOWN, all_ended).await.is_err() {
                tracing::warn!("operations are left; the next start ends them");
            }
        }
        self.inner.shutdown.cancel();
        self.feed().close();
        self.tasks().close();
        if tokio::time::timeout(WIND_DOWN, self.tasks().wait())
            .await
            .is_err()
        {
            tracing::warn!("background work is left; the next start cleans up after it");
        }
        self.host().shutdown().await;
        self.records().close().await;
    }

    /// Writes down in the data folder where this server is reached, for commands on this machine
    /// that are given the folder.
    ///
    /// # Errors
    /// The failure of the write.
    pub fn listens_at(&self, url: &str) -> io::Result<()> {
        self.inner.lock.tell(url)
    }

    /// Whether requests are accepted.
    ///
    /// # Errors
    /// `Unavailable` when shutting down, or when the database does not answer.
    pub async fn ready(&self) -> Result<(), Error> {
        self.check_open()?;
        self.records().ping().await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the database does not answer").with_source(error)
        })
    }

    /// Counts of what is going on.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.scheduler().activity()
    }

    /// What could not be applied on this machine, one sentence each.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let limited = |finding: &&Finding| finding.state != State::Ok;
        let told = |finding: &Finding| {
            format!(
                "{}: {}; {}",
                finding.name, finding.detail, finding.next_step
            )
        };
        self.host()
            .report()
            .iter()
            .filter(limited)
            .map(told)
            .collect()
    }

    /// How it was configured.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    pub(crate) fn events_dir(&self) -> &Path {
        &self.inner.events
    }

    pub(crate) fn records(&self) -> &Records {
        &self.inner.records
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn host(&self) -> &Host {
        &self.inner.host
    }

    pub(crate) fn importer(&self) -> &Importer {
        &self.inner.importer
    }

    pub(crate) fn grounds(&self) -> &Grounds {
        &self.inner.grounds
    }

    pub(crate) fn merger(&self) -> &Merger {
        &self.inner.merger
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.inner.scheduler
    }

    pub(crate) fn live_set(&self) -> &LiveSet {
        &self.inner.live
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.inner.feed
    }

    pub(crate) fn streams(&self) -> &OpenStreams {
        &self.inner.streams
    }

    pub(crate) fn known(&self) -> &Known {
        &self.inner.known
    }

    pub(crate) fn closing(&self) -> &Closing {
        &self.inner.closing
    }

    pub(crate) fn known_images(&self) -> &KnownImages {
        &self.inner.known_images
    }

    pub(crate) fn import_locks(&self) -> &ImportLocks {
        &self.inner.import_locks
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.inner.machine
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    pub(crate) fn naming_files(&self) -> &tokio::sync::RwLock<()> {
        &self.inner.naming_files
    }

    pub(crate) fn sealing(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.sealing
    }

    pub(crate) fn shutdown_token(&self) -> CancellationToken {
        self.inner.shutdown.clone()
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.config().durability == Durability::Durable
    }

    /// Fails when the engine shuts down.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.inner.draining.is_cancelled() {
            Err(shutting_down())
        } else {
            Ok(())
        }
    }

    /// Fails when the disk is nearly full.
    pub(crate) fn check_space(&self) -> Result<(), Error> {
        let free = self
            .store()
            .free_bytes()
            .map_err(|error| Error::internal("the disk could not be looked at", error))?;
        if free >= self.config().min_free_bytes {
            return Ok(());
        }
        let message = "the server's disk is nearly full; nothing was executed";
        Err(Error::new(ErrorKind::Unavailable, message).with_retry_after(RETRY_SPACE))
    }

    /// Makes what was written to the store survive a power loss, if that is promised.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        if self.is_durable() {
            self.store().sync().await
        } else {
            Ok(())
        }
    }

    /// The same for the result of an operation, its log included.
    pub(crate) async fn make_durable(&self, live: &Live) -> io::Result<()> {
        if self.is_durable() && self.inner.events_apart {
            let path = live.log.path().to_owned();
            tokio::task::spawn_blocking(move || File::open(path)?.sync_all())
                .await
                .map_err(io::Error::other)??;
        }
        self.sync().await
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

fn device(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata(path)?.dev())
}
