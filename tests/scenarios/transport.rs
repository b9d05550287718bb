//! What clients count on beneath the routes: codings, connections, methods.

use std::io::Read as _;

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::raw::Raw;

/// One connection that is kept.
struct Kept {
    stream: TcpStream,
    token: String,
}

/// An answer as it came.
struct Wire {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Kept {
    async fn new(server: &Server) -> Self {
        let address = server.url().trim_start_matches("http://");
        Self {
            stream: TcpStream::connect(address).await.expect("connected"),
            token: server.token(),
        }
    }

    async fn send(&mut self, method: &str, path: &str, more: &str) -> Wire {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n{more}\r\n",
            self.token
        );
        self.stream
            .write_all(request.as_bytes())
            .await
            .expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8(head)
            .expect("a head is text")
            .to_lowercase();
        let field = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
        };
        let mut body = Vec::new();
        let status = head[9..12].parse().expect("a status");
        if method != "HEAD" && status != 204 {
            if let Some(length) = field("content-length:") {
                body.resize(length.parse().expect("a length"), 0);
                self.stream.read_exact(&mut body).await.expect("a body");
            } else {
                assert_eq!(
                    field("transfer-encoding:").as_deref(),
                    Some("chunked"),
                    "{head}"
                );
                body = self.chunks().await;
            }
        }
        Wire { status, head, body }
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(self.stream.read_u8().await.expect("a size"));
            }
            let line = String::from_utf8(line).expect("a size is text");
            let size = usize::from_str_radix(line.trim(), 16).expect("a size");
            let start = body.len();
            body.resize(start + size + 2, 0);
            self.stream
                .read_exact(&mut body[start..])
                .await
                .expect("a chunk");
            body.truncate(start + size);
            if size == 0 {
                return body;
            }
        }
    }
}

fn unzipped(coded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(coded);
    decoder
        .read_to_end(&mut plain)
        .expect("gzip with its trailer");
    plain
}

#[tokio::test]
async fn privileged_head_and_gzip_wherever_get_is() {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    let image = server.import(&tiny.tar(), "base").await;
    let raw = Raw::new(&server);
    let spawned = raw
        .post(
            "/v1/instances",
            &json!({"command": "seq 100000", "image": "tag:base", "shell": true}),
        )
        .await;
    assert_eq!(spawned.status, StatusCode::CREATED);
    let operation = spawned.json()["uuid"].as_str().expect("a uuid").to_owned();
    let events = format!("/v1/operations/{operation}/events");
    raw.get(&format!("{events}?follow=1")).await;
    let file = raw.json("/v1/files").await["files"][0]["sha256"].clone();
    let file = file.as_str().expect("a digest");

    let missing = "12345678-9abc-4aba-9eda-0123456789ab";
    let mut kept = Kept::new(&server).await;
    for (path, status) in [
        ("/healthz".to_owned(), 200),
        ("/readyz".to_owned(), 200),
        ("/v1/whoami".to_owned(), 200),
        ("/v1/images".to_owned(), 200),
        ("/v1/images?limit=0".to_owned(), 400),
        (format!("/v1/files/{file}"), 200),
        (format!("/v1/files/{}", "0".repeat(64)), 404),
        ("/v1/operations".to_owned(), 200),
        (format!("/v1/operations/{operation}"), 200),
        (format!("/v1/operations/{missing}"), 404),
        (events.clone(), 200),
        (format!("/v1/operations/{operation}/subprocesses/1"), 200),
        (format!("/v1/operations/{operation}/subprocesses/2"), 404),
        ("/v1/inspect".to_owned(), 307),
        ("/v1/inspect/?tag=base".to_owned(), 302),
        (format!("/v1/inspect/{image}"), 307),
        (format!("/v1/inspect/{image}/"), 200),
        (format!("/v1/inspect/{image}/list?path=/usr/bin"), 200),
        (
            format!("/v1/inspect/{image}/list?path=/usr/bin&text=1"),
            200,
        ),
        (
            format!("/v1/inspect/{image}/download?path=/usr/bin/cat"),
            200,
        ),
        (format!("/v1/inspect/{image}/download?path=/usr"), 422),
        (
            format!("/v1/inspect/{image}/archive?path=/usr/bin/cat"),
            200,
        ),
        (format!("/v1/inspect/{image}/archive?path=/nowhere"), 404),
        (
            format!("/v1/inspect/{image}/grep?pattern=root&path=/etc"),
            200,
        ),
        (format!("/v1/inspect/{image}/grep?pattern=("), 400),
        ("/v1/openapi.json".to_owned(), 200),
        ("/v1/nothing".to_owned(), 404),
        ("/v1/instances".to_owned(), 405),
    ] {
        // The same connection serves all of them, with and without a body.
        let head = kept.send("HEAD", &path, "").await;
        let get = kept.send("GET", &path, "").await;
        let coded = kept
            .send("GET", &path, "Accept-Encoding: gzip, deflate, br, zstd\r\n")
            .await;
        let statuses = [head.status, get.status, coded.status];
        assert_eq!(statuses, [status; 3], "{path}");
        let field = |wire: &Wire, name: &str| {
            let line = wire.head.lines().find(|line| line.starts_with(name));
            line.map(str::to_owned)
        };
        assert_eq!(
            field(&head, "content-type:"),
            field(&get, "content-type:"),
            "{path}"
        );
        assert_eq!(
            field(&head, "location:"),
            field(&get, "location:"),
            "{path}"
        );
        match field(&coded, "content-encoding:") {
            Some(coding) => {
                assert_eq!(coding, "content-encoding: gzip", "{path}");
                assert!(unzipped(&coded.body) == get.body, "{path}");
                assert!(coded.body.len() < get.body.len(), "{path}");
            }
            None => assert_eq!(coded.body.len(), get.body.len(), "{path}"),
        }
        let kind = field(&get, "content-type:").unwrap_or_default();
        let is_text = kind.contains("application/json") || kind.contains("text/plain");
        let is_stream = kind.contains("event-stream") || kind.contains("x-tar");
        let is_coded = is_stream || is_text && get.body.len() >= 1024;
        assert_eq!(
            field(&coded, "content-encoding:").is_some(),
            is_coded,
            "{path}"
        );
        assert!(field(&get, "content-encoding:").is_none(), "{path}");
        assert!(
            field(&get, "x-content-type-options: nosniff").is_some(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn privileged_answers_say_what_they_are() {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    server.import(&tiny.tar(), "base").await;
    let raw = Raw::new(&server);
    // What a request calls its body does not matter.
    let spawned = raw
        .send(
            Method::POST,
            "/v1/instances",
            r#"{"command":"sleep","args":["600"],"image":"tag:base","disposable":true}"#,
        )
        .await;
    assert_eq!(spawned.status, StatusCode::CREATED, "{spawned:?}");
    assert_eq!(spawned.headers["content-type"], "application/json");
    let operation = spawned.json()["uuid"].as_str().expect("a uuid").to_owned();
    let place = format!("/v1/operations/{operation}");
    assert_eq!(spawned.headers["location"], place);
    let open = raw.get(&place).await;
    assert_eq!(open.headers["content-type"], "application/json");
    assert_eq!(open.headers["retry-after"], "1", "it has not ended");

    let process = raw
        .post(
            &format!("{place}/subprocesses"),
            &json!({"command": "true"}),
        )
        .await;
    assert_eq!(process.status, StatusCode::CREATED, "{process:?}");
    assert_eq!(process.json(), json!({"spid": 2}));
    assert_eq!(
        process.headers["location"],
        format!("{place}/subprocesses/2")
    );

    let cancelled = raw.send(Method::DELETE, &place, "").await;
    assert_eq!((cancelled.status.as_u16(), cancelled.body.len()), (202, 0));
    let log = raw.get(&format!("{place}/events?follow=1")).await;
    assert_eq!(log.headers["content-type"], "text/event-stream");
    assert_eq!(log.headers["cache-control"], "no-cache");
    let log = String::from_utf8(log.body).expect("a log is text");
    assert!(log.contains("event: completion\n"), "{log}");
    assert!(raw.get(&place).await.headers.get("retry-after").is_none());
}
