//! The list of operations, and what `whoami` counts.

use std::time::Duration;

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::raw::{Answer, Raw, is_timestamp, keys};

/// A run of a shell line that leaves nothing.
async fn spawn(raw: &Raw, line: &str) -> Answer {
    let request = json!({
        "command": line, "image": "tag:base", "shell": true, "disposable": true,
    });
    raw.post("/v1/instances", &request).await
}

fn accepted(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let uuid = answer.json()["uuid"].as_str().expect("a uuid").to_owned();
    assert_eq!(answer.headers["location"], format!("/v1/operations/{uuid}"));
    uuid
}

async fn reaches(raw: &Raw, operation: &str, status: &str) {
    let path = format!("/v1/operations/{operation}");
    let reached = async {
        while raw.json(&path).await["status"] != status {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reached)
        .await
        .unwrap_or_else(|_| panic!("{operation} does not become {status}"));
}

async fn list(raw: &Raw, query: &str) -> Vec<Value> {
    let list = raw.json(&format!("/v1/operations{query}")).await;
    list.as_array().expect("a bare array").clone()
}

/// The operations of a list, each held against one of `expected`.
async fn shows(raw: &Raw, query: &str, expected: &[&String]) {
    let found = uuids(raw, query).await;
    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
}

async fn uuids(raw: &Raw, query: &str) -> Vec<String> {
    let uuid = |operation: &Value| operation["uuid"].as_str().expect("a uuid").to_owned();
    list(raw, query).await.iter().map(uuid).collect()
}

#[tokio::test]
async fn privileged_operations_are_listed_in_every_state() {
    let tiny = Tiny::new();
    let server = Server::start(Settings::with(&[
        "--instance-max-concurrency",
        "1",
        "--queue-max",
        "2",
    ]));
    server.import(&tiny.tar(), "base").await;
    let raw = Raw::new(&server);
    let import = uuids(&raw, "").await.remove(0);
    let done = accepted(&spawn(&raw, "echo done").await);
    reaches(&raw, &done, "SUCCESS").await;
    let failed = accepted(
        &raw.post(
            "/v1/instances",
            &json!({"command": "/no/such/program", "image": "tag:base"}),
        )
        .await,
    );
    reaches(&raw, &failed, "FAILED").await;

    // One runs, two wait, and for more there is no room.
    let running = accepted(&spawn(&raw, "sleep 600").await);
    reaches(&raw, &running, "EXECUTING").await;
    let waiting = accepted(&spawn(&raw, "echo never").await);
    let cancelled = accepted(&spawn(&raw, "echo never").await);
    let full = spawn(&raw, "echo refused").await;
    let sentence = full.refused(429);
    assert_eq!(sentence, "too many operations are waiting already");
    let retry_after = full.headers["retry-after"].to_str().expect("text");
    assert!(retry_after.parse::<u32>().is_ok_and(|seconds| seconds > 0));
    let everything = [&cancelled, &waiting, &running, &failed, &done, &import];
    // Nothing of what was refused is left.
    shows(&raw, "", &everything).await;

    // Room is made, and used.
    let cancel = async |operation: &str| {
        let path = format!("/v1/operations/{operation}");
        raw.send(Method::DELETE, &path, "").await
    };
    assert_eq!(cancel(&cancelled).await.status, StatusCode::ACCEPTED);
    reaches(&raw, &cancelled, "CANCELLED").await;
    let later = accepted(&spawn(&raw, "echo later").await);
    let everything = [
        &later, &cancelled, &waiting, &running, &failed, &done, &import,
    ];

    for (query, expected) in [
        ("", &everything[..]),
        ("?status=PENDING", &[&later, &waiting]),
        ("?status=ASSIGNED", &[]),
        ("?status=EXECUTING", &[&running]),
        ("?status=SUCCESS", &[&done, &import]),
        ("?status=FAILED", &[&failed]),
        ("?status=CANCELLED", &[&cancelled]),
        ("?kind=image_import", &[&import]),
        ("?kind=instance", &everything[..6]),
        ("?kind=instance&status=SUCCESS", &[&done]),
        ("?kind=image_import&status=PENDING", &[]),
        ("?limit=2", &everything[..2]),
        ("?limit=3&offset=2", &everything[2..5]),
        ("?offset=7", &[]),
        ("?status=PENDING&limit=1", &[&later]),
        ("?status=PENDING&offset=1", &[&waiting]),
        ("?since=1h", &everything),
        ("?until=1h", &[]),
        ("?status=EXECUTING&since=1h", &[&running]),
        ("?status=EXECUTING&until=1h", &[]),
    ] {
        shows(&raw, query, expected).await;
    }
    let all = list(&raw, "").await;
    let at = |index: usize| {
        all[index]["created_at"]
            .as_str()
            .expect("text")
            .replace('+', "%2B")
    };
    for (query, expected) in [
        (format!("?since={}", at(3)), &everything[..4]),
        (format!("?until={}", at(3)), &everything[3..]),
        (format!("?since={0}&until={0}", at(3)), &everything[3..4]),
    ] {
        shows(&raw, &query, expected).await;
    }
    summaries(&all);

    let me = raw.json("/v1/whoami").await;
    assert_eq!(
        me["operations_stat"],
        json!({
            "PENDING": 2, "ASSIGNED": 0, "EXECUTING": 1, "SUCCESS": 2, "FAILED": 1, "CANCELLED": 1,
        })
    );

    // What has ended cannot be cancelled, and saying so twice is no fault of the server.
    for operation in [&done, &failed, &cancelled, &import] {
        for _ in 0..2 {
            assert_eq!(
                cancel(operation).await.refused(409),
                "the operation has already ended"
            );
        }
    }
    for query in [
        "?status=success",
        "?status=",
        "?kind=run",
        "?limit=0",
        "?limit=1001",
        "?offset=x",
        "?since=x",
        "?until=x",
        "?status=FAILED&status=SUCCESS",
    ] {
        let sentence = raw
            .get(&format!("/v1/operations{query}"))
            .await
            .refused(400);
        let name = query[1..].split('=').next().expect("a name");
        assert!(
            sentence.starts_with(&format!("query parameter `{name}`")),
            "{sentence}"
        );
    }

    // The end of the one makes room for the others, in order.
    assert_eq!(cancel(&running).await.status, StatusCode::ACCEPTED);
    reaches(&raw, &later, "SUCCESS").await;
    let ended = [&later, &waiting, &done];
    shows(&raw, "?status=SUCCESS&kind=instance", &ended).await;
}

/// Every item has every key, and each the type that clients count on.
fn summaries(all: &[Value]) {
    for item in all {
        assert_eq!(
            keys(item),
            [
                "consumed_cpu",
                "consumed_memory",
                "created_at",
                "duration",
                "error",
                "image_size",
                "image_uuid",
                "kind",
                "result_image_uuid",
                "status",
                "uuid",
            ]
        );
        assert!(is_timestamp(&item["created_at"]), "{item}");
        assert!(item["duration"].is_f64(), "{item}");
        let status = item["status"].as_str().expect("text");
        let is_import = item["kind"] == "image_import";
        let has_error = matches!(status, "FAILED" | "CANCELLED");
        assert_eq!(item["error"].is_string(), has_error, "{item}");
        assert_eq!(item["image_uuid"].is_null(), is_import, "{item}");
        let has_image = is_import && status == "SUCCESS";
        assert_eq!(item["result_image_uuid"].is_string(), has_image, "{item}");
        assert_eq!(
            item["duration"] == 0.0,
            matches!(status, "PENDING" | "CANCELLED"),
            "{item}"
        );
    }
}

#[tokio::test]
async fn privileged_whoami_has_every_key() {
    let server = Server::start(Settings::default());
    let raw = Raw::new(&server);
    let me = raw.json("/v1/whoami").await;
    for key in [
        "limits",
        "operations_stat",
        "permissions",
        "token_expiration",
        "token_uuid",
    ] {
        assert!(me.get(key).is_some(), "{key}: {me}");
    }
    assert!(
        me["token_uuid"]
            .as_str()
            .is_some_and(|uuid| uuid.len() == 36),
        "{me}"
    );
    assert_eq!(me["token_expiration"], Value::Null);
    assert_eq!(
        me["permissions"],
        json!({
            "import": true, "spawn": true, "spawn_disposable": true, "list": true, "cancel": true,
            "set_image_tag": true,
        })
    );
    assert_eq!(
        me["operations_stat"],
        json!({
            "PENDING": 0, "ASSIGNED": 0, "EXECUTING": 0, "SUCCESS": 0, "FAILED": 0, "CANCELLED": 0,
        })
    );
    assert_eq!(
        keys(&me["limits"]),
        [
            "images_import_max_concurrency",
            "images_import_max_timeout",
            "instance_max_concurrency",
            "instance_max_layer_bytes",
            "instance_max_timeout",
        ]
    );
    assert!(
        me["limits"]
            .as_object()
            .expect("an object")
            .values()
            .all(Value::is_i64),
        "{me}"
    );
}
