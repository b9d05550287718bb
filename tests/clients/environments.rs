//! What the suites stand on.

use super::debian_server;

#[tokio::test]
async fn privileged_published_packages_are_the_pinned_ones() {
    let server = debian_server().await;
    contree_e2e::python::suite("published", "environment", &server, &[]);
}
