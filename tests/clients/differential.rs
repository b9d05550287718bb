//! contree-cli 0.9.4 and our command line beside each other: the same lines, the same server.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Registry, Server, Settings, python};

#[tokio::test]
async fn privileged_contree_cli_and_ours_do_the_same() {
    let tiny = Tiny::new();
    let registry = Registry::open();
    registry.push(&tiny.tar(), "team/tiny:1", &["FLAVOUR=sour"]);
    registry.push(&tiny.tar(), "team/tiny:2", &["FLAVOUR=sweet"]);
    let server = Server::start(Settings::with(&["--allow-registry", registry.address()]));
    server.import(&tiny.tar(), "tiny:1").await;
    let programs = std::env::var("CONTREE_TEST_BIN").expect("the programs under test are named");
    let update = std::env::var("UPDATE_GOLDEN").unwrap_or_default();
    let settings = [
        ("CONTREE_TEST_REGISTRY", registry.address()),
        ("CONTREE_TEST_BIN", &programs),
        ("UPDATE_GOLDEN", &update),
    ];
    python::suite("differential", "differential", &server, &settings);
}
