//! Event logs of operations, as streams.
//!
//! [`EventStream`] is one connection. [`Follow`] is what callers want: the events of an operation
//! from the first to `completion`, over as many connections as it takes. How it goes on when a
//! stream ends:
//!
//! ```text
//! completion seen            → the end
//! connection broke, sse_error, silence, 410, 425, 429, 5xx
//!                            → wait (Retry-After or the schedule), connect with Last-Event-Id
//! clean end, no completion   → ask for the operation: if it has ended, read the rest of its log
//!                              once; else connect again
//! ```
//!
//! Every event that comes resets the count of failures; [`MAX_FAILURES`] in a row are the end.
//! Answers of 425 do not count: the operation waits for its turn, however long that takes.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contree_api::OperationId;
use contree_api::event::{Event, EventData};
use contree_api::operation::OperationResponse;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Response;
use tokio::time::Instant;

use crate::call::Call;
use crate::frames::Frames;
use crate::sse::Frame;
use crate::{Client, Error};

/// Failures without an event between them after which [`Follow`] gives up; about a minute.
pub const MAX_FAILURES: u32 = 15;

/// Which events of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventQuery {
    /// Stay connected while the operation runs.
    pub follow: bool,
    /// Only events of this process.
    pub spid: Option<u32>,
    /// Only events after this id.
    pub after: Option<u64>,
}

impl EventQuery {
    pub(crate) fn call(&self, operation: OperationId) -> Call {
        Call::get(format!("/operations/{operation}/events"))
            .query_some("follow", self.follow.then_some(1))
            .query_some("spid", self.spid)
            .accept("text/event-stream")
            .last_event_id(self.after)
    }
}

/// One event as it came.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EventFrame {
    /// Its id in the log.
    pub id: Option<u64>,
    /// The type, such as `stdout`.
    pub kind: String,
    /// The event, unless its type is one that this library does not know.
    pub event: Option<Event>,
    /// The event's JSON.
    pub json: String,
}

/// The events of one connection.
#[derive(Debug)]
pub struct EventStream {
    frames: Frames,
}

impl EventStream {
    pub(crate) fn new(client: &Client, call: &Call, response: Response) -> Self {
        Self {
            frames: Frames::new(client, call, response),
        }
    }

    /// The next event; `None` at a clean end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Transport`] and [`Error::TimedOut`] when the connection broke or fell silent,
    /// [`Error::InBand`] when the server reported a fault, [`Error::Frame`] and [`Error::Answer`]
    /// when it does not keep to the format.
    pub async fn next(&mut self) -> Result<Option<EventFrame>, Error> {
        match self.frames.next().await? {
            Some(frame) => self.event(frame).map(Some),
            None => Ok(None),
        }
    }

    fn event(&self, frame: Frame) -> Result<EventFrame, Error> {
        let kind = frame.event.unwrap_or_else(|| "message".to_owned());
        let event = match serde_json::from_str::<Event>(&frame.data) {
            Ok(event) => Some(event),
            // New types may come; the log goes on around them.
            Err(_) if serde_json::from_str::<serde::de::IgnoredAny>(&frame.data).is_ok() => None,
            Err(error) => {
                return Err(Error::Answer {
                    request: self.frames.request().to_owned(),
                    reason: format!("an event of type {kind} is not JSON: {error}"),
                });
            }
        };
        let id = frame
            .id
            .and_then(|id| id.parse().ok())
            .or_else(|| event.as_ref().map(|event| event.id));
        Ok(EventFrame {
            id,
            kind,
            event,
            json: frame.data,
        })
    }
}

/// The events of an operation until it ends.
#[derive(Debug)]
pub struct Follow {
    client: Client,
    operation: OperationId,
    spid: Option<u32>,
    /// The one process that is followed has ended.
    exited: bool,
    /// That is enough.
    to_exit: bool,
    last_id: Option<u64>,
    opening: Kept<EventStream>,
    stream: Option<EventStream>,
    asking: Kept<OperationResponse>,
    state: State,
    failures: u32,
    /// When to go on after a failure.
    pause: Option<Instant>,
}

/// A request under way. It goes on where it was when whoever waited for it went away and comes back,
/// however often.
struct Kept<T>(Option<Going<T>>);

/// (The mutex is never locked: it makes the whole `Sync`.)
type Going<T> = Mutex<BoxFuture<'static, Result<T, Error>>>;

impl<T> Kept<T> {
    async fn done<F>(&mut self, begin: impl FnOnce() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let going = self.0.get_or_insert_with(|| Mutex::new(begin().boxed()));
        let done = going
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .await;
        self.0 = None;
        done
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kept").field(&self.0.is_some()).finish()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Reading while the operation runs.
    Live,
    /// It has ended; reading what is left of its log.
    Rest,
    /// A stream ended cleanly; whether the operation did too is to be asked.
    Asking,
    /// Nothing more to come.
    Done,
}

impl Follow {
    pub(crate) fn new(client: Client, operation: OperationId) -> Self {
        Self {
            client,
            operation,
            spid: None,
            exited: false,
            to_exit: false,
            last_id: None,
            opening: Kept(None),
            stream: None,
            asking: Kept(None),
            state: State::Live,
            failures: 0,
            pause: None,
        }
    }

    /// Only events of this process; the stream then ends without `completion`, and with the
    /// operation: a process that has ended may have left others behind, which write on.
    #[must_use]
    pub fn spid(mut self, spid: u32) -> Self {
        self.spid = Some(spid);
        self
    }

    /// Together with [`Follow::spid`]: ends with the exit of the process.
    #[must_use]
    pub fn until_exit(mut self) -> Self {
        self.to_exit = true;
        self
    }

    /// Only events after this id.
    #[must_use]
    pub fn after(mut self, id: Option<u64>) -> Self {
        self.last_id = id;
        self
    }

    /// The id of the last event handed out.
    #[must_use]
    pub const fn last_id(&self) -> Option<u64> {
        self.last_id
    }

    /// The next event; `None` when there are no more. A log without `completion` is possible when
    /// the operation has ended and its log was cut: the operation itself tells the outcome then.
    /// Dropping the future loses no event, and none of the time that was waited: it may be polled
    /// as shortly as one likes.
    ///
    /// # Errors
    /// [`Error::Stream`] after [`MAX_FAILURES`], or at once what never heals (such as 404).
    pub async fn next(&mut self) -> Result<Option<EventFrame>, Error> {
        loop {
            if let Some(end) = self.pause {
                tokio::time::sleep_until(end).await;
                self.pause = None;
            }
            let step = match self.state {
                State::Done => return Ok(None),
                State::Asking => self.ask().await,
                State::Live | State::Rest => self.read().await,
            };
            match step {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(error) => self.recover(error)?,
            }
        }
    }

    /// As a stream of the `futures` crates.
    pub fn into_stream(
        self,
    ) -> impl futures_util::Stream<Item = Result<EventFrame, Error>> + Send + Unpin + 'static {
        crate::stream::unfold(self, |mut follow| async move {
            let next = follow.next().await;
            (follow, next)
        })
    }

    /// Reads the next event, or moves on to the next state.
    async fn read(&mut self) -> Result<Option<EventFrame>, Error> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let query = EventQuery {
                    follow: self.state == State::Live,
                    spid: self.spid,
                    after: self.last_id,
                };
                let call = query.call(self.operation);
                let client = self.client.clone();
                let opening = self.opening.done(|| async move {
                    let response = client.once(&call).await?;
                    Ok(EventStream::new(&client, &call, response))
                });
                self.stream.insert(opening.await?)
            }
        };
        let Some(frame) = stream.next().await? else {
            self.stream = None;
            let is_end = self.exited || self.state == State::Rest;
            self.state = if is_end { State::Done } else { State::Asking };
            return Ok(None);
        };
        if let (Some(id), Some(last)) = (frame.id, self.last_id)
            && id <= last
        {
            // A server that ignores Last-Event-Id repeats itself.
            return Ok(None);
        }
        self.last_id = frame.id.or(self.last_id);
        self.failures = 0;
        match frame.event.as_ref().map(|event| &event.data) {
            Some(EventData::Completion(_)) => {
                self.state = State::Done;
                self.stream = None;
            }
            Some(EventData::Exit(_)) if self.spid.is_some() => {
                self.exited = true;
                if self.to_exit {
                    self.state = State::Done;
                    self.stream = None;
                }
            }
            _ => {}
        }
        Ok(Some(frame))
    }

    /// Finds out whether the operation has ended.
    async fn ask(&mut self) -> Result<Option<EventFrame>, Error> {
        let (client, id) = (self.client.clone(), self.operation);
        let asking = self
            .asking
            .done(|| async move { client.operation(id, false).await });
        let operation = asking.await?;
        if operation.summary.status.is_terminal() {
            self.state = State::Rest;
        } else {
            self.state = State::Live;
            self.fail(Error::InBand {
                message: "it ended before the operation did".to_owned(),
            })?;
        }
        Ok(None)
    }

    fn recover(&mut self, error: Error) -> Result<(), Error> {
        self.stream = None;
        let status = match &error {
            Error::Transport { .. }
            | Error::Connect { .. }
            | Error::TimedOut { .. }
            | Error::InBand { .. }
            | Error::Frame { .. } => return self.fail(error),
            Error::Status { status, .. } => *status,
            _ => return Err(error),
        };
        match status {
            425 => {
                let wait = error.retry_after().unwrap_or(Duration::from_secs(1));
                // A server that says zero must not be asked without pause.
                let wait = wait.clamp(Duration::from_millis(50), Duration::from_secs(60));
                self.pause = Some(Instant::now() + wait);
                Ok(())
            }
            410 | 429 | 500 | 502..=599 => self.fail(error),
            _ => Err(error),
        }
    }

    fn fail(&mut self, error: Error) -> Result<(), Error> {
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            return Err(Error::Stream {
                operation: self.operation,
                attempts: self.failures,
                source: Box::new(error),
            });
        }
        let policy = self.client.retry_policy();
        let wait = error
            .retry_after()
            .unwrap_or_else(|| policy.delay(self.failures));
        tracing::debug!(operation = %self.operation, %error, "event stream broke");
        let wait = wait.min(policy.max_wait);
        self.client.retrying(&error, self.failures, wait);
        self.pause = Some(Instant::now() + wait);
        Ok(())
    }
}
