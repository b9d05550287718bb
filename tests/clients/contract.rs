//! The document that the server serves, compared with the one that contree-client was made from.

use contree_e2e::{Server, Settings, python};

#[tokio::test]
async fn privileged_the_contract_is_kept() {
    let server = Server::start(Settings::default());
    python::suite("published", "contract", &server, &[]);
}
