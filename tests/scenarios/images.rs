//! The list of images, and their tags.

use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::{ImageId, Timestamp};
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings, run, succeeded};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::raw::{Raw, is_timestamp, keys};

/// A project with an import under two tags and a chain of two runs on it.
struct Project {
    server: Server,
    raw: Raw,
    base: String,
    first: String,
    second: String,
}

impl Project {
    async fn new() -> Self {
        let tiny = Tiny::new();
        let server = Server::start(Settings::default());
        let base = server.import(&tiny.tar(), "base:v1").await;
        // The same content is the same image, with one more tag.
        assert_eq!(server.import(&tiny.tar(), "base:v2").await, base);
        let first = touch(&server, base, "one").await;
        let second = touch(&server, first, "two").await;
        Self {
            raw: Raw::new(&server),
            server,
            base: base.to_string(),
            first: first.to_string(),
            second: second.to_string(),
        }
    }

    async fn list(&self, query: &str) -> Vec<Value> {
        let list = self.raw.json(&format!("/v1/images{query}")).await;
        assert_eq!(keys(&list), ["images"]);
        list["images"].as_array().expect("a list").clone()
    }

    /// `(uuid, tag)` of each entry.
    async fn entries(&self, query: &str) -> Vec<(String, Option<String>)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = self.list(query).await;
        let entry = |image: &Value| (text(&image["uuid"]).expect("a uuid"), text(&image["tag"]));
        list.iter().map(entry).collect()
    }

    async fn tag(&self, image: &str, tag: &str) -> crate::raw::Answer {
        let path = format!("/v1/images/{image}/tag");
        let body = json!({ "tag": tag }).to_string();
        self.raw.send(Method::PATCH, &path, body).await
    }

    async fn untag(&self, image: &str, query: &str) -> crate::raw::Answer {
        let path = format!("/v1/images/{image}/tag{query}");
        self.raw.send(Method::DELETE, &path, "").await
    }
}

async fn touch(server: &Server, image: ImageId, name: &str) -> ImageId {
    let mut request = InstanceSpawnRequest::new("touch", ImageRef::Id(image));
    request.args = vec![format!("/{name}")];
    let (image, _) = succeeded(&run(&server.client(), &request).await);
    image.expect("a run that wrote has an image")
}

fn entry(image: &str, tag: Option<&str>) -> (String, Option<String>) {
    (image.to_owned(), tag.map(str::to_owned))
}

#[tokio::test]
async fn privileged_images_are_listed_as_asked_for() {
    let project = Project::new().await;
    let (base, first, second) = (&project.base, &project.first, &project.second);

    let all = project.list("").await;
    for image in &all {
        assert_eq!(
            keys(image),
            ["created_at", "operation_uuid", "parent_uuid", "tag", "uuid"]
        );
        assert!(is_timestamp(&image["created_at"]), "{image}");
        assert!(image["operation_uuid"].is_string(), "{image}");
    }
    let parents: Vec<_> = all.iter().map(|image| &image["parent_uuid"]).collect();
    assert_eq!(
        parents,
        [&json!(first), &json!(base), &Value::Null, &Value::Null]
    );

    // Newest first; an image with several tags once for each, in a stable order.
    let newest_first = [
        entry(second, None),
        entry(first, None),
        entry(base, Some("base:v1")),
        entry(base, Some("base:v2")),
    ];
    let (runs, imports) = newest_first.split_at(2);
    let created_at = |index: usize| {
        all[index]["created_at"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    let (newest, middle) = (created_at(0), created_at(1));
    let around = micros(&middle) / 1_000_000;
    for (query, expected) in [
        ("".to_owned(), &newest_first[..]),
        ("?tagged=0".to_owned(), &newest_first),
        ("?tagged".to_owned(), imports),
        ("?tagged=".to_owned(), imports),
        ("?tagged=1".to_owned(), imports),
        ("?tag=base".to_owned(), imports),
        ("?tag=base%3Av2".to_owned(), &imports[1..]),
        ("?tag=Base".to_owned(), &[]),
        ("?tag=base&tagged=0".to_owned(), imports),
        ("?kind=0".to_owned(), runs),
        ("?kind=1".to_owned(), imports),
        (format!("?uuid={first}"), &runs[1..]),
        (format!("?uuid={}", first.to_uppercase()), &runs[1..]),
        ("?uuid=12345678-9abc-4aba-9eda-0123456789ab".to_owned(), &[]),
        ("?limit=1".to_owned(), &newest_first[..1]),
        ("?offset=4".to_owned(), &[]),
        ("?offset=18446744073709551615".to_owned(), &[]),
        ("?unknown=1".to_owned(), &newest_first),
        // Both bounds are part of what they bound.
        (format!("?since={}", escaped(&middle)), &newest_first[..2]),
        (format!("?until={}", escaped(&middle)), &newest_first[1..]),
        // A plus that a client left as it is; other offsets; no offset, which is UTC.
        (format!("?since={middle}"), &newest_first[..2]),
        (
            format!("?since={}", middle.replace("+00:00", "Z")),
            &newest_first[..2],
        ),
        (
            format!("?since={}", middle.replace("+00:00", "")),
            &newest_first[..2],
        ),
        (
            format!("?since={}", middle.replace("+00:00", "-00:00")),
            &newest_first[..2],
        ),
        (
            format!("?since={}&until={}", escaped(&newest), escaped(&newest)),
            &runs[..1],
        ),
        // Unix seconds, whole and with a fraction, and intervals.
        (format!("?since={}", around - 3_600), &newest_first),
        (format!("?until={}", around - 3_600), &[]),
        (format!("?until={}.5", around + 3_600), &newest_first),
        ("?since=600s".to_owned(), &newest_first),
        ("?since=15m".to_owned(), &newest_first),
        ("?since=2h".to_owned(), &newest_first),
        ("?since=3d".to_owned(), &newest_first),
        ("?since=1w".to_owned(), &newest_first),
        ("?until=1w".to_owned(), &[]),
        ("?since=2020-01-01".to_owned(), &newest_first),
        ("?until=2020-01-01T00:00:00".to_owned(), &[]),
    ] {
        assert_eq!(project.entries(&query).await, expected, "{query}");
    }
    // Pages cut the list anywhere, also between entries of one image.
    for size in 1..=3 {
        let mut pages = Vec::new();
        loop {
            let page = format!("?limit={size}&offset={}", pages.len());
            let page = project.entries(&page).await;
            let is_last = page.len() < size;
            pages.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(pages, newest_first, "by {size}");
    }

    for (query, about) in [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=1.5", "limit"),
        ("?offset=-1", "offset"),
        ("?tag=base:", "tag"),
        ("?tag=-a", "tag"),
        ("?tag=", "tag"),
        ("?uuid=base", "uuid"),
        ("?kind=2", "kind"),
        ("?kind=image_import", "kind"),
        ("?since=soon", "since"),
        ("?since=1y", "since"),
        ("?since=", "since"),
        ("?until=2026-13-01", "until"),
        ("?until=nan", "until"),
    ] {
        let sentence = project
            .raw
            .get(&format!("/v1/images{query}"))
            .await
            .refused(400);
        assert!(
            sentence.starts_with(&format!("query parameter `{about}`")),
            "{query}: {sentence}"
        );
    }
    drop(project.server);
}

#[tokio::test]
async fn privileged_tags_are_set_moved_and_removed() {
    let project = Project::new().await;
    let (base, first, second) = (&project.base, &project.first, &project.second);
    let found = async |tag: &str| {
        let answer = project.raw.get(&format!("/v1/inspect/?tag={tag}")).await;
        let place = answer.headers.get("location");
        let place = place.map(|place| place.to_str().expect("text").to_owned());
        (answer.status.as_u16(), place)
    };

    // One image gets another tag, and the first of them by name is the one it is shown with.
    let answer = project.tag(first, "work/Box_1.x-2:v1").await;
    assert_eq!(answer.status, StatusCode::OK);
    let shown = answer.json();
    assert_eq!(shown["uuid"], *first);
    assert_eq!(shown["tag"], "work/Box_1.x-2:v1");
    assert_eq!(shown["parent_uuid"], *base);
    assert!(is_timestamp(&shown["created_at"]), "{shown}");
    assert_eq!(project.tag(first, "alpha").await.status, StatusCode::OK);
    // Setting it again changes nothing.
    assert_eq!(project.tag(first, "alpha").await.status, StatusCode::OK);
    let query = format!("?uuid={first}");
    let both = [
        entry(first, Some("alpha")),
        entry(first, Some("work/Box_1.x-2:v1")),
    ];
    assert_eq!(project.entries(&query).await, both);
    let inspected = project.raw.json(&format!("/v1/inspect/{first}/")).await;
    assert_eq!(inspected["tag"], "alpha");

    // A tag names one image: given to another it is gone from the first.
    assert_eq!(found("alpha").await, (302, Some(format!("{first}/"))));
    assert_eq!(project.tag(second, "alpha").await.json()["tag"], "alpha");
    assert_eq!(found("alpha").await, (302, Some(format!("{second}/"))));
    assert_eq!(project.entries(&query).await, both[1..]);
    // Tags are told apart by case.
    assert_eq!(found("Alpha").await.0, 404);

    // One tag of an image; one of another image; all; none that is left.
    let gone = project.untag(base, "?tag=base%3Av1").await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    assert_eq!(found("base:v1").await.0, 404);
    assert_eq!(found("base:v2").await, (302, Some(format!("{base}/"))));
    let sentence = project.untag(base, "?tag=alpha").await.refused(404);
    assert_eq!(sentence, format!("image {base} has no tag alpha"));
    assert_eq!(
        found("alpha").await.0,
        302,
        "it was not this image's to lose"
    );
    project.untag(base, "?tag=base:v1").await.refused(404);
    assert_eq!(project.tag(base, "base:v3").await.status, StatusCode::OK);
    assert_eq!(project.untag(base, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(found("base:v2").await.0, 404);
    assert_eq!(found("base:v3").await.0, 404);
    assert_eq!(project.untag(base, "").await.status, StatusCode::NO_CONTENT);
    // It is still there by its uuid.
    assert_eq!(
        project.entries(&format!("?uuid={base}")).await,
        [entry(base, None)]
    );

    let nobody = "12345678-9abc-4aba-9eda-0123456789ab";
    project.tag(nobody, "a").await.refused(404);
    project.untag(nobody, "").await.refused(404);
    project.untag(nobody, "?tag=alpha").await.refused(404);
    drop(project.server);
}

#[tokio::test]
async fn privileged_tags_follow_the_grammar() {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    let image = server.import(&tiny.tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let path = format!("/v1/images/{image}/tag");
    let set = async |body: Value| raw.send(Method::PATCH, &path, body.to_string()).await;

    let longest = "x".repeat(256);
    for tag in [
        "a",
        "7",
        "ubuntu:latest",
        "ghcr.io/linuxserver/code-server:latest",
        "contree-client-it/0a1b2c",
        "a/b/python:3.11-slim",
        "UPPER_case-:-a",
        &longest,
    ] {
        let answer = set(json!({ "tag": tag })).await;
        assert_eq!(answer.status, StatusCode::OK, "{tag}: {answer:?}");
        let escaped = tag.replace('/', "%2F").replace(':', "%3A");
        let found = raw.get(&format!("/v1/inspect/?tag={escaped}")).await;
        assert_eq!(found.status, StatusCode::FOUND, "{tag}");
    }
    let too_long = "x".repeat(257);
    for tag in [
        "",
        ":a",
        "a:",
        "a::b",
        "a..b",
        "a/",
        "/a",
        ".a",
        "-a",
        "_a",
        "a b",
        "a@sha256:00",
        "ä",
        "a\n",
        &too_long,
    ] {
        let sentence = set(json!({ "tag": tag })).await.refused(400);
        assert!(sentence.starts_with("body key `tag`: a tag "), "{sentence}");
    }
    for (body, about) in [
        (json!({}), "body key `tag` is required"),
        (json!({"tag": 7}), "body key `tag`: expected a string"),
        (json!({"tag": null}), "body key `tag`: expected a string"),
        (json!({"tag": ["a"]}), "body key `tag`: expected a string"),
        (json!(["a"]), "the body: expected a JSON object"),
    ] {
        let sentence = set(body).await.refused(400);
        assert!(sentence.starts_with(about), "{sentence}");
    }
    let refused = raw
        .send(Method::DELETE, &format!("{path}?tag=a:"), "")
        .await;
    assert!(refused.refused(404).starts_with("query parameter `tag`"));
}

fn escaped(moment: &str) -> String {
    moment.replace('+', "%2B")
}

fn micros(moment: &str) -> i64 {
    let moment: Timestamp = serde_json::from_value(json!(moment)).expect("a timestamp");
    moment.as_micros()
}
