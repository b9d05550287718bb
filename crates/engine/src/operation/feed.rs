//! The feed: each change of a project's operations, told to whoever listens at that moment.
//!
//! A reader has a queue of its own with room for [`QUEUE`] bytes: an error may be as long as the
//! command that it names. Telling never waits: a reader whose queue is full has lost a change, so
//! it gets no more, reads what is left and hears that it was too slow. It comes back and asks for
//! what it still wants to know.
//!
//! A reader may listen for as long as its token is good. So all are sent away when a token is revoked
//! or a project removed, each when its token expires, and after [`LIFETIME`] in any case; whoever
//! still may comes back.
//!
//! A change is put into words once for all readers, and not at all while its project has none:
//! what an operation pays for the feed then is one look into an empty map.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use contree_api::operation::OperationSummary;
use contree_api::whoami::Permission;
use contree_api::{ErrorKind, ProjectId, Timestamp};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::shutting_down;
use crate::{Engine, Error, Identity};

/// Most bytes that wait for one reader: about 10,000 changes, ten seconds at 1,000 ends a second.
const QUEUE: usize = 4 << 20;

/// Longest life of a stream: a token that was revoked in the very moment in which its stream was
/// opened hears no more after it.
const LIFETIME: Duration = Duration::from_secs(3600);

/// One change, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationLine {
    /// The operation as lists show it after the change, as JSON on one line.
    pub json: Arc<str>,
}

/// Who listens. Cheap to clone; all clones are the same feed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// No project is without readers.
    readers: HashMap<ProjectId, Vec<Reader>>,
    /// Nothing more will come.
    closed: bool,
}

#[derive(Debug)]
struct Reader {
    queue: mpsc::UnboundedSender<OperationLine>,
    account: Arc<Account>,
    only_ends: bool,
}

/// What a reader's two ends know of each other beside the queue.
#[derive(Debug, Default)]
struct Account {
    /// Bytes in the queue.
    waiting: AtomicUsize,
    /// It is told no more because what its token may do has to be looked at again.
    sent_away: AtomicBool,
}

impl Reader {
    fn wants(&self, is_end: bool) -> bool {
        is_end || !self.only_ends
    }

    /// False when it can be told no more: it has gone, or the queue is full.
    fn tell(&self, line: OperationLine) -> bool {
        let size = line.json.len();
        let before = self.account.waiting.fetch_add(size, Ordering::Relaxed);
        before + size <= QUEUE && self.queue.send(line).is_ok()
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while holding it leaves at worst a change that not all have heard of.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a project's readers of a change. `summary` is asked for when somebody listens; it
    /// runs under the feed's lock.
    pub(crate) fn tell(&self, project: ProjectId, summary: impl FnOnce() -> OperationSummary) {
        let mut state = self.lock();
        let Some(readers) = state.readers.get_mut(&project) else {
            return;
        };
        let summary = summary();
        let is_end = summary.status.is_terminal();
        if !readers.iter().any(|reader| reader.wants(is_end)) {
            return;
        }
        match serde_json::to_string(&summary) {
            Ok(json) => {
                let line = OperationLine { json: json.into() };
                readers.retain(|reader| !reader.wants(is_end) || reader.tell(line.clone()));
            }
            Err(error) => {
                tracing::error!(operation = %summary.uuid, %error, "a change could not be told");
                // Those who missed it have to hear that they did.
                readers.retain(|reader| !reader.wants(is_end));
            }
        }
        if readers.is_empty() {
            state.readers.remove(&project);
        }
    }

    fn subscribe(&self, project: ProjectId, only_ends: bool) -> OperationFeed {
        let (queue, lines) = mpsc::unbounded_channel();
        let account = Arc::<Account>::default();
        let mut state = self.lock();
        if !state.closed {
            let reader = Reader {
                queue,
                account: Arc::clone(&account),
                only_ends,
            };
            state.readers.entry(project).or_default().push(reader);
        }
        drop(state);
        OperationFeed {
            lines,
            account,
            feed: self.clone(),
            project,
            until: None,
            has_ended: false,
        }
    }

    /// Ends all streams, and those that are opened from now on.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.readers.clear();
    }

    /// Ends all streams that are open. Those who may still listen come back.
    pub(crate) fn send_away(&self) {
        let mut state = self.lock();
        for reader in state.readers.values().flatten() {
            reader.account.sent_away.store(true, Ordering::Relaxed);
        }
        state.readers.clear();
    }

    /// Why a stream ended that was not meant to.
    fn reason(&self, account: &Account) -> Error {
        if self.lock().closed {
            return shutting_down();
        }
        if account.sent_away.load(Ordering::Relaxed) {
            return come_back();
        }
        Error::new(
            ErrorKind::Unavailable,
            "the changes were not read fast enough and some are lost; open the stream again, then \
             ask for the operations that are still waited for",
        )
    }

    /// Forgets the readers of a project that have gone.
    fn forget_gone(&self, project: ProjectId) {
        let mut state = self.lock();
        if let Some(readers) = state.readers.get_mut(&project) {
            readers.retain(|reader| !reader.queue.is_closed());
            if readers.is_empty() {
                state.readers.remove(&project);
            }
        }
    }
}

fn come_back() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "what the token may do has to be looked at again; open the stream again, then ask for the \
         operations that are still waited for",
    )
}

/// The changes of a project's operations from the moment that it was made. Ends with an error:
/// `Unavailable`, when its reader is too slow, its token has to be looked at again, or the engine
/// shuts down.
#[derive(Debug)]
pub struct OperationFeed {
    lines: mpsc::UnboundedReceiver<OperationLine>,
    account: Arc<Account>,
    feed: Feed,
    project: ProjectId,
    until: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
}

impl Stream for OperationFeed {
    type Item = Result<OperationLine, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        if let Some(until) = &mut this.until
            && until.as_mut().poll(cx).is_ready()
        {
            this.has_ended = true;
            return Poll::Ready(Some(Err(come_back())));
        }
        let Some(line) = ready!(this.lines.poll_recv(cx)) else {
            this.has_ended = true;
            return Poll::Ready(Some(Err(this.feed.reason(&this.account))));
        };
        this.account
            .waiting
            .fetch_sub(line.json.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(line)))
    }
}

impl Drop for OperationFeed {
    fn drop(&mut self) {
        self.lines.close();
        self.feed.forget_gone(self.project);
    }
}

impl Engine {
    /// Tells of every change of the status of the project's operations from now on, or only of
    /// their ends: each time what [`Engine::operations`] lists of the operation. When an end is
    /// told, [`Engine::operation`] shows it.
    ///
    /// # Errors
    /// `Forbidden` without `list`.
    pub fn operation_feed(
        &self,
        identity: &Identity,
        only_ends: bool,
    ) -> Result<OperationFeed, Error> {
        identity.require(Permission::List)?;
        let left = identity.expires_at.map(|at| {
            let left = at.saturating_sub(Timestamp::now().as_micros() / 1_000_000);
            Duration::from_secs(left.try_into().unwrap_or(0))
        });
        let mut feed = self.feed().subscribe(identity.project_id, only_ends);
        let until = left.unwrap_or(LIFETIME).min(LIFETIME);
        feed.until = Some(Box::pin(tokio::time::sleep(until)));
        Ok(feed)
    }
}

#[cfg(test)]
mod tests {
    use contree_api::operation::{OperationKind, OperationStatus};
    use contree_api::{OperationId, Timestamp};
    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;

    fn summary(status: OperationStatus) -> OperationSummary {
        OperationSummary {
            uuid: OperationId::new(),
            kind: OperationKind::Instance,
            status,
            error: None,
            created_at: Timestamp::now(),
            duration: 0.25,
            image_size: None,
            consumed_cpu: None,
            consumed_memory: None,
            image_uuid: None,
            result_image_uuid: None,
        }
    }

    /// Tells of a change; returns what readers are to get.
    fn tell(feed: &Feed, project: ProjectId, status: OperationStatus) -> OperationSummary {
        let told = summary(status);
        feed.tell(project, || told.clone());
        told
    }

    /// What is there to be read.
    fn read(reader: &mut OperationFeed) -> Vec<OperationSummary> {
        std::iter::from_fn(|| {
            let line = reader.next().now_or_never()?.unwrap().unwrap();
            Some(serde_json::from_str(&line.json).unwrap())
        })
        .collect()
    }

    fn projects_with_readers(feed: &Feed) -> usize {
        feed.lock().readers.len()
    }

    #[test]
    fn readers_get_what_they_asked_for_in_order() {
        let feed = Feed::default();
        let (ours, theirs) = (ProjectId::new(), ProjectId::new());
        tell(&feed, ours, OperationStatus::Success);
        let mut all = feed.subscribe(ours, false);
        let mut ends = feed.subscribe(ours, true);
        let mut others = feed.subscribe(theirs, false);
        let told: Vec<_> = OperationStatus::ALL
            .into_iter()
            .map(|status| tell(&feed, ours, status))
            .collect();
        assert_eq!(read(&mut all), told);
        assert_eq!(read(&mut ends), told[3..]);
        assert_eq!(read(&mut others), []);
    }

    #[test]
    fn nothing_is_put_together_for_nobody() {
        let feed = Feed::default();
        let project = ProjectId::new();
        feed.tell(project, || panic!("nobody listens"));
        let reader = feed.subscribe(project, false);
        let other = feed.subscribe(project, true);
        drop(reader);
        assert_eq!(projects_with_readers(&feed), 1);
        drop(other);
        assert_eq!(projects_with_readers(&feed), 0);
        feed.tell(project, || panic!("nobody listens any more"));
    }

    #[test]
    fn a_slow_reader_ends_and_others_go_on() {
        let feed = Feed::default();
        let project = ProjectId::new();
        let mut slow = feed.subscribe(project, true);
        let mut quick = feed.subscribe(project, true);
        let large = || OperationSummary {
            error: Some("x".repeat(QUEUE / 10)),
            ..summary(OperationStatus::Failed)
        };
        // What was read makes room again.
        for _ in 0..20 {
            feed.tell(project, large);
            assert_eq!((read(&mut slow).len(), read(&mut quick).len()), (1, 1));
        }
        // Nine fit.
        for _ in 0..12 {
            feed.tell(project, large);
            assert_eq!(read(&mut quick).len(), 1);
        }
        for _ in 0..9 {
            assert!(slow.next().now_or_never().unwrap().unwrap().is_ok());
        }
        let error = slow.next().now_or_never().unwrap().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("fast enough"), "{error}");
        assert!(slow.next().now_or_never().unwrap().is_none());
        let last = tell(&feed, project, OperationStatus::Success);
        assert_eq!(read(&mut quick), [last]);
    }

    #[test]
    fn sending_away_ends_those_that_are_open_only() {
        let feed = Feed::default();
        let project = ProjectId::new();
        let mut before = feed.subscribe(project, false);
        tell(&feed, project, OperationStatus::Success);
        feed.send_away();
        let mut after = feed.subscribe(project, false);
        let told = tell(&feed, project, OperationStatus::Failed);
        assert!(before.next().now_or_never().unwrap().unwrap().is_ok());
        let error = before.next().now_or_never().unwrap().unwrap().unwrap_err();
        assert!(error.message().contains("the token"), "{error}");
        assert!(before.next().now_or_never().unwrap().is_none());
        assert_eq!(read(&mut after), [told]);
    }

    #[test]
    fn closing_ends_those_that_are_open_and_those_to_come() {
        let feed = Feed::default();
        let project = ProjectId::new();
        let mut before = feed.subscribe(project, false);
        tell(&feed, project, OperationStatus::Success);
        feed.close();
        tell(&feed, project, OperationStatus::Success);
        let mut after = feed.subscribe(project, false);
        assert!(before.next().now_or_never().unwrap().unwrap().is_ok());
        for reader in [&mut before, &mut after] {
            let error = reader.next().now_or_never().unwrap().unwrap().unwrap_err();
            assert_eq!(error.message(), "the server is shutting down");
            assert!(reader.next().now_or_never().unwrap().is_none());
        }
    }
}
