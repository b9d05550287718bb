//! Tests of the crate as a whole: settings from all their sources, routes through the router,
//! connections over real sockets, and a server from start to signal.

mod bench;
mod config;
mod connections;
mod life;
mod openapi;
mod pages;
mod routes;

pub(crate) use bench::sandbox_binary;

/// Compares with a golden file of this folder; with `UPDATE_GOLDEN` set writes it instead.
fn assert_golden(name: &str, shown: &str, golden: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/golden");
        std::fs::write(folder.join(name), shown).unwrap();
    } else {
        assert!(
            shown == golden,
            "{name} differs; UPDATE_GOLDEN=1 accepts this:\n{shown}"
        );
    }
}
