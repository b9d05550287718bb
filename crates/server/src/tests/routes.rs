//! The routes over a real engine in a folder of its own, without sockets.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::bench::{Answer, Bench};

/// Every way to be refused before the engine is asked for anything but the token, with its
/// answer. The golden file is what `docs/http-errors.md` promises.
#[tokio::test]
async fn privileged_refusals_have_one_shape() {
    let bench = Bench::start().await;
    let id = "12345678-9abc-4aba-9eda-0123456789ab";
    let mut shown = String::new();
    for (method, uri, body) in [
        ("GET", "/", ""),
        ("GET", "/v1/nothing", ""),
        ("PUT", "/v1/images", ""),
        ("PATCH", "/v1/operations/x/events", ""),
        ("GET", "/v1/images?limit=0", ""),
        ("GET", "/v1/images?offset=-1", ""),
        ("GET", "/v1/images?tag=ubuntu:", ""),
        ("GET", "/v1/images?uuid=7", ""),
        ("GET", "/v1/images?kind=2", ""),
        ("GET", "/v1/images?since=yesterday", ""),
        ("GET", "/v1/operations?status=DONE", ""),
        ("GET", "/v1/operations?kind=run", ""),
        ("GET", "/v1/images?limit=1&limit=2", ""),
        ("GET", "/v1/images?tag=%zz", ""),
        ("GET", "/v1/images?tag=%ff", ""),
        ("GET", "/v1/images?until=1e400", ""),
        ("GET", "/v1/operations/7", ""),
        ("GET", "/v1/operations/%zz", ""),
        ("GET", "/v1/operations/%ff", ""),
        ("GET", "/v1//images", ""),
        ("HEAD", "/v1/instances", ""),
        ("GET", &format!("/v1/operations/{id}?inflight=maybe"), ""),
        ("GET", &format!("/v1/operations/{id}/events?follow=2"), ""),
        ("GET", &format!("/v1/operations/{id}/events?since=x"), ""),
        ("GET", &format!("/v1/operations/{id}/events?spid=-1"), ""),
        ("GET", &format!("/v1/operations/{id}/subprocesses/0"), ""),
        ("GET", "/v1/inspect/", ""),
        ("GET", "/v1/inspect/?tag=a..b", ""),
        ("GET", "/v1/inspect/7/", ""),
        ("GET", &format!("/v1/inspect/{id}/list"), ""),
        ("GET", &format!("/v1/inspect/{id}/download"), ""),
        ("GET", &format!("/v1/inspect/{id}/archive?path=/"), ""),
        ("GET", &format!("/v1/inspect/{id}/grep?pattern=a"), ""),
        ("GET", "/v1/files/abc", ""),
        ("POST", "/v1/instances", ""),
        ("POST", "/v1/instances", "{"),
        ("POST", "/v1/instances", r#"{"command":"a"}"#),
        (
            "POST",
            "/v1/instances",
            r#"{"command":"a","image":"ubuntu"}"#,
        ),
        (
            "POST",
            "/v1/instances",
            &format!(r#"{{"command":"a","image":"{id}","networking":[true]}}"#),
        ),
        ("POST", "/v1/images/import", r#"{"registry":{}}"#),
        (
            "POST",
            "/v1/images/import",
            r#"{"registry":{"url":"docker://a/b","credentials":["user","secret"]}}"#,
        ),
        ("PATCH", &format!("/v1/images/{id}/tag"), r#"{"tag":"a b"}"#),
        (
            "POST",
            &format!("/v1/operations/{id}/subprocesses/1/stdin"),
            r#"{"value":7}"#,
        ),
    ] {
        let answer = bench.send(method, uri, body).await;
        if method != "HEAD" {
            assert_eq!(answer.json()["status"], answer.status.as_u16());
            assert_eq!(answer.headers["content-type"], "application/json");
        }
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        shown.push_str(&format!("{method} {uri} {body}\n"));
        if let Some(allow) = answer.headers.get("allow") {
            shown.push_str(&format!("    Allow: {}\n", allow.to_str().unwrap()));
        }
        shown.push_str(&format!(
            "    {} {}\n",
            answer.status.as_u16(),
            answer.text()
        ));
    }
    bench.end().await;
    super::assert_golden("refusals.txt", &shown, include_str!("golden/refusals.txt"));
}

#[tokio::test]
async fn privileged_tokens_are_asked_for() {
    let bench = Bench::start().await;
    let token = format!("Bearer {}", bench.token);
    let two = bench.send_as([token.as_str(); 2], "GET", "/v1/whoami", "");
    let sentence = "the header Authorization is there more than once; send one token";
    assert_eq!(two.await.json(), json!({"error": sentence, "status": 401}));
    for uri in ["/healthz", "/readyz"] {
        assert_eq!(
            bench.send_as(None, "GET", uri, "").await.status,
            StatusCode::OK,
            "{uri}"
        );
    }
    for (header, sentence) in [
        (
            None,
            "no token; send it as the header \"Authorization: Bearer TOKEN\"",
        ),
        (
            Some("Basic abc"),
            "the header Authorization is not of the form \"Bearer TOKEN\"",
        ),
        (
            Some("Bearer "),
            "the header Authorization is not of the form \"Bearer TOKEN\"",
        ),
        (
            Some("token"),
            "the header Authorization is not of the form \"Bearer TOKEN\"",
        ),
    ] {
        let answer = bench.send_as(header, "GET", "/v1/whoami", "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_eq!(answer.json(), json!({"error": sentence, "status": 401}));
    }
    let unknown = bench
        .send_as(Some("Bearer nobody"), "GET", "/v1/images", "")
        .await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    // Before anything else is looked at.
    let unknown = bench
        .send_as(Some("Bearer nobody"), "POST", "/v1/instances", "{")
        .await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);

    let lower_case = format!("bearer {}", bench.token);
    let me = bench
        .send_as(Some(lower_case.as_str()), "GET", "/v1/whoami", "")
        .await;
    assert_eq!(me.status, StatusCode::OK);
    let me = me.json();
    for permission in [
        "import",
        "spawn",
        "spawn_disposable",
        "list",
        "cancel",
        "set_image_tag",
    ] {
        assert_eq!(me["permissions"][permission], true, "{permission}");
    }
    assert_eq!(me["token_expiration"], Value::Null);
    assert!(
        me["token_uuid"].is_string() && me["operations_stat"].is_object(),
        "{me}"
    );
    bench.end().await;
}

#[tokio::test]
async fn privileged_files_go_in_once() {
    let bench = Bench::with_upload_limit(100_000).await;
    let content = vec![b'x'; 70_000];
    let pieces = |sizes: Vec<usize>| {
        Body::from_stream(futures_util::stream::iter(
            sizes
                .into_iter()
                .map(|size| Ok::<_, std::io::Error>(vec![b'x'; size])),
        ))
    };
    let first = bench.upload(Body::from(content.clone())).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    let first = first.json();
    assert_eq!(first["size"], 70_000);
    // Without Content-Length, in pieces.
    let again = bench.upload(pieces(vec![1, 69_998, 0, 1])).await;
    assert_eq!(again.json(), first);
    let empty = bench.upload(Body::empty()).await;
    assert_eq!(empty.json()["size"], 0);

    for body in [Body::from(vec![0; 100_001]), pieces(vec![60_000, 60_000])] {
        let refused = bench.upload(body).await;
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(
            refused.json()["error"],
            "the body is larger than the 100000 bytes that are accepted here"
        );
    }
    let broken = futures_util::stream::iter([Ok("half"), Err(std::io::Error::other("gone"))]);
    let refused = bench.upload(Body::from_stream(broken)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);

    let sha256 = first["sha256"].as_str().unwrap();
    let uri = format!("/v1/files/{}", sha256.to_uppercase());
    let found = bench.send("GET", &uri, "").await;
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(found.json()["uuid"], first["uuid"]);
    let head = bench.send("HEAD", &uri, "").await;
    assert_eq!((head.status, head.text()), (StatusCode::OK, ""));
    let head = bench
        .send("HEAD", &format!("/v1/files/{}", "0".repeat(64)), "")
        .await;
    assert_eq!((head.status, head.text()), (StatusCode::NOT_FOUND, ""));

    let listed = bench.send("GET", "/v1/files", "").await.json();
    let sizes: Vec<_> = listed["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["size"])
        .collect();
    assert_eq!(sizes, [&json!(0), &json!(70_000)]);
    let listed = bench
        .send("GET", "/v1/files?limit=1&offset=1", "")
        .await
        .json();
    assert_eq!(listed["files"][0]["uuid"], first["uuid"]);
    bench.end().await;
}

#[tokio::test]
async fn privileged_an_image_is_looked_into() {
    let bench = Bench::start().await;
    let image = bench.import_tree("base:v1").await;
    let at = |rest: &str| format!("/v1/inspect/{image}/{rest}");

    let shown = bench.send("GET", &at(""), "").await.json();
    assert_eq!(
        (&shown["uuid"], &shown["tag"]),
        (&json!(image), &json!("base:v1"))
    );
    assert!(shown["operation_uuid"].is_string(), "{shown}");

    let found = bench.send("GET", "/v1/inspect/?tag=base%3Av1", "").await;
    assert_eq!(found.status, StatusCode::FOUND);
    assert_eq!(found.headers["location"], format!("{image}/"));
    for (uri, place) in [
        ("/v1/inspect", "/v1/inspect/".to_owned()),
        ("/v1/inspect?tag=a", "/v1/inspect/?tag=a".to_owned()),
        (
            &format!("/v1/inspect/{image}"),
            format!("/v1/inspect/{image}/"),
        ),
    ] {
        let moved = bench.send_as(None, "GET", uri, "").await;
        assert_eq!(moved.status, StatusCode::TEMPORARY_REDIRECT, "{uri}");
        assert_eq!(moved.headers["location"], place);
    }
    let unknown = bench.send("GET", "/v1/inspect/?tag=nobody", "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);

    let listed = bench.send("GET", &at("list?path=/etc"), "").await.json();
    assert_eq!(listed["path"], "/etc");
    let names: Vec<_> = listed["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["path"])
        .collect();
    assert_eq!(
        names,
        [&json!("greeting"), &json!("link"), &json!("passwd")]
    );
    for uri in [
        "list?path=/etc&text",
        "list?path=/etc&text=1",
        "list?path=/etc&text=",
    ] {
        let text = bench.send("GET", &at(uri), "").await;
        assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
        assert!(text.text().contains("greeting"), "{}", text.text());
    }
    for (uri, status) in [
        ("list?path=/etc/greeting", 422),
        ("list?path=/nowhere", 404),
        ("download?path=/etc", 422),
        ("download?path=/etc/nowhere", 404),
        ("download?path=/../../etc/shadow", 404),
    ] {
        let refused = bench.send("GET", &at(uri), "").await;
        assert_eq!(refused.status.as_u16(), status, "{uri}");
        assert_eq!(refused.json()["status"], status);
        let head = bench.send("HEAD", &at(uri), "").await;
        assert_eq!((head.status.as_u16(), head.text()), (status, ""), "{uri}");
    }
    for path in ["/etc/greeting", "/etc/link", "etc/greeting"] {
        let file = bench
            .send("GET", &at(&format!("download?path={path}")), "")
            .await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert_eq!(file.headers["content-type"], "application/octet-stream");
        assert_eq!(file.headers["content-length"], "6");
        assert_eq!(file.text(), "hello\n");
    }
    let file = bench
        .send("GET", &at("download?path=/etc/greeting&text"), "")
        .await;
    assert_eq!(file.headers["content-type"], "text/plain; charset=utf-8");
    let head = bench
        .send("HEAD", &at("download?path=/etc/greeting"), "")
        .await;
    assert_eq!((head.status, head.text()), (StatusCode::OK, ""));
    assert_eq!(head.headers["content-length"], "6");
    bench.end().await;
}

#[tokio::test]
async fn privileged_tags_are_moved_and_removed() {
    let bench = Bench::start().await;
    let image = bench.import_tree("base:v1").await;
    let tag_uri = format!("/v1/images/{image}/tag");

    let tagged = bench
        .send("PATCH", &tag_uri, r#"{"tag":"base:v2","extra":1}"#)
        .await;
    assert_eq!(tagged.status, StatusCode::OK, "{}", tagged.text());
    assert_eq!(tagged.json()["tag"], "base:v2");
    let names = async |uri: &str| -> Vec<String> {
        let listed = bench.send("GET", uri, "").await.json();
        let images = listed["images"].as_array().unwrap().clone();
        let mut tags: Vec<_> = images
            .iter()
            .map(|i| i["tag"].as_str().unwrap_or("-").to_owned())
            .collect();
        tags.sort();
        tags
    };
    assert_eq!(names("/v1/images").await, ["base:v1", "base:v2"]);
    assert_eq!(names("/v1/images?tag=base").await, ["base:v1", "base:v2"]);
    assert_eq!(names("/v1/images?tag=base:v2").await, ["base:v2"]);
    assert_eq!(names("/v1/images?tag=other").await, [""; 0]);
    assert_eq!(names("/v1/images?kind=1").await, ["base:v1", "base:v2"]);
    assert_eq!(names("/v1/images?kind=0").await, [""; 0]);
    assert_eq!(names("/v1/images?since=1h").await, ["base:v1", "base:v2"]);
    assert_eq!(names("/v1/images?until=1h").await, [""; 0]);
    assert_eq!(
        names(&format!("/v1/images?uuid={image}&limit=1"))
            .await
            .len(),
        1
    );

    let removed = bench
        .send("DELETE", &format!("{tag_uri}?tag=base:v2"), "")
        .await;
    assert_eq!(
        (removed.status, removed.text()),
        (StatusCode::NO_CONTENT, "")
    );
    assert_eq!(names("/v1/images?tagged").await, ["base:v1"]);
    let removed = bench.send("DELETE", &tag_uri, "").await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(names("/v1/images?tagged=1").await, [""; 0]);
    assert_eq!(names("/v1/images?tagged=0").await, ["-"]);

    let nobody = "/v1/images/12345678-9abc-4aba-9eda-0123456789ab/tag";
    assert_eq!(
        bench.send("PATCH", nobody, r#"{"tag":"a"}"#).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        bench.send("DELETE", nobody, "").await.status,
        StatusCode::NOT_FOUND
    );
    bench.end().await;
}

/// An import from a registry that never answers is an operation that stays open as long as the
/// test likes.
#[tokio::test]
async fn privileged_an_operation_is_followed_and_cancelled() {
    let (bench, registry) = Bench::with_silent_registry().await;
    let body = format!(
        r#"{{"registry":{{"url":"docker://{registry}/a/b:c","credentials":{{"username":"u","password":"hunter2"}}}},"tag":null}}"#
    );
    let accepted = bench.send("POST", "/v1/images/import", &body).await;
    assert_eq!(accepted.status, StatusCode::CREATED, "{}", accepted.text());
    let operation = accepted.json()["uuid"].as_str().unwrap().to_owned();
    let place = format!("/v1/operations/{operation}");
    assert_eq!(accepted.headers["location"], place);

    let open = bench.send("GET", &place, "").await;
    assert_eq!(open.headers["retry-after"], "1");
    assert!(!open.text().contains("hunter2"), "{}", open.text());
    let open = open.json();
    assert_eq!(
        (&open["kind"], &open["result"]),
        (&json!("image_import"), &Value::Null)
    );
    let listed = bench
        .send("GET", "/v1/operations?kind=image_import", "")
        .await
        .json();
    assert_eq!(listed[0]["uuid"], json!(operation));
    assert_eq!(
        bench
            .send("GET", "/v1/operations?kind=instance", "")
            .await
            .json(),
        json!([])
    );
    assert_eq!(
        bench
            .send("GET", "/v1/operations?status=SUCCESS", "")
            .await
            .json(),
        json!([])
    );

    let followed = bench
        .open("GET", &format!("{place}/events?follow"), &[])
        .await;
    assert_eq!(followed.status(), StatusCode::OK);
    assert_eq!(followed.headers()["content-type"], "text/event-stream");

    let cancelled = bench.send("DELETE", &place, "").await;
    assert_eq!(
        (cancelled.status, cancelled.text()),
        (StatusCode::ACCEPTED, "")
    );
    let followed = Answer::read(followed).await;
    let log = followed.text();
    assert!(log.ends_with("\n\n") && !log.contains("hunter2"), "{log}");
    let last = log.trim_end().rsplit("\n\n").next().unwrap();
    assert!(
        last.contains("event: completion\n") && last.contains("\"CANCELLED\""),
        "{log}"
    );

    let ended = bench.send("GET", &place, "").await;
    assert!(ended.headers.get("retry-after").is_none());
    assert_eq!(ended.json()["status"], "CANCELLED");
    assert_eq!(
        bench.send("DELETE", &place, "").await.status,
        StatusCode::CONFLICT
    );
    let nobody = "/v1/operations/12345678-9abc-4aba-9eda-0123456789ab";
    assert_eq!(
        bench.send("DELETE", nobody, "").await.status,
        StatusCode::NOT_FOUND
    );

    // Taking up a log: both bounds exclude the id they name, and the header wins.
    let events = async |query: &str, resume: &[(&str, &str)]| -> Vec<u64> {
        let answer = bench
            .open("GET", &format!("{place}/events{query}"), resume)
            .await;
        let answer = Answer::read(answer).await;
        let ids = answer
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("id: "));
        ids.map(|id| id.parse().unwrap()).collect()
    };
    let all = events("", &[]).await;
    let last = *all.last().unwrap();
    assert_eq!(events("?follow=1", &[]).await, all);
    assert_eq!(events(&format!("?since={}", all[0]), &[]).await, all[1..]);
    assert_eq!(
        events("", &[("last-event-id", &all[0].to_string())]).await,
        all[1..]
    );
    assert_eq!(
        events(
            &format!("?since={last}"),
            &[("last-event-id", &all[0].to_string())]
        )
        .await,
        all[1..]
    );
    assert_eq!(
        events(&format!("?since={last}"), &[("Last-Event-Id", "")]).await,
        [0; 0]
    );
    let refused = bench
        .open("GET", &format!("{place}/events"), &[("last-event-id", "x")])
        .await;
    assert_eq!(
        Answer::read(refused).await.json()["error"],
        "header `Last-Event-Id`: expected a whole number from 0 to 9223372036854775807; got `x`"
    );
    bench.end().await;
}

#[tokio::test]
async fn privileged_bodies_have_bounds_of_their_own() {
    let bench = Bench::start().await;
    let id = "12345678-9abc-4aba-9eda-0123456789ab";
    let filler = "x".repeat(9 << 20);
    let chunk = format!(r#"{{"value":"{filler}"}}"#);
    let uri = format!("/v1/operations/{id}/subprocesses/1/stdin");
    let refused = bench.send("POST", &uri, &chunk).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let small = "x".repeat(1 << 20);
    let import = format!(r#"{{"registry":{{"url":"docker://a/b"}},"more":"{small}"}}"#);
    let tag = format!(r#"{{"tag":"a","more":"{}"}}"#, &small[..65_536]);
    for (method, uri, body, bound) in [
        ("POST", "/v1/images/import".to_owned(), &import, 1_048_576),
        ("PATCH", format!("/v1/images/{id}/tag"), &tag, 65_536),
    ] {
        let refused = bench.send(method, &uri, body).await;
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE, "{uri}");
        assert_eq!(
            refused.json()["error"],
            format!("the body is larger than the {bound} bytes that are accepted here")
        );
    }
    // The input of a run may be as large: it is read, and the image is what is missing.
    let run = format!(r#"{{"command":"cat","image":"{id}","stdin":{{"value":"{filler}"}}}}"#);
    let refused = bench.send("POST", "/v1/instances", &run).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text());
    // A chunk of the size that clients send is read too.
    let chunk = format!(r#"{{"value":"{}"}}"#, "x".repeat(1 << 20));
    let refused = bench.send("POST", &uri, &chunk).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text());
    bench.end().await;
}
