//! Whose words go over a connection: the router's or hyper's own.
//!
//! hyper refuses heads that it cannot read by itself, with a bare status line; the router never
//! sees them. [`Guarded`](super::socket::Guarded) gives these answers the shape of all others. It
//! must not take bytes of the router for them, whatever a file happens to contain, so it asks who
//! is speaking: from the moment the router is called until its answer was dropped and flushed it
//! is the router, and hyper reads no further head in that time. What is written otherwise is
//! hyper's own.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// Who speaks on one connection.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Answers of the router that are being made or written.
    open: AtomicUsize,
    /// Whether bytes of the router may still be on their way.
    is_routers: AtomicBool,
}

impl Turn {
    /// The router is about to be called.
    pub(super) fn begin(self: &Arc<Self>) -> Speaking {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.is_routers.store(true, Ordering::SeqCst);
        Speaking(Arc::clone(self))
    }

    /// Everything that was written has been sent.
    pub(super) fn flushed(&self) {
        if self.open.load(Ordering::SeqCst) == 0 {
            self.is_routers.store(false, Ordering::SeqCst);
        }
    }

    /// Whether what is written now comes from the router.
    pub(super) fn is_routers(&self) -> bool {
        self.is_routers.load(Ordering::SeqCst)
    }
}

/// Held as long as the router makes an answer, and then by the answer's body.
#[derive(Debug)]
pub(super) struct Speaking(Arc<Turn>);

impl Drop for Speaking {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The body of an answer of the router.
#[derive(Debug)]
pub(super) struct Spoken {
    body: Body,
    _speaking: Speaking,
}

impl Spoken {
    pub(super) fn new(body: Body, speaking: Speaking) -> Self {
        Self {
            body,
            _speaking: speaking,
        }
    }
}

impl hyper::body::Body for Spoken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
