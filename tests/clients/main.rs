//! The published clients of the hosted service, unmodified from PyPI, against a real server.
//!
//! Each module runs one pytest suite of this project's own, a folder beside it, which walks
//! through what the client offers. What the suites print is shown at the end of the test run.
//! Two more hold the server to the contract that those clients were made from: its own document is
//! compared with it, and schemathesis calls all of it.

mod contract;
mod contree_cli;
mod contree_client;
mod contree_mcp;
mod contree_sdk;
mod differential;
mod environments;
mod schemathesis;
mod sdk_native;

use contree_e2e::{Server, Settings, rootfs};

/// A server with a Debian image as `debian:bookworm`.
async fn debian_server() -> Server {
    debian_server_with(Settings::default()).await
}

/// The same with settings.
async fn debian_server_with(settings: Settings) -> Server {
    let server = Server::start(settings);
    server.import(&rootfs::debian(), "debian:bookworm").await;
    server
}
