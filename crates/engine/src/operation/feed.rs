//! The feed: each change of a project's operations, told to whoever listens at that moment.
//!
//! A reader has a queue of its own with room for [`QUEUE`] bytes: an error may be as long as the
//! command that it names. Telling never waits: a reader whose queue is full has lost a change, so
//! it gets no more, reads what is left and hears that it was too slow. It comes back and asks for
//! what it still wants to know.
//!
//! A change is put into words once for all readers, and not at all while its project has none:
//! what an operation pays for the feed then is one look into an empty map. Each project's readers
//! have a lock of their own, so that projects do not wait for each other's.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::{Context, Poll, ready};

use contree_api::operation::OperationSummary;
use contree_api::whoami::Permission;
use contree_api::{ErrorKind, ProjectId};
use futures_util::Stream;
use tokio::sync::mpsc;

use super::shutting_down;
use crate::identity::streams::Told;
use crate::{Engine, Error, Identity, OfToken};

/// Most bytes that wait for one reader: about 10,000 changes, ten seconds at 1,000 ends a second.
const QUEUE: usize = 4 << 20;

/// One change, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationLine {
    /// The operation as lists show it after the change, as JSON on one line.
    pub json: Arc<str>,
}

/// Who listens. Cheap to clone; all clones are the same feed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    /// No project is without readers, but for those that were too slow and have not gone yet.
    projects: HashMap<ProjectId, Arc<Readers>>,
    /// How many readers there ever were: the number of the next.
    readers: u64,
    /// Nothing more will come.
    closed: bool,
}

/// A project's, by number. To be locked after the [`State`], if that is to be locked as well.
#[derive(Debug, Default)]
struct Readers(Mutex<HashMap<u64, Reader>>);

#[derive(Debug)]
struct Reader {
    queue: mpsc::UnboundedSender<OperationLine>,
    /// Bytes in the queue.
    waiting: Arc<AtomicUsize>,
    only_ends: bool,
}

impl Reader {
    fn wants(&self, is_end: bool) -> bool {
        is_end || !self.only_ends
    }

    /// False when it can be told no more: it has gone, or the queue is full.
    fn tell(&self, line: OperationLine) -> bool {
        let size = line.json.len();
        let before = self.waiting.fetch_add(size, Ordering::Relaxed);
        before + size <= QUEUE && self.queue.send(line).is_ok()
    }
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Reader>> {
        // A panic while holding it leaves at worst a change that not all have heard of.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Nothing panics while holding it.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_project(&self, project: ProjectId) -> Option<Arc<Readers>> {
        self.read().projects.get(&project).cloned()
    }

    /// Tells a project's readers of a change. `summary` is asked for when somebody listens; it
    /// runs under the lock of the project's readers.
    pub(crate) fn tell(&self, project: ProjectId, summary: impl FnOnce() -> OperationSummary) {
        let Some(readers) = self.of_project(project) else {
            return;
        };
        let mut readers = readers.lock();
        if readers.is_empty() {
            return;
        }
        let summary = summary();
        let is_end = summary.status.is_terminal();
        if !readers.values().any(|reader| reader.wants(is_end)) {
            return;
        }
        match serde_json::to_string(&summary) {
            Ok(json) => {
                let line = OperationLine { json: json.into() };
                readers.retain(|_, reader| !reader.wants(is_end) || reader.tell(line.clone()));
            }
            Err(error) => {
                tracing::error!(operation = %summary.uuid, %error, "a change could not be told");
                // Those who missed it have to hear that they did.
                readers.retain(|_, reader| !reader.wants(is_end));
            }
        }
    }

    fn subscribe(&self, project: ProjectId, only_ends: bool) -> OperationFeed {
        let (queue, lines) = mpsc::unbounded_channel();
        let waiting = Arc::<AtomicUsize>::default();
        let mut state = self.write();
        state.readers += 1;
        let number = state.readers;
        if !state.closed {
            let reader = Reader {
                queue,
                waiting: Arc::clone(&waiting),
                only_ends,
            };
            let readers = state.projects.entry(project).or_default();
            readers.lock().insert(number, reader);
        }
        drop(state);
        OperationFeed {
            lines,
            waiting,
            feed: self.clone(),
            project,
            number,
            has_ended: false,
        }
    }

    /// Ends all streams, and those that are opened from now on.
    pub(crate) fn close(&self) {
        let mut state = self.write();
        state.closed = true;
        for (_, readers) in state.projects.drain() {
            readers.lock().clear();
        }
    }

    /// Why a stream ended that was not meant to.
    fn reason(&self) -> Error {
        if self.read().closed {
            return shutting_down();
        }
        Error::new(
            ErrorKind::Unavailable,
            "the changes were not read fast enough and some are lost; open the stream again, then \
             ask for the operations that are still waited for",
        )
    }

    /// Forgets a reader that has gone.
    fn forget(&self, project: ProjectId, number: u64) {
        let Some(readers) = self.of_project(project) else {
            return;
        };
        let mut left = readers.lock();
        left.remove(&number);
        if !left.is_empty() {
            return;
        }
        drop(left);
        let mut state = self.write();
        // Another may have come.
        let is_empty = |readers: &Arc<Readers>| readers.lock().is_empty();
        if state.projects.get(&project).is_some_and(is_empty) {
            state.projects.remove(&project);
        }
    }
}

/// The changes of a project's operations from the moment that it was made. Ends with an error:
/// `Unavailable`, when its reader is too slow or the engine shuts down.
#[derive(Debug)]
pub struct OperationFeed {
    lines: mpsc::UnboundedReceiver<OperationLine>,
    waiting: Arc<AtomicUsize>,
    feed: Feed,
    project: ProjectId,
    number: u64,
    has_ended: bool,
}

impl Stream for OperationFeed {
    type Item = Result<OperationLine, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        let Some(line) = ready!(this.lines.poll_recv(cx)) else {
            this.has_ended = true;
            return Poll::Ready(Some(Err(this.feed.reason())));
        };
        this.waiting.fetch_sub(line.json.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(line)))
    }
}

impl Drop for OperationFeed {
    fn drop(&mut self) {
        self.feed.forget(self.project, self.number);
    }
}

impl Engine {
    /// Tells of every change of the status of the project's operations from now on, or only of
    /// their ends: each time what [`Engine::operations`] lists of the operation. When an end is
    /// told, [`Engine::operation`] shows it.
    ///
    /// # Errors
    /// `Forbidden` without `list`; `TooManyRequests` when the token has too many streams open.
    pub fn operation_feed(
        &self,
        identity: &Identity,
        only_ends: bool,
    ) -> Result<OfToken<OperationFeed>, Error> {
        identity.require(Permission::List)?;
        let place = self.place(identity, Told::Changes)?;
        Ok(place.of(self.feed().subscribe(identity.project_id, only_ends)))
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
        feed.read().projects.len()
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
        drop(quick);
        assert_eq!(projects_with_readers(&feed), 0);
        drop(slow);
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
