//! One client's runs, in a process of its own: how it is started, what it reports, and the drivers
//! in Rust. The one in Python is benches/sdk/measure.py.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use contree_api::ImageId;
use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::{OperationResponse, OperationStatus};
use contree_client::{Client, Config, Contree};
use contree_e2e::Server;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::bare;

/// What a driver is asked for.
pub(super) struct Options {
    /// Callers, each one run at a time.
    pub(super) at_once: usize,
    /// Runs of all callers together.
    pub(super) runs: usize,
    /// Runs before those that count.
    pub(super) warm_up: usize,
    /// The image to run in.
    pub(super) image: ImageId,
    /// What the runs' hostnames start with.
    pub(super) name: String,
}

/// The same on the command line of this program.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bare sockets instead of the crate
    #[arg(long)]
    bare: bool,
    #[arg(long)]
    at_once: usize,
    #[arg(long)]
    runs: usize,
    #[arg(long)]
    warm_up: usize,
    #[arg(long)]
    image: ImageId,
    #[arg(long)]
    name: String,
}

/// What a driver reports.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// What ran: a version, or what it is.
    pub(super) package: String,
    /// Nanoseconds that loading it took, where it is loaded.
    #[serde(default)]
    pub(super) import_nanos: Option<u64>,
    /// Nanoseconds from the first call to the last result.
    pub(super) wall_nanos: u64,
    /// Processor time of the driver in that time.
    pub(super) cpu_nanos: u64,
    /// Bytes resident when it began.
    pub(super) memory_before: u64,
    /// Most bytes resident until it ended.
    pub(super) memory_peak: u64,
    /// Every run.
    pub(super) runs: Vec<Run>,
}

/// One run; moments are nanoseconds since the Unix epoch.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// Its hostname.
    pub(super) name: String,
    /// When it was called.
    pub(super) began: u64,
    /// When its result, or the error, was here.
    pub(super) ended: u64,
    /// The error.
    pub(super) failure: Option<Failure>,
}

/// Why a run failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Failure {
    /// The error's type with what tells it apart.
    pub(super) kind: String,
    /// The error's words.
    pub(super) words: String,
}

const URL: &str = "CONTREE_BENCH_URL";
const TOKEN: &str = "CONTREE_BENCH_TOKEN";

/// The driver in Python, in an environment with the package to measure.
pub(super) fn python(python: &Path, is_sync: bool, options: &Options) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/measure.py"));
    if is_sync {
        command.arg("--sync");
    }
    with(command, options)
}

/// The driver in Rust, which is this program.
pub(super) fn own(is_bare: bool, options: &Options) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(own);
    command.arg("sdk-driver");
    if is_bare {
        command.arg("--bare");
    }
    Ok(with(command, options))
}

fn with(mut command: Command, options: &Options) -> Command {
    for (option, value) in [
        ("--at-once", options.at_once.to_string()),
        ("--runs", options.runs.to_string()),
        ("--warm-up", options.warm_up.to_string()),
        ("--image", options.image.to_string()),
        ("--name", options.name.clone()),
    ] {
        command.args([option, &value]);
    }
    command
}

/// Starts a driver and waits for what it reports.
pub(super) fn run(mut command: Command, server: &Server) -> anyhow::Result<Measured> {
    let output = command
        .env(URL, server.url())
        .env(TOKEN, server.token())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("its driver ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("cannot read what its driver reports")
}

/// Runs as a driver and returns the report's JSON.
pub(crate) fn drive(args: &Args) -> anyhow::Result<String> {
    let of = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let (url, token) = (of(URL)?, of(TOKEN)?);
    let measured = if args.bare {
        bare::drive(args, &url, &token)?
    } else {
        crate::runtime()?.block_on(through_crate(args, url, token))?
    };
    serde_json::to_string(&measured).context("cannot write JSON")
}

impl Args {
    /// Callers, each one run at a time.
    pub(super) const fn at_once(&self) -> usize {
        self.at_once
    }

    /// Runs of all callers together.
    pub(super) const fn runs(&self) -> usize {
        self.runs
    }

    /// Runs before those that count.
    pub(super) const fn warm_up(&self) -> usize {
        self.warm_up
    }

    /// What is run, with a number's hostname.
    pub(super) fn request(&self, number: impl std::fmt::Display) -> InstanceSpawnRequest {
        InstanceSpawnRequest {
            disposable: true,
            hostname: format!("{}-{number}", self.name),
            ..InstanceSpawnRequest::new("true", ImageRef::Id(self.image))
        }
    }
}

async fn through_crate(args: &Args, url: String, token: String) -> anyhow::Result<Measured> {
    let contree = Contree::new(Client::new(Config::new(url, token))?);
    for number in 0..args.warm_up {
        let request = args.request(format_args!("w{number}"));
        ensure_succeeded(&contree.spawn(&request).await?.wait().await?)?;
    }
    let requests: Arc<Vec<_>> = Arc::new((0..args.runs).map(|n| args.request(n)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let measure = Measure::start()?;
    let callers: Vec<_> = (0..args.at_once)
        .map(|_| {
            let (contree, requests, next) = (contree.clone(), requests.clone(), next.clone());
            tokio::spawn(async move {
                let mut runs = Vec::new();
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    runs.push(timed(&contree, request).await);
                }
                runs
            })
        })
        .collect();
    let mut runs = Vec::with_capacity(args.runs);
    for caller in callers {
        runs.extend(caller.await.context("a caller panicked")?);
    }
    measure.end("contree-client (Rust)", runs)
}

async fn timed(contree: &Contree, request: &InstanceSpawnRequest) -> Run {
    let began = now();
    let outcome = async { ensure_succeeded(&contree.spawn(request).await?.wait().await?) };
    let outcome = outcome.await;
    Run {
        name: request.hostname.clone(),
        began,
        ended: now(),
        failure: outcome.err().map(|error| Failure {
            kind: "error".to_owned(),
            words: format!("{error:#}"),
        }),
    }
}

/// `true` succeeds; anything else is no measure of it.
pub(super) fn ensure_succeeded(ended: &OperationResponse) -> anyhow::Result<()> {
    let (status, error) = (ended.summary.status, &ended.summary.error);
    ensure!(
        status == OperationStatus::Success,
        "the run ended as {status:?}: {error:?}"
    );
    Ok(())
}

/// Nanoseconds since the Unix epoch.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    crate::numbers::nanos(since.unwrap_or_default())
}

/// What the part between `start` and `end` costs this process.
pub(super) struct Measure {
    memory: u64,
    cpu: u64,
    began: u64,
}

impl Measure {
    pub(super) fn start() -> anyhow::Result<Self> {
        // Forgets the peak so far: what counts is what the runs add.
        fs::write("/proc/self/clear_refs", "5").context("cannot forget the peak of memory")?;
        Ok(Self {
            memory: memory("VmRSS:")?,
            cpu: cpu_nanos(),
            began: now(),
        })
    }

    pub(super) fn end(&self, package: &str, runs: Vec<Run>) -> anyhow::Result<Measured> {
        Ok(Measured {
            package: package.to_owned(),
            import_nanos: None,
            wall_nanos: now().saturating_sub(self.began),
            cpu_nanos: cpu_nanos().saturating_sub(self.cpu),
            memory_before: self.memory,
            memory_peak: memory("VmHWM:")?,
            runs,
        })
    }
}

/// Bytes, from a line of this process's status.
fn memory(field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read the status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("the status lacks {field}"))? * 1024)
}

fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    u64::try_from(nanos).unwrap_or(0)
}
