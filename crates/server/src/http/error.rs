//! Every answer that is not a success, in one shape: `{"error": SENTENCE, "status": N}`.
//!
//! The sentence is for the caller. What went wrong inside is for the log: an internal fault is
//! written there with its whole chain of causes under a fresh id, and the answer names only that
//! id. Messages of refused requests are not logged, as they may repeat what the request held.

use std::any::Any;
use std::error::Error as StdError;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contree_api::{ErrorBody, ErrorKind};
use uuid::Uuid;

/// Seconds a client should wait before it repeats a request that was refused for the moment,
/// when the engine does not know better.
const RETRY_AFTER_SECONDS: u32 = 1;

/// A refusal, ready to be answered.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    retry_after: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let status =
            StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::with_status(status, message)
    }

    pub(crate) fn with_status(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    /// The same sentence as "no such object": where the contract has no answer 400, a text that
    /// can name nothing names nothing.
    pub(crate) fn into_missing(self) -> Self {
        Self::new(ErrorKind::NotFound, self.message)
    }

    /// Logs a fault of the server with its causes; the answer names only where to look.
    pub(crate) fn internal(error: &(dyn StdError + 'static)) -> Self {
        let fault = Uuid::now_v7();
        tracing::error!(%fault, error = %Chain(error), "internal fault");
        Self::fault(fault)
    }

    fn fault(fault: Uuid) -> Self {
        Self::new(
            ErrorKind::Internal,
            format!("the server failed at this request; its log has the cause under {fault}"),
        )
    }

    /// The sentence of the answer.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

/// An error with all its causes, on one line.
pub(super) struct Chain<'a>(pub(super) &'a (dyn StdError + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl From<contree_engine::Error> for ApiError {
    fn from(error: contree_engine::Error) -> Self {
        if error.kind() == ErrorKind::Internal {
            return Self::internal(&error);
        }
        let mut answer = Self::new(error.kind(), error.message());
        answer.retry_after = error.retry_after();
        answer
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: serde_json::Value::String(self.message),
            status: Some(self.status.as_u16()),
        };
        let mut response = (self.status, Json(body)).into_response();
        // 425, 429 and 503 pass by themselves; clients that retry want to know when.
        let passes = matches!(self.status.as_u16(), 425 | 429 | 503);
        let retry_after = self.retry_after.or(passes.then_some(RETRY_AFTER_SECONDS));
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Answers for a handler that panicked.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let fault = Uuid::now_v7();
    tracing::error!(%fault, message, "a request handler panicked");
    ApiError::fault(fault).into_response()
}

/// Answers for paths that are no route.
pub(crate) async fn no_such_route() -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        "no such path in this API; /v1/openapi.json lists those that there are",
    )
}

/// Answers for methods that a route does not have. The router adds `Allow`.
pub(crate) async fn no_such_method() -> ApiError {
    ApiError::with_status(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not take this method; the Allow header names those it takes",
    )
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn body(response: Response) -> ErrorBody {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn names_a_fault(body: &ErrorBody) -> bool {
        let message = body.message();
        let id = message.rsplit(' ').next().unwrap();
        message.starts_with("the server failed at this request; its log")
            && Uuid::parse_str(id).is_ok()
    }

    #[tokio::test]
    async fn faults_name_an_id_and_nothing_else() {
        let fault = contree_engine::Error::internal("could not write /secret/place", "disk gone");
        let response = ApiError::from(fault).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = body(response).await;
        assert!(names_a_fault(&body), "{body:?}");
        assert_eq!(body.status, Some(500));
    }

    #[tokio::test]
    async fn a_panic_is_a_fault() {
        let router: Router = Router::new()
            .route("/", get(async || -> () { panic!("secret") }))
            .layer(CatchPanicLayer::custom(panicked));
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = body(response).await;
        assert!(names_a_fault(&body), "{body:?}");
    }

    #[test]
    fn what_passes_says_when() {
        let retry_after = |error: contree_engine::Error| {
            let response = ApiError::from(error).into_response();
            let header = response.headers().get(header::RETRY_AFTER)?;
            Some(header.to_str().unwrap().to_owned())
        };
        let error = |kind| contree_engine::Error::new(kind, "not now");
        assert_eq!(
            retry_after(error(ErrorKind::TooEarly)).as_deref(),
            Some("1")
        );
        assert_eq!(
            retry_after(error(ErrorKind::TooManyRequests).with_retry_after(7)).as_deref(),
            Some("7")
        );
        assert_eq!(
            retry_after(error(ErrorKind::Unavailable)).as_deref(),
            Some("1")
        );
        assert_eq!(retry_after(error(ErrorKind::NotFound)), None);
        assert_eq!(retry_after(error(ErrorKind::Conflict)), None);
    }
}
