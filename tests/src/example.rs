//! What the examples of the documentation run against: a real server with a small image under the
//! tag `debian`.
//!
//! All examples of a process share one server, which ends with the last of them: the runner of
//! documentation tests puts most of them into one process, each on a thread of its own.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use contree_client::Contree;
use tokio::runtime::Runtime;

use crate::rootfs::Tiny;
use crate::{Server, Settings};

/// A server for an example. It runs at least as long as this lives.
pub struct Example {
    server: Arc<Server>,
}

static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Example {
    /// On the server of this process, which is started if none runs.
    #[must_use]
    pub fn start() -> Self {
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Server::start(Settings::default()));
            let tiny = Tiny::new();
            runtime().block_on(server.import(&tiny.tar(), "debian"));
            *shared = Arc::downgrade(&server);
            server
        });
        Self { server }
    }

    /// Runs an async example to its end, and panics when it fails.
    pub fn run(example: impl AsyncFnOnce(&Self) -> Result<(), Box<dyn Error>>) {
        let started = Self::start();
        if let Err(error) = runtime().block_on(example(&started)) {
            panic!("the example failed: {error:?}");
        }
    }

    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// A token for it.
    #[must_use]
    pub fn token(&self) -> String {
        self.server.token()
    }

    /// A connection to it.
    #[must_use]
    pub fn contree(&self) -> Contree {
        Contree::new(self.server.client())
    }
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime for the example")
}
