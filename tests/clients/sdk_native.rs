//! What the native module of this project's Python SDK promises: event loops, threads, forks,
//! interrupts, and interpreters that end with work under way.

use contree_e2e::python::{Sdk, sdk_suite};

use super::debian_server;

#[tokio::test]
async fn privileged_sdk_native() {
    let server = debian_server().await;
    sdk_suite(Sdk::Ours, "sdk/native", &server, &[]);
}
