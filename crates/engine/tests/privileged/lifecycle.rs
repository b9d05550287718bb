//! What becomes of a run.

use crate::bench::Bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_run_makes_an_image() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let run = bench
        .sh(base, "echo hello > /etc/greeting; echo out; echo err >&2")
        .await;
    assert_eq!(
        (run.stdout().as_str(), run.stderr().as_str()),
        ("out\n", "err\n")
    );
    let image = run.image.unwrap();
    assert_ne!(image, base);
    assert!(run.shown.summary.image_size.unwrap() > 0);
    assert!(run.shown.summary.consumed_cpu.is_some());
    assert!(run.shown.summary.duration > 0.0);
    let state = run.result().state;
    assert_eq!(
        (state.exit_code, state.signal, state.timed_out),
        (0, -1, false)
    );
    assert!(run.result().resources.max_rss > 0);

    // The image has it, its parent does not.
    assert_eq!(
        bench.sh(image, "cat /etc/greeting").await.stdout(),
        "hello\n"
    );
    bench.sh(base, "! test -e /etc/greeting").await;
    let shown = bench.engine.image(&bench.identity, image).await.unwrap();
    assert_eq!(
        (shown.operation_uuid, shown.parent_uuid),
        (Some(run.id), Some(base))
    );
    let listed = bench
        .engine
        .list_directory(&bench.identity, image, "/etc")
        .await
        .unwrap();
    assert!(listed.files.iter().any(|file| file.path == "greeting"));

    let events = bench.events(run.id).await;
    let kinds: Vec<_> = events.iter().map(|event| event.data.type_name()).collect();
    assert_eq!(kinds[..2], ["init", "spawn"]);
    assert_eq!(kinds[kinds.len() - 3..], ["exit", "shutdown", "completion"]);
    assert!(
        events
            .iter()
            .enumerate()
            .all(|(at, event)| event.id == at as u64)
    );
    assert!(bench.uppers().is_empty());
    bench.engine.drain(std::time::Duration::from_secs(5)).await;
}
