//! Scenarios a user would recognise, each against a server of its own.

#![forbid(unsafe_code)]

mod branches;
mod builds;
mod command_line;
mod copies;
mod crashes;
mod crowds;
mod detached;
mod environments;
mod errors;
mod events;
mod feed;
mod files;
mod images;
mod inspect;
mod instances;
mod operations;
mod operations_list;
mod projects;
mod raw;
mod registries;
mod runs;
mod sdk;
mod sdk_page;
mod seed_page;
mod stopping;
mod subprocesses;
mod terminal;
mod transport;

use std::time::{Duration, Instant};

use contree_api::operation::OperationStatus;
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Contree, Server, Settings};

/// Longest wait for something to come about.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a small image, and a session that starts from it.
async fn session() -> (Server, Contree) {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    server.import(&tiny.tar(), "tiny:latest").await;
    let contree = Contree::new(&server);
    contree.line("use tag:tiny:latest").succeeds();
    (server, contree)
}

/// Waits until every operation has ended. That one is cancelled is accepted at once, and done a
/// moment later.
#[track_caller]
fn all_end(contree: &Contree) {
    let active: Vec<&str> = OperationStatus::ALL
        .into_iter()
        .filter(|status| !status.is_terminal())
        .map(OperationStatus::name)
        .collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = contree.line("ps -a").succeeds().stdout;
        if !active.iter().any(|status| listed.contains(status)) {
            return;
        }
        assert!(Instant::now() < deadline, "they never end: {listed}");
    }
}
