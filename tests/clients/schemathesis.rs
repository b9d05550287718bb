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
use contree_client::OperationFilter;
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

async fn call_all(published: &Path, schemathesis: &Path) {
    // Imports that can reach nothing try for a while; none shall wait for the others.
    let settings = Settings::with(&["--images-import-max-concurrency", "1000"]);
    let server = Server::start(settings);
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
        .envs(objects.named())
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

/// What is there to be asked for, in a project that is there for nothing else.
struct Objects {
    token: String,
    image: String,
    import: String,
    run: String,
    running: String,
    sha256: String,
}

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
        let operations = client.list_operations(&OperationFilter::default()).await;
        let import = operations.expect("operations are listed")[0].uuid;

        let mut request = InstanceSpawnRequest::new("id", ImageRef::Id(image));
        let run = contree_e2e::run(&client, &request).await.summary.uuid;
        request.command = "cat".to_owned();
        request.stdin = Some(ClosableStreamRepr {
            value: String::new(),
            encoding: Encoding::Ascii,
            close: false,
        });
        let running = client.spawn(&request).await.expect("a run").uuid;
        Self {
            token,
            image: image.to_string(),
            import: import.to_string(),
            run: run.to_string(),
            running: running.to_string(),
            sha256: upload.expect("the upload succeeds").file.sha256,
        }
    }

    /// As the suite's settings name them.
    fn named(&self) -> [(&'static str, &str); 6] {
        [
            ("CONTREE_TEST_TOKEN", &self.token),
            ("IMAGE", &self.image),
            ("IMPORT", &self.import),
            ("RUN", &self.run),
            ("RUNNING", &self.running),
            ("SHA256", &self.sha256),
        ]
    }
}
