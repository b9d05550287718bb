//! A data folder that no server has open, in the hands of an administrator's command.

use std::io;
use std::path::{Path, PathBuf};

use contree_api::admin::{Project, ProjectCreate, Publish, TokenCreate, TokenCreated, TokenInfo};
use contree_api::image::Image;
use contree_api::{Tag, TokenId};
use contree_records::Records;

use super::{projects, public, tokens};
use crate::Error;
use crate::engine::StartError;
use crate::lock::{self, DataLock};

/// The records of a data folder, held as a server would hold them.
#[derive(Debug)]
pub struct Offline {
    records: Records,
    _lock: DataLock,
}

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// There is none.
    #[error("{path} is no data folder: no server has been started on it yet")]
    None {
        /// As named.
        path: PathBuf,
    },
    /// A server has it open, or another command; that is for the caller to ask.
    #[error("{path} is in use")]
    InUse {
        /// As named.
        path: PathBuf,
        /// Where the server is reached; none when it does not listen yet, or it is no server.
        server: Option<String>,
    },
    /// The lock could not be taken or read.
    #[error("could not lock the data folder")]
    Lock(#[source] StartError),
    /// The lock could not be read.
    #[error("could not read the lock of the data folder {path}")]
    ReadLock {
        /// As named.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The database could not be opened.
    #[error("could not open the records")]
    Records(#[source] contree_records::OpenError),
}

impl Offline {
    /// Opens a data folder that a server has been started on before.
    ///
    /// # Errors
    /// See [`OfflineError`].
    pub async fn open(data_dir: &Path) -> Result<Self, OfflineError> {
        let path = data_dir.to_owned();
        let database = data_dir.join("records.db");
        if !database.is_file() {
            return Err(OfflineError::None { path });
        }
        let lock = match DataLock::take(data_dir) {
            Ok(lock) => lock,
            Err(StartError::InUse { .. }) => {
                return Err(match lock::told(data_dir) {
                    Ok(server) => OfflineError::InUse { path, server },
                    Err(source) => OfflineError::ReadLock { path, source },
                });
            }
            Err(error) => return Err(OfflineError::Lock(error)),
        };
        let records = Records::open(&database)
            .await
            .map_err(OfflineError::Records)?;
        Ok(Self {
            records,
            _lock: lock,
        })
    }

    /// Lets the folder go.
    pub async fn close(self) {
        self.records.close().await;
    }

    /// As [`Engine::create_project`](crate::Engine::create_project).
    ///
    /// # Errors
    /// As there.
    pub async fn create_project(&self, request: ProjectCreate) -> Result<Project, Error> {
        projects::create(&self.records, request).await
    }

    /// As [`Engine::projects`](crate::Engine::projects).
    ///
    /// # Errors
    /// As there.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        projects::list(&self.records).await
    }

    /// As [`Engine::delete_project`](crate::Engine::delete_project). What the project had goes
    /// from the disk at the next start of the server.
    ///
    /// # Errors
    /// As there; operations that the next start would take up have not ended.
    pub async fn delete_project(&self, project: &str, force: bool) -> Result<(), Error> {
        let project = projects::find(&self.records, project).await?;
        let open = self.records.count_open_operations(project.id).await?;
        if open > 0 {
            return Err(projects::busy(
                &project.name,
                usize::try_from(open).unwrap_or(usize::MAX),
            ));
        }
        projects::close(&self.records, &project, force).await
    }

    /// As [`Engine::create_token`](crate::Engine::create_token).
    ///
    /// # Errors
    /// As there.
    pub async fn create_token(&self, request: TokenCreate) -> Result<TokenCreated, Error> {
        tokens::create(&self.records, request).await
    }

    /// As [`Engine::tokens`](crate::Engine::tokens).
    ///
    /// # Errors
    /// As there.
    pub async fn tokens(&self, project: Option<&str>) -> Result<Vec<TokenInfo>, Error> {
        tokens::list(&self.records, project).await
    }

    /// As [`Engine::revoke_token`](crate::Engine::revoke_token).
    ///
    /// # Errors
    /// As there.
    pub async fn revoke_token(&self, token: TokenId) -> Result<(), Error> {
        tokens::revoke(&self.records, token).await
    }

    /// As [`Engine::publish`](crate::Engine::publish). Without a project in the request the one
    /// of the first start is meant.
    ///
    /// # Errors
    /// As there.
    pub async fn publish(&self, request: Publish) -> Result<Image, Error> {
        let project = request
            .project
            .or_else(|| Some(projects::FIRST_PROJECT.to_owned()));
        let request = Publish { project, ..request };
        public::publish(&self.records, None, request).await
    }

    /// As [`Engine::unpublish`](crate::Engine::unpublish).
    ///
    /// # Errors
    /// As there.
    pub async fn unpublish(&self, tag: &Tag) -> Result<(), Error> {
        public::unpublish(&self.records, tag).await
    }
}
