//! A router over a real engine in a folder of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use contree_engine::{Durability, Engine, EngineConfig};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::app::{App, Bounds, router};

pub(super) struct Bench {
    pub(super) token: String,
    router: Router,
    engine: Engine,
    folder: TempDir,
}

impl Bench {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}, 1 << 30).await
    }

    pub(super) async fn with_upload_limit(upload: u64) -> Self {
        Self::with(|_| {}, upload).await
    }

    /// With a registry that accepts connections and says nothing.
    pub(super) async fn with_silent_registry() -> (Self, String) {
        let registry = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = registry.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = registry.accept().await {
                open.push(stream);
            }
        });
        let allowed = address.parse().unwrap();
        let bench = Self::with(|config| config.allow_registries = vec![allowed], 1 << 30).await;
        (bench, address)
    }

    async fn with(change: impl FnOnce(&mut EngineConfig), upload: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = EngineConfig::new(folder.path().join("data"), sandbox_binary());
        config.durability = Durability::Relaxed;
        change(&mut config);
        let (engine, first_start) = Engine::start(config).await.unwrap();
        let token = first_start.expect("the folder is new").token;
        let router = router(App {
            engine: engine.clone(),
            bounds: Bounds {
                request: 64 << 20,
                upload,
            },
            stopping: CancellationToken::new(),
        });
        Self {
            token,
            router,
            engine,
            folder,
        }
    }

    pub(super) async fn end(self) {
        self.engine.drain(Duration::ZERO).await;
    }

    pub(super) async fn send(&self, method: &str, uri: &str, body: &str) -> Answer {
        let token = format!("Bearer {}", self.token);
        self.send_as([token.as_str()], method, uri, body).await
    }

    pub(super) async fn send_as<'a>(
        &self,
        authorization: impl IntoIterator<Item = &'a str>,
        method: &str,
        uri: &str,
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        for authorization in authorization {
            request = request.header("authorization", authorization);
        }
        self.answer(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    pub(super) async fn upload(&self, body: Body) -> Answer {
        let request = Request::post("/v1/files")
            .header("authorization", format!("Bearer {}", self.token))
            .body(body)
            .unwrap();
        self.answer(request).await
    }

    /// The answer with its body still to be read.
    pub(super) async fn open(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        Answer::read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// Imports a small tree through an upload, and returns the image.
    pub(super) async fn import_tree(&self, tag: &str) -> String {
        let tree = self.folder.path().join("tree");
        std::fs::create_dir_all(tree.join("etc")).unwrap();
        std::fs::write(tree.join("etc/greeting"), "hello\n").unwrap();
        std::fs::write(tree.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        std::os::unix::fs::symlink("/etc/greeting", tree.join("etc/link")).unwrap();
        let archive = Command::new("tar")
            .arg("-C")
            .arg(&tree)
            .args(["-c", "."])
            .output()
            .unwrap();
        assert!(archive.status.success());
        let file = self.upload(Body::from(archive.stdout)).await.json();
        let body = json!({
            "registry": {"url": format!("upload:{}", file["uuid"].as_str().unwrap())},
            "tag": tag,
        });
        let accepted = self
            .send("POST", "/v1/images/import", &body.to_string())
            .await;
        assert_eq!(accepted.status, StatusCode::CREATED, "{}", accepted.text());
        let operation = accepted.json()["uuid"].as_str().unwrap().to_owned();
        let events = format!("/v1/operations/{operation}/events?follow=1");
        let log = self.send("GET", &events, "").await;
        let ended = self
            .send("GET", &format!("/v1/operations/{operation}"), "")
            .await
            .json();
        assert_eq!(ended["status"], "SUCCESS", "{ended}\n{}", log.text());
        ended["result"]["image"].as_str().unwrap().to_owned()
    }
}

/// The program that the test runner names, or the one that was built beside this test.
pub(crate) fn sandbox_binary() -> PathBuf {
    let folder = std::env::var_os("CONTREE_TEST_BIN").map_or_else(
        || {
            let own = std::env::current_exe().unwrap();
            own.ancestors().nth(2).unwrap().to_owned()
        },
        PathBuf::from,
    );
    folder.join("contree-sandbox")
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: String,
}

impl Answer {
    pub(super) async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.into()).unwrap(),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.body
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}
