//! What a run costs beside its sandbox. Nothing is judged here: run by name, it prints.
//!
//! `cargo nextest run --release -p contree-engine privileged_cost --run-ignored all --no-capture`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use contree_api::operation::OperationStatus;
use contree_api::{ImageId, OperationId};
use contree_engine::{Durability, EngineConfig, EventQuery};
use contree_sandbox::{Host, HostConfig, Job, Limits, NetworkConfig, Process};
use futures_util::StreamExt as _;
use tokio::io::AsyncReadExt as _;

use crate::bench::{Bench, command, sandbox_binary};
use crate::trees::chain;

const RUNS: usize = 300;

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    format!(
        "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms",
        at(50),
        at(90),
        at(99)
    )
}

/// From the request to the completion event.
async fn one(bench: &Bench, image: ImageId, args: &[&str]) -> (Duration, ImageId) {
    let began = Instant::now();
    let request = command(image, args[0], &args[1..]);
    let operation = bench
        .engine
        .spawn(&bench.identity, request)
        .await
        .unwrap()
        .uuid;
    let query = EventQuery {
        follow: true,
        ..EventQuery::default()
    };
    let mut events = bench.stream(operation, query).await;
    while events
        .next()
        .await
        .is_some_and(|line| line.unwrap().kind != "completion")
    {}
    let took = began.elapsed();
    let shown = bench
        .engine
        .operation(&bench.identity, operation, false)
        .await
        .unwrap();
    assert_eq!(shown.summary.status, OperationStatus::Success, "{shown:?}");
    (took, shown.summary.result_image_uuid.unwrap())
}

/// The sandbox alone: the same mount and process, without engine, records or commit.
struct Alone {
    host: Host,
    store: PathBuf,
    lowers: Vec<String>,
}

impl Alone {
    async fn start(bench: &Bench, image: ImageId) -> Self {
        let store = bench.data().join("store");
        let config = HostConfig {
            launcher: sandbox_binary(),
            store: store.clone(),
            network: NetworkConfig {
                pool: 2,
                ..NetworkConfig::default()
            },
            defaults: Limits::default(),
        };
        let host = Host::start(config).await.unwrap();
        let layers = chain(bench, image).await;
        let mut lowers: Vec<_> = layers
            .iter()
            .map(|s| format!("layers/{}", s.folder.uuid().simple()))
            .collect();
        lowers.push("layers/skeleton".to_owned());
        Self {
            host,
            store,
            lowers,
        }
    }

    async fn one(&self, argv: &[&str]) -> Duration {
        let began = Instant::now();
        let name = format!("uppers/{}", OperationId::new().uuid().simple());
        let job = Job {
            name: name.clone(),
            lowers: self.lowers.clone(),
            upper: format!("{name}/upper"),
            work: format!("{name}/work"),
            hostname: "alone".to_owned(),
            network: false,
            limits: Limits::default(),
            files: Vec::new(),
            process: Process {
                program: contree_sandbox::Program::Command(
                    argv.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
                ),
                env: vec![(b"PATH".to_vec(), b"/usr/bin".to_vec())],
                cwd: b"/".to_vec(),
                uid: 0,
                gid: 0,
                stdin: false,
            },
        };
        for folder in [&job.upper, &job.work] {
            std::fs::create_dir_all(self.store.join(folder)).unwrap();
        }
        let (sandbox, mut running) = self.host.spawn(job).await.unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (exit, out, err) = tokio::join!(
            running.exit,
            running.stdout.read_to_end(&mut out),
            running.stderr.read_to_end(&mut err)
        );
        assert_eq!(exit.unwrap().code, Some(0));
        sandbox.gone().await;
        let took = began.elapsed();
        assert_eq!(out.unwrap() + err.unwrap(), 0);
        std::fs::remove_dir_all(self.store.join(name)).unwrap();
        took
    }
}

#[expect(clippy::print_stdout, reason = "what it is for")]
async fn measure(what: &str, change: impl FnOnce(&mut EngineConfig)) {
    let bench = Bench::start_with(change).await;
    let base = bench.tiny().await;
    let floor = Alone::start(&bench, base).await;
    for _ in 0..20 {
        floor.one(&["true"]).await;
        one(&bench, base, &["true"]).await;
    }
    let mut alone = Vec::new();
    let mut unchanged = Vec::new();
    let mut changed = Vec::new();
    let mut chained = Vec::new();
    let mut tip = base;
    for _ in 0..RUNS {
        alone.push(floor.one(&["mkdir", "/made"]).await);
        unchanged.push(one(&bench, base, &["true"]).await.0);
        changed.push(one(&bench, base, &["mkdir", "/made"]).await.0);
        let (took, image) = one(&bench, tip, &["mkdir", "-p", "/a/b/c", "/d"]).await;
        tip = image;
        chained.push(took);
    }
    floor.host.shutdown().await;
    println!("the sandbox alone:   {}", percentiles(alone));
    println!("{what}, unchanged: {}", percentiles(unchanged));
    println!("{what}, changed:   {}", percentiles(changed));
    println!("{what}, on top:    {}", percentiles(chained));
    for at_once in [4, 16] {
        let began = Instant::now();
        let runs = futures_util::stream::iter(0..RUNS)
            .map(|_| one(&bench, base, &["mkdir", "/made"]))
            .buffer_unordered(at_once)
            .count()
            .await;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let rate = runs as f64 / began.elapsed().as_secs_f64();
        println!("{what}, {at_once} at once: {rate:.0} a second");
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints measurements; run by name"]
async fn privileged_cost_of_a_run() {
    measure("relaxed", |_| {}).await;
    measure("durable", |config| config.durability = Durability::Durable).await;
}
