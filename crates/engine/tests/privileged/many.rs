//! Many at once.

use std::collections::BTreeSet;

use contree_api::operation::OperationStatus;
use contree_engine::EventQuery;
use futures_util::StreamExt as _;

use crate::bench::{Bench, Run, shell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_hundred_children_of_one_image() {
    let bench = Bench::start_with(|config| config.limits.instance_max_concurrency = 32).await;
    let base = bench.tiny().await;
    let mut operations = Vec::new();
    for n in 0..100 {
        let expression = format!("echo {n} > /n; cat /n; rm -r /etc; head -c 5000 /dev/zero > /z");
        operations.push(bench.spawn(shell(base, &expression)).await);
    }
    let mut images = BTreeSet::new();
    for (n, operation) in operations.into_iter().enumerate() {
        let run = Run::of(bench.finished(operation).await);
        assert_eq!(run.status, OperationStatus::Success, "{n}: {:?}", run.error);
        assert_eq!(run.stdout(), format!("{n}\n"));
        assert!(images.insert(run.image.unwrap()));
    }
    assert_eq!(bench.layers().len(), 101);
    assert!(bench.uppers().is_empty());
    bench.sh(base, "test -s /etc/passwd && ! test -e /n").await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_reader_that_does_not_read_blocks_nobody() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let mut request = shell(base, "echo up; head -c 5000000 /dev/zero; echo end >&2");
    request.truncate_output_at = 10_485_760;
    let operation = bench.spawn(request).await;
    let query = EventQuery {
        follow: true,
        ..EventQuery::default()
    };
    let mut idle = bench.stream(operation, query).await;
    assert_eq!(idle.next().await.unwrap().unwrap().kind, "init");
    // The run ends although nobody has read the rest, and the rest is there when asked for.
    let run = Run::of(bench.finished(operation).await);
    assert_eq!(run.result().stdout.to_bytes().unwrap().len(), 5_000_003);
    let rest: Vec<_> = idle.map(|line| line.unwrap().id).collect().await;
    assert!(rest.is_sorted() && rest[0] == 1);

    // From the middle, and of one process only.
    let query = EventQuery {
        after: Some(rest[10]),
        ..EventQuery::default()
    };
    let some: Vec<_> = bench
        .stream(operation, query)
        .await
        .map(|l| l.unwrap().id)
        .collect()
        .await;
    assert_eq!(some, rest[11..]);
    let query = EventQuery {
        spid: Some(0),
        ..EventQuery::default()
    };
    let service: Vec<_> = bench
        .stream(operation, query)
        .await
        .map(|l| l.unwrap().kind)
        .collect()
        .await;
    assert_eq!(service, ["init", "shutdown"]);
    bench.stop().await;
}
