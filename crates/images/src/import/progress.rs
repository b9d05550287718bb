//! Telling how far an import is, not too often.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::digest::Digest;

/// Receives reports; called from several threads, must not block.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// How far one layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which layer, from 1, lowest first.
    pub layer: usize,
    /// How many there are.
    pub layers: usize,
    /// Its digest; of an archive of a root filesystem, that of the archive.
    pub digest: Digest,
    /// What is being done with it.
    pub step: Step,
    /// Bytes done, compressed as they are in the registry or archive.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// What is being done with a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It comes from the registry.
    Fetch,
    /// Its files are made.
    Unpack,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Fetch => "fetching",
            Step::Unpack => "unpacking",
        };
        write!(
            f,
            "{step} layer {}/{} {}: {} of {}",
            self.layer,
            self.layers,
            self.digest.short(),
            Size(self.done),
            Size(self.total)
        )
    }
}

/// A number of bytes for people.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        for (unit, name) in UNITS {
            if self.0 >= unit {
                let tenths = u128::from(self.0) * 10 / u128::from(unit);
                return write!(f, "{}.{} {name}", tenths / 10, tenths % 10);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

/// Reports one step of one layer: the first and the last always, in between at intervals.
pub(super) struct Meter {
    sink: ProgressSink,
    interval: Duration,
    state: Mutex<State>,
}

struct State {
    report: Progress,
    told: Option<Instant>,
}

impl Meter {
    pub(super) fn new(sink: ProgressSink, interval: Duration, report: Progress) -> Self {
        Self {
            sink,
            interval,
            state: Mutex::new(State { report, told: None }),
        }
    }

    /// `done` bytes are done now.
    pub(super) fn at(&self, done: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last = done >= state.report.total && state.report.done < state.report.total;
        state.report.done = done;
        if last
            || state
                .told
                .is_none_or(|told| told.elapsed() >= self.interval)
        {
            state.told = Some(Instant::now());
            (self.sink)(state.report.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_are_told_and_little_between() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let meter = Meter::new(
            Arc::new(move |progress: Progress| sink.lock().unwrap().push(progress.to_string())),
            Duration::from_secs(3_600),
            Progress {
                layer: 1,
                layers: 2,
                digest: Digest::of(b""),
                step: Step::Fetch,
                done: 0,
                total: 3 << 20,
            },
        );
        for done in [0, 1, 1_000, 2 << 20, 3 << 20] {
            meter.at(done);
        }
        assert_eq!(
            *told.lock().unwrap(),
            [
                "fetching layer 1/2 sha256:e3b0c44298fc: 0 bytes of 3.0 MiB",
                "fetching layer 1/2 sha256:e3b0c44298fc: 3.0 MiB of 3.0 MiB"
            ]
        );
        assert_eq!(Size(1_536).to_string(), "1.5 KiB");
        assert_eq!(Size(u64::MAX).to_string(), "17179869183.9 GiB");
    }
}
