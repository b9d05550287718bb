//! The socket under hyper: it gives up on a peer that takes nothing, gives hyper's own answers a
//! body, and closes with a linger.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::turn::Turn;
use super::{LINGER, WRITE_STALL, refusal};

/// See the head of this file.
pub(super) struct Guarded {
    stream: TcpStream,
    turn: Arc<Turn>,
    /// What is left of an answer that takes the place of hyper's.
    instead: Option<Bytes>,
    stalled: Option<Pin<Box<Sleep>>>,
    linger: Option<Pin<Box<Sleep>>>,
    closing: CancellationToken,
}

impl Guarded {
    pub(super) fn new(stream: TcpStream, turn: Arc<Turn>, closing: CancellationToken) -> Self {
        Self {
            stream,
            turn,
            instead: None,
            stalled: None,
            linger: None,
            closing,
        }
    }

    /// Sends a last answer and closes.
    pub(super) async fn say(mut self, answer: &[u8]) -> io::Result<()> {
        self.stream.write_all(answer).await?;
        self.shutdown().await
    }

    /// Writes hyper's own answer with the body it lacks. None: `bytes` is none.
    fn write_shaped(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_none() && !self.turn.is_routers() {
            self.instead = refusal::shaped(bytes).map(Bytes::from);
        }
        let instead = self.instead.as_mut()?;
        loop {
            if instead.is_empty() {
                self.instead = None;
                return Some(Poll::Ready(Ok(bytes.len())));
            }
            match Pin::new(&mut self.stream).poll_write(cx, instead) {
                Poll::Ready(Ok(written)) => instead.advance(written),
                other => return Some(other),
            }
        }
    }

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
        let progress = match this.write_shaped(cx, bytes) {
            Some(progress) => progress,
            None => Pin::new(&mut this.stream).poll_write(cx, bytes),
        };
        this.watch(cx, progress)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let first = slices.first().map_or(&[][..], |slice| slice);
        let progress = match this.write_shaped(cx, first) {
            Some(progress) => progress,
            None => Pin::new(&mut this.stream).poll_write_vectored(cx, slices),
        };
        this.watch(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.turn.flushed();
        Pin::new(&mut this.stream).poll_flush(cx)
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
