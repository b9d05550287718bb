//! Whose turn it is.
//!
//! Each project has a lane for runs and one for imports. A lane lets a fixed number of operations
//! go at the same time, first come first served; the others wait as PENDING. All that wait
//! together are bounded by the queue's size, and what does not fit is refused before anything
//! else happens.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contree_api::operation::OperationKind;
use contree_api::{OperationId, ProjectId};

use super::live::Live;
use crate::import_job::ImportPlan;
use crate::run::plan::RunPlan;
use crate::{Activity, EngineLimits};

/// An operation with all it needs to go.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) live: Arc<Live>,
    pub(crate) work: Work,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Work {
    Run(Box<RunPlan>),
    Import(Box<ImportPlan>),
}

impl Job {
    fn lane(&self) -> LaneId {
        (self.live.project, self.live.kind())
    }
}

type LaneId = (ProjectId, OperationKind);

/// What became of a submitted job.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It may go at once; [`Scheduler::release`] is to be called when it has ended.
    Now(Job),
    /// It waits.
    Later,
    /// The queue is full.
    Full,
    /// Nothing is accepted any more.
    Closed,
}

/// Decides whose turn it is.
#[derive(Debug)]
pub(crate) struct Scheduler {
    state: Mutex<State>,
    runs: usize,
    imports: usize,
    queue_max: usize,
}

#[derive(Debug, Default)]
struct State {
    lanes: HashMap<LaneId, Lane>,
    waiting: usize,
    closed: bool,
}

#[derive(Debug, Default)]
struct Lane {
    running: usize,
    queue: VecDeque<Job>,
}

impl Scheduler {
    pub(crate) fn new(limits: &EngineLimits) -> Self {
        Self {
            state: Mutex::default(),
            runs: limits.instance_max_concurrency.max(1),
            imports: limits.images_import_max_concurrency.max(1),
            queue_max: limits.queue_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    const fn width(&self, lane: LaneId) -> usize {
        match lane.1 {
            OperationKind::Instance => self.runs,
            OperationKind::ImageImport => self.imports,
        }
    }

    /// Takes a job. `force` queues it whatever the queue's size: it was accepted before.
    pub(crate) fn submit(&self, job: Job, force: bool) -> Turn {
        let id = job.lane();
        let mut state = self.lock();
        if state.closed {
            return Turn::Closed;
        }
        let State { lanes, waiting, .. } = &mut *state;
        let lane = lanes.entry(id).or_default();
        if lane.running < self.width(id) {
            lane.running += 1;
            return Turn::Now(job);
        }
        if *waiting >= self.queue_max && !force {
            return Turn::Full;
        }
        *waiting += 1;
        lane.queue.push_back(job);
        Turn::Later
    }

    /// An operation of the lane has ended; answers with the one whose turn it is now.
    pub(crate) fn release(&self, project: ProjectId, kind: OperationKind) -> Option<Job> {
        let id = (project, kind);
        let mut state = self.lock();
        let State {
            lanes,
            waiting,
            closed,
        } = &mut *state;
        let lane = lanes.get_mut(&id)?;
        if !*closed && let Some(next) = lane.queue.pop_front() {
            *waiting -= 1;
            return Some(next);
        }
        lane.running = lane.running.saturating_sub(1);
        if lane.running == 0 && lane.queue.is_empty() {
            lanes.remove(&id);
        }
        None
    }

    /// Takes a waiting job out; none when its turn has come.
    pub(crate) fn withdraw(
        &self,
        project: ProjectId,
        kind: OperationKind,
        operation: OperationId,
    ) -> Option<Job> {
        let mut state = self.lock();
        let State { lanes, waiting, .. } = &mut *state;
        let queue = &mut lanes.get_mut(&(project, kind))?.queue;
        let place = queue.iter().position(|job| job.live.id == operation)?;
        *waiting -= 1;
        queue.remove(place)
    }

    /// Accepts nothing more and starts nothing more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    pub(crate) fn activity(&self) -> Activity {
        let state = self.lock();
        let running = |kind| {
            state
                .lanes
                .iter()
                .filter(|(id, _)| id.1 == kind)
                .map(|(_, lane)| lane.running)
                .sum()
        };
        Activity {
            running_instances: running(OperationKind::Instance),
            running_imports: running(OperationKind::ImageImport),
            pending: state.waiting,
        }
    }
}
