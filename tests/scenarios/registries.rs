//! Registries that ask for a password, and where the password does not go.

use std::fs;
use std::path::Path;

use contree_api::image::{Credentials, ImageImportRequest, MASKED, Registry as Source};
use contree_api::operation::OperationStatus;
use contree_client::events::EventQuery;
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Contree, Registry, Server, Settings, finished};

const PASSWORD: &str = "swordfish-7316";

/// Files below a folder that contain a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        let meta = fs::symlink_metadata(&path).expect("an entry can be looked at");
        if meta.is_dir() {
            found.extend(files_with(&path, text));
        } else if meta.is_file() {
            let bytes = fs::read(&path).expect("a file can be read");
            if bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn privileged_credentials_open_a_registry_and_stay_nowhere() {
    let tiny = Tiny::new();
    let registry = Registry::with_password("someone", PASSWORD);
    registry.push(&tiny.tar(), "team/tiny:1", &["FLAVOUR=sour"]);
    let server = Server::start(Settings::with(&["--allow-registry", registry.address()]));
    let client = server.client();
    let url = format!("docker://{}/team/tiny:1", registry.address());
    let request = |credentials| ImageImportRequest {
        registry: Source {
            url: url.clone(),
            credentials,
        },
        tag: Some("tiny:1".parse().expect("a tag")),
        timeout: None,
    };
    let credentials = |password: &str| {
        Some(Credentials {
            username: Some("someone".into()),
            password: Some(password.into()),
        })
    };

    for refused in [None, credentials("wrong")] {
        let operation = client
            .import_image(&request(refused))
            .await
            .expect("accepted")
            .uuid;
        let done = finished(&client, operation).await;
        assert_eq!(done.summary.status, OperationStatus::Failed, "{done:#?}");
        assert!(done.summary.error.is_some());
    }
    let operation = client
        .import_image(&request(credentials(PASSWORD)))
        .await
        .expect("accepted")
        .uuid;
    let done = finished(&client, operation).await;
    assert_eq!(done.summary.status, OperationStatus::Success, "{done:#?}");

    let answer = serde_json::to_string(&done).expect("JSON");
    assert!(
        answer.contains(MASKED) && !answer.contains(PASSWORD),
        "{answer}"
    );
    let mut events = client
        .events(operation, &EventQuery::default())
        .await
        .expect("a log");
    while let Some(frame) = events.next().await.expect("an event") {
        assert!(!frame.json.contains(PASSWORD), "{}", frame.json);
    }
    assert!(!server.log().contains(PASSWORD));
    assert_eq!(
        files_with(&server.data_dir(), PASSWORD),
        Vec::<String>::new()
    );

    // Nor does the command line keep it, and the environment came along with the image.
    let contree = Contree::new(&server);
    contree.line("use tag:tiny:1").succeeds();
    contree
        .line("run printenv FLAVOUR")
        .succeeds()
        .shows("sour");
}

#[tokio::test]
async fn privileged_an_image_that_is_here_is_not_fetched_again() {
    let tiny = Tiny::new();
    let registry = Registry::open();
    registry.push(&tiny.tar(), "tiny:1", &[]);
    let server = Server::start(Settings::with(&["--allow-registry", registry.address()]));
    let client = server.client();
    let mut images = Vec::new();
    for tag in ["first", "second"] {
        let request = ImageImportRequest {
            registry: Source {
                url: format!("docker://{}/tiny:1", registry.address()),
                credentials: None,
            },
            tag: Some(tag.parse().expect("a tag")),
            timeout: None,
        };
        let operation = client.import_image(&request).await.expect("accepted").uuid;
        let done = finished(&client, operation).await;
        assert_eq!(done.summary.status, OperationStatus::Success, "{done:#?}");
        images.push(done.summary.result_image_uuid.expect("an image"));
    }
    assert_eq!(images[0], images[1]);
    for tag in ["first", "second"] {
        let found = client
            .find_image(&tag.parse().expect("a tag"))
            .await
            .expect("it is tagged");
        assert_eq!(found, images[0]);
    }
}

#[tokio::test]
async fn privileged_a_registry_that_is_not_allowed_is_not_asked() {
    let registry = Registry::open();
    let server = Server::start(Settings::default());
    let client = server.client();
    let request = ImageImportRequest {
        registry: Source {
            url: format!("docker://{}/tiny:1", registry.address()),
            credentials: None,
        },
        tag: None,
        timeout: None,
    };
    let error = match client.import_image(&request).await {
        Ok(accepted) => {
            let done = finished(&client, accepted.uuid).await;
            assert_eq!(done.summary.status, OperationStatus::Failed, "{done:#?}");
            done.summary.error.expect("an error")
        }
        Err(error) => error.to_string(),
    };
    assert!(error.contains("allow"), "{error}");
}
