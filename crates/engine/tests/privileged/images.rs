//! Imports, tags, looking into images, files, and sweeping.

use std::time::Duration;

use contree_api::event::EventData;
use contree_api::image::{ImageImportRequest, Registry};
use contree_api::operation::OperationStatus;
use contree_engine::{ErrorKind, ImageFilter, ImageKind, Page};

use crate::bench::{Bench, shell, tiny_root};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_the_same_content_is_the_same_image() {
    let bench = Bench::start().await;
    let archive = tiny_root(bench.folder.path());
    let first = bench.import(&archive, Some("tiny")).await;
    assert_eq!(first.summary.status, OperationStatus::Success, "{first:?}");
    let image = first.summary.result_image_uuid.unwrap();
    assert_eq!(image.uuid().get_version_num(), 5);
    assert!(first.summary.image_size.unwrap() > 0);
    assert_eq!(
        first
            .result
            .as_ref()
            .unwrap()
            .tag
            .as_ref()
            .unwrap()
            .as_str(),
        "tiny"
    );
    let events = bench.events(first.summary.uuid).await;
    assert!(matches!(events[0].data, EventData::Init(_)));
    assert!(
        events.len() > 3
            && events[1..events.len() - 1].iter().all(|event| {
                event.spid == Some(0) && matches!(event.data, EventData::Stderr(_))
            })
    );

    let layers = bench.layers();
    let again = bench.import(&archive, Some("tiny:again")).await;
    assert_eq!(again.summary.result_image_uuid, Some(image));
    assert_eq!(bench.layers(), layers);
    let tag = "tiny:again".parse().unwrap();
    assert_eq!(
        bench
            .engine
            .resolve_tag(&bench.identity, &tag)
            .await
            .unwrap(),
        image
    );

    // At once.
    let other = bench.folder.path().join("tiny/etc/other");
    std::fs::write(other, "other").unwrap();
    let archive = tiny_root(bench.folder.path());
    let (a, b, c) = tokio::join!(
        bench.import(&archive, None),
        bench.import(&archive, None),
        bench.import(&archive, None)
    );
    let images = [a, b, c].map(|import| import.summary.result_image_uuid.unwrap());
    assert!(images[0] == images[1] && images[1] == images[2] && images[0] != image);
    assert_eq!(bench.layers().len(), layers.len() + 1);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_imports_that_fail() {
    let bench = Bench::start().await;
    let failed = bench.import(b"this is no archive", Some("nothing")).await;
    assert_eq!(failed.summary.status, OperationStatus::Failed);
    assert!(failed.summary.error.is_some());
    assert_eq!(failed.result, None);
    assert!(bench.layers().is_empty());
    let request = |url: &str, timeout| ImageImportRequest {
        registry: Registry {
            url: url.into(),
            credentials: None,
        },
        tag: None,
        timeout,
    };
    for (request, kind) in [
        (request("ftp://x/y", None), ErrorKind::BadRequest),
        (
            request("docker://localhost/x", Some(0)),
            ErrorKind::BadRequest,
        ),
        (
            request("upload:0198a6a4-0000-7000-8000-000000000000", None),
            ErrorKind::NotFound,
        ),
    ] {
        let refused = bench
            .engine
            .import(&bench.identity, request)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
    }
    // A registry that is not allowed, and credentials that stay secret.
    let mut private = request("docker://127.0.0.1:1/x", None);
    private.registry.credentials = Some(contree_api::image::Credentials {
        username: Some("someone".into()),
        password: Some("hunter2".into()),
    });
    let operation = bench.engine.import(&bench.identity, private).await.unwrap();
    let failed = bench.finished(operation).await;
    assert_eq!(failed.summary.status, OperationStatus::Failed);
    let shown = serde_json::to_string(&failed).unwrap();
    assert!(
        shown.contains("<MASKED>") && shown.contains("someone"),
        "{shown}"
    );
    let data = bench.data();
    bench.engine.drain(Duration::from_secs(30)).await;
    let mut found = Vec::new();
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap())
                .contains("hunter2")
            {
                found.push(entry.path());
            }
        }
    }
    assert_eq!(found, Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_tags_and_lists() {
    let bench = Bench::start().await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let base = bench.tiny().await;
    let other = bench.sh(base, "echo x > /x").await.image.unwrap();
    let tag = |text: &str| text.parse::<contree_api::Tag>().unwrap();
    let set = engine
        .set_tag(identity, other, tag("app:v1"))
        .await
        .unwrap();
    assert_eq!((set.uuid, set.tag), (other, Some(tag("app:v1"))));
    engine.set_tag(identity, base, tag("app:v1")).await.unwrap();
    assert_eq!(
        engine.resolve_tag(identity, &tag("app:v1")).await.unwrap(),
        base
    );
    let by_tag = bench.run({
        let mut request = shell(base, "! test -e /x");
        request.image = "tag:app:v1".parse().unwrap();
        request
    });
    let run = by_tag.await;
    assert_eq!(
        (run.exit_code(), run.shown.summary.image_uuid),
        (0, Some(base))
    );

    let list = async |filter: ImageFilter| {
        let images = engine.images(identity, &filter).await.unwrap();
        images
            .iter()
            .map(|i| (i.uuid, i.tag.clone().map(String::from)))
            .collect::<Vec<_>>()
    };
    let named = |text: &str| Some(text.to_owned());
    assert_eq!(
        list(ImageFilter::default()).await,
        [
            (other, None),
            (base, named("app:v1")),
            (base, named("tiny"))
        ]
    );
    let filter = ImageFilter {
        tag_prefix: Some(tag("ti")),
        ..ImageFilter::default()
    };
    assert_eq!(list(filter).await, [(base, named("tiny"))]);
    let filter = ImageFilter {
        kind: Some(ImageKind::Run),
        ..ImageFilter::default()
    };
    assert_eq!(list(filter).await, [(other, None)]);

    engine
        .delete_tag(identity, base, Some(&tag("app:v1")))
        .await
        .unwrap();
    let gone = engine
        .delete_tag(identity, base, Some(&tag("app:v1")))
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    engine.delete_tag(identity, base, None).await.unwrap();
    let gone = engine
        .resolve_tag(identity, &tag("tiny"))
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);

    // Looking in.
    let text = engine
        .list_directory_text(identity, base, "/etc")
        .await
        .unwrap();
    assert!(text.contains("passwd"), "{text}");
    let file = engine
        .open_image_file(identity, base, "/etc/passwd")
        .await
        .unwrap();
    assert_eq!(
        std::io::read_to_string(file.file).unwrap().len() as u64,
        file.size
    );
    for (path, kind) in [
        ("/nope", ErrorKind::NotFound),
        ("/etc/passwd", ErrorKind::Unprocessable),
    ] {
        assert_eq!(
            engine
                .list_directory(identity, base, path)
                .await
                .unwrap_err()
                .kind(),
            kind
        );
    }
    let folder = engine
        .open_image_file(identity, base, "/etc")
        .await
        .unwrap_err();
    assert_eq!(folder.kind(), ErrorKind::Unprocessable);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_uploads() {
    let bench = Bench::start().await;
    let Bench {
        engine, identity, ..
    } = &bench;
    // Dropped half-way: nothing stays.
    let mut upload = engine.begin_upload(identity).await.unwrap();
    upload.write(b"half").await.unwrap();
    drop(upload);
    assert!(
        engine
            .files(identity, &Page::default())
            .await
            .unwrap()
            .is_empty()
    );
    let id = bench.upload(b"hello").await;
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let file = engine.file(identity, &sha256.to_uppercase()).await.unwrap();
    assert_eq!(
        (file.uuid, file.size, file.sha256.as_str()),
        (id, 5, sha256)
    );
    assert_eq!(
        engine.files(identity, &Page::default()).await.unwrap(),
        [file]
    );
    let missing = engine.file(identity, &"0".repeat(64)).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(
        engine.file(identity, "xyz").await.unwrap_err().kind(),
        ErrorKind::BadRequest
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_sweeping_takes_what_nobody_wants() {
    let bench = Bench::start_with(|config| {
        config.retention.untagged_images = Some(Duration::ZERO);
    })
    .await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let base = bench.tiny().await;
    let first = bench.sh(base, "echo 1 > /one").await.image.unwrap();
    let second = bench.sh(first, "echo 2 > /two").await.image.unwrap();
    let branch = bench.sh(first, "echo 3 > /three").await.image.unwrap();
    assert_eq!(bench.layers().len(), 4);
    engine
        .set_tag(identity, second, "keep".parse().unwrap())
        .await
        .unwrap();

    // A run that stands on the branch keeps its layers, not its image.
    let running = bench.spawn(shell(branch, "echo up; sleep 1000")).await;
    bench.output(running, 1, "up").await;
    let swept = engine.sweep().await.unwrap();
    assert_eq!((swept.images, swept.layers), (2, 0));
    assert_eq!(
        engine.image(identity, branch).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    engine.signal(identity, running, 1, None).await.unwrap();
    let ended = bench.finished(running).await;
    assert_eq!(ended.summary.result_image_uuid, Some(branch));

    let swept = engine.sweep().await.unwrap();
    assert_eq!((swept.images, swept.layers), (0, 1));
    assert_eq!(bench.layers().len(), 3);
    // What is below a tagged image stays.
    bench
        .sh(second, "test -s /one && test -s /two && ! test -e /three")
        .await;

    engine.delete_tag(identity, second, None).await.unwrap();
    engine.delete_tag(identity, base, None).await.unwrap();
    let swept = engine.sweep().await.unwrap();
    assert_eq!((swept.images, swept.layers), (2, 3));
    assert!(bench.layers().is_empty());
    bench.stop().await;
}
