//! Cancelling, limits, queues, and stopping the engine.

use std::time::Duration;

use contree_api::event::{EventData, ShutdownReason};
use contree_api::operation::OperationStatus;
use contree_api::stream::{ClosableStreamRepr, Encoding};
use contree_engine::{ErrorKind, EventQuery, OperationFilter};
use futures_util::StreamExt as _;

use crate::bench::{Bench, Run, command, shell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_cancel_at_each_stage() {
    let bench = Bench::start_with(|config| config.limits.instance_max_concurrency = 1).await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let base = bench.tiny().await;
    let layers = bench.layers();

    // Executing, with a process that ignores signals.
    let stubborn = "trap '' TERM INT HUP; echo x > /x; echo up; while true; do sleep 1000; done";
    let running = bench.spawn(shell(base, stubborn)).await;
    bench.output(running, 1, "up").await;
    // Pending.
    let pending = bench.spawn(shell(base, "echo never > /never")).await;
    let shown = engine.operation(identity, pending, false).await.unwrap();
    assert_eq!(
        (shown.summary.status, shown.summary.duration),
        (OperationStatus::Pending, 0.0)
    );
    let early = engine.signal(identity, pending, 1, None).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::TooEarly);
    engine.cancel(identity, pending).await.unwrap();
    let run = Run::of(bench.finished(pending).await);
    assert_eq!((run.status, run.image), (OperationStatus::Cancelled, None));
    assert_eq!(bench.events(pending).await.len(), 1);

    engine.cancel(identity, running).await.unwrap();
    // Twice, in whatever moment the second comes.
    if let Err(again) = engine.cancel(identity, running).await {
        assert_eq!(again.kind(), ErrorKind::Conflict);
    }
    let run = Run::of(bench.finished(running).await);
    assert_eq!((run.status, run.image), (OperationStatus::Cancelled, None));
    // The log is kept.
    assert_eq!(
        (run.stdout().as_str(), run.result().state.signal),
        ("up\n", 9)
    );
    let events = bench.events(running).await;
    assert!(events.iter().any(|event| matches!(
        &event.data,
        EventData::Shutdown(shutdown) if shutdown.reason == ShutdownReason::Signal
    )));

    // Ended.
    for operation in [running, pending] {
        let late = engine.cancel(identity, operation).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Conflict);
    }
    // Somewhere between accepted and ended: it is cancelled exactly when that was accepted, and
    // leaves nothing that is not an image's.
    for wait in 0..25 {
        let operation = bench.spawn(shell(base, "echo x > /x")).await;
        tokio::time::sleep(Duration::from_micros(wait * 300)).await;
        let cancelled = engine.cancel(identity, operation).await;
        let run = Run::of(bench.finished(operation).await);
        match run.status {
            OperationStatus::Cancelled => assert_eq!((run.image, cancelled.is_ok()), (None, true)),
            OperationStatus::Success => {
                assert_eq!(cancelled.unwrap_err().kind(), ErrorKind::Conflict);
                bench.sh(run.image.unwrap(), "test -s /x").await;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(bench.uppers().is_empty());
    let swept = engine.sweep().await.unwrap();
    assert_eq!((swept.layers, swept.folders), (0, 0));
    assert!(bench.layers().is_superset(&layers));
    bench.stop().await;
}

/// Whoever looks at an operation in the very moment of its end sees it whole, and its log has one
/// end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn privileged_looked_at_while_it_ends() {
    let bench = Bench::start_with(|config| config.limits.instance_max_concurrency = 1).await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let base = bench.tiny().await;
    let holder = bench.spawn(shell(base, "echo up; exec sleep 1000")).await;
    bench.output(holder, 1, "up").await;

    for _ in 0..100 {
        let operation = bench.spawn(command(base, "true", &[])).await;
        let watchers: Vec<_> = (0..3)
            .map(|_| {
                let (engine, identity) = (engine.clone(), identity.clone());
                tokio::spawn(async move {
                    loop {
                        let shown = engine.operation(&identity, operation, false).await.unwrap();
                        if shown.summary.status.is_terminal() {
                            return shown.summary.status;
                        }
                    }
                })
            })
            .collect();
        engine.cancel(identity, operation).await.unwrap();
        for watcher in watchers {
            assert_eq!(watcher.await.unwrap(), OperationStatus::Cancelled);
        }
        let ends = bench.events(operation).await;
        assert_eq!(ends.len(), 1, "{ends:?}");
    }
    engine.cancel(identity, holder).await.unwrap();
    bench.finished(holder).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_too_much_written() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let layers = bench.layers();
    let one_file = "dd if=/dev/zero of=/big bs=1M";
    for expression in [
        // Found at its end.
        "dd if=/dev/zero of=/big bs=1M count=3",
        // Found while it runs: these would go on for ever.
        "dd if=/dev/zero of=/big bs=1M count=3; sleep 1000",
        one_file,
        "n=0; while true; do n=$((n+1)); echo $n > /file$n; done",
        // Also while files come and go under the eyes of who counts.
        "while true; do mkdir -p /a/b; rm -r /a; echo x >> /grows; done & \
         dd if=/dev/zero of=/big bs=1M count=3; wait",
    ] {
        let mut request = shell(base, expression);
        request.resources_limits.max_layer_bytes = 1 << 20;
        let run = bench.run(request).await;
        assert_eq!((run.status, run.image), (OperationStatus::Failed, None));
        assert_eq!(
            run.error.as_deref(),
            Some("the run wrote more than max_layer_bytes (1048576 bytes)"),
            "{expression}"
        );
    }
    // Whoever keeps nothing has no more room for it.
    let mut request = shell(base, one_file);
    request.resources_limits.max_layer_bytes = 1 << 20;
    request.disposable = true;
    let run = bench.run(request).await;
    assert_eq!(run.status, OperationStatus::Failed);
    assert_eq!(bench.layers(), layers);
    assert!(bench.uppers().is_empty());
    // What stays below it may take its time.
    let mut request = shell(base, "dd if=/dev/zero of=/some bs=64k count=8; sleep 0.2");
    request.resources_limits.max_layer_bytes = 1 << 20;
    let run = bench.run(request).await;
    assert_eq!(run.status, OperationStatus::Success, "{:?}", run.error);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_the_queue_is_fair_and_bounded() {
    let bench = Bench::start_with(|config| {
        config.limits.instance_max_concurrency = 1;
        config.limits.queue_max = 3;
    })
    .await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let base = bench.tiny().await;
    let first = bench.spawn(shell(base, "echo up; sleep 1000")).await;
    bench.output(first, 1, "up").await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(bench.spawn(shell(base, "true")).await);
    }
    let refused = engine
        .spawn(identity, command(base, "true", &[]))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooManyRequests);
    assert!(refused.retry_after().is_some());
    let activity = engine.activity();
    assert_eq!((activity.running_instances, activity.pending), (1, 3));
    let listed = async |status| {
        let filter = OperationFilter {
            status: Some(status),
            ..OperationFilter::default()
        };
        let listed = engine.operations(identity, &filter).await.unwrap();
        listed
            .iter()
            .map(|operation| operation.uuid)
            .collect::<Vec<_>>()
    };
    let newest_first: Vec<_> = waiting.iter().rev().copied().collect();
    assert_eq!(listed(OperationStatus::Pending).await, newest_first);
    assert_eq!(listed(OperationStatus::Executing).await, [first]);
    let all = engine
        .operations(identity, &OperationFilter::default())
        .await
        .unwrap();
    // The import as well; the refused one left no trace.
    assert_eq!(all.len(), 5);
    assert_eq!(all[3].status, OperationStatus::Executing);
    let told = engine.whoami(identity).await.unwrap();
    assert_eq!(
        (
            told.operations_stat["PENDING"],
            told.operations_stat["EXECUTING"]
        ),
        (3, 1)
    );

    engine.signal(identity, first, 1, None).await.unwrap();
    let mut started = Vec::new();
    for operation in &waiting {
        bench.finished(*operation).await;
        started.push(bench.events(*operation).await[0].ts.clone());
    }
    assert!(started.is_sorted(), "{started:?}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_nearly_full_disk_takes_nothing() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let bench = bench
        .restart_with(|config| config.min_free_bytes = u64::MAX)
        .await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let refused = engine.spawn(identity, command(base, "true", &[])).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.message().contains("disk"), "{refused}");
    let refused = engine.begin_upload(identity).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_draining_lets_runs_end_and_keeps_what_waits() {
    let bench = Bench::start_with(|config| config.limits.instance_max_concurrency = 1).await;
    let base = bench.tiny().await;
    let input = |close| ClosableStreamRepr {
        value: String::new(),
        encoding: Encoding::Ascii,
        close,
    };
    let mut request = shell(base, "echo up; cat; echo x > /x");
    request.stdin = Some(input(false));
    let running = bench.spawn(request).await;
    bench.output(running, 1, "up").await;
    let waiting = bench.spawn(shell(base, "echo later")).await;
    let query = EventQuery {
        follow: true,
        ..EventQuery::default()
    };
    let mut stream = bench.stream(waiting, query).await;

    let Bench {
        engine, identity, ..
    } = &bench;
    let draining = tokio::spawn({
        let engine = engine.clone();
        async move { engine.drain(Duration::from_secs(60)).await }
    });
    // The run ends only once nothing new is taken and nothing that waits is started.
    let begun = async {
        while engine.ready().await.is_ok() || engine.activity().pending > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), begun)
        .await
        .unwrap();
    engine
        .write_stdin(identity, running, 1, input(true))
        .await
        .unwrap();
    draining.await.unwrap();
    assert!(stream.next().await.is_none());
    let refused = engine.spawn(identity, command(base, "true", &[])).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    let refused = engine.ready().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);

    let bench = bench.restart_with(|_| {}).await;
    let run = Run::of(bench.finished(running).await);
    assert_eq!(run.status, OperationStatus::Success);
    bench.sh(run.image.unwrap(), "test -s /x").await;
    let run = Run::of(bench.finished(waiting).await);
    assert_eq!(
        (run.status, run.stdout().as_str()),
        (OperationStatus::Success, "later\n")
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_draining_stops_what_takes_too_long() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let running = bench.spawn(shell(base, "echo up; sleep 1000")).await;
    bench.output(running, 1, "up").await;
    let query = EventQuery {
        follow: true,
        ..EventQuery::default()
    };
    let stream = bench.stream(running, query).await;
    bench.engine.drain(Duration::from_millis(50)).await;
    let kinds: Vec<_> = stream.map(|line| line.unwrap().kind).collect().await;
    assert_eq!(kinds.last(), Some(&"completion"));
    let bench = bench.restart_with(|_| {}).await;
    let run = Run::of(bench.finished(running).await);
    assert_eq!(run.status, OperationStatus::Failed);
    assert!(run.error.unwrap().contains("server was stopped"));
    bench.stop().await;
}
