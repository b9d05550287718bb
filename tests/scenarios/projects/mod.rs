//! Projects, tokens and the public namespace: several parties on one server.

mod administration;
mod isolation;
mod limits;
mod permissions;
mod public;
mod signed;

use contree_api::ImageId;
use contree_api::admin::{ProjectCreate, TokenCreate};
use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_client::Client;
use contree_e2e::{Server, Settings};

use crate::raw::Raw;

/// A server and its operator.
struct Office {
    server: Server,
    /// With the token of the first start: admin rights, and the project `default`.
    admin: Client,
    raw: Raw,
}

/// One token, in both ways to use it.
struct Holder {
    client: Client,
    raw: Raw,
}

impl Office {
    fn open(args: &[&str]) -> Self {
        let server = Server::start(Settings::with(args));
        Self {
            admin: server.client(),
            raw: Raw::new(&server),
            server,
        }
    }

    async fn project(&self, name: &str) {
        let name = name.to_owned();
        self.admin
            .create_project(&ProjectCreate { name })
            .await
            .expect("the project is made");
    }

    async fn token(&self, request: TokenCreate) -> Holder {
        let made = self.admin.create_token(&request).await;
        self.holder(&made.expect("the token is made").token)
    }

    /// A token of a project that may do everything.
    async fn member(&self, project: &str) -> Holder {
        self.token(of(project)).await
    }

    fn holder(&self, token: &str) -> Holder {
        Holder {
            client: self.server.client_with(token),
            raw: self.raw.with(token),
        }
    }
}

fn of(project: &str) -> TokenCreate {
    TokenCreate {
        project: Some(project.to_owned()),
        ..TokenCreate::default()
    }
}

fn shell(image: ImageId, script: &str) -> InstanceSpawnRequest {
    InstanceSpawnRequest {
        shell: true,
        ..InstanceSpawnRequest::new(script, ImageRef::Id(image))
    }
}
