//! Over real sockets, with routes of the tests' own.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::accept;
use crate::http::{ApiError, error};

struct Server {
    address: std::net::SocketAddr,
    closing: CancellationToken,
    accepting: JoinHandle<TaskTracker>,
}

impl Server {
    async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closing = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, router, 16, closing.clone()));
        Self {
            address,
            closing,
            accepting,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn close(self) {
        self.closing.cancel();
        let connections = self.accepting.await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), connections.wait())
            .await
            .unwrap();
    }
}

/// Reads from `stream` until `needle` was seen.
async fn read_until(stream: &mut TcpStream, needle: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(needle) {
        let read = stream.read_buf(&mut seen).await.unwrap();
        assert_ne!(read, 0, "ended with {}", String::from_utf8_lossy(&seen));
    }
    String::from_utf8(seen).unwrap()
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut seen = String::new();
    stream.read_to_string(&mut seen).await.unwrap();
    seen
}

#[tokio::test]
async fn a_head_answer_leaves_the_connection_usable() {
    let router = Router::new()
        .route("/", get(async || "hello"))
        .fallback(error::no_such_route);
    let server = Server::start(router).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-length: 5\r\n"), "{head}");
    stream
        .write_all(b"HEAD /nope HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 404") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nhello"),
        "{answer}"
    );
    server.close().await;
}

/// The client is still sending megabytes when it is refused; it must be able to read why.
#[tokio::test]
async fn a_refusal_survives_an_unread_body() {
    const SIZE: usize = 4 << 20;
    let router = Router::new().route(
        "/",
        axum::routing::post(async || ApiError::bad_request("no")),
    );
    let server = Server::start(router).await;
    let mut stream = server.connect().await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..SIZE / 65_536 {
        stream.write_all(&[b'x'; 65_536]).await.unwrap();
    }
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(
        answer.ends_with(r#"{"error":"no","status":400}"#),
        "{answer}"
    );
    server.close().await;
}

#[tokio::test]
async fn closing_ends_idle_connections_and_finishes_answers() {
    let (finish, finished) = oneshot::channel::<()>();
    let finished = std::sync::Arc::new(tokio::sync::Mutex::new(Some(finished)));
    let router = Router::new().route("/", get(async || "hello")).route(
        "/slow",
        get(move || async move {
            let finished = finished.lock().await.take().unwrap();
            let pieces =
                futures_util::stream::unfold((0, Some(finished)), |(step, wait)| async move {
                    match (step, wait) {
                        (0, wait) => Some((Bytes::from("first "), (1, wait))),
                        (1, Some(wait)) => {
                            wait.await.unwrap();
                            Some((Bytes::from("last"), (2, None)))
                        }
                        _ => None,
                    }
                });
            use futures_util::StreamExt as _;
            Body::from_stream(pieces.map(Ok::<_, std::io::Error>))
        }),
    );
    let server = Server::start(router).await;

    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "hello").await;
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut busy, "first ").await;

    server.closing.cancel();
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(read_to_end(&mut silent).await, "");
    finish.send(()).unwrap();
    assert!(read_to_end(&mut busy).await.contains("last"));
    server.close().await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = Server::start(Router::new().route("/", get(async || "hello"))).await;
    let mut stream = server.connect().await;
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "y".repeat(100 * 1024)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    server.close().await;
}
