//! contree-cli 0.9.4: the tutorial of its manual, and every command.
//!
//! Two suites, which the test runner runs side by side: each command is a program of Python to start.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Registry, Settings};

use super::{debian_server, debian_server_with};

#[tokio::test]
async fn privileged_contree_cli_looks_branches_and_builds() {
    let tiny = Tiny::new();
    let registry = Registry::open();
    registry.push(&tiny.tar(), "team/tiny:1", &["FLAVOUR=sour"]);
    registry.push(&tiny.tar(), "team/tiny:2", &["FLAVOUR=sweet"]);
    let server =
        debian_server_with(Settings::with(&["--allow-registry", registry.address()])).await;
    let settings = [("CONTREE_TEST_REGISTRY", registry.address())];
    contree_e2e::python::suite("published", "contree_cli/looking", &server, &settings);
}

#[tokio::test]
async fn privileged_contree_cli_runs_and_waits() {
    let server = debian_server().await;
    contree_e2e::python::suite("published", "contree_cli/running", &server, &[]);
}
