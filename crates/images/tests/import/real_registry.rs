//! Debian's docker-registry, filled by skopeo.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::image::{Image, Packing, usual_config};
use crate::support::registry::DockerRegistry;
use crate::support::tarball::Tar;
use crate::support::{Env, run};

fn layers() -> Vec<Vec<u8>> {
    vec![
        Tar::new()
            .folder("etc")
            .file("etc/name", b"lower")
            .file("etc/gone", b"x")
            .bytes(),
        Tar::new()
            .file("etc/name", b"upper")
            .whiteout("etc/.wh.gone")
            .bytes(),
    ]
}

fn check(env: &Env, imported: &contree_images::import::Imported) {
    let layer = env.layer(imported.layer);
    assert_eq!(
        std::fs::read_to_string(layer.join("etc/name")).unwrap(),
        "upper"
    );
    assert!(!layer.join("etc/gone").exists());
    assert_eq!(imported.cwd.as_deref(), Some("/srv"));
    assert!(env.store.has_layer(imported.layer));
}

#[tokio::test]
async fn privileged_every_form_of_an_image() {
    let registry = DockerRegistry::start();
    let image = Image::of(&layers());
    registry.push_image(&image, "plain/oci:1", &[]);
    registry.push_image(&image, "plain/docker:1", &["--format", "v2s2"]);
    registry.push_image(
        &image,
        "deep/er/name:latest",
        &["--dest-compress-format", "zstd"],
    );
    let mixed = Image::packed(
        &[
            (layers()[0].clone(), Packing::Zstd),
            (layers()[1].clone(), Packing::Plain),
        ],
        usual_config(),
    );
    registry.push_image(&mixed, "mixed:1", &[]);
    let env = Env::new();
    let mut digests = Vec::new();
    for name in ["plain/oci:1", "plain/docker:1", "deep/er/name", "mixed:1"] {
        let imported = env.pull(&registry.url(name)).await.unwrap_or_else(|error| {
            panic!("{name}: {}", error.message());
        });
        check(&env, &imported);
        digests.push(imported.digest.to_string());
    }
    // However it is packed, it is the same image.
    assert_eq!(digests[0], image.config_digest);
    assert_eq!(digests[2], digests[0]);
    assert_eq!(digests[3], digests[0]);

    let message = env
        .pull(&registry.url("plain/oci:2"))
        .await
        .unwrap_err()
        .message();
    assert!(message.ends_with("has no plain/oci:2"), "{message}");
    let message = env
        .pull(&registry.url("nobody/nothing"))
        .await
        .unwrap_err()
        .message();
    assert!(
        message.ends_with("has no nobody/nothing:latest"),
        "{message}"
    );
}

#[tokio::test]
async fn privileged_user_and_password() {
    let registry = DockerRegistry::with_password("tester", "pa:ss word");
    let image = Image::of(&layers());
    registry.push_image(&image, "guarded:1", &[]);
    let env = Env::new();
    let url = registry.url("guarded:1");
    let message = env.pull(&url).await.unwrap_err().message();
    assert!(
        message.contains("wants a user name and password"),
        "{message}"
    );
    let message = env
        .pull_as(&url, "tester", "wrong")
        .await
        .unwrap_err()
        .message();
    assert!(
        message.contains("does not accept this user name and password"),
        "{message}"
    );
    env.assert_nothing_left().await;
    let imported = env.pull_as(&url, "tester", "pa:ss word").await.unwrap();
    check(&env, &imported);
}

/// The content of the image decides, not the registry, the name or the packing.
#[tokio::test]
async fn the_digest_is_known_before_anything_is_fetched() {
    let registry = DockerRegistry::start();
    let image = Image::of(&layers());
    registry.push_image(&image, "known:1", &[]);
    let env = Env::new();
    let reference = crate::support::reference(&registry.url("known:1"));
    let input = contree_images::import::Input::Registry {
        reference,
        credentials: None,
    };
    let resolved = env.importer.resolve(input).await.unwrap();
    assert_eq!(resolved.digest().as_str(), image.config_digest);
    assert_eq!(resolved.layers(), 2);
    env.assert_nothing_left().await;
}

#[tokio::test]
async fn privileged_lists_of_platforms() {
    let registry = DockerRegistry::start();
    let layout = TempDir::new().unwrap();
    let image = Image::of(&layers());
    image.write_layout(layout.path());
    let mut other_config = usual_config();
    other_config["architecture"] = "arm64".into();
    let other = Image::packed(&[(layers()[0].clone(), Packing::Gzip)], other_config);
    let elsewhere = TempDir::new().unwrap();
    other.write_layout(elsewhere.path());
    run(
        "cp",
        &[
            "-r",
            &format!("{}/blobs", elsewhere.path().display()),
            &layout.path().display().to_string(),
        ],
    );
    let platform = |name: &str| Some(serde_json::json!({"os": "linux", "architecture": name}));
    let list = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [other.descriptor(platform("arm64")), image.descriptor(platform("amd64"))],
    });
    let list = serde_json::to_vec(&list).unwrap();
    let digest = contree_images::import::Digest::of(&list);
    std::fs::write(layout.path().join("blobs/sha256").join(digest.hex()), &list).unwrap();
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest.to_string(),
        "size": list.len(),
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }]});
    std::fs::write(layout.path().join("index.json"), index.to_string()).unwrap();
    let from = crate::support::registry::oci(layout.path());
    registry.push(&from, "list/oci:1", &["--all"]);
    registry.push(&from, "list/docker:1", &["--all", "--format", "v2s2"]);
    let env = Env::new();
    for name in ["list/oci:1", "list/docker:1"] {
        let imported = env.pull(&registry.url(name)).await.unwrap();
        check(&env, &imported);
    }
}

/// Where the registry of the next two tests answers: a private address that exists only in their
/// network namespace.
const TLS_ADDRESS: &str = "10.99.0.1";

/// HTTPS, with certificates checked. Which ones are trusted is read from the environment, so the
/// test proper runs in a process, and a network, of its own.
#[test]
fn privileged_https() {
    let scratch = TempDir::new().unwrap();
    let folder = scratch.path().display();
    certificate(scratch.path());
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "ip link set lo up && ip addr add {TLS_ADDRESS}/32 dev lo && \
         cd {folder} && exec {} --exact real_registry::privileged_https_inside --ignored",
        test.display()
    );
    let inside = |trusted: &str| {
        Command::new("unshare")
            .args(["-n", "sh", "-c", &script])
            .env("SSL_CERT_FILE", scratch.path().join(trusted))
            .output()
            .unwrap()
    };
    let output = inside("cert.pem");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
    // Another machine's certificates: the same registry is not trusted.
    let other = scratch.path().join("other");
    std::fs::create_dir(&other).unwrap();
    certificate(&other);
    let output = inside("other/cert.pem");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        !output.status.success() && shown.contains("could not be reached"),
        "{shown}"
    );
    assert!(shown.contains("certificate"), "{shown}");
}

/// A certificate for the address that vouches for itself, and its key.
fn certificate(folder: &Path) {
    let folder = folder.display();
    let (key, out) = (format!("{folder}/key.pem"), format!("{folder}/cert.pem"));
    let name = format!("subjectAltName=IP:{TLS_ADDRESS}");
    let command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                   -subj /CN=tests -addext basicConstraints=critical,CA:FALSE -addext";
    let mut arguments: Vec<&str> = command.split_whitespace().collect();
    arguments.extend([name.as_str(), "-keyout", &key, "-out", &out]);
    run("openssl", &arguments);
}

#[tokio::test]
#[ignore = "run by privileged_https in a network of its own"]
async fn privileged_https_inside() {
    let certificates = std::env::current_dir().unwrap();
    let registry = DockerRegistry::with_tls(TLS_ADDRESS, &certificates);
    registry.push_image(&Image::of(&layers()), "over/https:1", &[]);
    let url = registry.url("over/https:1");
    let strict = Env::new();
    let message = strict.pull(&url).await.unwrap_err().message();
    assert!(message.contains("--allow-registry 10.99.0.1:"), "{message}");
    let env = Env::allowing(&[TLS_ADDRESS]);
    let imported = env
        .pull(&url)
        .await
        .unwrap_or_else(|error| panic!("{}", error.message()));
    check(&env, &imported);
}
