//! A server that the test holds in its hand: what it knows, what it tells and when.

use std::collections::HashMap;
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

use crate::wait::Waiter;
use crate::{Client, Config, Contree, Error, Operation};

pub(super) const IMAGE: &str = "eb1ea259-fac9-5a79-9ffd-000000000001";

/// How the fake's feed answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedMode {
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

pub(super) struct Fake {
    pub(super) operations: Mutex<HashMap<OperationId, watch::Sender<OperationStatus>>>,
    pub(super) feeds: Mutex<Vec<mpsc::UnboundedSender<Chunk>>>,
    mode: Mutex<FeedMode>,
    /// Operations end before the answer to their POST.
    pub(super) ends_at_once: Mutex<bool>,
    /// Set: an operation is asked for only after this.
    pub(super) gate: Mutex<Option<Arc<Notify>>>,
    pub(super) asked: AtomicUsize,
    pub(super) opened: AtomicUsize,
    pub(super) followed: AtomicUsize,
    changed: watch::Sender<()>,
}

impl Fake {
    pub(super) async fn start() -> (Arc<Self>, Contree) {
        Self::start_with(Duration::from_secs(60), Duration::from_secs(60)).await
    }

    /// For clients that keep an unused connection for so long, and bear a silence of so long.
    pub(super) async fn start_with(linger: Duration, idle: Duration) -> (Arc<Self>, Contree) {
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
        config.idle_timeout = idle;
        let mut waiter = Waiter::new(Client::new(config).unwrap());
        waiter.linger = linger;
        (fake, Contree { waiter })
    }

    /// An operation that runs.
    pub(super) fn add(&self) -> OperationId {
        let id = OperationId::new();
        let sender = watch::Sender::new(OperationStatus::Executing);
        self.operations.lock().unwrap().insert(id, sender);
        id
    }

    pub(super) fn end(&self, id: OperationId) {
        self.end_untold(id);
        self.tell(id);
    }

    pub(super) fn end_untold(&self, id: OperationId) {
        let operations = self.operations.lock().unwrap();
        operations[&id].send_replace(OperationStatus::Success);
    }

    /// Tells all who listen how an operation stands.
    pub(super) fn tell(&self, id: OperationId) {
        let frame = format!("event: operation\ndata: {}\n\n", self.summary(id));
        self.send(&frame);
    }

    pub(super) fn send(&self, frame: &str) {
        let mut feeds = self.feeds.lock().unwrap();
        feeds.retain(|feed| feed.send(Ok(frame.to_owned().into())).is_ok());
    }

    /// Ends all feeds, cleanly or not.
    pub(super) fn cut(&self, cleanly: bool) {
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

    pub(super) fn set(&self, mode: FeedMode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn count(&self, counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    /// Waits until it was asked so often.
    pub(super) async fn until(&self, counter: &AtomicUsize, count: usize) {
        let mut changed = self.changed.subscribe();
        while counter.load(Ordering::SeqCst) < count {
            changed.changed().await.unwrap();
        }
    }

    pub(super) fn asked(&self) -> usize {
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

pub(super) fn request() -> InstanceSpawnRequest {
    InstanceSpawnRequest::new("true", ImageRef::Id(IMAGE.parse().unwrap()))
}

/// Begins a wait and returns when it has taken its place.
pub(super) async fn waiting(
    operation: &Operation,
) -> tokio::task::JoinHandle<Result<OperationStatus, Error>> {
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

pub(super) async fn succeeds(wait: tokio::task::JoinHandle<Result<OperationStatus, Error>>) {
    let status = tokio::time::timeout(Duration::from_secs(60), wait).await;
    let status = status.expect("the wait ends").unwrap().unwrap();
    assert_eq!(status, OperationStatus::Success);
}

/// A connection that is open, held by an operation that does not end.
pub(super) async fn opened(fake: &Fake, contree: &Contree) -> Operation {
    let held = contree.operation(fake.add());
    let wait = waiting(&held).await;
    fake.until(&fake.asked, 1).await;
    wait.abort();
    let _ = wait.await;
    held
}
