//! The waits against a server that the test holds in its hand: what it knows, what it tells and
//! when.

use std::collections::HashMap;
use std::future::Future as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contree_api::OperationId;
use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::OperationStatus;
use tokio::sync::{Notify, mpsc, watch};

use super::Waiter;
use crate::{Client, Config, Contree, Error, Operation, RetryPolicy};

const IMAGE: &str = "eb1ea259-fac9-5a79-9ffd-000000000001";

/// How the fake's feed answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FeedMode {
    /// As it should.
    Works,
    /// With this status.
    Status(u16),
    /// With a page.
    NoStream,
    /// Not at all.
    Silent,
}

type Chunk = Result<Bytes, std::io::Error>;

struct Fake {
    operations: Mutex<HashMap<OperationId, watch::Sender<OperationStatus>>>,
    feeds: Mutex<Vec<mpsc::UnboundedSender<Chunk>>>,
    mode: Mutex<FeedMode>,
    /// Operations end before the answer to their POST.
    ends_at_once: Mutex<bool>,
    /// Set: an operation is asked for only after this.
    gate: Mutex<Option<Arc<Notify>>>,
    asked: AtomicUsize,
    opened: AtomicUsize,
    followed: AtomicUsize,
    changed: watch::Sender<()>,
}

impl Fake {
    async fn start() -> (Arc<Self>, Contree) {
        let (fake, contree, _) = Self::start_for(Duration::from_secs(60)).await;
        (fake, contree)
    }

    async fn start_for(linger: Duration) -> (Arc<Self>, Contree, SocketAddr) {
        let fake = Arc::new(Self {
            operations: Mutex::default(),
            feeds: Mutex::default(),
            mode: Mutex::new(FeedMode::Works),
            ends_at_once: Mutex::default(),
            gate: Mutex::default(),
            asked: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            followed: AtomicUsize::new(0),
            changed: watch::Sender::new(()),
        });
        let app = Router::new()
            .route("/v1/instances", post(spawn))
            .route("/v1/operations/events", get(feed))
            .route("/v1/operations/{id}", get(ask))
            .route("/v1/operations/{id}/events", get(events))
            .with_state(Arc::clone(&fake));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let mut config = Config::new(format!("http://{address}"), "token");
        config.retry.delays = vec![Duration::from_millis(1)];
        let mut waiter = Waiter::new(Client::new(config).unwrap());
        waiter.linger = linger;
        waiter.opening = Duration::from_millis(200);
        (fake, Contree { waiter }, address)
    }

    /// An operation that runs.
    fn add(&self) -> OperationId {
        let id = OperationId::new();
        let sender = watch::Sender::new(OperationStatus::Executing);
        self.operations.lock().unwrap().insert(id, sender);
        id
    }

    fn end(&self, id: OperationId) {
        self.end_untold(id);
        self.tell(id);
    }

    fn end_untold(&self, id: OperationId) {
        let operations = self.operations.lock().unwrap();
        operations[&id].send_replace(OperationStatus::Success);
    }

    /// Tells all who listen how an operation stands.
    fn tell(&self, id: OperationId) {
        let frame = format!("event: operation\ndata: {}\n\n", self.summary(id));
        self.send(&frame);
    }

    fn send(&self, frame: &str) {
        let mut feeds = self.feeds.lock().unwrap();
        feeds.retain(|feed| feed.send(Ok(frame.to_owned().into())).is_ok());
    }

    /// Ends all feeds, cleanly or not.
    fn cut(&self, cleanly: bool) {
        for feed in self.feeds.lock().unwrap().drain(..) {
            if !cleanly {
                let _ = feed.send(Err(std::io::Error::other("cut")));
            }
        }
    }

    fn summary(&self, id: OperationId) -> serde_json::Value {
        let status = *self.operations.lock().unwrap()[&id].borrow();
        serde_json::json!({
            "uuid": id, "kind": "instance", "status": status, "error": null,
            "created_at": "2026-06-08T20:00:00Z", "duration": 0.0, "image_size": null,
            "consumed_cpu": null, "consumed_memory": null, "image_uuid": IMAGE,
            "result_image_uuid": null,
        })
    }

    fn set(&self, mode: FeedMode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn count(&self, counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    /// Waits until it was asked so often.
    async fn until(&self, counter: &AtomicUsize, count: usize) {
        let mut changed = self.changed.subscribe();
        while counter.load(Ordering::SeqCst) < count {
            changed.changed().await.unwrap();
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn spawn(State(fake): State<Arc<Fake>>) -> Response {
    let id = fake.add();
    if *fake.ends_at_once.lock().unwrap() {
        fake.end(id);
    }
    let answer = serde_json::json!({"uuid": id, "command": "true", "image": IMAGE, "result": null});
    (StatusCode::CREATED, answer.to_string()).into_response()
}

async fn feed(State(fake): State<Arc<Fake>>) -> Response {
    let mode = *fake.mode.lock().unwrap();
    match mode {
        FeedMode::Works => {
            let (sender, receiver) = mpsc::unbounded_channel();
            sender.send(Ok(": here\n\n".into())).unwrap();
            fake.feeds.lock().unwrap().push(sender);
            fake.count(&fake.opened);
            stream(receiver)
        }
        FeedMode::Status(status) => {
            fake.count(&fake.opened);
            StatusCode::from_u16(status).unwrap().into_response()
        }
        FeedMode::NoStream => "<html>".into_response(),
        FeedMode::Silent => std::future::pending().await,
    }
}

fn stream(receiver: mpsc::UnboundedReceiver<Chunk>) -> Response {
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let kind = [("content-type", "text/event-stream")];
    (kind, Body::from_stream(chunks)).into_response()
}

async fn ask(State(fake): State<Arc<Fake>>, Path(id): Path<OperationId>) -> Response {
    if !fake.operations.lock().unwrap().contains_key(&id) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut answer = fake.summary(id);
    answer["metadata"] = serde_json::json!({"command": "true", "image": IMAGE, "result": null});
    answer["result"] = serde_json::Value::Null;
    fake.count(&fake.asked);
    let gate = fake.gate.lock().unwrap().clone();
    if let Some(gate) = gate {
        gate.notified().await;
    }
    answer.to_string().into_response()
}

async fn events(State(fake): State<Arc<Fake>>, Path(id): Path<OperationId>) -> Response {
    let mut status = fake.operations.lock().unwrap()[&id].subscribe();
    fake.count(&fake.followed);
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let _ = status.wait_for(|status| status.is_terminal()).await;
        let frame = r#"{"id":9,"ts":"2026-06-08T20:00:00Z","type":"completion","data":{
            "status":"SUCCESS","result_image_uuid":null,"error":null,"duration_ms":5}}"#
            .replace('\n', "");
        let _ = sender.send(Ok(
            format!("id: 9\nevent: completion\ndata: {frame}\n\n").into()
        ));
    });
    stream(receiver)
}

fn request() -> InstanceSpawnRequest {
    InstanceSpawnRequest::new("true", ImageRef::Id(IMAGE.parse().unwrap()))
}

/// Begins a wait and returns when it has taken its place.
async fn waiting(operation: &Operation) -> tokio::task::JoinHandle<Result<OperationStatus, Error>> {
    let operation = operation.clone();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let wait = tokio::spawn(async move {
        let mut wait = Box::pin(operation.wait());
        let mut ready = Some(ready);
        std::future::poll_fn(|context| {
            let polled = wait.as_mut().poll(context);
            ready.take().map(|ready| ready.send(()));
            polled
        })
        .await
        .map(|answer| answer.summary.status)
    });
    is_ready.await.unwrap();
    wait
}

async fn succeeds(wait: tokio::task::JoinHandle<Result<OperationStatus, Error>>) {
    let status = tokio::time::timeout(Duration::from_secs(30), wait).await;
    let status = status.expect("the wait ends").unwrap().unwrap();
    assert_eq!(status, OperationStatus::Success);
}

/// A connection that is open, held by an operation that does not end.
async fn opened(fake: &Fake, contree: &Contree) -> Operation {
    let held = contree.operation(fake.add());
    let wait = waiting(&held).await;
    fake.until(&fake.asked, 1).await;
    wait.abort();
    let _ = wait.await;
    held
}

#[tokio::test]
async fn an_end_is_told_and_asked_for_once() {
    let (fake, contree) = Fake::start().await;
    opened(&fake, &contree).await;
    let before = fake.asked();
    let operation = contree.spawn(&request()).await.unwrap();
    let wait = waiting(&operation).await;
    fake.end(operation.id());
    succeeds(wait).await;
    assert_eq!(fake.asked() - before, 1);
    // Waiting for what has ended is one more question.
    succeeds(waiting(&operation).await).await;
    assert_eq!(fake.asked() - before, 2);
    assert_eq!(contree.waiter.board.counts(), (0, 0));
}

#[tokio::test]
async fn an_end_before_the_answer_is_remembered() {
    let (fake, contree) = Fake::start().await;
    opened(&fake, &contree).await;
    *fake.ends_at_once.lock().unwrap() = true;
    let before = fake.asked();
    for _ in 0..100 {
        let operation = contree.spawn(&request()).await.unwrap();
        succeeds(waiting(&operation).await).await;
    }
    assert_eq!(fake.asked() - before, 100);
    assert_eq!(fake.opened.load(Ordering::SeqCst), 1);
}

/// The first run of all: the connection is made while the POST is under way.
#[tokio::test]
async fn an_end_before_the_connection_is_asked_for() {
    let (fake, contree) = Fake::start().await;
    *fake.ends_at_once.lock().unwrap() = true;
    let operation = contree.spawn(&request()).await.unwrap();
    succeeds(waiting(&operation).await).await;
}

/// The answer to the question is old when the end is told.
#[tokio::test]
async fn an_end_during_the_question_is_not_lost() {
    let (fake, contree) = Fake::start().await;
    let gate = Arc::new(Notify::new());
    *fake.gate.lock().unwrap() = Some(Arc::clone(&gate));
    let operation = contree.operation(fake.add());
    let wait = waiting(&operation).await;
    fake.until(&fake.asked, 1).await;
    fake.end(operation.id());
    *fake.gate.lock().unwrap() = None;
    gate.notify_one();
    succeeds(wait).await;
}

#[tokio::test]
async fn what_ended_while_the_connection_was_gone_is_asked_for() {
    for cleanly in [true, false] {
        let (fake, contree) = Fake::start().await;
        let operations: Vec<_> = (0..3).map(|_| contree.operation(fake.add())).collect();
        let mut waits = Vec::new();
        for operation in &operations {
            waits.push(waiting(operation).await);
        }
        fake.until(&fake.asked, 3).await;
        fake.set(FeedMode::Status(503));
        fake.cut(cleanly);
        // It is refused a few times while one of them ends unheard.
        fake.until(&fake.opened, 4).await;
        fake.end(operations[0].id());
        fake.set(FeedMode::Works);
        let mut waits = waits.into_iter();
        succeeds(waits.next().unwrap()).await;
        fake.end(operations[1].id());
        fake.end(operations[2].id());
        for wait in waits {
            succeeds(wait).await;
        }
    }
}

#[tokio::test]
async fn a_mark_of_an_earlier_connection_counts_for_nothing() {
    let (fake, contree) = Fake::start().await;
    opened(&fake, &contree).await;
    let operation = contree.spawn(&request()).await.unwrap();
    fake.cut(true);
    fake.end_untold(operation.id());
    fake.until(&fake.opened, 2).await;
    succeeds(waiting(&operation).await).await;
}

#[tokio::test]
async fn what_was_forgotten_is_asked_for() {
    let (fake, contree) = Fake::start().await;
    let held = opened(&fake, &contree).await;
    let wait = waiting(&held).await;
    let operation = contree.spawn(&request()).await.unwrap();
    fake.end(operation.id());
    let other = fake.add();
    for _ in 0..super::board::MAX_REMEMBERED {
        fake.end(other);
    }
    fake.end(held.id());
    // Everything before was read when this is.
    succeeds(wait).await;
    succeeds(waiting(&operation).await).await;
}

#[tokio::test]
async fn a_server_without_a_feed_is_followed() {
    for mode in [
        FeedMode::Status(404),
        FeedMode::Status(422),
        FeedMode::Status(403),
        FeedMode::NoStream,
    ] {
        let (fake, contree) = Fake::start().await;
        fake.set(mode);
        let operation = contree.spawn(&request()).await.unwrap();
        let wait = waiting(&operation).await;
        fake.until(&fake.followed, 1).await;
        fake.end(operation.id());
        succeeds(wait).await;
        let asked = fake.opened.load(Ordering::SeqCst);
        let next = contree.spawn(&request()).await.unwrap();
        fake.end(next.id());
        succeeds(waiting(&next).await).await;
        assert_eq!(
            fake.opened.load(Ordering::SeqCst),
            asked,
            "it is remembered"
        );
    }
}

#[tokio::test]
async fn a_feed_that_stays_broken_is_given_up() {
    for mode in [FeedMode::Status(500), FeedMode::Silent] {
        let (fake, contree) = Fake::start().await;
        fake.set(mode);
        let operation = contree.operation(fake.add());
        let wait = waiting(&operation).await;
        fake.until(&fake.followed, 1).await;
        fake.end(operation.id());
        succeeds(wait).await;
    }
}

#[tokio::test]
async fn a_fault_in_the_stream_is_a_break() {
    let (fake, contree) = Fake::start().await;
    let operation = contree.operation(fake.add());
    let wait = waiting(&operation).await;
    fake.until(&fake.asked, 1).await;
    fake.end_untold(operation.id());
    fake.send("event: sse_error\ndata: you read too slowly\n\n");
    succeeds(wait).await;
    assert_eq!(fake.opened.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn other_frames_and_states_are_passed_over() {
    let (fake, contree) = Fake::start().await;
    let operation = contree.operation(fake.add());
    let wait = waiting(&operation).await;
    fake.until(&fake.asked, 1).await;
    fake.tell(operation.id());
    fake.send("event: novelty\ndata: x\n\n: comment\n\n");
    fake.end(operation.id());
    succeeds(wait).await;
    assert_eq!(fake.asked(), 2);
    assert_eq!(fake.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_not_there_is_an_error() {
    let (_fake, contree) = Fake::start().await;
    let error = contree.operation(OperationId::new()).wait().await;
    assert!(error.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_in_the_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut config = Config::new(format!("http://{address}"), "t");
    config.retry = RetryPolicy {
        delays: vec![Duration::ZERO],
        ..RetryPolicy::default()
    };
    let contree = Contree::new(Client::new(config).unwrap());
    let error = contree.operation(OperationId::new()).wait().await;
    assert!(matches!(error, Err(Error::Connect { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_wait_over_one_connection() {
    let (fake, contree) = Fake::start().await;
    let mut operations = Vec::new();
    for _ in 0..3_000 {
        operations.push(contree.operation(fake.add()));
    }
    let mut waits = Vec::new();
    for operation in &operations {
        waits.push(waiting(operation).await);
    }
    // While they end, the connection breaks now and then.
    for (index, operation) in operations.iter().enumerate() {
        if index % 1_000 == 500 {
            fake.cut(false);
        }
        fake.end(operation.id());
    }
    for wait in waits {
        succeeds(wait).await;
    }
    assert_eq!(contree.waiter.board.counts(), (0, 0));
    assert_eq!(fake.followed.load(Ordering::SeqCst), 0);
}

/// Starts, ends, breaks and waits in every order that two threads find.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_of_things_loses_an_end() {
    let (fake, contree) = Fake::start().await;
    let mut runs = Vec::new();
    for index in 0..2_000_u32 {
        let (fake, contree) = (Arc::clone(&fake), contree.clone());
        runs.push(tokio::spawn(async move {
            let operation = contree.spawn(&request()).await?;
            let id = operation.id();
            let ender = Arc::clone(&fake);
            let ending = tokio::spawn(async move {
                for _ in 0..index % 7 {
                    tokio::task::yield_now().await;
                }
                ender.end(id);
            });
            if index % 50 == 49 {
                fake.cut(index % 100 == 49);
            }
            for _ in 0..index % 5 {
                tokio::task::yield_now().await;
            }
            let answer = operation.wait().await?;
            ending.await.unwrap();
            Ok(answer.summary.status)
        }));
    }
    for run in runs {
        succeeds(run).await;
    }
    assert_eq!(contree.waiter.board.counts(), (0, 0));
}

#[tokio::test]
async fn a_dropped_wait_leaves_nothing_and_an_unused_connection_is_closed() {
    let (fake, contree, _) = Fake::start_for(Duration::from_millis(20)).await;
    let operation = contree.operation(fake.add());
    let first = waiting(&operation).await;
    let second = waiting(&operation).await;
    fake.until(&fake.asked, 2).await;
    assert_eq!(contree.waiter.board.counts(), (2, 1));
    first.abort();
    let _ = first.await;
    assert_eq!(contree.waiter.board.counts(), (1, 1));
    assert!(contree.waiter.board.is_open());
    fake.end(operation.id());
    succeeds(second).await;
    let feed = fake.feeds.lock().unwrap().remove(0);
    feed.closed().await;
    assert!(contree.waiter.board.is_off());
    // The next wait opens another.
    let operation = contree.operation(fake.add());
    let wait = waiting(&operation).await;
    fake.until(&fake.opened, 2).await;
    fake.end(operation.id());
    succeeds(wait).await;
}

/// The runtime that held the connection is gone; the waits of another one go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_ends_takes_no_wait_with_it() {
    let (fake, contree) = Fake::start().await;
    let operation = contree.operation(fake.add());
    let first = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let other = operation.clone();
    first.spawn(async move { other.wait().await });
    fake.until(&fake.asked, 1).await;
    let wait = waiting(&operation).await;
    fake.until(&fake.asked, 2).await;
    first.shutdown_background();
    fake.until(&fake.opened, 2).await;
    fake.end(operation.id());
    succeeds(wait).await;
}
