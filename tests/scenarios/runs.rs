//! Runs over plain HTTP: asked for, waited for, and told of by their events.

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::raw::{Answer, Raw};

/// One event as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) id: u64,
    pub(crate) kind: String,
    /// The whole event.
    pub(crate) json: Value,
}

impl Frame {
    /// What the event says.
    pub(crate) fn data(&self) -> &Value {
        &self.json["data"]
    }
}

impl Raw {
    /// Asks for a run, which has to be accepted; returns the operation's id.
    pub(crate) async fn spawn(&self, request: Value) -> String {
        let answer = self.post("/v1/instances", &request).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.json()["uuid"].as_str().expect("a uuid").to_owned()
    }

    /// Asks for a run and waits for its end.
    pub(crate) async fn run(&self, request: Value) -> Value {
        let operation = self.spawn(request).await;
        self.ended(&operation).await
    }

    /// A shell line that has to end well in an image; returns what it wrote.
    pub(crate) async fn sh(&self, image: &str, line: &str) -> String {
        let request = json!({"command": line, "image": image, "shell": true, "disposable": true});
        let operation = self.run(request).await;
        assert_eq!(exit_code(&operation), 0, "{operation}");
        stdout(&operation)
    }

    /// Waits for the end of an operation.
    pub(crate) async fn ended(&self, operation: &str) -> Value {
        let log = self.events(operation, "?follow=1").await;
        let last = log.last().expect("an event");
        assert_eq!(last.kind, "completion", "{log:?}");
        let shown = self.json(&format!("/v1/operations/{operation}")).await;
        assert_eq!(shown["status"], last.data()["status"]);
        shown
    }

    /// The events of an operation.
    pub(crate) async fn events(&self, operation: &str, query: &str) -> Vec<Frame> {
        let path = format!("/v1/operations/{operation}/events{query}");
        frames(&self.get(&path).await)
    }

    /// The events after those that a client has seen already.
    pub(crate) async fn events_after(&self, operation: &str, query: &str, seen: u64) -> Vec<Frame> {
        let path = format!("/v1/operations/{operation}/events{query}");
        let request = self.request(Method::GET, &path);
        let request = request.header("Last-Event-Id", HeaderValue::from(seen));
        frames(&Answer::of(request.send().await.expect("the server answers")).await)
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "").await
    }

    /// Waits until an operation is in a state.
    pub(crate) async fn reaches(&self, operation: &str, status: &str) {
        let path = format!("/v1/operations/{operation}");
        loop {
            let shown = self.json(&path).await;
            if shown["status"] == status {
                return;
            }
            let ended = ["SUCCESS", "FAILED", "CANCELLED"]
                .iter()
                .any(|end| shown["status"] == *end);
            assert!(!ended, "not {status}: {shown}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// Takes a stream of events apart, and holds it to the form that clients read.
fn frames(answer: &Answer) -> Vec<Frame> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert_eq!(answer.headers["cache-control"], "no-cache");
    let text = std::str::from_utf8(&answer.body).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with("\n\n"), "{text}");
    text.split_terminator("\n\n")
        .filter(|frame| *frame != ": keepalive")
        .map(|frame| {
            let lines: Vec<&str> = frame.split('\n').collect();
            let [id, kind, data] = lines[..] else {
                panic!("{frame}")
            };
            let part = |line: &str, name: &str| {
                let value = line.strip_prefix(name).unwrap_or_else(|| panic!("{frame}"));
                value.to_owned()
            };
            let json: Value = serde_json::from_str(&part(data, "data: ")).expect("JSON");
            let frame = Frame {
                id: part(id, "id: ").parse().expect("a number"),
                kind: part(kind, "event: "),
                json,
            };
            assert_eq!(frame.json["id"], frame.id);
            assert_eq!(frame.json["type"], frame.kind);
            frame
        })
        .collect()
}

/// The exit code of a run that has a result.
pub(crate) fn exit_code(operation: &Value) -> i64 {
    let code = &operation["metadata"]["result"]["state"]["exit_code"];
    code.as_i64().unwrap_or_else(|| panic!("{operation}"))
}

/// What a run wrote, when it is plain text.
pub(crate) fn stdout(operation: &Value) -> String {
    plain(&operation["metadata"]["result"]["stdout"])
}

/// A stream that is plain text.
pub(crate) fn plain(stream: &Value) -> String {
    assert_eq!(stream["encoding"], "ascii", "{stream}");
    stream["value"].as_str().expect("text").to_owned()
}
