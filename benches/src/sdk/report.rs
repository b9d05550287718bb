//! What came of it: a table for each load, and the same as JSON.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::Client;
use super::driver::Measured;
use super::moments::Moments;
use crate::numbers::{Spread, nanos, rate};
use crate::report::Machine;

/// Everything that was measured.
#[derive(Serialize)]
pub(super) struct Report {
    machine: Machine,
    /// Of the server.
    durability: String,
    /// For each load, a row for each client.
    loads: Vec<Vec<Shown>>,
}

/// What one client took under one load, over all rounds.
pub(super) struct Row {
    client: Client,
    at_once: usize,
    package: String,
    runs: usize,
    failures: BTreeMap<String, usize>,
    /// Operations beyond one for each run.
    repeated: usize,
    total: Vec<u64>,
    sending: Vec<u64>,
    server: Vec<u64>,
    waiting: Vec<u64>,
    wall: u64,
    cpu: u64,
    server_cpu: u64,
    memory: u64,
    resident: u64,
    imports: Vec<u64>,
}

/// A row as it is printed and written.
#[derive(Serialize)]
struct Shown {
    client: Client,
    package: String,
    at_once: usize,
    runs: usize,
    /// How many failed, by kind of error.
    failures: BTreeMap<String, usize>,
    /// Operations that the client started beyond one for each run.
    repeated: usize,
    /// Milliseconds from the call to the result, of the runs that had one. So are the next three.
    total: Option<Spread>,
    /// From the call until the server had accepted the run.
    sending: Option<Spread>,
    /// From there until it had ended.
    server: Option<Spread>,
    /// From there until the result was here.
    waiting: Option<Spread>,
    /// Results a second.
    per_second: f64,
    /// Milliseconds of processor time of the client for each run asked for.
    cpu: f64,
    /// The same of the server, without the sandboxes.
    server_cpu: f64,
    /// Most MiB resident above what was at the beginning.
    memory: f64,
    /// MiB resident at the beginning.
    resident: f64,
    /// Milliseconds that loading the package took.
    import: Option<Spread>,
}

impl Row {
    pub(super) fn new(client: Client, at_once: usize) -> Self {
        Self {
            client,
            at_once,
            package: String::new(),
            runs: 0,
            failures: BTreeMap::new(),
            repeated: 0,
            total: Vec::new(),
            sending: Vec::new(),
            server: Vec::new(),
            waiting: Vec::new(),
            wall: 0,
            cpu: 0,
            server_cpu: 0,
            memory: 0,
            resident: 0,
            imports: Vec::new(),
        }
    }

    /// Takes in one round: what the driver reports, the operations of the server by hostname, and
    /// the processor time of the server for the runs that count.
    pub(super) fn add(
        &mut self,
        measured: Measured,
        moments: &HashMap<String, Vec<Moments>>,
        server_cpu: Duration,
    ) -> anyhow::Result<()> {
        self.runs += measured.runs.len();
        self.wall += measured.wall_nanos;
        self.cpu += measured.cpu_nanos;
        self.server_cpu += nanos(server_cpu);
        let grown = measured.memory_peak.saturating_sub(measured.memory_before);
        self.memory = self.memory.max(grown);
        self.resident = self.resident.max(measured.memory_before);
        self.imports.extend(measured.import_nanos);
        self.package = measured.package;
        for run in measured.runs {
            let operations = moments.get(&run.name).map_or(&[][..], Vec::as_slice);
            self.repeated += operations.len().saturating_sub(1);
            if let Some(failure) = run.failure {
                *self.failures.entry(failure.kind).or_default() += 1;
                continue;
            }
            // Of several, the one whose end the client can have seen.
            let seen = operations.iter().filter(|one| one.ended <= run.ended);
            let Moments { accepted, ended } = seen
                .max_by_key(|one| one.ended)
                .with_context(|| format!("the server has no end of {}", run.name))?;
            self.total.push(run.ended.saturating_sub(run.began));
            self.sending.push(accepted.saturating_sub(run.began));
            self.server.push(ended.saturating_sub(*accepted));
            self.waiting.push(run.ended.saturating_sub(*ended));
        }
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts, times and sizes far below 2^52"
    )]
    fn shown(self) -> Shown {
        let runs = self.runs.max(1) as f64;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Shown {
            client: self.client,
            package: self.package,
            at_once: self.at_once,
            runs: self.runs,
            failures: self.failures,
            repeated: self.repeated,
            per_second: rate(self.total.len(), self.wall),
            total: Spread::of(&self.total),
            sending: Spread::of(&self.sending),
            server: Spread::of(&self.server),
            waiting: Spread::of(&self.waiting),
            cpu: self.cpu as f64 / 1e6 / runs,
            server_cpu: self.server_cpu as f64 / 1e6 / runs,
            memory: mib(self.memory),
            resident: mib(self.resident),
            import: Spread::of(&self.imports),
        }
    }
}

impl Shown {
    fn title(&self) -> String {
        let package = &self.package;
        match self.client {
            Client::Bare | Client::Crate => package.clone(),
            Client::Ours | Client::Peer => format!("contree_sdk {package}"),
            Client::OursSync | Client::PeerSync => format!("contree_sdk {package}, sync"),
        }
    }

    fn failed(&self) -> usize {
        self.failures.values().sum()
    }
}

impl Report {
    pub(super) fn new(durability: &str) -> Self {
        Self {
            machine: Machine::this(),
            durability: durability.to_owned(),
            loads: Vec::new(),
        }
    }

    /// Takes in the rows of a load.
    pub(super) fn add(&mut self, rows: Vec<Row>) {
        self.loads.push(rows.into_iter().map(Row::shown).collect());
    }

    /// Writes it as `sdk-UNIXTIME.json` into a folder.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let file = folder.join(format!("sdk-{}.json", self.machine.measured_at_unix));
        let json = serde_json::to_string_pretty(self).context("cannot write JSON")?;
        fs::write(&file, json).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// The tables.
    pub(super) fn shown(&self) -> String {
        let mut text = format!(
            "{} cores, kernel {}, {}\n",
            self.machine.cores, self.machine.kernel, self.durability
        );
        for rows in &self.loads {
            // Writing to a string cannot fail.
            let _ = load(&mut text, rows);
        }
        text
    }
}

fn load(text: &mut String, rows: &[Shown]) -> std::fmt::Result {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    writeln!(
        text,
        "\n| `true`, {} at a time, {} runs, ms | total p50 | p99 | sending p50 | server p50 | \
         waiting p50 | p99 | CPU | server's CPU | MiB | results/s | failed |",
        first.at_once, first.runs
    )?;
    writeln!(text, "|{}", " --- |".repeat(12))?;
    let p50 = |spread: &Option<Spread>| spread.map_or_else(dash, |spread| ms(spread.p50));
    let p99 = |spread: &Option<Spread>| spread.map_or_else(dash, |spread| ms(spread.p99));
    for row in rows {
        let cells = [
            row.title(),
            p50(&row.total),
            p99(&row.total),
            p50(&row.sending),
            p50(&row.server),
            p50(&row.waiting),
            p99(&row.waiting),
            ms(row.cpu),
            ms(row.server_cpu),
            format!("{:.1}", row.memory),
            format!("{:.1}", row.per_second),
            row.failed().to_string(),
        ];
        writeln!(text, "| {} |", cells.join(" | "))?;
    }
    writeln!(text)?;
    for (peer, ours) in [
        (Client::Peer, Client::Ours),
        (Client::PeerSync, Client::OursSync),
    ] {
        let of = |client| rows.iter().find(|row| row.client == client);
        if let (Some(peer), Some(ours)) = (of(peer), of(ours)) {
            ratio(text, peer, ours)?;
        }
    }
    for row in rows {
        if let Some(import) = row.import {
            let (title, import) = (row.title(), ms(import.p50));
            let resident = row.resident;
            writeln!(
                text,
                "{title}: import {import} ms, {resident:.1} MiB when the runs begin"
            )?;
        }
    }
    for row in rows.iter().filter(|row| row.failed() + row.repeated > 0) {
        let kinds: Vec<String> = row
            .failures
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        writeln!(
            text,
            "{}: {} of {} failed ({}); {} operations were started twice",
            row.title(),
            row.failed(),
            row.runs,
            kinds.join(", "),
            row.repeated
        )?;
    }
    Ok(())
}

fn ratio(text: &mut String, peer: &Shown, ours: &Shown) -> std::fmt::Result {
    let of =
        |peer: Option<Spread>, ours: Option<Spread>, which: fn(Spread) -> f64| match (peer, ours) {
            (Some(peer), Some(ours)) => format!("{:.1}", which(peer) / which(ours)),
            _ => dash(),
        };
    writeln!(
        text,
        "{} / {}: total {}, waiting {} (p99 {}), CPU {:.1}",
        peer.title(),
        ours.title(),
        of(peer.total, ours.total, |spread| spread.p50),
        of(peer.waiting, ours.waiting, |spread| spread.p50),
        of(peer.waiting, ours.waiting, |spread| spread.p99),
        peer.cpu / ours.cpu
    )
}

fn dash() -> String {
    "–".to_owned()
}

/// Milliseconds, with as many digits as say something.
fn ms(millis: f64) -> String {
    match millis {
        ..10.0 => format!("{millis:.2}"),
        ..100.0 => format!("{millis:.1}"),
        _ => format!("{millis:.0}"),
    }
}
