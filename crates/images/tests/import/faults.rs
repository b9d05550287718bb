//! Registries that break off, refuse, lie, or serve what cannot be used.

use std::sync::Arc;

use contree_api::LayerId;
use contree_images::import::{Digest, Input, Limits};
use serde_json::json;

use crate::support::fake_registry::{Behaviour, FakeRegistry};
use crate::support::image::{Image, OCI_INDEX, Packing, usual_config};
use crate::support::tarball::Tar;
use crate::support::{Env, limits, reference};

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn large() -> Image {
    Image::of(&[
        Tar::new().file("noise", &noise(3 << 20)).bytes(),
        Tar::new().file("more", &noise(1 << 20)).bytes(),
    ])
}

async fn error(image: &Image, behaviour: Behaviour) -> String {
    let registry = FakeRegistry::serving(image, behaviour).await;
    let env = Env::new();
    let error = env.pull(&registry.url()).await.unwrap_err().message();
    env.assert_nothing_left().await;
    error
}

#[tokio::test]
async fn privileged_broken_downloads_are_resumed() {
    for no_ranges in [false, true] {
        let behaviour = Behaviour {
            breaks: (700_000, 4),
            no_ranges,
            ..Behaviour::default()
        };
        let registry = FakeRegistry::serving(&large(), behaviour).await;
        let env = Env::new();
        let imported = env.pull(&registry.url()).await.unwrap();
        assert_eq!(
            std::fs::read(env.layer(imported.layer).join("noise")).unwrap(),
            noise(3 << 20)
        );
        let ranges = registry
            .seen("/blobs/")
            .into_iter()
            .filter_map(|(_, _, range)| range)
            .count();
        assert!(ranges >= 4);
    }
}

#[tokio::test]
async fn downloads_that_never_end_are_given_up() {
    let behaviour = Behaviour {
        breaks: (0, u32::MAX),
        ..Behaviour::default()
    };
    let message = error(&large(), behaviour).await;
    assert!(message.contains("broke off"), "{message}");
}

#[tokio::test]
async fn privileged_passing_refusals_are_waited_out() {
    for status in [429, 500, 502, 503, 504] {
        let behaviour = Behaviour {
            refusals: (3, status),
            retry_after: Some("0".into()),
            ..Behaviour::default()
        };
        let registry = FakeRegistry::serving(&large(), behaviour).await;
        Env::new().pull(&registry.url()).await.unwrap();
    }
}

#[tokio::test]
async fn lasting_refusals_are_told() {
    for (behaviour, expected) in [
        (
            Behaviour {
                refusals: (u32::MAX, 429),
                retry_after: Some("3600".into()),
                ..Behaviour::default()
            },
            "allows no more requests for now",
        ),
        (
            Behaviour {
                refusals: (u32::MAX, 503),
                ..Behaviour::default()
            },
            "answered 503",
        ),
        (
            Behaviour {
                refusals: (1, 404),
                ..Behaviour::default()
            },
            "does not answer as a container registry",
        ),
    ] {
        let message = error(&large(), behaviour).await;
        assert!(message.contains(expected), "{message}");
    }
    let registry = FakeRegistry::serving(&large(), Behaviour::default()).await;
    let message = Env::new()
        .pull(&format!("{}:nope", registry.url()))
        .await
        .unwrap_err()
        .message();
    assert_eq!(
        message,
        format!("{} has no some/image:nope", registry.address)
    );
    let digest = Digest::of(b"nope");
    let message = Env::new()
        .pull(&format!("{}@{digest}", registry.url()))
        .await
        .unwrap_err()
        .message();
    assert_eq!(
        message,
        format!("{} has no some/image@{digest}", registry.address)
    );
    let address = registry.address;
    drop(registry);
    let message = Env::new()
        .pull(&format!("docker://{address}/some/image"))
        .await
        .unwrap_err()
        .message();
    assert!(message.contains("could not be reached"), "{message}");
}

#[tokio::test]
async fn privileged_lies_about_content() {
    let image = large();
    let digest = &image.layer_digests[0];

    let mut other = image.clone();
    let blob = other.blobs.get_mut(digest).unwrap();
    let middle = blob.len() / 2;
    blob[middle] ^= 1;
    let message = error(&other, Behaviour::default()).await;
    assert!(
        message.contains("wrong content") && message.contains(digest),
        "{message}"
    );

    let mut longer = image.clone();
    longer.blobs.get_mut(digest).unwrap().push(0);
    let message = error(&longer, Behaviour::default()).await;
    assert!(message.contains("the manifest says"), "{message}");

    let mut shorter = image.clone();
    shorter.blobs.get_mut(digest).unwrap().pop();
    let message = error(&shorter, Behaviour::default()).await;
    assert!(message.contains("the manifest says"), "{message}");

    let mut config = image.clone();
    config.blobs.get_mut(&image.config_digest).unwrap()[0] = b' ';
    let message = error(&config, Behaviour::default()).await;
    assert!(message.contains("wrong content"), "{message}");

    let mut missing = image.clone();
    missing.blobs.remove(digest);
    let message = error(&missing, Behaviour::default()).await;
    assert!(
        message.contains(&format!("has no blob {digest}")),
        "{message}"
    );

    // The manifest is honest, and yet the layer is not the one that the config tells of.
    let one = Tar::new().file("one", b"1").bytes();
    let mut swapped = Image::of(&[one]);
    let evil = Image::of(&[Tar::new().file("evil", b"!").bytes()]);
    swapped.manifest["layers"] = evil.manifest["layers"].clone();
    swapped.blobs.extend(evil.blobs);
    let message = error(&swapped, Behaviour::default()).await;
    assert!(message.contains("its diff_id is"), "{message}");

    // A digest that was asked for is what must come.
    let registry = FakeRegistry::serving(&image, Behaviour::default()).await;
    let pinned = Digest::of(b"something else");
    registry.with(|behaviour| {
        let entry = behaviour.manifests["latest"].clone();
        behaviour.manifests.insert(pinned.to_string(), entry);
    });
    let message = Env::new()
        .pull(&format!("{}@{pinned}", registry.url()))
        .await
        .unwrap_err()
        .message();
    assert!(message.contains("wrong content"), "{message}");
}

#[tokio::test]
async fn privileged_platforms() {
    let amd64 = Image::of(&[Tar::new().file("amd64", b"").bytes()]);
    let mut arm_config = usual_config();
    arm_config["architecture"] = json!("arm64");
    let arm64 = Image::packed(
        &[(Tar::new().file("arm64", b"").bytes(), Packing::Zstd)],
        arm_config,
    );
    let platform = |name: &str| Some(json!({"os": "linux", "architecture": name}));
    let index = |entries: Vec<serde_json::Value>| {
        serde_json::to_vec(
            &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}),
        )
        .unwrap()
    };
    let mut behaviour = Behaviour::default();
    behaviour.add(&amd64, "amd64");
    behaviour.add(&arm64, "arm64");
    let both = index(vec![
        arm64.descriptor(platform("arm64")),
        amd64.descriptor(platform("amd64")),
    ]);
    behaviour.add_manifest("both", OCI_INDEX, both.clone());
    let nested = json!({
        "mediaType": OCI_INDEX, "digest": Digest::of(&both).to_string(), "size": both.len()
    });
    behaviour.add_manifest("nested", OCI_INDEX, index(vec![nested]));
    let only = index(vec![arm64.descriptor(platform("arm64"))]);
    behaviour.add_manifest("other", OCI_INDEX, only);
    let registry = FakeRegistry::start(behaviour).await;
    for tag in ["amd64", "both", "nested"] {
        let env = Env::new();
        let imported = env
            .pull(&format!("{}:{tag}", registry.url()))
            .await
            .unwrap();
        assert_eq!(imported.digest.as_str(), amd64.config_digest);
        assert!(env.layer(imported.layer).join("amd64").exists());
    }
    for tag in ["arm64", "other"] {
        let env = Env::new();
        let message = env
            .pull(&format!("{}:{tag}", registry.url()))
            .await
            .unwrap_err()
            .message();
        assert_eq!(
            message,
            "the image is not built for linux/amd64; it is for linux/arm64"
        );
    }
}

#[tokio::test]
async fn what_is_not_an_image() {
    let good = Image::of(&[Tar::new().file("x", b"").bytes()]);
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut image = good.clone();
        change(&mut image.manifest);
        image
    };
    for (image, expected) in [
        (
            with(&|manifest| *manifest = json!({"schemaVersion": 1, "fsLayers": []})),
            "version 1",
        ),
        (
            with(&|manifest| {
                manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
            }),
            "not a container image but application/vnd.cncf.helm.config.v1+json",
        ),
        (
            with(&|manifest| {
                manifest["layers"][0]["mediaType"] =
                    json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
            }),
            "foreign layer",
        ),
        (
            with(&|manifest| manifest["layers"][0]["size"] = json!(1_u64 << 60)),
            "more than the 32.0 GiB",
        ),
        (
            with(&|manifest| manifest["config"]["size"] = json!(1_u64 << 40)),
            "an image config of more than",
        ),
        (
            with(&|manifest| *manifest = json!("x".repeat(5 << 20))),
            "a manifest of more than",
        ),
        (
            with(&|manifest| manifest["layers"] = json!([])),
            "the image config is malformed",
        ),
    ] {
        let message = error(&image, Behaviour::default()).await;
        assert!(message.contains(expected), "{message}");
    }
    let loops = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []});
    let mut behaviour = Behaviour::default();
    behaviour.add_manifest("latest", OCI_INDEX, serde_json::to_vec(&loops).unwrap());
    let registry = FakeRegistry::start(behaviour).await;
    let message = Env::new()
        .pull(&registry.url())
        .await
        .unwrap_err()
        .message();
    assert!(message.contains("it is for nothing"), "{message}");
}

#[tokio::test]
async fn privileged_progress_and_repeated_layers() {
    let layer = Tar::new().file("noise", &noise(2 << 20)).bytes();
    let image = Image::of(&[layer.clone(), Tar::new().bytes(), layer]);
    let registry = FakeRegistry::serving(&image, Behaviour::default()).await;
    let env = Env::new();
    let imported = env.pull(&registry.url()).await.unwrap();
    assert_eq!(imported.entries, 1);
    assert_eq!(imported.cwd.as_deref(), Some("/srv"));
    assert_eq!(imported.env[1], ("LANG".into(), "C.UTF-8".into()));
    // Two different blobs and the config.
    assert_eq!(registry.seen("/blobs/").len(), 3);
    let told: Vec<String> = env
        .progress
        .lock()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    for expected in [
        "fetching layer 1/3",
        "unpacking layer 1/3",
        "unpacking layer 3/3",
    ] {
        assert!(
            told.iter().any(|line| line.starts_with(expected)),
            "{told:?}"
        );
    }
    let first = env.progress.lock().unwrap();
    let done: Vec<u64> = first
        .iter()
        .filter(|report| report.layer == 1 && report.step == contree_images::import::Step::Fetch)
        .map(|report| report.done)
        .collect();
    assert!(done.is_sorted() && done.len() > 2, "{done:?}");
    assert_eq!(
        *done.last().unwrap(),
        image.blobs[&image.layer_digests[0]].len() as u64
    );
}

/// The future is dropped as soon as the first bytes are on disk.
#[tokio::test(flavor = "multi_thread")]
async fn privileged_dropped_imports_leave_nothing() {
    let image = large();
    let behaviour = Behaviour {
        breaks: (600_000, u32::MAX),
        ..Behaviour::default()
    };
    let registry = FakeRegistry::serving(&image, behaviour).await;
    let env = Env::with(Limits {
        attempts: 1_000,
        ..limits()
    });
    let input = Input::Registry {
        reference: reference(&registry.url()),
        credentials: None,
    };
    let resolved = env.importer.resolve(input).await.unwrap();
    let (started, mut unpacking) = tokio::sync::mpsc::unbounded_channel();
    let sink = Arc::new(move |_| {
        let _ = started.send(());
    });
    let fetch = env.importer.fetch(resolved, LayerId::new(), sink);
    tokio::select! {
        _ = fetch => panic!("the registry never serves all of it"),
        _ = async { for _ in 0..6 { unpacking.recv().await; } } => {}
    }
    env.assert_nothing_left().await;
}
