//! A server that keeps to the contract, without sandboxes. What a run does is told by its command:
//!
//! | command | what it does |
//! | --- | --- |
//! | `echo A B` | prints `A B` |
//! | `both` | prints `out` and, on its error output, `err` |
//! | `exit N` | ends with N |
//! | `cat` | prints its input, once that is closed |
//! | `flood` | prints without end |
//! | `sleep` | waits for a signal or a cancel |
//! | `stubborn` | the same, but lives on after INT |
//! | `late` | ends by its timeout |
//! | anything else | cannot be started |

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use contree_api::instance::InstanceResult;
use contree_api::stream::{ClosableStreamRepr, encode};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fake_image;

type Params = Query<BTreeMap<String, String>>;

pub(crate) const BASE: &str = "eb1ea259-fac9-5a79-9ffd-000000000001";

pub(crate) struct Fake {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Shared {
    tags: BTreeMap<String, String>,
    operations: BTreeMap<String, Operation>,
    files: BTreeMap<String, Vec<u8>>,
    requests: Vec<String>,
    bodies: Vec<Value>,
}

struct Operation {
    kind: &'static str,
    request: Value,
    status: &'static str,
    error: Option<&'static str>,
    image: Option<String>,
    events: watch::Sender<Vec<String>>,
    input: Vec<u8>,
    result: Option<InstanceResult>,
}

impl Operation {
    fn event(&self, kind: &str, spid: Option<u32>, data: &Value) {
        self.events.send_modify(|events| {
            let id = events.len();
            let mut event =
                json!({"id": id, "ts": "2026-06-08T20:00:00Z", "type": kind, "data": data});
            if let Some(spid) = spid {
                event["spid"] = spid.into();
            }
            events.push(format!("id: {id}\nevent: {kind}\ndata: {event}\n\n"));
        });
    }

    fn print(&self, stream: &str, bytes: &[u8]) {
        for chunk in bytes.chunks(4_096) {
            let (value, encoding) = encode(chunk);
            self.event(
                stream,
                Some(1),
                &json!({"value": value, "encoding": encoding}),
            );
        }
    }

    fn exit(&mut self, code: i32, signal: i32, timed_out: bool) {
        let none = contree_api::event::ExitResources::default();
        self.event(
            "exit",
            Some(1),
            &json!({"pid": 2, "code": code, "signal": signal, "timed_out": timed_out,
                "duration_ms": 5, "resources": none}),
        );
        let mut result = InstanceResult::default();
        result.state.exit_code = code;
        result.state.signal = signal;
        result.state.timed_out = timed_out;
        self.result = Some(result);
        if self.request["disposable"] != json!(true) {
            self.image = Some(uuid(b"image", &self.request.to_string()));
        }
        self.complete("SUCCESS", None);
    }

    fn complete(&mut self, status: &'static str, error: Option<&'static str>) {
        self.status = status;
        self.error = error;
        self.event(
            "completion",
            None,
            &json!({"status": status, "result_image_uuid": self.image, "error": error,
                "duration_ms": 7, "image_size_bytes": 3}),
        );
    }

    fn is_over(&self) -> bool {
        matches!(self.status, "SUCCESS" | "FAILED" | "CANCELLED")
    }

    fn json(&self, id: &str) -> Value {
        let mut request = self.request.clone();
        if self.kind == "instance" {
            request["result"] = json!(self.result);
        }
        let mut json = json!({
            "uuid": id, "kind": self.kind, "status": self.status, "error": self.error,
            "created_at": "2026-06-08T20:00:00.000001+00:00", "duration": 0.007, "image_size": 3,
            "consumed_cpu": null, "consumed_memory": null, "image_uuid": null,
            "result_image_uuid": self.image, "metadata": request,
            "result": {"image": self.image, "tag": self.request["tag"]},
        });
        if self.request["hostname"] == "later" {
            json["novelty"] = json!({"of": "a later version"});
        }
        json
    }
}

fn uuid(space: &[u8], name: &str) -> String {
    let space = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, space);
    uuid::Uuid::new_v5(&space, name.as_bytes()).to_string()
}

pub(crate) fn failed(status: u16, message: &str) -> Response {
    let body = Json(json!({"error": message, "status": status}));
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

#[derive(Clone)]
struct App(Arc<Mutex<Shared>>);

impl App {
    fn with<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    fn operation(&self, id: &str, work: impl FnOnce(&mut Operation) -> Response) -> Response {
        self.with(|shared| match shared.operations.get_mut(id) {
            Some(operation) => work(operation),
            None => failed(404, "no such operation"),
        })
    }
}

impl Fake {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        shared
            .lock()
            .unwrap()
            .tags
            .insert("base:latest".into(), BASE.into());
        let app = App(Arc::clone(&shared));
        let log = app.clone();
        let v1 = Router::new()
            .route("/whoami", get(whoami))
            .route("/images", get(images))
            .route("/images/import", post(import))
            .route("/images/{id}/tag", patch(set_tag).delete(delete_tag))
            .route("/inspect/", get(find))
            .route("/inspect/{id}/list", get(fake_image::list))
            .route("/inspect/{id}/download", get(fake_image::download))
            .route("/inspect/{id}/archive", get(fake_image::archive))
            .route("/inspect/{id}/grep", get(fake_image::grep))
            .route("/files", get(files).post(upload))
            .route("/files/{sha256}", get(find_file))
            .route("/instances", post(spawn))
            .route("/operations", get(operations))
            .route("/operations/{id}", get(operation).delete(cancel))
            .route("/operations/{id}/events", get(events))
            .route("/operations/{id}/subprocesses/{spid}", delete(signal))
            .route("/operations/{id}/subprocesses/{spid}/stdin", post(stdin))
            .with_state(app)
            .layer(axum::middleware::map_request(
                move |request: axum::extract::Request| {
                    log.with(|shared| {
                        shared
                            .requests
                            .push(format!("{} {}", request.method(), request.uri()));
                    });
                    let is_known = request
                        .headers()
                        .get("authorization")
                        .is_some_and(|v| v == "Bearer secret");
                    std::future::ready(if is_known {
                        Ok(request)
                    } else {
                        Err(failed(401, "no such token"))
                    })
                },
            ));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().nest("/v1", v1);
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            shared,
            _runtime: runtime,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests so far, without `/v1`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.lock().unwrap().requests.clone()
    }

    /// JSON bodies of runs and imports so far.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.shared.lock().unwrap().bodies.clone()
    }

    pub(crate) fn tag_of(&self, tag: &str) -> Option<String> {
        self.shared.lock().unwrap().tags.get(tag).cloned()
    }

    pub(crate) fn uploads(&self) -> Vec<Vec<u8>> {
        self.shared
            .lock()
            .unwrap()
            .files
            .values()
            .cloned()
            .collect()
    }

    /// As after the time that files are kept for.
    pub(crate) fn forget_files(&self) {
        self.shared.lock().unwrap().files.clear();
    }

    /// Waits until an operation is in a state; its id.
    pub(crate) fn wait_for(&self, status: &str) -> String {
        loop {
            let found = {
                let shared = self.shared.lock().unwrap();
                shared
                    .operations
                    .iter()
                    .find(|(_, o)| o.status == status)
                    .map(|(id, _)| id.clone())
            };
            if let Some(id) = found {
                return id;
            }
            std::thread::yield_now();
        }
    }

    /// Waits until a request was made that has this in it.
    pub(crate) fn wait_for_request(&self, part: &str) {
        while !self.requests().iter().any(|request| request.contains(part)) {
            std::thread::yield_now();
        }
    }
}

async fn whoami() -> Json<Value> {
    Json(json!({
        "token_uuid": BASE, "token_expiration": null, "operations_stat": {},
        "permissions": {"list": true, "spawn": true}, "limits": {},
    }))
}

async fn images(State(app): State<App>, Query(params): Params) -> Json<Value> {
    let prefix = params.get("tag").cloned().unwrap_or_default();
    let images: Vec<Value> = app.with(|shared| {
        let named = shared
            .tags
            .iter()
            .filter(|(tag, _)| tag.starts_with(&prefix));
        named
            .map(|(tag, id)| {
                json!({"uuid": id, "tag": tag, "operation_uuid": null,
                    "created_at": "2026-06-08T20:00:00.000001+00:00"})
            })
            .collect()
    });
    Json(json!({ "images": images }))
}

async fn set_tag(State(app): State<App>, Path(id): Path<String>, body: Json<Value>) -> Response {
    let tag = body["tag"].as_str().unwrap().to_owned();
    app.with(|shared| shared.tags.insert(tag.clone(), id.clone()));
    Json(
        json!({"uuid": id, "tag": tag, "created_at": "2026-06-08T20:00:00Z",
        "operation_uuid": null}),
    )
    .into_response()
}

async fn delete_tag(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Params,
) -> Response {
    app.with(|shared| {
        let tag = &params["tag"];
        if shared.tags.get(tag) != Some(&id) {
            return failed(404, "the image does not have this tag");
        }
        shared.tags.remove(tag);
        StatusCode::NO_CONTENT.into_response()
    })
}

async fn find(State(app): State<App>, Query(params): Params) -> Response {
    match app.with(|shared| shared.tags.get(&params["tag"]).cloned()) {
        Some(id) => (StatusCode::FOUND, [("location", format!("{id}/"))]).into_response(),
        None => failed(404, "no image has this tag"),
    }
}

async fn files(State(app): State<App>) -> Json<Value> {
    let files: Vec<Value> = app.with(|shared| {
        let files = shared.files.iter();
        files
            .map(|(sha256, bytes)| {
                json!({"uuid": uuid(b"file", sha256), "sha256": sha256, "size": bytes.len(),
                    "created_at": "2026-06-08T20:00:00.000001+00:00",
                    "updated_at": "2026-06-08T20:00:00.000001+00:00"})
            })
            .collect()
    });
    Json(json!({ "files": files }))
}

async fn find_file(State(app): State<App>, Path(sha256): Path<String>) -> Response {
    match app.with(|shared| shared.files.get(&sha256).map(Vec::len)) {
        Some(size) => Json(
            json!({"uuid": uuid(b"file", &sha256), "sha256": sha256, "size": size,
            "created_at": "2026-06-08T20:00:00Z", "updated_at": "2026-06-08T20:00:00Z"}),
        )
        .into_response(),
        None => failed(404, "no such file"),
    }
}

async fn upload(State(app): State<App>, body: Bytes) -> Response {
    use sha2::Digest as _;

    let sha256: String = sha2::Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    app.with(|shared| shared.files.insert(sha256.clone(), body.to_vec()));
    let answer = json!({"uuid": uuid(b"file", &sha256), "sha256": sha256, "size": body.len()});
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn import(State(app): State<App>, body: Json<Value>) -> Response {
    let mut body = body.0;
    app.with(|shared| {
        shared.bodies.push(body.clone());
        let id = uuid(b"operation", &shared.operations.len().to_string());
        let url = body["registry"]["url"].as_str().unwrap().to_owned();
        if let Some(credentials) = body["registry"].get_mut("credentials") {
            credentials["password"] = "<MASKED>".into();
        }
        let mut operation = Operation {
            kind: "image_import",
            request: body,
            status: "EXECUTING",
            error: None,
            image: None,
            events: watch::Sender::new(Vec::new()),
            input: Vec::new(),
            result: None,
        };
        let line = "fetching layer 1/1 sha256:ab: 1.0 KiB of 2.0 KiB\n";
        operation.event(
            "stderr",
            Some(0),
            &json!({"value": line, "encoding": "ascii"}),
        );
        if url.contains("slow") {
            // It goes on until it is cancelled.
        } else if url.contains("broken") {
            operation.complete("FAILED", Some("no such repository"));
        } else {
            let image = uuid(b"import", &url);
            shared.tags.insert(
                operation.request["tag"].as_str().unwrap().into(),
                image.clone(),
            );
            operation.image = Some(image);
            operation.complete("SUCCESS", None);
        }
        shared.operations.insert(id.clone(), operation);
        (StatusCode::CREATED, Json(json!({ "uuid": id }))).into_response()
    })
}

async fn spawn(State(app): State<App>, body: Json<Value>) -> Response {
    let mut request = body.0;
    app.with(|shared| {
        shared.bodies.push(request.clone());
        let files = request["files"].as_object().into_iter().flatten();
        for (path, file) in files {
            let is_there = |sha256: &String| file["uuid"] == uuid(b"file", sha256);
            if !shared.files.keys().any(is_there) {
                return failed(404, &format!("files[{path:?}].uuid: there is no file"));
            }
        }
        let id = uuid(b"operation", &shared.operations.len().to_string());
        let stdin: Option<ClosableStreamRepr> = request
            .get("stdin")
            .map(|stdin| serde_json::from_value(stdin.clone()).unwrap());
        let command = request["command"].as_str().unwrap().to_owned();
        let args: Vec<String> =
            serde_json::from_value(request.get("args").cloned().unwrap_or_else(|| json!([])))
                .unwrap();
        let mut operation = Operation {
            kind: "instance",
            request: request.clone(),
            status: "EXECUTING",
            error: None,
            image: None,
            events: watch::Sender::new(Vec::new()),
            input: stdin
                .as_ref()
                .map(|stdin| stdin.to_bytes().unwrap())
                .unwrap_or_default(),
            result: None,
        };
        // Events of this type have to be looked over by clients.
        operation.event("novelty", Some(0), &json!({"of": "a later version"}));
        act(
            &mut operation,
            &command,
            &args,
            stdin.is_none_or(|stdin| stdin.close),
        );
        shared.operations.insert(id.clone(), operation);
        request["uuid"] = id.into();
        request["result"] = Value::Null;
        (StatusCode::CREATED, Json(request)).into_response()
    })
}

fn act(operation: &mut Operation, command: &str, args: &[String], closed: bool) {
    let started = [
        "echo", "both", "exit", "cat", "flood", "sleep", "stubborn", "late",
    ];
    if !started.contains(&command) {
        operation.complete("FAILED", Some("spawn failed: exec: no such file"));
        return;
    }
    let spawn = json!({"pid": 2, "command": command, "args": args, "shell": false, "cwd": "/",
        "uid": 0, "gid": 0, "timeout": 1, "truncate_at": 1});
    operation.event("spawn", Some(1), &spawn);
    match command {
        "echo" => {
            operation.print("stdout", format!("{}\n", args.join(" ")).as_bytes());
            operation.exit(0, -1, false);
        }
        "both" => {
            operation.print("stdout", b"out\n");
            operation.print("stderr", b"err\n");
            operation.exit(0, -1, false);
        }
        "exit" => operation.exit(args[0].parse().unwrap(), -1, false),
        "cat" if closed => {
            operation.print("stdout", &operation.input);
            operation.exit(0, -1, false);
        }
        "flood" => operation.print("stdout", &vec![b'y'; 4_000_000]),
        "late" => operation.exit(-1, 9, true),
        _ => {}
    }
}

async fn operations(State(app): State<App>, Query(params): Params) -> Json<Vec<Value>> {
    Json(app.with(|shared| {
        let wanted = |operation: &&Operation| {
            params
                .get("status")
                .is_none_or(|status| status == operation.status)
        };
        let found = shared
            .operations
            .iter()
            .filter(|(_, operation)| wanted(operation));
        found.map(|(id, operation)| operation.json(id)).collect()
    }))
}

async fn operation(State(app): State<App>, Path(id): Path<String>) -> Response {
    app.operation(&id, |operation| Json(operation.json(&id)).into_response())
}

async fn cancel(State(app): State<App>, Path(id): Path<String>) -> Response {
    app.operation(&id, |operation| {
        if operation.is_over() {
            return failed(409, "the operation has ended");
        }
        operation.complete("CANCELLED", Some("cancelled"));
        StatusCode::ACCEPTED.into_response()
    })
}

async fn signal(
    State(app): State<App>,
    Path((id, _)): Path<(String, u32)>,
    Query(params): Params,
) -> Response {
    app.operation(&id, |operation| {
        assert_eq!(params["signal"], "INT");
        if operation.request["command"] == "stubborn" {
            operation.print("stderr", b"not now\n");
        } else {
            operation.exit(-1, 2, false);
        }
        StatusCode::NO_CONTENT.into_response()
    })
}

async fn stdin(
    State(app): State<App>,
    Path((id, _)): Path<(String, u32)>,
    Json(chunk): Json<ClosableStreamRepr>,
) -> Response {
    app.operation(&id, |operation| {
        if operation.is_over() {
            return failed(409, "the process has ended");
        }
        operation.input.extend(chunk.to_bytes().unwrap());
        if chunk.close && operation.request["command"] == "cat" {
            operation.print("stdout", &operation.input);
            operation.exit(0, -1, false);
        }
        StatusCode::NO_CONTENT.into_response()
    })
}

async fn events(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Params,
    headers: HeaderMap,
) -> Response {
    let after = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse::<usize>().ok());
    let spid = params.get("spid").map(|spid| format!("\"spid\":{spid},"));
    let wanted = move |event: &String| spid.as_ref().is_none_or(|spid| event.contains(spid));
    let Some(events) = app.with(|shared| {
        shared
            .operations
            .get(&id)
            .map(|operation| operation.events.subscribe())
    }) else {
        return failed(404, "no such operation");
    };
    let first = after.map_or(0, |after| after + 1);
    if params.get("follow").is_none_or(|follow| follow == "0") {
        let log: Vec<String> = events.borrow().iter().skip(first).cloned().collect();
        let log: String = log.into_iter().filter(wanted).collect();
        return ([("content-type", "text/event-stream")], log).into_response();
    }
    let state = (events, first, false);
    let stream = futures_util::stream::unfold(state, |(mut events, next, is_over)| async move {
        if is_over {
            return None;
        }
        let new = {
            let all = events.wait_for(|events| events.len() > next).await.ok()?;
            all[next..].to_vec()
        };
        let next = next + new.len();
        let is_over = new.iter().any(|e| e.contains("event: completion"));
        Some((new, (events, next, is_over)))
    });
    let stream = futures_util::StreamExt::map(stream, move |part: Vec<String>| {
        let part: String = part.into_iter().filter(&wanted).collect();
        Ok::<_, std::io::Error>(part)
    });
    (
        [("content-type", "text/event-stream")],
        Body::from_stream(stream),
    )
        .into_response()
}
