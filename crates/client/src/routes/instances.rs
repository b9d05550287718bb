//! Runs.

use contree_api::OperationId;
use contree_api::instance::{InstanceSpawnRequest, InstanceSpawnResponse};
use serde_json::Value;

use crate::call::Call;
use crate::{Client, Error};

impl Client {
    /// `POST /instances`: starts a run. What is left at its default is not sent, so that a server
    /// or token with other bounds decides for itself.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn spawn(
        &self,
        request: &InstanceSpawnRequest,
    ) -> Result<InstanceSpawnResponse, Error> {
        self.json(&spawn_call(request)).await
    }

    /// The same, unless `gone` is done before the server has taken it: `None`, and nothing was
    /// started. A request that is on its way is waited for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn spawn_unless(
        &self,
        request: &InstanceSpawnRequest,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<OperationId>, Error> {
        self.start_unless(&spawn_call(request), gone).await
    }
}

pub(crate) fn spawn_call(request: &InstanceSpawnRequest) -> Call {
    Call::post("/instances")
        .json_body(&without_defaults(request))
        .starts_operation()
}

fn without_defaults(request: &InstanceSpawnRequest) -> Value {
    let default = InstanceSpawnRequest::new("", request.image.clone());
    let json = |request| serde_json::to_value(request).expect("wire types have string keys");
    let (mut body, default) = (json(request), json(&default));
    if let Value::Object(fields) = &mut body {
        fields.retain(|name, value| {
            name == "image" || name == "command" || default.get(name) != Some(value)
        });
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_chosen_is_sent() {
        let image = "eb1ea259-fac9-5a79-9ffd-000000000001";
        let mut request = InstanceSpawnRequest::new("ls", image.parse().unwrap());
        assert_eq!(
            without_defaults(&request),
            serde_json::json!({"command": "ls", "image": image})
        );
        request.timeout = Some(5);
        request.disposable = true;
        assert_eq!(
            without_defaults(&request),
            serde_json::json!({"command": "ls", "image": image, "timeout": 5, "disposable": true})
        );
    }
}
