//! Event streams: how an operation's log goes over the wire, to the letter of the contract, and
//! in the same manner the feed of a project's operations.
//!
//! A frame is `id:`, `event:` and `data:` (the event as one line of JSON), then an empty line; in
//! the feed there are no ids. While nothing happens a comment goes out every [`KEEPALIVE`]. A
//! stream that cannot go on says so in an `sse_error` frame and ends; the client comes back, to a
//! log with `Last-Event-Id`.
//!
//! The stream is pulled by the connection: a client that does not read leaves its events where
//! they are, in the log or in its queue, and costs no further memory but one chunk. Events that
//! are already there are packed into chunks of up to [`CHUNK`], so that a long log does not cost a
//! write per event. The head goes out before the first event.
//!
//! For clients that accept it the stream is compressed, each chunk flushed so that its events can
//! be read when they arrive ([`GzipPieces`]). Every stream that the server ends by itself has its
//! trailer, after `sse_error` too: clients take one without it for a broken connection.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use contree_engine::{EventLine, OperationLine};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::gzip::GzipPieces;

/// Silence after which a comment is sent. Well under the idle times of proxies, and under the
/// ten seconds that some clients wait between bytes.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Size at which a chunk of ready events is sent on, in bytes.
const CHUNK: usize = 64 * 1024;

/// What can be sent as a frame.
pub(crate) trait Frame: Send {
    /// The comment before an `sse_error` frame: what to do about it.
    const ADVICE: &'static str;

    /// Appends the frame.
    fn push(&self, chunk: &mut String);
}

impl Frame for EventLine {
    const ADVICE: &'static str = "retry since last event id";

    fn push(&self, chunk: &mut String) {
        let Self { id, kind, json, .. } = self;
        // Writing to a string cannot fail.
        let _ = write!(chunk, "id: {id}\nevent: {kind}\ndata: {json}\n\n");
    }
}

impl Frame for OperationLine {
    const ADVICE: &'static str = "nothing is sent again";

    fn push(&self, chunk: &mut String) {
        let _ = write!(chunk, "event: operation\ndata: {}\n\n", self.json);
    }
}

/// Answers with `events` until they end or `stopping` fires; compressed if `gzip`.
pub(crate) fn stream<S, F>(events: S, gzip: bool, stopping: CancellationToken) -> Response
where
    S: Stream<Item = Result<F, contree_engine::Error>> + Send + 'static,
    F: Frame + 'static,
{
    let chunks = chunks(events, stopping);
    let body = if gzip {
        Body::from_stream(coded(chunks))
    } else {
        Body::from_stream(chunks.map(Ok::<_, Infallible>))
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Tells nginx not to hold frames back.
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    let mut response = (headers, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        let coding = HeaderValue::from_static("gzip");
        headers.insert(header::CONTENT_ENCODING, coding);
    }
    response
}

/// The same chunks with gzip, and its trailer behind the last one.
fn coded(chunks: impl Stream<Item = Bytes> + Send) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let state = (Box::pin(chunks), Some(GzipPieces::default()));
    futures_util::stream::unfold(state, |(mut chunks, gzip)| async move {
        let mut gzip = gzip?;
        let Some(chunk) = chunks.next().await else {
            return Some((Ok(gzip.trailer().into()), (chunks, None)));
        };
        match gzip.piece(&chunk) {
            Ok(piece) => Some((Ok(piece.into()), (chunks, Some(gzip)))),
            Err(error) => {
                tracing::error!(%error, "an event stream could not be compressed");
                Some((Err(error), (chunks, None)))
            }
        }
    })
}

struct Source<S> {
    events: Pin<Box<S>>,
    stopping: CancellationToken,
    silence: Pin<Box<Sleep>>,
    done: bool,
}

fn chunks<S, F>(events: S, stopping: CancellationToken) -> impl Stream<Item = Bytes> + Send
where
    S: Stream<Item = Result<F, contree_engine::Error>> + Send + 'static,
    F: Frame + 'static,
{
    let source = Source {
        events: Box::pin(events),
        stopping,
        silence: Box::pin(sleep(KEEPALIVE)),
        done: false,
    };
    futures_util::stream::unfold(source, |mut source| async move {
        if source.done {
            return None;
        }
        let chunk = source.next_chunk().await?;
        source.silence.as_mut().reset(Instant::now() + KEEPALIVE);
        Some((Bytes::from(chunk), source))
    })
}

impl<S, F> Source<S>
where
    S: Stream<Item = Result<F, contree_engine::Error>>,
    F: Frame,
{
    async fn next_chunk(&mut self) -> Option<String> {
        let mut chunk = String::new();
        tokio::select! {
            biased;
            event = self.events.next() => self.add(&mut chunk, event),
            () = self.stopping.cancelled() => {
                push_error::<F>(&mut chunk, "the server is shutting down");
                self.done = true;
            }
            () = self.silence.as_mut() => chunk.push_str(": keepalive\n\n"),
        }
        while !self.done && chunk.len() < CHUNK {
            let Some(event) = self.events.next().now_or_never() else {
                break;
            };
            self.add(&mut chunk, event);
        }
        (!chunk.is_empty()).then_some(chunk)
    }

    fn add(&mut self, chunk: &mut String, event: Option<Result<F, contree_engine::Error>>) {
        match event {
            Some(Ok(event)) => event.push(chunk),
            Some(Err(error)) => {
                push_error::<F>(chunk, ApiError::from(error).message());
                self.done = true;
            }
            None => self.done = true,
        }
    }
}

fn push_error<F: Frame>(chunk: &mut String, message: &str) {
    let line = message.replace(['\r', '\n'], " ");
    let _ = write!(
        chunk,
        ": stream ended with error, {}\n\nevent: sse_error\ndata: {line}\n\n",
        F::ADVICE
    );
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::http::StatusCode;
    use contree_api::ErrorKind;
    use contree_engine::Error;
    use futures_util::stream;
    use http_body_util::BodyExt as _;

    use super::*;

    fn line(id: u64, kind: &'static str, json: &str) -> EventLine {
        EventLine {
            id,
            kind,
            json: json.to_owned(),
        }
    }

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.into()).unwrap()
    }

    /// What goes over the wire, byte for byte.
    #[tokio::test]
    async fn golden_frames() {
        let events = [
            Ok(line(0, "init", r#"{"id":0,"type":"init"}"#)),
            Ok(line(7, "stdout", r#"{"id":7,"data":{"value":"a\nb"}}"#)),
            Err(Error::new(ErrorKind::TimedOut, "the log\ncannot be read")),
            Ok(line(8, "exit", "never sent")),
        ];
        let response = stream(stream::iter(events), false, CancellationToken::new());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        assert_eq!(text(response).await, include_str!("golden/stream.sse"));
    }

    #[tokio::test]
    async fn golden_frames_of_the_feed() {
        let line = |json: &str| OperationLine { json: json.into() };
        let changes = [
            Ok(line(r#"{"uuid":"a","status":"EXECUTING"}"#)),
            Ok(line(r#"{"uuid":"a","status":"SUCCESS"}"#)),
            Err(Error::new(ErrorKind::Unavailable, "too slow")),
        ];
        let response = stream(stream::iter(changes), false, CancellationToken::new());
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(text(response).await, include_str!("golden/feed.sse"));
    }

    #[tokio::test]
    async fn faults_are_not_told() {
        let events = [Err::<EventLine, _>(Error::internal(
            "could not read",
            "secret cause",
        ))];
        let text = text(stream(
            stream::iter(events),
            false,
            CancellationToken::new(),
        ))
        .await;
        assert!(
            text.contains("data: the server failed at this request; its log"),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_and_stopping_ends() {
        let stopping = CancellationToken::new();
        let events = stream::iter([Ok(line(1, "spawn", "{}"))]).chain(stream::pending());
        let mut chunks = Box::pin(chunks(events, stopping.clone()));
        assert_eq!(
            chunks.next().await.unwrap(),
            "id: 1\nevent: spawn\ndata: {}\n\n"
        );
        assert_eq!(chunks.next().await.unwrap(), ": keepalive\n\n");
        assert_eq!(chunks.next().await.unwrap(), ": keepalive\n\n");
        stopping.cancel();
        assert_eq!(
            chunks.next().await.unwrap(),
            ": stream ended with error, retry since last event id\n\n\
             event: sse_error\ndata: the server is shutting down\n\n"
        );
        assert!(chunks.next().await.is_none());
    }

    /// The same text in another coding, with its trailer even when the stream ends with an error.
    #[tokio::test]
    async fn compressed_frames() {
        let events = [
            Ok(line(0, "init", r#"{"id":0,"type":"init"}"#)),
            Ok(line(7, "stdout", r#"{"id":7,"data":{"value":"a\nb"}}"#)),
            Err(Error::new(ErrorKind::TimedOut, "the log\ncannot be read")),
        ];
        let response = stream(stream::iter(events), true, CancellationToken::new());
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(response.headers()["vary"], "accept-encoding");
        let coded = response.into_body().collect().await.unwrap().to_bytes();
        let mut plain = String::new();
        let mut decoder = flate2::read::GzDecoder::new(&coded[..]);
        decoder.read_to_string(&mut plain).unwrap();
        assert_eq!(plain, include_str!("golden/stream.sse"));
    }

    /// A long log goes out in pieces, not as one and not event by event.
    #[tokio::test]
    async fn ready_events_share_chunks() {
        let events = stream::iter((0..5_000).map(|id| Ok(line(id, "stdout", &"x".repeat(100)))));
        let chunks: Vec<Bytes> = chunks(events, CancellationToken::new()).collect().await;
        assert!((5..20).contains(&chunks.len()), "{}", chunks.len());
        assert!(chunks.iter().all(|chunk| chunk.len() < CHUNK + 1_000));
        let all = chunks.concat();
        assert_eq!(
            String::from_utf8(all).unwrap().matches("\n\n").count(),
            5_000
        );
    }
}
