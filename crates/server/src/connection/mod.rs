//! Connections: accepting them, bounding what each may hold up, and ending them.
//!
//! What bounds a connection:
//! - hyper closes one that has not sent a whole head [`IDLE`] after it was opened or after its
//!   last answer. The same clock thus ends idle keep-alive connections and slow senders of
//!   headers; it is longer than what clients' pools assume (a minute).
//! - A peer that takes nothing of an answer for [`WRITE_STALL`] is given up on. Event streams
//!   write a comment every few seconds, so that a peer that vanished is noticed as well.
//! - Pauses within request bodies are bounded where bodies are read.
//! - A head is bounded in size and number of headers; a bad one is answered in the shape of every
//!   other refusal (`refusal.rs`).
//! - The number of connections is bounded; those above it wait in the kernel's queue.
//!
//! **Lingering close.** When a request is refused before its body was read (no token, too large),
//! closing the socket with unread bytes makes the kernel send a reset, which can destroy the
//! answer before the client has read it. So the write side is closed first, and what still comes
//! is read and thrown away for up to [`LINGER`]. The answer says that it is the last one
//! (`unread.rs`).

mod refusal;
mod socket;
mod turn;
mod unread;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use socket::Guarded;
use turn::{Spoken, Turn};
use unread::Unread;

/// Longest wait for a whole request head, and so the life of an idle connection.
const IDLE: Duration = Duration::from_secs(120);
/// Longest time without progress while writing.
const WRITE_STALL: Duration = Duration::from_secs(300);
/// How long a closed connection's input is thrown away.
const LINGER: Duration = Duration::from_secs(1);
/// Most bytes of a request head: room for the longest path and query, and 32 KiB of headers.
const MAX_HEAD: usize = 96 * 1024;
/// Most headers of a request: hyper's own bound, since another one would cost an allocation each.
const MAX_FIELDS: usize = 100;
/// Pause after the system refused a connection, e.g. because all descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and serves `router` on each until `closing` fires. Then every connection
/// finishes the answer it is at and ends; the tracker tells when.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    closing: CancellationToken,
) -> TaskTracker {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(max_connections));
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = closing.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = serve(stream, router.clone(), closing.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections
}

async fn serve(stream: TcpStream, router: Router, closing: CancellationToken) {
    // Frames of event streams are small and must not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not switch off Nagle's algorithm");
    }
    let turn = Arc::new(Turn::default());
    let guarded = Guarded::new(stream, Arc::clone(&turn), closing.clone());
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let speaking = turn.begin();
        let (request, unread) = Unread::watch(request);
        let answer = router.call(request);
        async move {
            let mut answer = answer.await?;
            unread.tell(&mut answer);
            Ok::<_, Infallible>(answer.map(|body| Spoken::new(body, speaking)))
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(guarded), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    // Mostly peers that went away; nobody is left to be told.
    let Err(error) = ended else { return };
    tracing::debug!(%error, "a connection ended early");
    if !error.is_timeout() {
        return;
    }
    // The time for a head is over. Where a part of one has come, somebody may wait for an answer.
    let parts = connection.into_parts();
    if parts.read_buf.is_empty() {
        return;
    }
    let socket = parts.io.into_inner();
    if let Err(error) = socket.say(&refusal::slow_head()).await {
        tracing::debug!(%error, "a slow client could not be told");
    }
}
