//! The two packages named contree_sdk: the published one, and this project's, which takes its place.
//!
//! What both have is held to the same expectations with either; the suites are walked through side
//! by side.

use contree_e2e::python::{self, Sdk, sdk_suite};
use contree_e2e::rootfs::{self, Tiny};
use contree_e2e::{Registry, Settings};

use super::debian_server_with;

const USER: &str = "someone";
const PASSWORD: &str = "swordfish-2861";

#[tokio::test]
async fn privileged_contree_sdk_published() {
    everyday(Sdk::Published).await;
}

/// Everything public of the blocking and the asynchronous client.
async fn everyday(sdk: Sdk) {
    let tiny = Tiny::new();
    let open = Registry::open();
    open.push(&tiny.tar(), "team/tiny:1", &["FLAVOUR=sweet"]);
    let private = Registry::with_password(USER, PASSWORD);
    private.push(&tiny.tar(), "secret:1", &[]);
    let allowed = [
        "--allow-registry",
        open.address(),
        "--allow-registry",
        private.address(),
    ];
    let server = debian_server_with(Settings::with(&allowed)).await;
    let settings = [
        ("CONTREE_TEST_REGISTRY", open.address()),
        ("CONTREE_TEST_PRIVATE_REGISTRY", private.address()),
        ("CONTREE_TEST_REGISTRY_USER", USER),
        ("CONTREE_TEST_REGISTRY_PASSWORD", PASSWORD),
    ];
    sdk_suite(sdk, "contree_sdk/everyday", &server, &settings);
}

#[tokio::test]
async fn privileged_contree_sdk_examples() {
    let tiny = Tiny::new();
    let registry = Registry::open();
    registry.push(&tiny.tar(), "team/tiny:1", &[]);
    let allowed = Settings::with(&["--allow-registry", registry.address()]);
    let server = debian_server_with(allowed).await;
    server.import(&rootfs::tools(), "debian:tools").await;
    let update = std::env::var("UPDATE_GOLDEN").unwrap_or_default();
    let published = python::sdk(Sdk::Published).join("bin/python");
    let published = published.display().to_string();
    let settings = [
        ("CONTREE_TEST_REGISTRY", registry.address()),
        ("CONTREE_TEST_PYTHON_PUBLISHED", &published),
        ("UPDATE_GOLDEN", &update),
    ];
    sdk_suite(Sdk::Published, "contree_sdk/examples", &server, &settings);
}
