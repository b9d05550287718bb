//! contree-client: every method over each of its six transports.

use contree_e2e::{Server, Settings, python, rootfs::Tiny};

use super::debian_server;

#[tokio::test]
async fn privileged_contree_client() {
    let server = debian_server().await;
    // For what happens when there is no place: one run at a time, and two that may wait.
    let narrow = Settings::with(&["--instance-max-concurrency", "1", "--queue-max", "2"]);
    let narrow = Server::start(narrow);
    narrow.import(&Tiny::new().tar(), "tiny:1").await;
    let settings = [
        ("CONTREE_TEST_NARROW_URL", narrow.url()),
        ("CONTREE_TEST_NARROW_TOKEN", &narrow.token()),
    ];
    python::suite("published", "contree_client", &server, &settings);
}
