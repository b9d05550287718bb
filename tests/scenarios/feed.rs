//! The feed: each change of all operations of a project, on one connection; and what becomes of it
//! and of followed logs with the token that opened them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contree_api::admin::{ProjectCreate, TokenCreate};
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use futures_util::future::join_all;
use reqwest::header::ACCEPT_ENCODING;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::raw::Raw;

const ENDS: [&str; 3] = ["SUCCESS", "FAILED", "CANCELLED"];

/// An open feed, or log.
struct Feed {
    answer: Response,
    unread: String,
}

/// One frame of it: event and data.
type Told = (String, String);

impl Feed {
    /// Returns when the head has come.
    async fn open(raw: &Raw, query: &str) -> Self {
        Self::at(raw, &format!("/v1/operations/events{query}")).await
    }

    /// The log of an operation, as it grows.
    async fn follow(raw: &Raw, operation: &str) -> Self {
        Self::at(raw, &followed(operation)).await
    }

    async fn at(raw: &Raw, path: &str) -> Self {
        let request = raw.request(Method::GET, path);
        let answer = request.send().await.expect("the server answers");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-cache");
        Self {
            answer,
            unread: String::new(),
        }
    }

    /// None at the end of the stream.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((frame, rest)) = self.unread.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.unread = rest;
                if frame.starts_with(':') {
                    continue;
                }
                // Frames of a log have an id as well.
                let frame = match frame.split_once('\n') {
                    Some((id, frame)) if id.starts_with("id: ") => frame,
                    _ => &frame,
                };
                let (event, data) = frame.split_once('\n').expect("two lines");
                let event = event.strip_prefix("event: ").expect("an event");
                let data = data.strip_prefix("data: ").expect("data");
                return Some((event.to_owned(), data.to_owned()));
            }
            let chunk = self.answer.chunk().await.expect("a whole body")?;
            self.unread
                .push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    /// What it ends with, after all else.
    async fn error(&mut self) -> String {
        loop {
            let (event, data) = self.next().await.expect("a frame");
            if event == "sse_error" {
                assert_eq!(self.next().await, None);
                return data;
            }
        }
    }

    /// The next operation that it tells of.
    async fn operation(&mut self) -> Value {
        let (event, data) = self.next().await.expect("a frame");
        assert_eq!(event, "operation", "{data}");
        serde_json::from_str(&data).expect("JSON")
    }

    /// All of one operation, to its end.
    async fn of(&mut self, operation: &str) -> Vec<Value> {
        let mut told = Vec::new();
        loop {
            let next = self.operation().await;
            if next["uuid"] != operation {
                continue;
            }
            let has_ended = is_end(&next);
            told.push(next);
            if has_ended {
                return told;
            }
        }
    }
}

fn followed(operation: &str) -> String {
    format!("/v1/operations/{operation}/events?follow=1")
}

fn is_end(operation: &Value) -> bool {
    ENDS.iter().any(|end| operation["status"] == *end)
}

fn statuses(told: &[Value]) -> Vec<&str> {
    told.iter()
        .map(|told| told["status"].as_str().expect("a status"))
        .collect()
}

/// The operation as it is listed.
async fn listed(raw: &Raw, operation: &Value) -> Value {
    let list = raw.json("/v1/operations?limit=1000").await;
    let found = list.as_array().expect("a list").iter();
    let mut found = found.filter(|item| item["uuid"] == operation["uuid"]);
    found.next().expect("it is listed").clone()
}

#[tokio::test]
async fn privileged_every_change_is_told_as_it_is_listed() {
    let server = Server::start(Settings::with(&["--instance-max-concurrency", "1"]));
    let raw = Raw::new(&server);
    // All of it happens after the heads have come.
    let mut all = Feed::open(&raw, "").await;
    let mut ends = Feed::open(&raw, "?ended=1").await;
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let mut ended = Vec::new();

    let imports = raw.json("/v1/operations?kind=image_import").await;
    let import = imports[0]["uuid"].as_str().expect("a uuid");
    let told = all.of(import).await;
    assert_eq!(statuses(&told), ["ASSIGNED", "EXECUTING", "SUCCESS"]);
    assert_eq!(told[2]["result_image_uuid"], *image);
    ended.extend(told.last().cloned());

    let wrote = json!({"command": "echo here > /file", "shell": true, "image": image});
    let operation = raw.spawn(wrote).await;
    let told = all.of(&operation).await;
    assert_eq!(statuses(&told), ["ASSIGNED", "EXECUTING", "SUCCESS"]);
    assert!(told[2]["image_size"].as_i64() > Some(0), "{told:?}");
    ended.extend(told.last().cloned());

    let operation = raw
        .spawn(json!({"command": "/no/such", "image": image}))
        .await;
    let told = all.of(&operation).await;
    assert_eq!(statuses(&told), ["ASSIGNED", "FAILED"]);
    assert_eq!(
        told[1]["error"],
        "spawn failed: exec /no/such: no such file or directory"
    );
    ended.extend(told.last().cloned());

    // One that runs, one that waits behind it and never gets its turn, one that does.
    let sleep = json!({"command": "sleep", "args": ["600"], "image": image});
    let runs = raw.spawn(sleep.clone()).await;
    raw.reaches(&runs, "EXECUTING").await;
    let doomed = raw.spawn(sleep).await;
    let waits = raw.spawn(json!({"command": "true", "image": image})).await;
    for operation in [&doomed, &runs] {
        let path = format!("/v1/operations/{operation}");
        assert_eq!(raw.delete(&path).await.status, StatusCode::ACCEPTED);
    }
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    while ended.len() < 6 {
        let next = all.operation().await;
        let operation = next["uuid"].as_str().expect("a uuid").to_owned();
        if is_end(&next) {
            ended.push(next.clone());
        }
        told.entry(operation).or_default().push(next);
    }
    assert_eq!(
        statuses(&told[&runs]),
        ["ASSIGNED", "EXECUTING", "CANCELLED"]
    );
    assert_eq!(statuses(&told[&doomed]), ["PENDING", "CANCELLED"]);
    assert_eq!(
        statuses(&told[&waits]),
        ["PENDING", "ASSIGNED", "EXECUTING", "SUCCESS"]
    );

    // Ends are what lists show from then on; the other feed has had them alone, in that order.
    for end in &ended {
        assert_eq!(*end, listed(&raw, end).await);
        assert_eq!(*end, ends.operation().await);
    }

    for bad in ["?ended=x", "?ended=1&ended=0"] {
        let path = format!("/v1/operations/events{bad}");
        raw.get(&path).await.refused(400);
    }
}

/// Whoever hears of an end finds it, every time.
#[tokio::test]
async fn privileged_a_thousand_runs_are_waited_for_on_one_connection() {
    const RUNS: usize = 1_000;
    let server = Server::start(Settings::default());
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let mut feed = Feed::open(&raw, "?ended=1").await;
    let request = json!({"command": "true", "image": image, "disposable": true});
    let spawning = join_all((0..RUNS).map(|_| raw.spawn(request.clone())));
    let hearing = async {
        let mut heard = BTreeSet::new();
        while heard.len() < RUNS {
            let end = feed.operation().await;
            let operation = end["uuid"].as_str().expect("a uuid").to_owned();
            let shown = raw.json(&format!("/v1/operations/{operation}")).await;
            assert_eq!(shown["status"], "SUCCESS", "{shown}");
            assert_eq!(shown["metadata"]["result"]["state"]["exit_code"], 0);
            assert!(heard.insert(operation), "told twice: {end}");
        }
        heard
    };
    let (spawned, heard) = tokio::join!(spawning, hearing);
    assert_eq!(BTreeSet::from_iter(spawned), heard);
}

#[tokio::test]
async fn privileged_a_project_hears_of_its_own_operations_alone() {
    let server = Server::start(Settings::default());
    let admin = server.client();
    let project = ProjectCreate {
        name: "other".to_owned(),
    };
    admin.create_project(&project).await.expect("a project");
    let token = TokenCreate {
        project: Some("other".to_owned()),
        ..TokenCreate::default()
    };
    let token = admin.create_token(&token).await.expect("a token").token;
    let ours = Raw::new(&server);
    let theirs = ours.with(&token);
    let (mut our_feed, mut their_feed) = (
        Feed::open(&ours, "?ended=1").await,
        Feed::open(&theirs, "?ended=1").await,
    );
    let tiny = Tiny::new();
    let mut imports = Vec::new();
    for client in [server.client(), server.client_with(&token)] {
        contree_e2e::import(&client, &tiny.tar(), "base").await;
    }
    for raw in [&ours, &theirs] {
        let list = raw.json("/v1/operations").await;
        imports.push(list[0].clone());
    }
    assert_eq!(our_feed.operation().await, imports[0]);
    assert_eq!(their_feed.operation().await, imports[1]);
}

/// Feeds and followed logs end with their token or their project; those of others go on.
#[tokio::test]
async fn privileged_streams_end_with_their_token() {
    let server = Server::start(Settings::default());
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let admin = server.client();
    let ours = Raw::new(&server);
    let sleep = json!({"command": "sleep", "args": ["600"], "image": image});
    let operation = ours.spawn(sleep).await;
    ours.reaches(&operation, "EXECUTING").await;
    let mut our_feed = Feed::open(&ours, "?ended=1").await;
    let mut our_log = Feed::follow(&ours, &operation).await;

    let expiring = TokenCreate {
        project: Some("default".to_owned()),
        // Long enough to open two streams with it.
        expires_in: Some(10),
        ..TokenCreate::default()
    };
    let revoked = TokenCreate {
        expires_in: None,
        ..expiring.clone()
    };
    for request in [revoked, expiring] {
        let token = admin.create_token(&request).await.expect("a token");
        let theirs = ours.with(&token.token);
        let feed = Feed::open(&theirs, "?ended=1").await;
        let mut log = Feed::follow(&theirs, &operation).await;
        assert_eq!(log.next().await.expect("a frame").0, "init");
        if request.expires_in.is_none() {
            let id = token.info.id;
            admin.revoke_token(id).await.expect("it is revoked");
        }
        for mut stream in [feed, log] {
            let error = stream.error().await;
            assert!(error.contains("the token"), "{error}");
        }
        for path in ["/v1/operations/events", &followed(&operation)] {
            theirs.get(path).await.refused(401);
        }
    }

    // One that there is not.
    let absent = format!("/v1/admin/tokens/{operation}");
    ours.delete(&absent).await.refused(404);

    let project = ProjectCreate {
        name: "other".to_owned(),
    };
    admin.create_project(&project).await.expect("a project");
    let everywhere = TokenCreate {
        all_projects: true,
        ..TokenCreate::default()
    };
    let token = admin.create_token(&everywhere).await.expect("a token");
    let theirs = ours.with(&token.token);
    let (there, here) = (theirs.for_project("other"), theirs.for_project("default"));
    let mut feed_there = Feed::open(&there, "?ended=1").await;
    let mut feed_here = Feed::open(&here, "?ended=1").await;
    let removed = admin.delete_project("other", false).await;
    removed.expect("it is removed");
    let error = feed_there.error().await;
    assert!(error.contains("its project"), "{error}");
    there.get("/v1/operations/events").await.refused(403);

    // All others have been there ever since.
    let path = format!("/v1/operations/{operation}");
    assert_eq!(ours.delete(&path).await.status, StatusCode::ACCEPTED);
    for feed in [&mut our_feed, &mut feed_here] {
        let end = feed.operation().await;
        assert_eq!((&end["uuid"], is_end(&end)), (&json!(operation), true));
    }
    loop {
        let (event, data) = our_log.next().await.expect("a frame");
        assert_ne!(event, "sse_error", "{data}");
        if event == "completion" {
            break;
        }
    }
    assert_eq!(our_log.next().await, None);
}

/// One token cannot take all connections; others find room, and so does it once it closes some.
#[tokio::test]
async fn privileged_a_token_has_so_many_streams_and_no_more() {
    const FEEDS: usize = 256;
    let server = Server::start(Settings::default());
    let raw = Raw::new(&server);
    let mut feeds = join_all((0..FEEDS).map(|_| Feed::open(&raw, "?ended=1"))).await;
    let other = other_token(&server, &raw).await;
    let path = "/v1/operations/events";
    let answer = raw.get(path).await;
    let error = answer.refused(429);
    assert!(error.contains("256 streams of all operations"), "{error}");
    assert_eq!(answer.headers["retry-after"], "1");
    Feed::open(&other, "").await;
    feeds.pop();
    has_room(&raw, path).await;

    // Logs have half of the connections.
    let server = Server::start(Settings::with(&["--max-connections", "16"]));
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let sleep = json!({"command": "sleep", "args": ["600"], "image": image});
    let operation = raw.spawn(sleep).await;
    let mut logs = join_all((0..8).map(|_| Feed::follow(&raw, &operation))).await;
    let other = other_token(&server, &raw).await;
    for path in [followed(&operation).as_str(), path] {
        let answer = raw.get(path).await;
        let error = answer.refused(429);
        assert!(error.contains("8 event streams open"), "{error}");
        assert_eq!(answer.headers["retry-after"], "1");
    }
    Feed::follow(&other, &operation).await;
    logs.pop();
    has_room(&raw, &followed(&operation)).await;
}

/// With another token of the same project.
async fn other_token(server: &Server, raw: &Raw) -> Raw {
    let token = TokenCreate {
        project: Some("default".to_owned()),
        ..TokenCreate::default()
    };
    let token = server.client().create_token(&token).await;
    raw.with(&token.expect("a token").token)
}

/// Waits until a stream can be opened: the server has to notice that another was closed.
async fn has_room(raw: &Raw, path: &str) {
    loop {
        let request = raw.request(Method::GET, path);
        let answer = request.send().await.expect("the server answers");
        match answer.status() {
            StatusCode::OK => return,
            StatusCode::TOO_MANY_REQUESTS => {}
            other => panic!("{other}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// It hears that it was too slow; others, and the operations, do not wait for it.
#[tokio::test]
async fn privileged_a_slow_reader_holds_nobody_up() {
    let server = Server::start(Settings::default());
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let mut slow = Feed::open(&raw, "?ended=1").await;
    let mut quick = Feed::open(&raw, "?ended=1").await;
    // More than the connection and the reader's queue hold, by errors that name the command: four
    // thousand characters of it, and these take six bytes each.
    let request = json!({"command": format!("/{}", "\u{1}".repeat(5_000)), "image": image});
    let mut told = 0;
    while told < 24 << 20 {
        let spawned = join_all((0..16).map(|_| raw.spawn(request.clone()))).await;
        for _ in spawned {
            let end = quick.operation().await.to_string();
            assert!(end.len() > 20_000, "{end}");
            told += end.len();
        }
    }
    let error = slow.error().await;
    assert!(error.contains("not read fast enough"), "{error}");
    // The other is still there.
    let last = raw.spawn(json!({"command": "true", "image": image})).await;
    assert_eq!(quick.of(&last).await.len(), 1);
}

#[tokio::test]
async fn privileged_the_feed_ends_with_the_server() {
    let mut server = Server::start(Settings::default());
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let mut feed = Feed::open(&raw, "").await;
    let mut coded = {
        let request = raw.request(Method::GET, "/v1/operations/events");
        let request = request.header(ACCEPT_ENCODING, "gzip");
        request.send().await.expect("the server answers")
    };
    assert_eq!(coded.headers()["content-encoding"], "gzip");
    let request = json!({"command": "sleep", "args": ["600"], "image": image});
    let operation = raw.spawn(request).await;
    raw.reaches(&operation, "EXECUTING").await;
    let stopped = tokio::task::spawn_blocking(move || server.stop().0.code());
    // What the stop does to operations is told, too.
    let told = feed.of(&operation).await;
    assert_eq!(statuses(&told), ["ASSIGNED", "EXECUTING", "FAILED"]);
    let last = feed.next().await.expect("a frame");
    assert_eq!(
        last,
        (
            "sse_error".to_owned(),
            "the server is shutting down".to_owned()
        )
    );
    assert_eq!(feed.next().await, None);
    let mut body = Vec::new();
    while let Some(chunk) = coded.chunk().await.expect("a whole body") {
        body.extend_from_slice(&chunk);
    }
    let mut plain = String::new();
    let mut decoder = flate2::read::GzDecoder::new(&body[..]);
    std::io::Read::read_to_string(&mut decoder, &mut plain).expect("gzip with its trailer");
    assert_eq!(plain.matches("event: operation\n").count(), 3, "{plain}");
    assert_eq!(stopped.await.expect("the stopping thread"), Some(0));
}
