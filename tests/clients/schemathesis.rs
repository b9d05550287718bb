//! schemathesis over the contract: requests that it allows, and many that it does not. No answer
//! may be a fault, and none may be one that the contract does not have.
//!
//! What it asks to be imported are made-up names, and the contract's example of one on a public
//! registry. So all of it happens in a network of its own, which leads nowhere.

use std::path::Path;
use std::process::{Command, Stdio};

use contree_api::admin::{ProjectCreate, TokenCreate};
use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::stream::{ClosableStreamRepr, Encoding};
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings, python};

/// Set for the process that runs in the network of its own.
const APART: &str = "CONTREE_TEST_APART";

/// The name of the test below, as the test program knows it.
const NAME: &str = "schemathesis::privileged_no_answer_is_outside_the_contract";

#[tokio::test]
async fn privileged_no_answer_is_outside_the_contract() {
    // Installed while there is a network.
    let published = python::environment("published");
    let schemathesis = python::environment("schemathesis");
    if std::env::var_os(APART).is_some() {
        call_all(&published, &schemathesis).await;
    } else {
        again_apart();
    }
}

/// Runs this test once more, in a network namespace with a loopback interface alone.
fn again_apart() {
    let status = Command::new("unshare")
        .args(["--net", "sh", "-c"])
        .arg("ip link set lo up && exec \"$@\"")
        .arg("sh")
        .arg(std::env::current_exe().expect("the test knows its program"))
        .args(["--exact", NAME, "--nocapture"])
        .env(APART, "1")
        .stdin(Stdio::null())
        .status()
        .expect("unshare starts");
    assert!(status.success(), "the test apart ended with {status}");
}

#[expect(
    clippy::print_stdout,
    reason = "the summary belongs to the run's record"
)]
async fn call_all(published: &Path, schemathesis: &Path) {
    // Imports that can reach nothing try for a while; none shall wait for the others.
    let server = Server::start(Settings::with(&["--images-import-max-concurrency", "1000"]));
    let objects = Objects::make(&server).await;
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let folder = tempfile::tempdir().expect("a folder for what schemathesis writes");

    let contract = Command::new(published.join("bin/python"))
        .arg(suite.join("contract/document.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python starts");
    assert!(contract.status.success(), "{contract:?}");
    let document = folder.path().join("contract.json");
    std::fs::write(&document, contract.stdout).expect("the contract can be written");

    let output = Command::new(schemathesis.join("bin/schemathesis"))
        .args(["--no-color", "--config-file"])
        .arg(suite.join("schemathesis/schemathesis.toml"))
        .arg("run")
        .arg(&document)
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("PYTHONPATH", suite.join("schemathesis"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CONTREE_TEST_URL", server.url())
        .envs(objects.0)
        .stdin(Stdio::null())
        .output()
        .expect("schemathesis starts");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "schemathesis ended with {}",
        output.status
    );
}

/// What is there to be asked for, in a project that is there for nothing else, by the names that
/// adaptations.py has for it.
struct Objects(Vec<(&'static str, String)>);

impl Objects {
    async fn make(server: &Server) -> Self {
        let admin = server.client();
        let project = ProjectCreate {
            name: "scratch".to_owned(),
        };
        admin.create_project(&project).await.expect("a project");
        let token = TokenCreate {
            project: Some("scratch".to_owned()),
            ..TokenCreate::default()
        };
        let token = admin.create_token(&token).await.expect("a token").token;
        let client = server.client_with(&token);

        let tiny = Tiny::new();
        let image = contree_e2e::import(&client, &tiny.tar(), "tiny:1").await;
        let upload = client.ensure_file(&tiny.tar(), |_| {}).await;
        let file = upload.expect("the upload succeeds").file;
        let mut request = InstanceSpawnRequest::new("id", ImageRef::Id(image));
        let run = contree_e2e::run(&client, &request).await.summary.uuid;
        let mut objects = vec![
            ("CONTREE_TEST_TOKEN", token),
            ("IMAGE", image.to_string()),
            ("FILE", file.uuid.to_string()),
            ("SHA256", file.sha256),
            ("RUN", run.to_string()),
        ];
        // Those that stay until they are ended; one of them is fed.
        request.command = "cat; sleep 3000".to_owned();
        request.shell = true;
        request.timeout = Some(3_600);
        request.stdin = Some(ClosableStreamRepr {
            value: String::new(),
            encoding: Encoding::Ascii,
            close: false,
        });
        for name in ["RUNNING", "FED", "KILLED", "CANCELLED"] {
            let running = client.spawn(&request).await.expect("a run").uuid;
            objects.push((name, running.to_string()));
        }
        Self(objects)
    }
}
