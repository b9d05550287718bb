//! Puts together what was found, in the order of the walk.
//!
//! Files have numbers in that order. What a thread found in a file waits until all files before it
//! are done with. Threads that are far ahead wait before they take more files, so that little
//! waits; the thread with the lowest number never does, so that somebody always goes on.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use contree_api::inspect::{GrepLine, GrepMatch};

use super::rows::Row;
use super::stop::Stop;
use crate::view::PathError;

/// Files that may wait.
const MAX_WAITING: usize = 1_024;

/// What was found in one file.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) rows: Vec<Row>,
    /// The rest of the file was not searched.
    pub(super) partial: bool,
    /// Nothing after it counts: it is time to stop.
    pub(super) last: bool,
}

impl Found {
    /// In place of a file that is not searched any more.
    pub(super) fn stopped() -> Self {
        Self {
            last: true,
            ..Self::default()
        }
    }

    fn cost(&self) -> usize {
        self.rows.iter().map(|row| row.cost(&self.path)).sum()
    }
}

/// Shared by the threads of one search.
pub(super) struct Gather<'a> {
    max_matches: u64,
    max_cost: usize,
    stop: &'a Stop,
    state: Mutex<State>,
    moved_on: Condvar,
}

#[derive(Default)]
struct State {
    /// The file that comes next.
    next: u64,
    waiting: BTreeMap<u64, (Found, usize)>,
    waiting_cost: usize,
    out: Vec<GrepMatch>,
    out_cost: usize,
    matches: u64,
    truncated: bool,
    done: bool,
    failure: Option<PathError>,
}

impl<'a> Gather<'a> {
    pub(super) fn new(max_matches: u64, max_cost: usize, stop: &'a Stop) -> Self {
        Self {
            max_matches,
            max_cost,
            stop,
            state: Mutex::default(),
            moved_on: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to stop in the middle of a file.
    pub(super) const fn stop(&self) -> &'a Stop {
        self.stop
    }

    /// Bytes that one file may add.
    pub(super) const fn max_cost(&self) -> usize {
        self.max_cost
    }

    /// Waits until there is room for what more files give. False when no more are wanted.
    pub(super) fn wait_for_room(&self) -> bool {
        let mut state = self.state();
        while !state.done
            && (state.waiting_cost > self.max_cost || state.waiting.len() > MAX_WAITING)
        {
            state = self
                .moved_on
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !state.done
    }

    /// Takes what was found in a file. False when no more is wanted.
    pub(super) fn add(&self, number: u64, found: Found) -> bool {
        let mut state = self.state();
        if state.done {
            return false;
        }
        let cost = found.cost();
        state.waiting_cost += cost;
        state.waiting.insert(number, (found, cost));
        loop {
            let next = state.next;
            let Some((found, cost)) = state.waiting.remove(&next) else {
                break;
            };
            state.waiting_cost -= cost;
            state.next += 1;
            self.append(&mut state, found);
            if state.done {
                // Whoever is in the middle of a file need not go on.
                self.stop.call();
                break;
            }
        }
        self.moved_on.notify_all();
        !state.done
    }

    fn append(&self, state: &mut State, found: Found) {
        let Found {
            path,
            rows,
            partial,
            last,
        } = found;
        for row in rows {
            let is_too_much = match row.kind {
                GrepLine::Match => state.matches == self.max_matches,
                // Context of a match that is not there either.
                GrepLine::Context => state.matches == self.max_matches && !row.is_after,
            };
            let cost = row.cost(&path);
            if is_too_much && row.kind == GrepLine::Context {
                continue;
            }
            if is_too_much || state.out_cost + cost > self.max_cost {
                state.truncated = true;
                state.done = true;
                return;
            }
            state.out_cost += cost;
            state.matches += u64::from(row.kind == GrepLine::Match);
            state.out.push(row.into_match(path.clone()));
        }
        state.truncated |= partial || last;
        state.done |= last;
    }

    /// The search cannot go on.
    pub(super) fn fail(&self, failure: PathError) {
        let mut state = self.state();
        state.failure.get_or_insert(failure);
        self.end(&mut state);
    }

    /// A thread is gone without having added what it should have: nobody may wait for that.
    pub(super) fn abandon(&self) {
        self.end(&mut self.state());
    }

    fn end(&self, state: &mut State) {
        state.done = true;
        self.stop.call();
        self.moved_on.notify_all();
    }

    /// All rows, and whether there would be more.
    pub(super) fn finish(self) -> Result<(Vec<GrepMatch>, bool), PathError> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        match state.failure {
            Some(failure) => Err(failure),
            None => Ok((state.out, state.truncated)),
        }
    }
}
