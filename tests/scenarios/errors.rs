//! Refusals: one shape, a sentence that names the field, and nothing done.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::raw::Raw;

/// A run that would be accepted, with other values for some keys.
fn run_with(changes: Value) -> Value {
    let mut request = json!({"command": "true", "image": "tag:base", "disposable": true});
    let object = request.as_object_mut().expect("an object");
    object.extend(changes.as_object().expect("an object").clone());
    request
}

#[tokio::test]
async fn privileged_wrong_keys_are_named_and_nothing_runs() {
    let tiny = Tiny::new();
    let server = Server::start(Settings::with(&["--max-request-bytes", "1MiB"]));
    server.import(&tiny.tar(), "base").await;
    let raw = Raw::new(&server);
    let file = "12345678-9abc-4aba-9eda-0123456789ab";

    for (changes, about) in [
        (json!({"command": "", "shell": true}), "command"),
        (json!({"command": "", "args": ["a"]}), "command"),
        (json!({"copy": {}}), "copy"),
        (json!({"copy": [{"to": "/"}]}), "copy[0]"),
        (json!({"copy": [{"archive": file, "to": "/"}]}), "copy"),
        (json!({"command": null}), "command"),
        (json!({"command": ["true"]}), "command"),
        (json!({"command": "a\0b"}), "command"),
        (json!({"image": "base"}), "image"),
        (json!({"image": "tag:base:"}), "image"),
        (json!({"image": {"tag": "base"}}), "image"),
        (json!({"disposable": "yes"}), "disposable"),
        (json!({"hostname": ""}), "hostname"),
        (json!({"hostname": "x".repeat(65)}), "hostname"),
        (json!({"hostname": "a b"}), "hostname"),
        (json!({"args": "a"}), "args"),
        (json!({"args": ["a", 1]}), "args[1]"),
        (json!({"args": ["x".repeat(131_072)]}), "args"),
        (json!({"shell": 1}), "shell"),
        (json!({"env": ["A=b"]}), "env"),
        (json!({"env": {"A": 1}}), "env.A"),
        (json!({"env": {"A=B": "c"}}), "env"),
        (json!({"env": {"": "c"}}), "env"),
        (json!({"preserve_env": "1"}), "preserve_env"),
        (json!({"preserve_cwd": []}), "preserve_cwd"),
        (json!({"cwd": "tmp"}), "cwd"),
        (json!({"cwd": format!("/{}", "x".repeat(4_096))}), "cwd"),
        (json!({"uid": -1}), "uid"),
        (json!({"uid": 65_536}), "uid"),
        (json!({"gid": 1.5}), "gid"),
        (json!({"resources_limits": [1]}), "resources_limits"),
        (
            json!({"resources_limits": {"max_layer_bytes": 0}}),
            "resources_limits.max_layer_bytes",
        ),
        (
            json!({"resources_limits": {"max_layer_bytes": "1G"}}),
            "resources_limits.max_layer_bytes",
        ),
        (json!({"networking": true}), "networking"),
        (json!({"networking": [true]}), "networking"),
        (
            json!({"networking": {"enabled": "no"}}),
            "networking.enabled",
        ),
        (json!({"stdin": "text"}), "stdin"),
        (json!({"stdin": {}}), "stdin.value"),
        (
            json!({"stdin": {"value": "?", "encoding": "base64"}}),
            "stdin.value",
        ),
        (
            json!({"stdin": {"value": "", "encoding": "utf-8"}}),
            "stdin.encoding",
        ),
        (json!({"stdin": {"value": "", "close": 1}}), "stdin.close"),
        (json!({"timeout": 0}), "timeout"),
        (json!({"timeout": 3_601}), "timeout"),
        (json!({"timeout": -1}), "timeout"),
        (json!({"timeout": "60"}), "timeout"),
        (
            json!({"truncate_output_at": 10_485_761}),
            "truncate_output_at",
        ),
        (json!({"truncate_output_at": -1}), "truncate_output_at"),
        (json!({"files": []}), "files"),
        (json!({"files": {"/a": file}}), "files./a"),
        (json!({"files": {"/a": [file]}}), "files./a"),
        (json!({"files": {"/a": {}}}), "files./a.uuid"),
        (json!({"files": {"/a": {"uuid": "x"}}}), "files./a.uuid"),
        (json!({"files": {"/": {"uuid": file}}}), "files"),
        (json!({"files": {"/a/../b": {"uuid": file}}}), "files"),
        (
            json!({"files": {"/a": {"uuid": file, "mode": "rw"}}}),
            "files",
        ),
        (
            json!({"files": {"/a": {"uuid": file, "uid": 65_536}}}),
            "files",
        ),
    ] {
        let request = run_with(changes.clone());
        let sentence = raw.post("/v1/instances", &request).await.refused(400);
        let named = sentence.strip_prefix("body key `").unwrap_or(&sentence);
        assert!(named.starts_with(about), "{changes}: {sentence}");
        let end = named[about.len()..].chars().next();
        assert!(
            !end.is_some_and(char::is_alphanumeric),
            "{changes}: {sentence}"
        );
    }
    for (changes, status, about) in [
        (json!({"image": "tag:nobody"}), 404, "nobody"),
        (json!({"image": file}), 404, file),
        (json!({"files": {"/a": {"uuid": file}}}), 404, file),
        (
            json!({"stdin": {"value": "x".repeat(1 << 20)}}),
            413,
            "1048576 bytes",
        ),
    ] {
        let refused = raw.post("/v1/instances", &run_with(changes.clone())).await;
        let sentence = refused.refused(status);
        assert!(sentence.contains(about), "{sentence}");
    }
    for (body, about) in [
        ("", "the body is empty"),
        ("[]", "expected a JSON object"),
        ("null", "expected a JSON object"),
        ("{\"command\":", "not valid JSON"),
        (
            "{\"command\":\"a\",\"command\":\"b\"}",
            "duplicate field `command`",
        ),
        ("{\"timeout\":NaN}", "not valid JSON"),
        ("command=true", "expected a JSON object"),
    ] {
        let refused = raw.send(Method::POST, "/v1/instances", body).await;
        let sentence = refused.refused(400);
        assert!(sentence.contains(about), "{body}: {sentence}");
    }
    for (body, about) in [
        (json!({}), "registry"),
        (json!({"registry": "docker://a/b"}), "registry"),
        (json!({"registry": ["docker://a/b"]}), "registry"),
        (json!({"registry": {"url": 7}}), "registry.url"),
        (json!({"registry": {"url": ""}}), "registry.url"),
        (json!({"registry": {"url": "ftp://a/b"}}), "registry.url"),
        (
            json!({"registry": {"url": "docker://a/b", "credentials": ["a", "b"]}}),
            "registry.credentials",
        ),
        (
            json!({"registry": {"url": "docker://a/b", "credentials": {"username": 1}}}),
            "registry.credentials.username",
        ),
        (
            json!({"registry": {"url": "docker://a/b"}, "tag": "a:"}),
            "tag",
        ),
        (
            json!({"registry": {"url": "docker://a/b"}, "timeout": 0}),
            "timeout",
        ),
        (
            json!({"registry": {"url": "docker://a/b"}, "timeout": 3_601}),
            "timeout",
        ),
    ] {
        let sentence = raw.post("/v1/images/import", &body).await.refused(400);
        let named = sentence.strip_prefix("body key `").unwrap_or(&sentence);
        assert!(named.starts_with(about), "{body}: {sentence}");
    }
    let operations = raw.json("/v1/operations").await;
    let operations = operations.as_array().expect("a list");
    assert_eq!(operations.len(), 1, "only the import: {operations:#?}");
}

/// What will stay as it is is never told in a way that makes clients try again.
#[tokio::test]
async fn privileged_lasting_refusals_do_not_ask_for_patience() {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    let base = server.import(&tiny.tar(), "base").await;
    let raw = Raw::new(&server);
    let import = raw.json("/v1/operations").await[0]["uuid"].clone();
    let import = import.as_str().expect("a uuid").to_owned();
    let ended = raw.post("/v1/instances", &run_with(json!({}))).await;
    let ended = ended.json()["uuid"].as_str().expect("a uuid").to_owned();
    raw.get(&format!("/v1/operations/{ended}/events?follow=1"))
        .await;
    let unstarted = run_with(json!({"command": "/no/such/program"}));
    let unstarted = raw.post("/v1/instances", &unstarted).await.json()["uuid"].clone();
    let unstarted = unstarted.as_str().expect("a uuid").to_owned();
    raw.get(&format!("/v1/operations/{unstarted}/events?follow=1"))
        .await;
    let missing = "12345678-9abc-4aba-9eda-0123456789ab";

    let exec = json!({"command": "true"}).to_string();
    let input = json!({"value": "a"}).to_string();
    for (method, path, body, status) in [
        ("GET", format!("/v1/operations/{missing}"), "", 404),
        ("DELETE", format!("/v1/operations/{missing}"), "", 404),
        ("GET", format!("/v1/operations/{missing}/events"), "", 404),
        (
            "GET",
            format!("/v1/operations/{missing}/subprocesses/1"),
            "",
            404,
        ),
        (
            "DELETE",
            format!("/v1/operations/{missing}/subprocesses/1"),
            "",
            404,
        ),
        (
            "POST",
            format!("/v1/operations/{missing}/subprocesses"),
            &exec,
            404,
        ),
        (
            "POST",
            format!("/v1/operations/{missing}/subprocesses/1/stdin"),
            &input,
            404,
        ),
        ("DELETE", format!("/v1/operations/{ended}"), "", 409),
        (
            "POST",
            format!("/v1/operations/{ended}/subprocesses"),
            &exec,
            409,
        ),
        (
            "POST",
            format!("/v1/operations/{ended}/subprocesses/1/stdin"),
            &input,
            409,
        ),
        (
            "DELETE",
            format!("/v1/operations/{ended}/subprocesses/1"),
            "",
            409,
        ),
        (
            "GET",
            format!("/v1/operations/{ended}/subprocesses/2"),
            "",
            404,
        ),
        (
            "GET",
            format!("/v1/operations/{unstarted}/subprocesses/1"),
            "",
            404,
        ),
        (
            "POST",
            format!("/v1/operations/{unstarted}/subprocesses"),
            &exec,
            409,
        ),
        (
            "POST",
            format!("/v1/operations/{import}/subprocesses"),
            &exec,
            409,
        ),
        (
            "POST",
            format!("/v1/operations/{import}/subprocesses/1/stdin"),
            &input,
            409,
        ),
        (
            "DELETE",
            format!("/v1/operations/{import}/subprocesses/1"),
            "",
            409,
        ),
        (
            "GET",
            format!("/v1/operations/{import}/subprocesses/1"),
            "",
            404,
        ),
        ("GET", format!("/v1/inspect/{missing}/"), "", 404),
        ("GET", format!("/v1/inspect/{missing}/list?path=/"), "", 404),
        (
            "GET",
            format!("/v1/inspect/{base}/list?path=/nowhere"),
            "",
            404,
        ),
        (
            "GET",
            format!("/v1/inspect/{base}/list?path=/usr/bin/cat"),
            "",
            422,
        ),
        (
            "GET",
            format!("/v1/inspect/{base}/download?path=/usr"),
            "",
            422,
        ),
        (
            "GET",
            format!("/v1/inspect/{base}/download?path=/nowhere"),
            "",
            404,
        ),
        ("GET", "/v1/inspect/?tag=nobody".to_owned(), "", 404),
        ("GET", "/v2/images".to_owned(), "", 404),
        ("GET", "/".to_owned(), "", 404),
        ("PUT", "/v1/files".to_owned(), "", 405),
        ("POST", "/v1/operations".to_owned(), "", 405),
    ] {
        let parsed = Method::from_bytes(method.as_bytes()).expect("a method");
        let refused = raw.send(parsed, &path, body.to_owned()).await;
        assert_eq!(
            refused.status.as_u16(),
            status,
            "{method} {path}: {refused:?}"
        );
        refused.refused(status);
        assert!(
            refused.headers.get("retry-after").is_none(),
            "{method} {path}"
        );
        assert_eq!(
            refused.headers.contains_key("allow"),
            status == 405,
            "{path}"
        );
    }

    let http = reqwest::Client::new();
    for token in [None, Some("contree_nobody"), Some("")] {
        let mut request = http.get(format!("{}/v1/images", server.url()));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        let body: Value =
            serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        assert_eq!(body["status"], 401);
    }
}
