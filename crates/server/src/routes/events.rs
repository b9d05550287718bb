//! `/operations/{operation}/events`: the event log of one operation, as far as it is or as it
//! grows. `/operations/events`: the feed, each change of all operations of the project.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use contree_api::schema::{EventStream, OperationFeed};
use contree_api::{ErrorBody, OperationId};
use contree_engine::EventQuery;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::encoding::wants_gzip;
use crate::http::query::{expected_number, quoted};
use crate::http::{ApiError, Caller, Ids, Query, sse};
use crate::openapi::headers::{EventStreamType, NoCache};
use crate::openapi::parameters;
use crate::openapi::refusals::{Refused, RefusedOrMissing};

const RESUME_HEADER: &str = "last-event-id";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(feed))
        .routes(routes!(events))
}

/// Follow all operations of the project
///
/// Server-sent events, one for each change of the status of an operation of the project, runs and
/// imports alike: the operation as the list shows it after the change. So a client waits for any
/// number of operations on one connection. Nothing is told of what was before the head of the
/// answer came, and nothing is sent again: after opening the stream, ask once for each operation
/// that is already waited for. When an end is told, the operation can be read with its result. The
/// stream has no end of its own. While nothing happens a comment is sent every few seconds. A
/// stream that cannot go on, such as one that is not read fast enough or whose token was revoked,
/// ends with an `sse_error` frame. A token may have 256 of them open in a project. Needs the
/// permission `list`. Not part of the contract of the hosted service.
#[utoipa::path(
    get,
    path = "/v1/operations/events",
    operation_id = "followOperations",
    tag = "operations",
    params(parameters::FeedFilter),
    responses(
        (
            status = 200,
            description = "The changes.",
            body = OperationFeed,
            content_type = "text/event-stream",
            headers(
                ("Content-Type" = inline(EventStreamType), description = "What the body is."),
                ("Cache-Control" = inline(NoCache), description = "It has no end."),
            ),
        ),
        Refused,
    )
)]
async fn feed(
    State(app): State<App>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let changes = app.engine.operation_feed(&caller, query.flag("ended")?)?;
    let gzip = wants_gzip(&headers);
    Ok(sse::stream(changes, gzip, app.stopping.clone()))
}

/// Read or follow the log of an operation
///
/// Server-sent events, at any time of an operation's life. The stream ends with the last event
/// there is or, with `follow`, when the operation has ended; its last event is then `completion`.
/// While nothing happens a comment is sent every few seconds. A stream that cannot go on, such as
/// one whose token was revoked, ends with an `sse_error` frame; come back with `Last-Event-Id`.
/// Needs the permission `list`, and to follow `spawn` or `spawn_disposable` as well.
#[utoipa::path(
    get,
    path = "/v1/operations/{operationId}/events",
    operation_id = "getOperationEvents",
    tag = "operations",
    params(
        ("operationId" = OperationId, Path, description = "The operation."),
        parameters::EventFilter,
    ),
    responses(
        (
            status = 200,
            description = "The events.",
            body = EventStream,
            content_type = "text/event-stream",
            headers(
                ("Content-Type" = inline(EventStreamType), description = "What the body is."),
                ("Cache-Control" = inline(NoCache), description = "The log still grows."),
            ),
        ),
        (
            status = 410,
            description = "Part of the contract; never answered by this server, whose logs can \
                           be read as soon as they are written.",
            body = ErrorBody,
            headers(("Retry-After" = i64, description = "Seconds after which to try again.")),
        ),
        (
            status = 425,
            description = "Part of the contract; this server opens the stream at once.",
            body = ErrorBody,
            headers(("Retry-After" = i64, description = "Seconds after which to try again.")),
        ),
        (
            status = 502,
            description = "Part of the contract; never answered by this server.",
            body = ErrorBody,
        ),
        (
            status = 504,
            description = "Part of the contract; never answered by this server.",
            body = ErrorBody,
        ),
        RefusedOrMissing,
    )
)]
async fn events(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let operation = ids.get("operationId")?;
    let spid = query.number("spid", 0..=u32::MAX.into())?;
    let since = query.number("since", 0..=i64::MAX.unsigned_abs())?;
    let wanted = EventQuery {
        follow: query.flag("follow")?,
        spid: spid.and_then(|spid| spid.try_into().ok()),
        // The header wins: it is what a browser's EventSource sends when it comes back.
        after: resume_from(&headers)?.or(since),
    };
    let events = app.engine.events(&caller, operation, wanted).await?;
    let gzip = wants_gzip(&headers);
    Ok(sse::stream(events, gzip, app.stopping.clone()))
}

/// The id in `Last-Event-Id`, if any; an empty header is none.
fn resume_from(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(header) = headers.get(RESUME_HEADER) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(header.as_bytes());
    let range = 0..=i64::MAX.unsigned_abs();
    match text.trim() {
        "" => Ok(None),
        text => match text.parse().ok().filter(|id| range.contains(id)) {
            Some(id) => Ok(Some(id)),
            None => Err(ApiError::bad_request(format!(
                "header `Last-Event-Id`: {}; got `{}`",
                expected_number(&range),
                quoted(text)
            ))),
        },
    }
}
