//! Waiting for operations to end.

use contree_api::OperationId;
use contree_api::operation::{OperationMetadata, OperationResponse, OperationStatus};
use contree_client::{Client, Contree};

use crate::failure::{Doing as _, Failure};
use crate::output::Row;

/// An operation as the server told it.
#[derive(Debug)]
pub(crate) struct Told {
    /// In the server's own words, on one line.
    pub(crate) json: String,
    pub(crate) operation: OperationResponse,
}

impl Told {
    /// Asks for it; with `inflight` also for the output so far.
    pub(crate) async fn ask(
        client: &Client,
        id: OperationId,
        inflight: bool,
    ) -> Result<Self, Failure> {
        let failed = || format!("could not show operation {id}");
        let json = client.operation_json(id, inflight).await.doing(failed)?;
        Self::read(&json)
            .map_err(|error| Failure::new("its JSON is not an operation").because(&error))
            .map_err(|failure| failure.while_doing(failed()))
    }

    /// Reads what was told.
    pub(crate) fn read(json: &str) -> Result<Self, serde_json::Error> {
        Ok(Self {
            operation: serde_json::from_str(json)?,
            // Between tokens only: strings hold no line ends.
            json: json.trim().replace(['\n', '\r'], " "),
        })
    }

    pub(crate) const fn status(&self) -> OperationStatus {
        self.operation.summary.status
    }

    /// Of the command itself: none for imports, and as long as there is none.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        match &self.operation.metadata {
            OperationMetadata::Instance(metadata) => metadata
                .result
                .as_ref()
                .map(|result| result.state.exit_code),
            OperationMetadata::Import(_) => None,
        }
    }

    /// The image it made, if any.
    pub(crate) fn image(&self) -> Option<String> {
        let made = self
            .operation
            .result
            .as_ref()
            .and_then(|result| result.image);
        made.map(|id| id.to_string())
    }

    /// All that the server told.
    pub(crate) fn row(&self) -> Row {
        Row::read(&self.json).unwrap_or_else(|_| Row::of(&self.operation))
    }

    /// What waiting for it ends with: the command's exit code, 255 for one that was killed as `run`
    /// has it, and 1 for an operation that itself came to nothing.
    pub(crate) fn outcome(&self) -> u8 {
        let code = self.exit_code().unwrap_or(0);
        if self.status() == OperationStatus::Success {
            code.to_le_bytes()[0]
        } else {
            u8::try_from(code).unwrap_or(1).max(1)
        }
    }
}

/// Waits for the end of an operation.
/// Any number of waits on one `Contree` share one connection.
pub(crate) async fn ended(contree: &Contree, id: OperationId) -> Result<Told, Failure> {
    let told = Told::ask(contree.client(), id, false).await?;
    if told.status().is_terminal() {
        return Ok(told);
    }
    contree.operation(id).wait().await.map_err(|error| {
        Failure::from(error)
            .while_doing(format!("lost sight of operation {id}"))
            .advise(format!("contree show {id}"))
    })?;
    // In the server's own words.
    Told::ask(contree.client(), id, false).await
}
