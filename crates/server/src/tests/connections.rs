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
use crate::http::{ApiError, error, sse};

struct Server {
    address: std::net::SocketAddr,
    closing: CancellationToken,
    accepting: JoinHandle<TaskTracker>,
}

impl Server {
    async fn start(router: Router) -> Self {
        Self::start_with(router, 16).await
    }

    async fn start_with(router: Router, max_connections: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closing = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, router, max_connections, closing.clone()));
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

/// Whoever keeps connections must know which of them will not take another request.
#[tokio::test]
async fn an_unread_body_closes_the_connection_and_a_read_one_does_not() {
    let router = Router::new()
        .route(
            "/unread",
            axum::routing::post(async || ApiError::bad_request("no")),
        )
        .route(
            "/read",
            axum::routing::post(async |body: String| body.len().to_string()),
        );
    let server = Server::start(router).await;
    let mut stream = server.connect().await;
    for framing in [
        "Content-Length: 0",
        "Content-Length: 2",
        "Transfer-Encoding: chunked",
    ] {
        let head = format!("POST /read HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let body = match framing {
            "Content-Length: 0" => "",
            "Content-Length: 2" => "ab",
            _ => "2\r\nab\r\n0\r\n\r\n",
        };
        stream.write_all(body.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    stream
        .write_all(b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
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

/// Sends `request` on a connection of its own and returns the answer, which must end it.
async fn refused(server: &Server, request: &[u8]) -> (u16, serde_json::Value) {
    let mut stream = server.connect().await;
    stream.write_all(request).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    refusal_of(&answer)
}

/// Holds an answer to the shape of refusals.
fn refusal_of(answer: &str) -> (u16, serde_json::Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status: u16 = head[9..12].parse().unwrap();
    for line in [
        "content-type: application/json",
        &format!("content-length: {}", body.len()),
    ] {
        assert!(head.lines().any(|l| l == line), "{line}: {answer}");
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["status"], status, "{answer}");
    (status, body["error"].clone())
}

/// Heads that hyper refuses by itself are answered like everything else.
#[tokio::test]
async fn bad_heads_are_refused_in_the_shape_of_all_refusals() {
    let server = Server::start(Router::new().route("/", get(async || "hello"))).await;
    let malformed = "the head of the request is not valid HTTP/1.1: expected a method, a path \
                     without spaces, a version and header lines";
    for request in [
        "nonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: some\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "\u{16}\u{3}\u{1} a TLS greeting\r\n\r\n",
    ] {
        let (status, error) = refused(&server, request.as_bytes()).await;
        assert_eq!((status, error), (400, malformed.into()), "{request:?}");
    }
    let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(100 * 1024));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
    for request in [large, many] {
        assert_eq!(
            refused(&server, request.as_bytes()).await,
            (
                431,
                "the head of the request is larger than 98304 bytes or has more than 100 headers"
                    .into()
            )
        );
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(65_534));
    assert_eq!(
        refused(&server, long.as_bytes()).await,
        (
            414,
            "the path and query of the request are longer than 65534 bytes".into()
        )
    );
    server.close().await;
}

/// What still fits is read.
#[tokio::test]
async fn heads_up_to_the_bounds_are_read() {
    let server = Server::start(Router::new().route("/", get(async || "hello"))).await;
    let headers = "X: y\r\n".repeat(98);
    let request = format!(
        "GET /?{} HTTP/1.1\r\nConnection: close\r\n{headers}Y: {}\r\n\r\n",
        "a".repeat(65_000),
        "y".repeat(30_000)
    );
    let mut stream = server.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.close().await;
}

/// A bad head behind a good request; and content that looks like hyper's own refusal, which must
/// go out as it is.
#[tokio::test]
async fn only_what_hyper_says_is_given_a_body() {
    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let router = Router::new().route("/whole", get(async || BARE)).route(
        "/pieces",
        get(async || {
            let pieces = futures_util::stream::iter([BARE, BARE]);
            use futures_util::StreamExt as _;
            Body::from_stream(pieces.map(Ok::<_, std::io::Error>))
        }),
    );
    let server = Server::start(router).await;
    for path in ["/whole", "/pieces"] {
        let mut stream = server.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answers = read_to_end(&mut stream).await;
        let (good, bad) = answers.rsplit_once("HTTP/1.1 400").unwrap();
        assert!(good.contains(BARE), "{answers}");
        refusal_of(&format!("HTTP/1.1 400{bad}"));
    }
    server.close().await;
}

/// The clock runs by itself while everything waits: no test of its own takes two minutes.
#[tokio::test(start_paused = true)]
async fn a_slow_head_is_given_up_on() {
    let server = Server::start(Router::new().route("/", get(async || "hello"))).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: a").await.unwrap();
    let answer = read_to_end(&mut slow).await;
    assert_eq!(
        refusal_of(&answer),
        (
            408,
            "the head of the request did not come within 120 seconds".into()
        )
    );
    // One that was never begun is no request that could be answered.
    let mut idle = server.connect().await;
    let opened = tokio::time::Instant::now();
    assert_eq!(read_to_end(&mut idle).await, "");
    assert!(
        opened.elapsed() > Duration::from_secs(60),
        "{:?}",
        opened.elapsed()
    );
    server.close().await;
}

/// An idle connection is kept for longer than the minute that clients' pools count on.
#[tokio::test(start_paused = true)]
async fn idle_connections_are_kept_over_a_minute() {
    let server = Server::start(Router::new().route("/", get(async || "hello"))).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        assert!(read_until(&mut stream, "hello").await.contains("200 OK"));
        tokio::time::sleep(Duration::from_secs(90)).await;
    }
    server.close().await;
}

#[tokio::test]
async fn bodies_come_with_a_length_in_chunks_or_when_asked_for() {
    let router = Router::new().route("/", axum::routing::post(async |body: String| body));
    let server = Server::start(router).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none")
        .await
        .unwrap();
    assert!(read_until(&mut stream, "one").await.contains("200 OK"));
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
              2;more=1\r\ntw\r\n1\r\no\r\n0\r\nTrailer: t\r\n\r\n",
        )
        .await
        .unwrap();
    assert!(read_until(&mut stream, "two").await.contains("200 OK"));
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n\
              Content-Length: 5\r\n\r\n",
        )
        .await
        .unwrap();
    assert_eq!(
        read_until(&mut stream, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(b"three").await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("three"));
    server.close().await;
}

/// Who is refused before the body was asked for is not asked for it.
#[tokio::test]
async fn a_refusal_comes_instead_of_a_continue() {
    let router = Router::new().route(
        "/",
        axum::routing::post(async || ApiError::bad_request("no")),
    );
    let server = Server::start(router).await;
    let mut stream = server.connect().await;
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        )
        .await
        .unwrap();
    let answer = read_to_end(&mut stream).await;
    assert_eq!(refusal_of(&answer), (400, "no".into()));
    server.close().await;
}

#[tokio::test]
async fn connections_over_the_bound_wait() {
    let router = Router::new().route("/", get(async || "hello"));
    let server = Server::start_with(router, 1).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    second
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut first, "hello").await;
    // The first one has the only place, so this one has not been read yet.
    assert!(
        tokio::time::timeout(Duration::from_millis(50), second.readable())
            .await
            .is_err()
    );
    drop(first);
    read_until(&mut second, "hello").await;
    drop(second);
    server.close().await;
}

/// Compressed frames arrive one by one, and the end has its trailer.
#[tokio::test]
async fn event_streams_are_flushed_frame_by_frame() {
    let (events, mut to_come) = tokio::sync::mpsc::unbounded_channel();
    let to_come = futures_util::stream::poll_fn(move |cx| to_come.poll_recv(cx));
    let to_come = std::sync::Arc::new(std::sync::Mutex::new(Some(to_come)));
    let router = Router::new().route(
        "/",
        get(move || async move {
            let events = to_come.lock().unwrap().take().unwrap();
            sse::stream(events, true, CancellationToken::new())
        }),
    );
    let server = Server::start(router).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut coded = Vec::new();
    while !coded.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut coded).await.unwrap();
    }
    coded.clear();
    let mut plain = flate2::write::GzDecoder::new(Vec::new());
    for id in 0..5 {
        let event = contree_engine::EventLine {
            id,
            kind: "stdout",
            json: format!("{{\"id\":{id}}}"),
        };
        events.send(Ok(event)).unwrap();
        let frame = format!("id: {id}\nevent: stdout\ndata: {{\"id\":{id}}}\n\n");
        // The next one is only sent when this one could be read.
        while !plain.get_ref().ends_with(frame.as_bytes()) {
            let read = stream.read_buf(&mut coded).await.unwrap();
            assert_ne!(read, 0);
            use std::io::Write as _;
            plain.write_all(&coded).unwrap();
            plain.flush().unwrap();
            coded.clear();
        }
    }
    drop(events);
    stream.read_to_end(&mut coded).await.unwrap();
    use std::io::Write as _;
    plain.write_all(&coded).unwrap();
    plain.finish().expect("the trailer is there and right");
    server.close().await;
}
