//! What every route has at hand, and the router that all of them form.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::Response;
use contree_engine::Engine;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::http::{encoding, error};
use crate::routes;

/// Shared by all routes; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// Does the work.
    pub(crate) engine: Engine,
    /// Bounds of what a request may carry.
    pub(crate) bounds: Bounds,
    /// Fires when streams that would stay open must end.
    pub(crate) stopping: CancellationToken,
}

/// Bounds of request bodies, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// JSON bodies.
    pub(crate) request: u64,
    /// Uploads.
    pub(crate) upload: u64,
}

/// All routes over `app`.
pub(crate) fn router(app: App) -> Router {
    let routes: Router<App> = routes::all().into();
    routes
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        // Innermost first: a panic becomes an answer, and that answer is logged like any other.
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn(finish))
        .layer(middleware::from_fn(encoding::compress))
        .with_state(app)
}

/// Logs each request with its route, outcome and time to the first byte. Neither headers nor
/// query are logged: they may name what users keep to themselves.
async fn finish(request: Request<Body>, next: Next) -> Response {
    let started = std::time::Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let elapsed: Duration = started.elapsed();
    tracing::debug!(
        %method,
        route = matched.as_ref().map_or("none", MatchedPath::as_str),
        status = response.status().as_u16(),
        elapsed_us = elapsed.as_micros(),
        "answered"
    );
    // Content out of images is never to be taken for a page.
    response.headers_mut().insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}
