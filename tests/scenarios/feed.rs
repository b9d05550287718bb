//! The feed: each change of all operations of a project, on one connection.

use std::collections::{BTreeMap, BTreeSet};

use contree_api::admin::{ProjectCreate, TokenCreate};
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use futures_util::future::join_all;
use reqwest::header::ACCEPT_ENCODING;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::raw::Raw;

const ENDS: [&str; 3] = ["SUCCESS", "FAILED", "CANCELLED"];

/// An open feed.
struct Feed {
    answer: Response,
    unread: String,
}

/// One frame of it: event and data.
type Told = (String, String);

impl Feed {
    /// Returns when the head has come.
    async fn open(raw: &Raw, query: &str) -> Self {
        let request = raw.request(Method::GET, &format!("/v1/operations/events{query}"));
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

/// A token's feed ends with the token; those of others come back.
#[tokio::test]
async fn privileged_a_feed_ends_with_its_token() {
    let server = Server::start(Settings::default());
    let admin = server.client();
    let ours = Raw::new(&server);
    let expiring = TokenCreate {
        project: Some("default".to_owned()),
        expires_in: Some(1),
        ..TokenCreate::default()
    };
    let revoked = TokenCreate {
        expires_in: None,
        ..expiring.clone()
    };
    for request in [revoked, expiring] {
        let token = admin.create_token(&request).await.expect("a token");
        let theirs = ours.with(&token.token);
        let mut feed = Feed::open(&theirs, "?ended=1").await;
        let mut other = Feed::open(&ours, "?ended=1").await;
        let is_revoked = request.expires_in.is_none();
        if is_revoked {
            let id = token.info.id;
            admin.revoke_token(id).await.expect("it is revoked");
        }
        let (event, error) = feed.next().await.expect("a frame");
        assert_eq!(event, "sse_error");
        assert!(error.contains("the token"), "{error}");
        assert_eq!(feed.next().await, None);
        let again = theirs.request(Method::GET, "/v1/operations/events");
        let again = again.send().await.expect("the server answers");
        assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
        if is_revoked {
            assert_eq!(other.next().await.expect("a frame").0, "sse_error");
            Feed::open(&ours, "?ended=1").await;
        }
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
    let error = loop {
        let (event, data) = slow.next().await.expect("a frame");
        if event == "sse_error" {
            break data;
        }
    };
    assert!(error.contains("not read fast enough"), "{error}");
    assert_eq!(slow.next().await, None);
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
