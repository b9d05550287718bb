//! Who waits for what, and what the open connection has told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contree_api::OperationId;
use tokio::sync::watch;

/// How many ends of an open connection are remembered.
pub(super) const MAX_REMEMBERED: usize = 8_192;

/// The state that all waits share.
#[derive(Debug, Default)]
pub(super) struct Board {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Which connection this is, or was: they are counted.
    connection: u64,
    /// Waits and starts of operations at this moment.
    interested: usize,
    /// Somebody was interested since the last look.
    was_used: bool,
    waiting: HashMap<OperationId, Waiting>,
    /// A number for each entry of `waiting` ever made.
    entries: u64,
    ended: Remembered,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Off,
    Opening,
    Open,
    Absent {
        until: Instant,
    },
}

/// All who wait for one operation.
#[derive(Debug)]
struct Waiting {
    entry: u64,
    places: usize,
    notice: watch::Sender<Option<Notice>>,
}

/// What a wait is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// From here on an end will be told: ask whether it came before.
    Ask,
    /// It has ended.
    Ended,
    /// Nothing will be told.
    Alone,
}

/// A moment of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    connection: u64,
    /// Ends told before.
    told: u64,
}

/// The last ends that the open connection told.
#[derive(Debug, Default)]
struct Remembered {
    order: VecDeque<OperationId>,
    ids: HashSet<OperationId>,
    /// Ends told over this connection, forgotten ones included.
    told: u64,
}

impl Remembered {
    fn add(&mut self, id: OperationId) {
        self.told += 1;
        if self.order.len() == MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.order.push_back(id);
        self.ids.insert(id);
    }

    /// Whether everything since then is remembered.
    fn reaches(&self, told: u64) -> bool {
        self.told - told <= self.order.len() as u64
    }
}

impl State {
    /// Whether a task has to be started; if so it counts as started.
    fn needs_start(&mut self) -> bool {
        let needs = match self.phase {
            Phase::Off => true,
            Phase::Absent { until } => Instant::now() >= until,
            Phase::Opening | Phase::Open => false,
        };
        if needs {
            self.phase = Phase::Opening;
        }
        needs
    }

    /// What is to be told to one who begins to wait now.
    fn first_notice(&self, id: OperationId, mark: Option<Mark>) -> Option<Notice> {
        match self.phase {
            Phase::Open if self.ended.ids.contains(&id) => Some(Notice::Ended),
            Phase::Open => {
                let missed_nothing = mark.is_some_and(|mark| {
                    mark.connection == self.connection && self.ended.reaches(mark.told)
                });
                (!missed_nothing).then_some(Notice::Ask)
            }
            Phase::Absent { .. } => Some(Notice::Alone),
            Phase::Off | Phase::Opening => None,
        }
    }

    /// Tells all and lets them go.
    fn dismiss(&mut self, notice: Notice) {
        for (_, waiting) in self.waiting.drain() {
            waiting.notice.send_replace(Some(notice));
        }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation is about to be started. The last value: whether the task is to be, too.
    pub(super) fn expect(self: &Arc<Self>) -> (Interest, Option<Mark>, bool) {
        let mut state = self.lock();
        let interest = Interest::new(self, &mut state);
        let mark = matches!(state.phase, Phase::Open).then_some(Mark {
            connection: state.connection,
            told: state.ended.told,
        });
        let needs_start = state.needs_start();
        drop(state);
        (interest, mark, needs_start)
    }

    /// Takes a place among those who wait for an operation, and tells what is known.
    pub(super) fn enlist(self: &Arc<Self>, id: OperationId, mark: Option<Mark>) -> (Place, bool) {
        let mut state = self.lock();
        let interest = Interest::new(self, &mut state);
        let needs_start = state.needs_start();
        let first = state.first_notice(id, mark);
        state.entries += 1;
        let entry = state.entries;
        let waiting = state.waiting.entry(id).or_insert_with(|| Waiting {
            entry,
            places: 0,
            notice: watch::Sender::new(None),
        });
        waiting.places += 1;
        let place = Place {
            id,
            entry: waiting.entry,
            first,
            notices: waiting.notice.subscribe(),
            interest,
        };
        drop(state);
        (place, needs_start)
    }

    pub(super) fn opened(&self) {
        let mut state = self.lock();
        state.phase = Phase::Open;
        state.connection += 1;
        state.ended = Remembered::default();
        for waiting in state.waiting.values() {
            waiting.notice.send_replace(Some(Notice::Ask));
        }
    }

    pub(super) fn ended(&self, id: OperationId) {
        let mut state = self.lock();
        state.ended.add(id);
        if let Some(waiting) = state.waiting.remove(&id) {
            waiting.notice.send_replace(Some(Notice::Ended));
        }
    }

    /// The connection is gone and will be made again.
    pub(super) fn lost(&self) {
        self.lock().phase = Phase::Opening;
    }

    /// The server has no feed.
    pub(super) fn absent(&self, during: Duration) {
        let mut state = self.lock();
        state.phase = Phase::Absent {
            until: Instant::now() + during,
        };
        state.dismiss(Notice::Alone);
    }

    /// The feed cannot be had; the next wait tries again.
    pub(super) fn gave_up(&self) {
        let mut state = self.lock();
        state.phase = Phase::Off;
        state.dismiss(Notice::Alone);
    }

    /// The task ended out of order: everybody begins anew.
    pub(super) fn abandoned(&self) {
        let mut state = self.lock();
        state.phase = Phase::Off;
        state.waiting.clear();
    }

    /// Whether the task has nothing to do any more: nobody is interested now, and nobody was since
    /// the last time this was asked. Then it is off the board.
    pub(super) fn close_if_unused(&self) -> bool {
        let mut state = self.lock();
        let was_used = std::mem::take(&mut state.was_used);
        let is_unused = !was_used && state.interested == 0;
        if is_unused {
            state.phase = Phase::Off;
        }
        is_unused
    }

    /// For tests: waits and starts at this moment, and entries.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.interested, state.waiting.len())
    }

    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        matches!(self.lock().phase, Phase::Open)
    }

    #[cfg(test)]
    pub(super) fn is_off(&self) -> bool {
        matches!(self.lock().phase, Phase::Off)
    }
}

/// Keeps the connection open.
#[derive(Debug)]
pub(crate) struct Interest {
    board: Arc<Board>,
}

impl Interest {
    fn new(board: &Arc<Board>, state: &mut State) -> Self {
        state.interested += 1;
        state.was_used = true;
        Self {
            board: Arc::clone(board),
        }
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut state = self.board.lock();
        state.interested -= 1;
        state.was_used = true;
    }
}

/// A wait on the board.
#[derive(Debug)]
pub(super) struct Place {
    id: OperationId,
    entry: u64,
    /// What was known when it was taken.
    first: Option<Notice>,
    notices: watch::Receiver<Option<Notice>>,
    interest: Interest,
}

impl Place {
    /// The next thing to be told; `None` when the board was cleared.
    pub(super) async fn told(&mut self) -> Option<Notice> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        // What was told last counts even when whoever told it is gone.
        self.notices.changed().await.ok()?;
        *self.notices.borrow_and_update()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.interest.board.lock();
        if let Some(waiting) = state.waiting.get_mut(&self.id)
            && waiting.entry == self.entry
        {
            waiting.places -= 1;
            if waiting.places == 0 {
                state.waiting.remove(&self.id);
            }
        }
    }
}
