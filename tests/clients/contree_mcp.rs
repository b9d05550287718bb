//! contree-mcp 0.5.0: every tool, resource and prompt, asked for over standard input and output.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Registry, Settings};

use super::debian_server_with;

const USER: &str = "someone";
const PASSWORD: &str = "swordfish-4821";

#[tokio::test]
async fn privileged_contree_mcp_answers_an_agent() {
    let tiny = Tiny::new();
    // The suite puts a door before it on port 443, so it has an address to itself.
    let [.., high, low] = std::process::id().to_be_bytes();
    let registry = Registry::with_password_on(&format!("127.83.{high}.{low}"), USER, PASSWORD);
    registry.push(&tiny.tar(), "team/tiny:1", &["FLAVOUR=sour"]);
    let server =
        debian_server_with(Settings::with(&["--allow-registry", registry.address()])).await;
    let login = format!("{USER}:{PASSWORD}");
    let settings = [
        ("CONTREE_TEST_REGISTRY", registry.address()),
        ("CONTREE_TEST_REGISTRY_LOGIN", login.as_str()),
    ];
    contree_e2e::python::suite("published", "contree_mcp", &server, &settings);
}
