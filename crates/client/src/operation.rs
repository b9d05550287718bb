//! One operation: a run or an import that the server knows of.

use std::fmt;

use contree_api::OperationId;
use contree_api::operation::OperationResponse;

use crate::wait::Origin;
use crate::{Contree, Error, Follow};

/// A run or an import that the server has accepted. Dropping it changes nothing on the server.
///
/// ```
/// # contree_e2e::Example::run(async |example| {
/// # let contree = example.contree();
/// use contree_client::api::instance::InstanceSpawnRequest;
///
/// // As the API words it, for what the objects have no words for.
/// let request = InstanceSpawnRequest::new("true", "tag:debian".parse()?);
/// let operation = contree.spawn(&request).await?;
/// let ended = operation.wait().await?;
/// assert!(ended.summary.status.is_terminal());
/// # Ok(()) });
/// ```
#[derive(Clone)]
pub struct Operation {
    contree: Contree,
    id: OperationId,
    origin: Origin,
}

impl Operation {
    pub(crate) const fn new(contree: Contree, id: OperationId, origin: Origin) -> Self {
        Self {
            contree,
            id,
            origin,
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> OperationId {
        self.id
    }

    /// Where it is.
    #[must_use]
    pub const fn contree(&self) -> &Contree {
        &self.contree
    }

    /// Waits until it has ended, with success or without. Any number of waits may go on at once;
    /// they share one connection, and nothing is asked while nothing happens. A wait that is
    /// dropped is over; the operation goes on.
    ///
    /// A server that is away is waited for, one to two minutes.
    ///
    /// # Errors
    /// [`Error`]; 404 when the project has no such operation.
    pub async fn wait(&self) -> Result<OperationResponse, Error> {
        self.contree.waiter.wait(self.id, self.origin).await
    }

    /// How it stands.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn status(&self) -> Result<OperationResponse, Error> {
        self.contree.client().operation(self.id, false).await
    }

    /// Its events from the first to `completion`.
    #[must_use]
    pub fn events(&self) -> Follow {
        self.contree.client().follow(self.id)
    }

    /// Asks for its end. It has ended when [`Operation::wait`] says so.
    ///
    /// # Errors
    /// [`Error`]; 409 when it has ended already, also by a request before whose answer was lost.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.contree.client().cancel(self.id).await
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Operation").field(&self.id).finish()
    }
}
