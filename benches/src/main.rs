//! The measures behind docs/performance.md: the floor of this machine, how far above it a run
//! through the server is, and podman beside it. `cargo xtask bench` builds and sets up all of it.

#![expect(
    clippy::print_stdout,
    reason = "a command line whose result is a table"
)]

mod floor;
mod numbers;
mod podman;
mod report;
mod runs;
mod sdk;
mod start;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Parser;

use floor::Floor;
use report::{FLOOR, Report};
use runs::{AT_ONCE, Scale};

/// Measures runs through a server against the bare kernel.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// Tar of the root filesystem to run in
    #[arg(long)]
    rootfs: Option<PathBuf>,
    /// Folder for results and for what is unpacked on the way
    #[arg(long)]
    out: Option<PathBuf>,
    /// Runs behind each row
    #[arg(long, default_value_t = 300)]
    runs: usize,
    /// Depths of the chain of images
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000])]
    depths: Vec<usize>,
    /// Which durability settings to measure
    #[arg(long, value_delimiter = ',', default_values_t = ["relaxed".to_owned(), "durable".to_owned()])]
    durability: Vec<String>,
    /// Calls of podman behind each of its rows; 0 leaves it out
    #[arg(long, default_value_t = 10)]
    podman_runs: usize,
}

#[derive(clap::Subcommand)]
enum Part {
    /// Only the floor, as JSON; what the whole benchmark calls as a process of its own
    #[command(hide = true)]
    Floor(floor::Args),
    /// How long the command line takes to start
    Start(start::Args),
    /// How long `true` takes through the Python package and the Rust crate, and what waiting costs
    Sdk(sdk::Args),
    /// One client's runs, as JSON; what `sdk` calls as a process of its own
    #[command(hide = true)]
    SdkDriver(sdk::driver::Args),
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.part {
        // Before any thread exists: it forks.
        Some(Part::Floor(floor)) => {
            println!(
                "{}",
                serde_json::to_string(&floor::run(floor)?).context("cannot write JSON")?
            );
            Ok(())
        }
        Some(Part::Start(start)) => {
            println!("{}", start::run(start)?);
            Ok(())
        }
        Some(Part::SdkDriver(driver)) => {
            println!("{}", sdk::driver::drive(driver)?);
            Ok(())
        }
        Some(Part::Sdk(sdk)) => {
            let (rootfs, out) = places(&args)?;
            println!("{}", runtime()?.block_on(sdk::run(sdk, rootfs, out))?);
            Ok(())
        }
        None => runtime()?.block_on(whole(&args)),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")
}

fn places(args: &Args) -> anyhow::Result<(&Path, &Path)> {
    let (Some(rootfs), Some(out)) = (&args.rootfs, &args.out) else {
        bail!("--rootfs and --out are needed");
    };
    Ok((rootfs, out))
}

async fn whole(args: &Args) -> anyhow::Result<()> {
    let (rootfs, out) = places(args)?;
    let mut report = Report::new();
    let image = unpacked(rootfs, out)?;
    println!("floor ...");
    report.latency(FLOOR, &floor(&image, out, args.runs, 1)?.nanos);
    for at_once in AT_ONCE {
        let runs = (args.runs * 2).max(at_once * 8);
        let floor = floor(&image, out, runs, at_once)?;
        report.rate(FLOOR, at_once, numbers::rate(runs, floor.wall_nanos));
    }
    let mut depths = args.depths.clone();
    depths.sort_unstable();
    let scale = Scale {
        runs: args.runs,
        depths,
    };
    for durability in &args.durability {
        println!("{durability} ...");
        runs::measure(&mut report, durability, rootfs, &scale).await?;
    }
    if args.podman_runs > 0 {
        println!("podman ...");
        podman::measure(&mut report, rootfs, out, args.podman_runs);
    }
    let file = report.write(out)?;
    println!("\n{}\n{}", report.table(), file.display());
    Ok(())
}

/// The root filesystem as a folder, unpacked once.
fn unpacked(rootfs: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    let folder = out.join("rootfs");
    if folder.exists() {
        return Ok(folder);
    }
    let partial = out.join("rootfs.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).context("cannot remove a half unpacked root")?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    let status = Command::new("tar")
        .args(["--extract", "--numeric-owner", "--file"])
        .arg(rootfs)
        .arg("--directory")
        .arg(&partial)
        .status()
        .context("cannot start tar")?;
    if !status.success() {
        bail!("tar could not unpack {}: {status}", rootfs.display());
    }
    fs::rename(&partial, &folder).with_context(|| format!("cannot name {}", folder.display()))?;
    Ok(folder)
}

/// The floor, measured by a process without threads.
fn floor(image: &Path, out: &Path, runs: usize, at_once: usize) -> anyhow::Result<Floor> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let scratch = out.join("scratch");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let output = Command::new(own)
        .arg("floor")
        .arg("--image")
        .arg(image)
        .arg("--scratch")
        .arg(&scratch)
        .args([
            "--runs",
            &runs.to_string(),
            "--at-once",
            &at_once.to_string(),
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the floor")?;
    if !output.status.success() {
        bail!("the floor failed: {}", output.status);
    }
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    serde_json::from_slice(&output.stdout).context("cannot read what the floor measured")
}
