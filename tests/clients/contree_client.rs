//! contree-client: every method over each of its six transports.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Registry, Server, Settings, python};

use super::debian_server_with;

const USER: &str = "someone";
const PASSWORD: &str = "swordfish-9034";

#[tokio::test]
async fn privileged_contree_client() {
    let tiny = Tiny::new();
    let registry = Registry::with_password(USER, PASSWORD);
    registry.push(&tiny.tar(), "team/tiny:1", &["FLAVOUR=sour"]);
    let allowed = Settings::with(&["--allow-registry", registry.address()]);
    let server = debian_server_with(allowed).await;
    // For what happens when there is no place: one run at a time, and two that may wait.
    let narrow = Settings::with(&["--instance-max-concurrency", "1", "--queue-max", "2"]);
    let narrow = Server::start(narrow);
    narrow.import(&tiny.tar(), "tiny:1").await;
    let settings = [
        ("CONTREE_TEST_NARROW_URL", narrow.url()),
        ("CONTREE_TEST_NARROW_TOKEN", &narrow.token()),
        ("CONTREE_TEST_REGISTRY", registry.address()),
        ("CONTREE_TEST_REGISTRY_USER", USER),
        ("CONTREE_TEST_REGISTRY_PASSWORD", PASSWORD),
    ];
    python::suite("published", "contree_client", &server, &settings);
}
