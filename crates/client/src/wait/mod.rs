//! Waiting for the ends of operations, thousands of them over one stream, and never by asking
//! again and again.
//!
//! All waits of a [`Contree`](crate::Contree) share one connection to the server's feed
//! ([`crate::feed`]), read by one task. The feed has no memory, so two questions decide whether an
//! end can be missed: was the connection there before the operation could end, and has it been
//! there ever since?
//!
//! ```text
//!            somebody waits or starts an operation
//!   Off ───────────────────────────────────────────► Opening ◄──────────┐
//!    ▲                                                │ │ │             │ broke, ended, fell
//!    │ nobody has waited for LINGER                   │ │ │ head is     │ silent, sse_error:
//!    ├────────────────────────────────────────────────┼─┼─┼─ Open ──────┘ Retry-After or schedule
//!    │                                                │ │ │ there
//!    │ MAX_FAILURES in a row: all are told Alone      │ │ └──► Open
//!    └────────────────────────────────────────────────┘ │
//!   Absent ◄────────────────────────────────────────────┘ the server has no feed: all are told
//!      └── after ABSENT_FOR, at the next wait: Opening     Alone
//! ```
//!
//! A wait takes its place on the board first, and only then looks. What it is told:
//!
//! - *Ask*, whenever a connection opens, and when it comes while one is open already: ends from now
//!   on will be told, so one question for the operation itself closes the gap before.
//! - *Ended*: the end came over the feed. One question brings the result.
//! - *Alone*: there is no feed. It follows the operation's own event log instead.
//!
//! What an open connection has told is remembered, the last [`MAX_REMEMBERED`] ends, since an
//! operation may end before its id is known here. Whoever starts one takes a [`Mark`] before: if the
//! same connection is open when it begins to wait, and nothing since the mark was forgotten, then
//! nothing was missed and nothing is asked. Everything on the board happens under one lock, and a
//! place is taken, marked or told only there; so whatever the order of the answer, the frame, the
//! break and the wait, either the end is remembered, or it is told, or it is asked for.
//!
//! The task lives on the runtime of whoever needed it first. When that runtime ends before the
//! others' waits do, the board is cleared, and the next of them begins anew on its own.

mod board;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use contree_api::OperationId;
use contree_api::operation::OperationResponse;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::board::{Board, Notice};
pub(crate) use self::board::{Interest, Mark};

/// Where an operation was started that is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin {
    /// Here, and what the board said before, if a connection was open.
    Here(Option<Mark>),
    /// Some other time: it may have ended long ago, or never have been.
    Elsewhere,
}
use crate::events::MAX_FAILURES;
use crate::feed::OperationFeed;
use crate::retry::heals;
use crate::{Client, Error};

/// The connection is closed when nobody has waited for this long (and at most twice as long).
const LINGER: Duration = Duration::from_secs(5);
/// A server without a feed is tried again after this long; it may have been replaced.
const ABSENT_FOR: Duration = Duration::from_secs(60);
/// Longest wait for the head of the feed's answer. A server sends it at once; one that does not has
/// a proxy before it that holds streams back.
const OPENING: Duration = Duration::from_secs(10);
/// As how many failures a silence counts, which takes so much longer than others.
const SILENCE: u32 = 5;
/// Logs that are followed at a time, each over a connection of its own. Who finds no place asks now
/// and then instead.
const MAX_FOLLOWS: usize = 64;
/// How often the server may say that it knows nothing of an operation which it has just accepted:
/// where several answer for one, they learn of it one after the other.
const MAX_UNKNOWN: u32 = 10;
/// A connection that was there for this long did not fail: some proxies end all of them in time.
const STEADY: Duration = Duration::from_secs(10);

/// Waits for operations. Clones share one connection.
#[derive(Debug, Clone)]
pub(crate) struct Waiter {
    client: Client,
    board: Arc<Board>,
    /// Places for those that follow the logs of operations for want of a feed.
    follows: Arc<Semaphore>,
    linger: Duration,
    opening: Duration,
}

impl Waiter {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            board: Arc::default(),
            follows: Arc::new(Semaphore::new(MAX_FOLLOWS)),
            linger: LINGER,
            opening: OPENING,
        }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Opens the connection if need be, and keeps it open while the result lives. To be called
    /// before an operation is started; the mark goes with it to [`Waiter::wait`].
    pub(crate) fn expect(&self) -> (Interest, Option<Mark>) {
        let (interest, mark, is_off) = self.board.expect();
        if is_off {
            self.start();
        }
        (interest, mark)
    }

    /// Waits until an operation has ended, however it did.
    pub(crate) async fn wait(
        &self,
        id: OperationId,
        origin: Origin,
    ) -> Result<OperationResponse, Error> {
        let (mut mark, is_new) = match origin {
            Origin::Here(mark) => (mark, true),
            Origin::Elsewhere => (None, false),
        };
        loop {
            let (mut place, is_off) = self.board.enlist(id, mark.take());
            if is_off {
                self.start();
            }
            while let Some(notice) = place.told().await {
                match notice {
                    Notice::Ask => {
                        let answer = self.ask(id, is_new).await?;
                        if answer.summary.status.is_terminal() {
                            return Ok(answer);
                        }
                    }
                    Notice::Ended => return self.result(id, is_new).await,
                    Notice::Alone => {
                        drop(place);
                        return self.alone(id, is_new).await;
                    }
                }
            }
            // The task ended with its runtime.
        }
    }

    /// Asks once, as often as that takes.
    async fn ask(&self, id: OperationId, is_new: bool) -> Result<OperationResponse, Error> {
        let mut failures = 0;
        loop {
            let error = match self.client.operation_once(id).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            let comes = is_new && error.is_not_found() && failures <= MAX_UNKNOWN;
            if failures >= MAX_FAILURES || !(heals(&error, true) || comes) {
                return Err(error);
            }
            self.pause(&error, failures).await;
        }
    }

    /// The result of an operation that is known to have ended.
    async fn result(&self, id: OperationId, is_new: bool) -> Result<OperationResponse, Error> {
        for failures in 1..MAX_FAILURES {
            let answer = self.ask(id, is_new).await?;
            if answer.summary.status.is_terminal() {
                return Ok(answer);
            }
            // Whoever answered is behind whoever told the end.
            tokio::time::sleep(self.client.retry_policy().delay(failures)).await;
        }
        Err(Error::Answer {
            request: format!("GET /v1/operations/{id}"),
            reason: "the server says that the operation has ended, and that it runs".to_owned(),
        })
    }

    /// Waits by the operation's own event log.
    async fn alone(&self, id: OperationId, is_new: bool) -> Result<OperationResponse, Error> {
        let mut failures = 0;
        loop {
            let answer = self.ask(id, is_new).await?;
            if answer.summary.status.is_terminal() {
                return Ok(answer);
            }
            if failures > 0 {
                // Nothing more than a log that ends shortly before its operation; or else a server
                // without logs, which can only be asked.
                tokio::time::sleep(self.client.retry_policy().delay(failures)).await;
            }
            failures += 1;
            let Ok(_place) = self.follows.try_acquire() else {
                continue;
            };
            // Only what is not output: that of a command that prints much is of no use here.
            let mut events = self.client.follow(id).spid(0);
            loop {
                match events.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    // A token that may not read events, or a server without any.
                    Err(Error::Status {
                        status: 400 | 403..=406 | 501,
                        ..
                    }) => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Waits before the next attempt, and lets the user's program know.
    async fn pause(&self, error: &Error, failures: u32) {
        let policy = self.client.retry_policy();
        let wait = error
            .retry_after()
            .unwrap_or_else(|| policy.delay(failures))
            .min(policy.max_wait);
        self.client.retrying(error, failures, wait);
        tokio::time::sleep(wait).await;
    }

    fn start(&self) {
        let task = Task {
            waiter: self.clone(),
            is_done: false,
        };
        tokio::spawn(task.run());
    }
}

/// What reads the feed.
struct Task {
    waiter: Waiter,
    /// It has left the board in order.
    is_done: bool,
}

impl Task {
    async fn run(mut self) {
        let board = Arc::clone(&self.waiter.board);
        let mut failures = 0;
        loop {
            let error = match self.open().await {
                Ok(mut feed) => {
                    board.opened();
                    let opened = Instant::now();
                    let error = self.read(&mut feed, &mut failures).await;
                    let Some(error) = error else { break };
                    // One that fell silent may never have passed anything on.
                    let was_silent = matches!(error, Error::TimedOut { .. });
                    if opened.elapsed() >= STEADY && !was_silent {
                        failures = 0;
                    }
                    error
                }
                Err(error) if is_absent(&error) => {
                    tracing::debug!(%error, "the server has no feed of operations");
                    board.absent(ABSENT_FOR);
                    break;
                }
                Err(error) => error,
            };
            tracing::debug!(%error, failures, "the feed of operations broke");
            failures += match error {
                Error::TimedOut { .. } => SILENCE,
                _ => 1,
            };
            if failures >= MAX_FAILURES {
                board.gave_up();
                break;
            }
            board.lost();
            self.waiter.pause(&error, failures).await;
            if board.close_if_unused() {
                break;
            }
        }
        self.is_done = true;
    }

    async fn open(&self) -> Result<OperationFeed, Error> {
        let after = self.waiter.opening;
        let opening = self.waiter.client.operation_feed_once(true);
        tokio::time::timeout(after, opening)
            .await
            .unwrap_or_else(|_| {
                let call = OperationFeed::call(true);
                Err(self.waiter.client.sent(&call).timed_out(after))
            })
    }

    /// Reads until the connection is lost, or `None`: until nobody needs it.
    async fn read(&self, feed: &mut OperationFeed, failures: &mut u32) -> Option<Error> {
        let linger = self.waiter.linger;
        let mut look = tokio::time::interval_at(Instant::now() + linger, linger);
        loop {
            // Kept across the looks: a silence counts from the last byte.
            let mut next = std::pin::pin!(feed.next());
            let next = loop {
                tokio::select! {
                    next = &mut next => break next,
                    _ = look.tick() => {
                        if self.waiter.board.close_if_unused() {
                            return None;
                        }
                    }
                }
            };
            match next {
                Ok(Some(operation)) => {
                    *failures = 0;
                    if operation.status.is_terminal() {
                        self.waiter.board.ended(operation.uuid);
                    }
                }
                Ok(None) => {
                    return Some(Error::InBand {
                        message: "it ended".to_owned(),
                    });
                }
                Err(error) => return Some(error),
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.is_done {
            self.waiter.board.abandoned();
        }
    }
}

/// Whether the answer means that there is no feed, now and on the next attempt.
fn is_absent(error: &Error) -> bool {
    match error {
        Error::Answer { .. } => true,
        Error::Status { .. } => !heals(error, true),
        _ => false,
    }
}
