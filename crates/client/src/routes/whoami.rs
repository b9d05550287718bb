//! What the token may do.

use contree_api::whoami::WhoAmI;

use crate::call::Call;
use crate::{Client, Error};

impl Client {
    /// `GET /whoami`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn whoami(&self) -> Result<WhoAmI, Error> {
        self.json(&Call::get("/whoami")).await
    }
}
