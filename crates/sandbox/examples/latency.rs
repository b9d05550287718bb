//! Where the time of a run goes, by itself: no engine, no database, no HTTP.
//!
//! ```text
//! cargo build --release -p contree-sandbox --example latency
//! cargo rustc --release -p contree-sandbox --bin contree-sandbox -- -C target-feature=+crt-static
//! target/release/examples/latency target/release/contree-sandbox STORE LAYER[:LAYER…] [RUNS]
//! ```
//!
//! STORE must have `layers/LAYER` with a root filesystem that has `/bin/true`.

#![expect(clippy::print_stdout, reason = "this is a program")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use contree_sandbox::{Host, HostConfig, Job, Limits, NetworkConfig, Process};

/// Times of one run, since its start.
#[derive(Debug, Clone, Copy)]
struct Times {
    started: Duration,
    exited: Duration,
    gone: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, launcher, store, layers, rest @ ..] = arguments.as_slice() else {
        return Err("usage: latency LAUNCHER STORE LAYER[:LAYER…] [RUNS]".into());
    };
    let runs = rest.first().map_or(Ok(300), |runs| runs.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let host = Host::start(HostConfig {
            launcher: launcher.into(),
            store: store.into(),
            network: NetworkConfig::default(),
            defaults: Limits {
                memory_bytes: Some(1 << 30),
                pids: Some(512),
                cpus: Some(1.0),
            },
        })
        .await?;
        let bench = Arc::new(Bench {
            host: host.clone(),
            store: store.clone(),
            lowers: layers
                .split(':')
                .map(|layer| format!("layers/{layer}"))
                .collect(),
            next: AtomicU32::new(0),
        });
        for network in [true, false] {
            for parallel in [1, 4, 16] {
                bench.measure(network, parallel, runs).await;
            }
        }
        host.shutdown().await;
        Ok(())
    })
}

struct Bench {
    host: Host,
    store: String,
    lowers: Vec<String>,
    next: AtomicU32,
}

impl Bench {
    async fn measure(self: &Arc<Self>, network: bool, parallel: usize, runs: usize) {
        let since = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..parallel {
            let bench = Arc::clone(self);
            tasks.spawn(async move {
                let mut times = Vec::new();
                for _ in 0..runs / parallel {
                    times.push(bench.run(network).await);
                }
                times
            });
        }
        let times: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        let rate = times.len() as f64 / since.elapsed().as_secs_f64();
        println!(
            "network {network:5} parallel {parallel:2}: {rate:6.0}/s  started {}  exited {}  gone {}",
            percentiles(times.iter().map(|times| times.started)),
            percentiles(times.iter().map(|times| times.exited)),
            percentiles(times.iter().map(|times| times.gone)),
        );
    }

    async fn run(&self, network: bool) -> Times {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = format!("uppers/{number}");
        for name in ["upper", "work"] {
            std::fs::create_dir_all(Path::new(&self.store).join(&folder).join(name))
                .expect("a folder of the run");
        }
        let job = Job {
            name: number.to_string(),
            lowers: self.lowers.clone(),
            upper: format!("{folder}/upper"),
            work: format!("{folder}/work"),
            hostname: "linuxkit".into(),
            network,
            limits: Limits::default(),
            files: Vec::new(),
            process: Process {
                program: contree_sandbox::Program::Command(vec![b"/bin/true".to_vec()]),
                env: Vec::new(),
                cwd: b"/".to_vec(),
                uid: 0,
                gid: 0,
                stdin: false,
            },
        };
        let since = Instant::now();
        let (sandbox, running) = self.host.spawn(job).await.expect("a sandbox");
        let started = since.elapsed();
        running.exit.await.expect("an exit");
        let exited = since.elapsed();
        sandbox.gone().await;
        let gone = since.elapsed();
        std::fs::remove_dir_all(Path::new(&self.store).join(&folder)).expect("remove the run");
        Times {
            started,
            exited,
            gone,
        }
    }
}

fn percentiles(times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<_> = times.map(|time| time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    format!(
        "p50 {:5.2} p90 {:5.2} p99 {:5.2} ms",
        at(0.5),
        at(0.9),
        at(0.99)
    )
}
