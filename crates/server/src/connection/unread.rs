//! Whether a request's body was read.
//!
//! A request that is refused early (no token, a size that is too large) leaves its body unread,
//! or unsent, and after the answer the connection can serve nothing else. The client must be told
//! so with `Connection: close`: one that keeps its connections would send the next request into a
//! closing one, and cannot know whether that was executed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Request, Response};

/// Tells of a request's body, once the request has been answered.
#[derive(Debug)]
pub(super) struct Unread(Option<Arc<AtomicBool>>);

impl Unread {
    /// Watches the body of a request.
    pub(super) fn watch(request: Request<Incoming>) -> (Request<Watched>, Self) {
        let read = (!request.body().is_end_stream()).then(Arc::<AtomicBool>::default);
        let unread = Self(read.clone());
        (request.map(|body| Watched { body, read }), unread)
    }

    /// Says in the answer that it is the last one on this connection, where it has to be.
    pub(super) fn tell<B>(self, answer: &mut Response<B>) {
        if self.0.is_some_and(|read| !read.load(Ordering::Acquire)) {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
    }
}

/// A request's body that notes when it has been read to its end.
#[derive(Debug)]
pub(super) struct Watched {
    body: Incoming,
    /// None: there is nothing to read.
    read: Option<Arc<AtomicBool>>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(read) = &self.read
            && (matches!(polled, Poll::Ready(None)) || self.body.is_end_stream())
        {
            read.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
