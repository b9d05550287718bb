//! The two packages named contree_sdk: the published one, and this project's, which takes its place.
//!
//! What both have is held to the same expectations with either; the suites are walked through side
//! by side.

use contree_e2e::python::{self, Sdk, sdk_suite};
use contree_e2e::rootfs::{self, Tiny};
use contree_e2e::{Registry, Server, Settings};

use super::{debian_server, debian_server_with};

const USER: &str = "someone";
const PASSWORD: &str = "swordfish-2861";

#[tokio::test]
async fn privileged_contree_sdk_published() {
    everyday(Sdk::Published).await;
}

#[tokio::test]
async fn privileged_contree_sdk_ours() {
    everyday(Sdk::Ours).await;
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
    let mut settings = vec![
        ("CONTREE_TEST_REGISTRY", registry.address()),
        ("UPDATE_GOLDEN", &update),
    ];
    let pythons = Pythons::both();
    settings.extend(pythons.settings());
    sdk_suite(Sdk::Ours, "contree_sdk/examples", &server, &settings);
}

#[tokio::test]
async fn privileged_contree_sdk_published_meets_faults() {
    faults(Sdk::Published).await;
}

#[tokio::test]
async fn privileged_contree_sdk_ours_meets_faults() {
    faults(Sdk::Ours).await;
}

/// Servers and networks that do what they should not.
async fn faults(sdk: Sdk) {
    let server = debian_server().await;
    let tiny = Tiny::new();
    let narrow = Server::start(Settings::with(&["--max-upload-bytes", "16777216"]));
    narrow.import(&tiny.tar(), "tiny:1").await;
    let programs = std::env::var("CONTREE_TEST_BIN").expect("the programs under test are named");
    let tiny = tiny.tar().display().to_string();
    let settings = [
        ("CONTREE_TEST_NARROW_URL", narrow.url()),
        ("CONTREE_TEST_NARROW_TOKEN", &narrow.token()),
        // For a server that the suite starts, kills and starts again.
        ("CONTREE_TEST_BIN", &programs),
        ("CONTREE_TEST_TINY", &tiny),
    ];
    sdk_suite(sdk, "contree_sdk/faults", &server, &settings);
}

/// What the published package does not have.
#[tokio::test]
async fn privileged_contree_sdk_ours_does_more() {
    let server = debian_server().await;
    sdk_suite(Sdk::Ours, "contree_sdk/beyond", &server, &[]);
}

/// Names, types, and the Pythons that the wheel is for.
#[tokio::test]
async fn privileged_contree_sdk_ours_is_what_it_says() {
    let server = debian_server().await;
    let wheel = std::env::var("CONTREE_TEST_WHEEL").expect("the wheel under test is named");
    let pythons = Pythons::both();
    let mut settings = vec![("CONTREE_TEST_WHEEL", wheel.as_str())];
    settings.extend(pythons.settings());
    sdk_suite(Sdk::Ours, "contree_sdk/shape", &server, &settings);
    // The package's own tests, which need no server.
    sdk_suite(Sdk::Ours, "../../sdk/python/tests", &server, &[]);
}

#[tokio::test]
async fn privileged_many_runs_from_one_python() {
    let server = debian_server().await;
    sdk_suite(Sdk::Ours, "contree_sdk/many", &server, &[]);
}

/// The programs of both environments, for suites that compare them.
struct Pythons {
    published: String,
    ours: String,
}

impl Pythons {
    fn both() -> Self {
        let program = |sdk| {
            let folder = python::sdk(sdk);
            folder.join("bin/python").display().to_string()
        };
        Self {
            published: program(Sdk::Published),
            ours: program(Sdk::Ours),
        }
    }

    fn settings(&self) -> [(&'static str, &str); 2] {
        [
            ("CONTREE_TEST_PYTHON_PUBLISHED", &self.published),
            ("CONTREE_TEST_PYTHON_OURS", &self.ours),
        ]
    }
}
