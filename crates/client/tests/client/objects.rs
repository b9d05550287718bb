//! What the objects ask for. What comes of it is tested against a real server.

use axum::response::{IntoResponse as _, Response};
use contree_client::{Contree, Error, ImageFilter, Upload};
use futures_util::TryStreamExt as _;

use crate::fake::{Fake, error};
use crate::requests::{IMAGE, uploaded};

fn page(count: usize) -> Response {
    let image = serde_json::json!({
        "uuid": IMAGE, "tag": null, "created_at": "2026-06-08T20:00:00Z", "operation_uuid": null,
    });
    serde_json::json!({ "images": vec![image; count] })
        .to_string()
        .into_response()
}

#[tokio::test]
async fn lists_are_fetched_page_by_page() {
    let fake = Fake::start(vec![page(1_000), page(1_000), page(0)]).await;
    let contree = Contree::new(fake.client());
    let mut filter = ImageFilter::default();
    filter.tagged = true;
    let mut images = contree.images(filter).into_stream();
    for _ in 0..1_000 {
        images.try_next().await.unwrap().unwrap();
    }
    assert_eq!(fake.lines().len(), 1, "only what is needed");
    let rest: Vec<_> = images.try_collect().await.unwrap();
    assert_eq!(rest.len(), 1_000);
    let list =
        |offset: u32| format!("GET /some/prefix/v1/images?limit=1000&offset={offset}&tagged=1");
    assert_eq!(fake.lines(), [list(0), list(1_000), list(2_000)]);
}

#[tokio::test]
async fn small_files_are_sent_and_large_ones_asked_for() {
    let refused = || error(403, "enough");
    let contree = |fake: &Fake| Contree::new(fake.client());
    let fake = Fake::start(vec![uploaded("00", 5), refused(), refused()]).await;
    let small = contree(&fake).image("tag:a").run("true");
    let small = small.file("/a", Upload::bytes("small")).await;
    assert_eq!(small.unwrap_err().status(), Some(403));
    let lines = fake.lines();
    assert_eq!(lines[0], "POST /some/prefix/v1/files");
    assert_eq!(fake.seen(0).body, "small");

    let fake = Fake::start(vec![refused()]).await;
    let large = contree(&fake).image("tag:a").run("true");
    let large = large.file("/a", Upload::bytes(vec![0; 100_000])).await;
    assert_eq!(large.unwrap_err().status(), Some(403));
    let lines = fake.lines();
    assert_eq!(lines.len(), 1, "nothing is run when a file is missing");
    assert!(
        lines[0].starts_with("GET /some/prefix/v1/files/"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn names_that_are_none_are_not_sent() {
    let fake = Fake::start(Vec::new()).await;
    let contree = Contree::new(fake.client());
    let unnamed = contree.image("debian").run("true").await;
    assert!(
        matches!(unnamed, Err(Error::Reference { .. })),
        "{unnamed:?}"
    );
    assert_eq!(
        unnamed.unwrap_err().to_string(),
        "\"debian\" names no image: an image is named by its UUID or by tag:NAME, such as \
         tag:ubuntu:latest"
    );
    let untagged = contree.image("tag:a").run("true").tag("no tag").await;
    assert!(matches!(untagged, Err(Error::Tag { .. })), "{untagged:?}");
    let import = contree.pull("docker://h/r").tag("").send().await;
    assert!(matches!(import, Err(Error::Tag { .. })), "{import:?}");
    assert_eq!(fake.lines().len(), 0);
}
