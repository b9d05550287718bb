//! How long commands take that ask no server: from the start of the process to its end.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::numbers::{Spread, nanos};

/// What is started.
const LINES: [&[&str]; 5] = [
    &["--version"],
    &["--help"],
    &["session"],
    &["env"],
    &["auth", "list", "-O"],
];

/// The commands of a home with one session.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The `contree` to measure
    #[arg(long, env = "CONTREE_TEST_BIN", value_name = "FOLDER")]
    bin: PathBuf,
    /// Another program with the same commands, to measure beside it
    #[arg(long, value_name = "PROGRAM")]
    peer: Option<PathBuf>,
    /// Starts behind each number
    #[arg(long, default_value_t = 50)]
    starts: usize,
}

/// Measures, and prints the table.
pub(crate) fn run(args: &Args) -> anyhow::Result<String> {
    let ours = args.bin.join("contree");
    let programs: Vec<&Path> = std::iter::once(ours.as_path())
        .chain(args.peer.as_deref())
        .collect();
    let home = tempfile::tempdir().context("cannot make a home")?;
    // A variable begins the database, as `contree use` does where there is a server.
    ensure!(
        call(&ours, &["env", "A=1"], home.path())?.success(),
        "contree env failed"
    );
    let mut table =
        String::from("| program | command | p50 ms | p99 ms |\n| --- | --- | --- | --- |\n");
    for program in programs {
        for line in LINES {
            let mut took = Vec::with_capacity(args.starts);
            for _ in 0..args.starts.max(1) {
                let begun = Instant::now();
                call(program, line, home.path())?;
                took.push(nanos(begun.elapsed()));
            }
            let spread = Spread::of(&took).context("nothing was measured")?;
            let (program, line) = (program.display(), line.join(" "));
            let Spread { p50, p99, .. } = spread;
            writeln!(table, "| {program} | {line} | {p50:.1} | {p99:.1} |")?;
        }
    }
    Ok(table)
}

fn call(program: &Path, line: &[&str], home: &Path) -> anyhow::Result<std::process::ExitStatus> {
    Command::new(program)
        .args(line)
        .env("CONTREE_HOME", home)
        .env("CONTREE_SESSION", "bench")
        .env("CONTREE_NO_UPDATE_CHECK", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", program.display()))
}
