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

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Contree, Server, Settings};

/// A server with a small image, and a session that starts from it.
async fn session() -> (Server, Contree) {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    server.import(&tiny.tar(), "tiny:latest").await;
    let contree = Contree::new(&server);
    contree.line("use tag:tiny:latest").succeeds();
    (server, contree)
}
