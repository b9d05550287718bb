//! How long `true` takes through an SDK, and what the waiting costs: contree_sdk as published, this
//! project's package and crate, and a floor of bare sockets, all on one server.
//!
//! Each client runs in a process of its own (a *driver*), which notes by the clock of this machine
//! when it called and when it had the result. The server stamps by the same clock when it accepted
//! an operation and when that ended, so that a run divides without a gap:
//!
//! ```text
//! run() called   → accepted by the server   sending: what the client prepares, the request
//! accepted       → ended                    the server: queue, sandbox, records
//! ended          → result is here           waiting: how late the client has the result
//! ```
//!
//! Drivers take turns, round after round, and the next begins when everything of the one before
//! has ended.

mod bare;
pub(crate) mod driver;
mod moments;
mod report;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use contree_api::Timestamp;
use contree_e2e::{Server, Settings};
use serde::Serialize;

use driver::Options;
use report::{Report, Row};

/// Runs of a driver before those that count.
const WARM_UP: usize = 20;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Python with the published contree_sdk
    #[arg(long, value_name = "PYTHON")]
    peer: PathBuf,
    /// Python with this project's contree_sdk
    #[arg(long, value_name = "PYTHON")]
    ours: PathBuf,
    /// How many runs at a time
    #[arg(long, value_delimiter = ',', default_values_t = LOADS.map(|load| load.at_once))]
    at_once: Vec<usize>,
    /// Which clients
    #[arg(long, value_delimiter = ',', default_values = Client::ALL.map(Client::name))]
    client: Vec<Client>,
    /// Rounds of every load, instead of its own number
    #[arg(long)]
    rounds: Option<usize>,
    /// Durability of the server
    #[arg(long, default_value = "durable")]
    durability: String,
}

/// How much is asked for at a time.
#[derive(Clone, Copy)]
struct Load {
    at_once: usize,
    /// Of one driver, in one round.
    runs: usize,
    rounds: usize,
}

/// One after the other; as many as the published package has connections for, by half; and all at
/// once, for which that needs minutes.
const LOADS: [Load; 3] = [
    Load {
        at_once: 1,
        runs: 100,
        rounds: 3,
    },
    Load {
        at_once: 50,
        runs: 500,
        rounds: 2,
    },
    Load {
        at_once: 1000,
        runs: 1000,
        rounds: 1,
    },
];

/// Who runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Client {
    /// Sockets, and no library.
    Bare,
    /// The crate contree-client.
    Crate,
    /// This project's package.
    Ours,
    /// Its classes for programs without an event loop.
    OursSync,
    /// The published package.
    Peer,
    /// The same of it.
    PeerSync,
}

impl Client {
    /// In the order of the table.
    const ALL: [Self; 6] = [
        Self::Bare,
        Self::Crate,
        Self::Ours,
        Self::OursSync,
        Self::Peer,
        Self::PeerSync,
    ];

    /// What its runs' hostnames start with.
    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Crate => "crate",
            Self::Ours => "ours",
            Self::OursSync => "ours-sync",
            Self::Peer => "peer",
            Self::PeerSync => "peer-sync",
        }
    }
}

/// Measures all, and returns the tables.
pub(crate) async fn run(args: &Args, rootfs: &Path, out: &Path) -> anyhow::Result<String> {
    let loads = chosen(args)?;
    let server = Server::start(Settings::with(&["--durability", &args.durability]));
    let image = server.import(rootfs, "bench:latest").await;
    let mut report = Report::new(&args.durability);
    for load in loads {
        let row = |client: &Client| Row::new(*client, load.at_once);
        let mut rows: Vec<Row> = args.client.iter().map(row).collect();
        for round in 1..=load.rounds {
            for (&client, row) in args.client.iter().zip(&mut rows) {
                println!(
                    "{} at once, round {round}: {} ...",
                    load.at_once,
                    client.name()
                );
                let options = Options {
                    at_once: load.at_once,
                    runs: load.runs,
                    warm_up: WARM_UP,
                    image,
                    name: format!("{}-{}-{round}", client.name(), load.at_once),
                };
                let (since, cpu) = (Timestamp::now(), server.cpu_time());
                let measured = driver::run(command(args, client, &options)?, &server)
                    .with_context(|| format!("{} could not be measured", options.name))?;
                // Before the questions below.
                let cpu = server.cpu_time() - cpu;
                let moments = moments::since(&server.client(), since).await?;
                row.add(measured, &moments, cpu)?;
            }
        }
        report.add(rows);
    }
    let file = report.write(out)?;
    Ok(format!("{}\n{}", report.shown(), file.display()))
}

fn chosen(args: &Args) -> anyhow::Result<Vec<Load>> {
    let of = |at_once: &usize| {
        let load = LOADS.iter().find(|load| load.at_once == *at_once);
        let load = load.with_context(|| format!("{at_once} at a time is not measured"))?;
        let rounds = args.rounds.unwrap_or(load.rounds);
        Ok(Load { rounds, ..*load })
    };
    args.at_once.iter().map(of).collect()
}

fn command(args: &Args, client: Client, options: &Options) -> anyhow::Result<Command> {
    match client {
        Client::Bare => driver::own(true, options),
        Client::Crate => driver::own(false, options),
        Client::Ours => Ok(driver::python(&args.ours, false, options)),
        Client::OursSync => Ok(driver::python(&args.ours, true, options)),
        Client::Peer => Ok(driver::python(&args.peer, false, options)),
        Client::PeerSync => Ok(driver::python(&args.peer, true, options)),
    }
}
