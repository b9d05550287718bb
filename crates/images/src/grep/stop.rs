//! When a search has to end before it has seen everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Told to a search by whoever started it, and to its threads by each other. Clones are one.
#[derive(Debug, Clone)]
pub struct Stop {
    deadline: Instant,
    called: Arc<AtomicBool>,
}

impl Stop {
    /// At a deadline, or when it is called before.
    #[must_use]
    pub fn at(deadline: Instant) -> Self {
        Self {
            deadline,
            called: Arc::default(),
        }
    }

    /// Ends the search as soon as possible.
    pub fn call(&self) {
        self.called.store(true, Ordering::Relaxed);
    }

    /// Whether it is time.
    pub(super) fn is_due(&self) -> bool {
        self.called.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}
