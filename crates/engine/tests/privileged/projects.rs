//! Projects that go, and what was published from them.

use std::time::Duration;

use contree_api::admin::{ProjectCreate, Publish, TokenCreate};
use contree_api::image::ImageRef;
use contree_engine::{ErrorKind, Offline, OfflineError};

use crate::bench::{Bench, names};

/// The layers of a public image outlive the project that it came from, and go when it is taken
/// back.
#[tokio::test]
async fn privileged_public_images_keep_their_layers() {
    let bench = Bench::start_with(|config| {
        config.retention.untagged_images = Some(Duration::ZERO);
    })
    .await;
    let engine = &bench.engine;
    let token = std::fs::read_to_string(bench.data().join("admin.token")).unwrap();
    let admin = engine
        .authenticate_administrator(token.trim())
        .await
        .unwrap();
    let base = bench.tiny().await;
    let published = bench.sh(base, "echo 1 > /one").await.image.unwrap();
    bench.sh(published, "echo 2 > /two").await;
    assert_eq!(bench.layers().len(), 3);
    let request = Publish {
        image: ImageRef::Id(published),
        tag: "one".parse().unwrap(),
        project: None,
    };
    let public = engine.publish(&admin, request).await.unwrap().uuid;
    let project = ProjectCreate {
        name: "other".into(),
    };
    engine.create_project(&admin, project).await.unwrap();
    let token = TokenCreate {
        project: Some("other".into()),
        ..TokenCreate::default()
    };
    let token = engine.create_token(&admin, token).await.unwrap().token;
    let file = bench.upload(b"of the project that goes").await;
    let file = file.uuid().simple().to_string();
    let stored = bench
        .data()
        .join("store/files")
        .join(&file[..2])
        .join(&file);
    assert!(stored.is_file());

    engine
        .delete_project(&admin, "default", true)
        .await
        .unwrap();
    assert!(!stored.exists());
    let swept = engine.sweep().await.unwrap();
    assert_eq!((swept.images, swept.layers), (0, 1));
    let other = engine.authenticate(&token, None).await.unwrap();
    let bench = Bench {
        identity: other,
        ..bench
    };
    assert_eq!(bench.sh(public, "cat /one").await.stdout(), "1\n");

    let tag = "one".parse().unwrap();
    bench.engine.unpublish(&admin, &tag).await.unwrap();
    let gone = bench.engine.image(&bench.identity, public).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    let swept = bench.engine.sweep().await.unwrap();
    assert_eq!((swept.images, swept.layers), (0, 2));
    assert!(bench.layers().is_empty());
    bench.stop().await;
}

/// A project removed while no server runs is taken away by the next one, with its logs and files.
#[tokio::test]
async fn privileged_the_next_start_finishes_a_removal() {
    let bench = Bench::start().await;
    let data = bench.data();
    assert!(matches!(
        Offline::open(&data).await,
        Err(OfflineError::InUse { server: None, .. })
    ));
    bench.engine.listens_at("http://127.0.0.1:1").unwrap();
    let Err(OfflineError::InUse { server, .. }) = Offline::open(&data).await else {
        panic!("the folder is in use");
    };
    assert_eq!(server.as_deref(), Some("http://127.0.0.1:1"));
    let base = bench.tiny().await;
    bench.sh(base, "echo 1 > /one").await;
    let logs = || {
        let events = data.join("events");
        let folders = names(&events);
        let count = |folder| names(&events.join(folder)).len();
        folders.iter().map(count).sum::<usize>()
    };
    assert_eq!(logs(), 2);
    let config = bench.engine.config().clone();
    bench.engine.drain(Duration::from_secs(30)).await;
    let Bench { engine, folder, .. } = bench;
    drop(engine);

    let offline = Offline::open(&data).await.unwrap();
    let refused = offline.delete_project("default", false).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    offline.delete_project("default", true).await.unwrap();
    let project = ProjectCreate {
        name: "default".into(),
    };
    let fresh = offline.create_project(project).await.unwrap();
    offline.close().await;
    assert_eq!(logs(), 2);

    let (engine, first) = contree_engine::Engine::start(config).await.unwrap();
    assert!(first.is_none());
    assert_eq!(logs(), 0);
    let token = std::fs::read_to_string(data.join("admin.token")).unwrap();
    let gone = engine.authenticate(token.trim(), None).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Unauthorized);
    let swept = engine.sweep().await.unwrap();
    assert_eq!(swept.layers, 2);
    engine.drain(Duration::from_secs(30)).await;
    drop(engine);
    let offline = Offline::open(&data).await.unwrap();
    assert_eq!(offline.projects().await.unwrap(), [fresh]);
    offline.close().await;
    drop(folder);
}
