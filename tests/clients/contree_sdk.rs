//! contree_sdk: everything public of its blocking and its asynchronous client.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Registry, Settings, python};

use super::debian_server_with;

const USER: &str = "someone";
const PASSWORD: &str = "swordfish-2861";

#[tokio::test]
async fn privileged_contree_sdk() {
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
    python::suite("published", "contree_sdk", &server, &settings);
}
