//! Whose turn it is.
//!
//! Each project has a lane for runs and one for imports. A lane lets a fixed number of operations
//! go at the same time, and in it each token no more than its own limit says. The others wait as
//! PENDING, first come first served; one whose token is at its limit is overtaken by those of
//! other tokens. All that wait together are bounded by the queue's size, and what does not fit is
//! refused before anything else happens.
//!
//! An operation that ends makes room for at most one other: either the lane was full, and then one
//! more may go, or it was not, and then only operations of tokens at their limit waited, and one
//! of that token's may go.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contree_api::operation::OperationKind;
use contree_api::{ProjectId, TokenId};

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

type LaneId = (ProjectId, OperationKind);

fn lane_of(live: &Live) -> LaneId {
    (live.project, live.kind())
}

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
    /// Jobs that ever waited; tells which of two came first.
    arrivals: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Lane {
    running: usize,
    tokens: HashMap<TokenId, Share>,
}

/// One token's part of a lane.
#[derive(Debug, Default)]
struct Share {
    running: usize,
    /// With their places in the order of arrival.
    queue: VecDeque<(u64, Job)>,
}

impl Share {
    /// The arrival of the job that is to go next, if the token may have one more.
    fn next(&self) -> Option<u64> {
        let (arrival, job) = self.queue.front()?;
        (self.running < job.live.token_width).then_some(*arrival)
    }
}

impl Lane {
    /// Takes the job whose turn it is.
    fn next(&mut self) -> Option<Job> {
        let (_, share) = self
            .tokens
            .values_mut()
            .filter_map(|share| Some((share.next()?, share)))
            .min_by_key(|(arrival, _)| *arrival)?;
        share.running += 1;
        share.queue.pop_front().map(|(_, job)| job)
    }
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
        let id = lane_of(&job.live);
        let mut state = self.lock();
        if state.closed {
            return Turn::Closed;
        }
        let State {
            lanes,
            waiting,
            arrivals,
            ..
        } = &mut *state;
        let lane = lanes.entry(id).or_default();
        let share = lane.tokens.entry(job.live.token).or_default();
        if lane.running < self.width(id) && share.running < job.live.token_width {
            lane.running += 1;
            share.running += 1;
            return Turn::Now(job);
        }
        if *waiting >= self.queue_max && !force {
            let token = job.live.token;
            forget_idle(lanes, id, token);
            return Turn::Full;
        }
        *waiting += 1;
        *arrivals += 1;
        share.queue.push_back((*arrivals, job));
        Turn::Later
    }

    /// An operation that went has ended; answers with the one whose turn it is now.
    pub(crate) fn release(&self, ended: &Live) -> Option<Job> {
        let id = lane_of(ended);
        let mut state = self.lock();
        let State {
            lanes,
            waiting,
            closed,
            ..
        } = &mut *state;
        let lane = lanes.get_mut(&id)?;
        if let Some(share) = lane.tokens.get_mut(&ended.token) {
            share.running = share.running.saturating_sub(1);
        }
        let next = if *closed { None } else { lane.next() };
        match &next {
            Some(_) => *waiting -= 1,
            None => lane.running = lane.running.saturating_sub(1),
        }
        forget_idle(lanes, id, ended.token);
        next
    }

    /// Takes a waiting job out; none when its turn has come.
    pub(crate) fn withdraw(&self, live: &Live) -> Option<Job> {
        let id = lane_of(live);
        let mut state = self.lock();
        let State { lanes, waiting, .. } = &mut *state;
        let queue = &mut lanes.get_mut(&id)?.tokens.get_mut(&live.token)?.queue;
        let place = queue.iter().position(|(_, job)| job.live.id == live.id)?;
        let (_, job) = queue.remove(place)?;
        *waiting -= 1;
        forget_idle(lanes, id, live.token);
        Some(job)
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

/// Forgets a token's share of a lane when there is nothing in it, and the lane with the last.
fn forget_idle(lanes: &mut HashMap<LaneId, Lane>, id: LaneId, token: TokenId) {
    let Some(lane) = lanes.get_mut(&id) else {
        return;
    };
    if lane
        .tokens
        .get(&token)
        .is_some_and(|share| share.running == 0 && share.queue.is_empty())
    {
        lane.tokens.remove(&token);
    }
    if lane.tokens.is_empty() {
        lanes.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use contree_api::image::{ImageImportRequest, Registry};
    use contree_api::{OperationId, Timestamp};
    use contree_records::ImageGround;

    use super::*;
    use crate::events::log::EventLog;
    use crate::operation::live::{Asked, Asker};

    struct Lanes {
        scheduler: Scheduler,
        project: ProjectId,
    }

    impl Lanes {
        fn new(width: usize, queue_max: usize) -> Self {
            let limits = EngineLimits {
                images_import_max_concurrency: width,
                queue_max,
                ..EngineLimits::default()
            };
            Self {
                scheduler: Scheduler::new(&limits),
                project: ProjectId::new(),
            }
        }

        fn job(&self, token: TokenId, width: usize) -> Job {
            let request = ImageImportRequest {
                registry: Registry {
                    url: "docker://a".into(),
                    credentials: None,
                },
                tag: None,
                timeout: None,
            };
            let asker = Asker {
                token,
                token_width: width,
            };
            let live = Live::new(
                OperationId::new(),
                self.project,
                asker,
                Asked::Import(Arc::new(request)),
                None,
                Timestamp::now(),
                EventLog::new("/nonexistent".into(), 0),
            );
            // What is to be done does not matter here.
            let image = ImageGround {
                id: contree_api::ImageId::new(),
                layer: contree_api::LayerId::new(),
                env: std::collections::BTreeMap::new(),
                cwd: None,
            };
            Job {
                live: Arc::new(live),
                work: Work::Run(Box::new(RunPlan { image })),
            }
        }

        /// The operation, when it may go at once.
        fn submit(&self, token: TokenId, width: usize) -> (Arc<Live>, bool) {
            let job = self.job(token, width);
            let live = Arc::clone(&job.live);
            match self.scheduler.submit(job, false) {
                Turn::Now(_) => (live, true),
                Turn::Later => (live, false),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_token_at_its_limit_is_overtaken() {
        let lanes = Lanes::new(3, 100);
        let (narrow, wide) = (TokenId::new(), TokenId::new());
        let (first, goes) = lanes.submit(narrow, 1);
        assert!(goes);
        let (second, goes) = lanes.submit(narrow, 1);
        assert!(!goes);
        let (third, goes) = lanes.submit(narrow, 1);
        assert!(!goes);
        let (other, goes) = lanes.submit(wide, 10);
        assert!(goes);
        assert!(lanes.submit(wide, 10).1);
        let (late, goes) = lanes.submit(wide, 10);
        assert!(!goes);

        // The lane is full: the first that waits is of a token at its limit, so it is passed over.
        let next = lanes.scheduler.release(&other).unwrap();
        assert_eq!(next.live.id, late.id);
        assert!(lanes.scheduler.release(&late).is_none());
        // There is room in the lane; only the narrow token's own end lets its next one go.
        let next = lanes.scheduler.release(&first).unwrap();
        assert_eq!(next.live.id, second.id);
        assert_eq!(lanes.scheduler.activity().pending, 1);
        let next = lanes.scheduler.release(&second).unwrap();
        assert_eq!(next.live.id, third.id);
        assert_eq!(lanes.scheduler.activity().running_imports, 2);
    }

    #[test]
    fn first_come_first_served_across_tokens() {
        let lanes = Lanes::new(1, 100);
        let tokens = [TokenId::new(), TokenId::new(), TokenId::new()];
        let (first, _) = lanes.submit(tokens[0], 5);
        let waiting: Vec<_> = [2, 1, 2, 0, 1]
            .map(|token| lanes.submit(tokens[token], 5).0)
            .to_vec();
        let withdrawn = lanes.scheduler.withdraw(&waiting[1]).unwrap();
        assert_eq!(withdrawn.live.id, waiting[1].id);
        assert!(lanes.scheduler.withdraw(&waiting[1]).is_none());
        let mut running = first;
        for expected in [0, 2, 3, 4] {
            running = lanes.scheduler.release(&running).unwrap().live;
            assert_eq!(running.id, waiting[expected].id);
        }
        assert!(lanes.scheduler.release(&running).is_none());
        assert_eq!(lanes.scheduler.activity(), Activity::default());
        assert!(lanes.scheduler.lock().lanes.is_empty());
    }

    #[test]
    fn the_queue_is_bounded() {
        let lanes = Lanes::new(1, 1);
        let token = TokenId::new();
        let (running, _) = lanes.submit(token, 9);
        lanes.submit(token, 9);
        let stranger = lanes.job(TokenId::new(), 9);
        assert!(matches!(
            lanes.scheduler.submit(stranger, false),
            Turn::Full
        ));
        let accepted_before = lanes.job(TokenId::new(), 9);
        assert!(matches!(
            lanes.scheduler.submit(accepted_before, true),
            Turn::Later
        ));
        lanes.scheduler.close();
        assert!(lanes.scheduler.release(&running).is_none());
        let late = lanes.job(token, 9);
        assert!(matches!(lanes.scheduler.submit(late, true), Turn::Closed));
    }
}
