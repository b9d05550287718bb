//! Runs.

use contree_api::instance::{InstanceSpawnRequest, InstanceSpawnResponse};

use crate::http::Call;
use crate::{Client, Error};

impl Client {
    /// `POST /instances`: starts a run.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn spawn(
        &self,
        request: &InstanceSpawnRequest,
    ) -> Result<InstanceSpawnResponse, Error> {
        self.json(&Call::post("/instances").json_body(request))
            .await
    }
}
