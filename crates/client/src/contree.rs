//! The way in: a server as a place with images, runs and operations.

use contree_api::OperationId;
use contree_api::image::ImageImportRequest;
use contree_api::instance::InstanceSpawnRequest;

use crate::wait::Waiter;
use crate::{Client, Error, Operation};

/// A server with one token. Cheap to clone; clones share connections, and one stream over which all
/// of their waits are told.
///
/// It belongs to one tokio runtime: connections that another one made may stand still when that one
/// does.
#[derive(Debug, Clone)]
pub struct Contree {
    pub(crate) waiter: Waiter,
}

impl Contree {
    /// On a client. Nothing is sent yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            waiter: Waiter::new(client),
        }
    }

    /// The client, for single routes.
    #[must_use]
    pub const fn client(&self) -> &Client {
        self.waiter.client()
    }

    /// Starts a run as the API words it. A server that is busy is waited for:
    /// [`RetryPolicy::busy_timeout`](crate::RetryPolicy::busy_timeout).
    ///
    /// # Errors
    /// [`Error`]. When the answer does not come, the run may have started.
    pub async fn spawn(&self, request: &InstanceSpawnRequest) -> Result<Operation, Error> {
        let (_interest, mark) = self.waiter.expect();
        let started = self.client().spawn(request).await?;
        Ok(Operation::new(self.clone(), started.uuid, mark))
    }

    /// Starts an import as the API words it. A server that is busy is waited for, as with
    /// [`Contree::spawn`].
    ///
    /// # Errors
    /// [`Error`]. When the answer does not come, the import may have started.
    pub async fn import(&self, request: &ImageImportRequest) -> Result<Operation, Error> {
        let (_interest, mark) = self.waiter.expect();
        let started = self.client().import_image(request).await?;
        Ok(Operation::new(self.clone(), started.uuid, mark))
    }

    /// An operation that is there already. Nothing is asked yet.
    #[must_use]
    pub fn operation(&self, id: OperationId) -> Operation {
        Operation::new(self.clone(), id, None)
    }
}
