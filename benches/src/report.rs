//! The table on the terminal and the same as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::Serialize;

use crate::numbers::Spread;

/// Everything one run of the benchmark measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    /// How long one takes, one after the other.
    latencies: Vec<Latency>,
    /// How many a second, several at a time.
    rates: Vec<Rate>,
    /// What could not be measured, and why.
    left_out: Vec<String>,
}

/// Where and when it was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) measured_at_unix: u64,
}

impl Machine {
    /// This one, now.
    pub(crate) fn this() -> Self {
        let version = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: version.trim().to_owned(),
            measured_at_unix: since.as_secs(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Latency {
    what: String,
    #[serde(flatten)]
    spread: Spread,
    /// Median against the floor's median.
    ratio_to_floor: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Rate {
    what: String,
    at_once: usize,
    per_second: f64,
    /// Against the floor's rate with as many at a time.
    ratio_to_floor: Option<f64>,
}

/// The rows that others are compared with.
pub(crate) const FLOOR: &str = "floor";

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            machine: Machine::this(),
            latencies: Vec::new(),
            rates: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Adds a row of durations.
    pub(crate) fn latency(&mut self, what: &str, nanos: &[u64]) {
        let Some(spread) = Spread::of(nanos) else {
            return;
        };
        let floor = self.latencies.iter().find(|row| row.what == FLOOR);
        let ratio_to_floor = floor.map(|floor| spread.p50 / floor.spread.p50);
        self.latencies.push(Latency {
            what: what.to_owned(),
            spread,
            ratio_to_floor,
        });
    }

    /// Adds a row of throughput.
    pub(crate) fn rate(&mut self, what: &str, at_once: usize, per_second: f64) {
        let floor = self
            .rates
            .iter()
            .find(|row| row.what == FLOOR && row.at_once == at_once);
        let ratio_to_floor = floor.map(|floor| per_second / floor.per_second);
        self.rates.push(Rate {
            what: what.to_owned(),
            at_once,
            per_second,
            ratio_to_floor,
        });
    }

    /// Notes what could not be measured.
    pub(crate) fn left_out(&mut self, sentence: String) {
        self.left_out.push(sentence);
    }

    /// The rows so far, as text.
    pub(crate) fn table(&self) -> String {
        let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |r| format!("{r:.2}"));
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{} cores, kernel {}\n\n{:<44} {:>6} {:>9} {:>9} {:>9} {:>8}",
            self.machine.cores,
            self.machine.kernel,
            "latency, ms",
            "count",
            "p50",
            "p90",
            "p99",
            "/ floor"
        );
        for row in &self.latencies {
            let Spread {
                count,
                p50,
                p90,
                p99,
            } = row.spread;
            let _ = writeln!(
                text,
                "{:<44} {count:>6} {p50:>9.2} {p90:>9.2} {p99:>9.2} {:>8}",
                row.what,
                ratio(row.ratio_to_floor)
            );
        }
        let _ = writeln!(
            text,
            "\n{:<44} {:>6} {:>9} {:>8}",
            "runs per second", "at once", "rate", "/ floor"
        );
        for row in &self.rates {
            let _ = writeln!(
                text,
                "{:<44} {:>6} {:>9.1} {:>8}",
                row.what,
                row.at_once,
                row.per_second,
                ratio(row.ratio_to_floor)
            );
        }
        for sentence in &self.left_out {
            let _ = writeln!(text, "\nleft out: {sentence}");
        }
        text
    }

    /// Writes it as `bench-UNIXTIME.json` into a folder.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let file = folder.join(format!("bench-{}.json", self.machine.measured_at_unix));
        let json = serde_json::to_string_pretty(self).context("cannot write JSON")?;
        fs::write(&file, json).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}
