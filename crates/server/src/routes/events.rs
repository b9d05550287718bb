//! `/operations/{operation}/events`: the event log, as far as it is or as it grows.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use contree_engine::EventQuery;

use crate::app::App;
use crate::http::encoding::wants_gzip;
use crate::http::query::{expected_number, quoted};
use crate::http::{ApiError, Caller, Ids, Query, sse};

const RESUME_HEADER: &str = "last-event-id";

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/operations/{operation}/events", get(events))
}

async fn events(
    State(app): State<App>,
    caller: Caller,
    ids: Ids,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let operation = ids.get("operation")?;
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
