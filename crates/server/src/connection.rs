//! Connections: accepting them, bounding what each may hold up, and ending them.
//!
//! What bounds a connection:
//! - hyper closes one that has not sent a whole head [`IDLE`] after it was opened or after its
//!   last answer. The same clock thus ends idle keep-alive connections and slow senders of
//!   headers; it is longer than what clients' pools assume (a minute).
//! - A peer that takes nothing of an answer for [`WRITE_STALL`] is given up on. Event streams
//!   write a comment every few seconds, so that a peer that vanished is noticed as well.
//! - Pauses within request bodies are bounded where bodies are read.
//! - The number of connections is bounded; those above it wait in the kernel's queue.
//!
//! **Lingering close.** When a request is refused before its body was read (no token, too large),
//! closing the socket with unread bytes makes the kernel send a reset, which can destroy the
//! answer before the client has read it. So the write side is closed first, and what still comes
//! is read and thrown away for up to [`LINGER`].

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest wait for a whole request head, and so the life of an idle connection.
const IDLE: Duration = Duration::from_secs(120);
/// Longest time without progress while writing.
const WRITE_STALL: Duration = Duration::from_secs(300);
/// How long a closed connection's input is thrown away.
const LINGER: Duration = Duration::from_secs(1);
/// Most bytes of a request head; longer ones are answered with 431.
const MAX_HEAD: usize = 64 * 1024;
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
    let guarded = Guarded {
        stream,
        stalled: None,
        linger: None,
        closing: closing.clone(),
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(guarded), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // Mostly peers that went away; nobody is left to be told.
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A socket that gives up on a peer that takes nothing, and closes with a linger.
struct Guarded {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
    linger: Option<Pin<Box<Sleep>>>,
    closing: CancellationToken,
}

impl Guarded {
    /// Starts the clock when a write makes no progress, and stops it when one does.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if progress.is_ready() {
            self.stalled = None;
            return progress;
        }
        let clock = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(WRITE_STALL)));
        ready!(clock.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer takes no data",
        )))
    }

    /// Reads and forgets until the peer closes too.
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let mut waste = [0_u8; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watch(cx, progress)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.watch(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        // A server that is going away does not wait for its peers to hang up.
        if this.closing.is_cancelled() {
            return Poll::Ready(Ok(()));
        }
        let clock = this.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if clock.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let Ok(()) = ready!(this.discard(cx));
        Poll::Ready(Ok(()))
    }
}
