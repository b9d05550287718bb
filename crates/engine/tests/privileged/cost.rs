//! What a run costs beside its sandbox. Nothing is judged here: run by name, it prints.
//!
//! `cargo nextest run --release -p contree-engine privileged_cost --run-ignored all --no-capture`

use std::time::{Duration, Instant};

use contree_api::ImageId;
use contree_api::operation::OperationStatus;
use contree_engine::{Durability, EngineConfig, EventQuery};
use futures_util::StreamExt as _;

use crate::bench::{Bench, command};

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

#[expect(clippy::print_stdout, reason = "what it is for")]
async fn measure(what: &str, change: impl FnOnce(&mut EngineConfig)) {
    let bench = Bench::start_with(change).await;
    let base = bench.tiny().await;
    for _ in 0..20 {
        one(&bench, base, &["true"]).await;
    }
    let mut unchanged = Vec::new();
    let mut changed = Vec::new();
    let mut chained = Vec::new();
    let mut tip = base;
    for _ in 0..RUNS {
        unchanged.push(one(&bench, base, &["true"]).await.0);
        changed.push(one(&bench, base, &["mkdir", "/made"]).await.0);
        let (took, image) = one(&bench, tip, &["mkdir", "-p", "/a/b/c", "/d"]).await;
        tip = image;
        chained.push(took);
    }
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
