//! Input, further processes and signals.

use contree_api::event::EventData;
use contree_api::instance::ExecSpec;
use contree_api::operation::OperationStatus;
use contree_api::stream::{ClosableStreamRepr, Encoding};
use contree_api::{ImageId, OperationId};
use contree_engine::ErrorKind;

use crate::bench::{Bench, Run, command, env, shell, text};

fn input(value: &str, close: bool) -> ClosableStreamRepr {
    ClosableStreamRepr {
        value: value.into(),
        encoding: Encoding::Ascii,
        close,
    }
}

/// A run that goes on until its stdin is closed, and has begun.
async fn waiting(bench: &Bench, image: ImageId) -> OperationId {
    let mut request = shell(
        image,
        "export X=1; echo ready; while read line; do echo got $line; done",
    );
    request.stdin = Some(input("", false));
    request.env = env(&[("SHARED", Some("yes"))]);
    let operation = bench.spawn(request).await;
    bench.output(operation, 1, "ready").await;
    operation
}

fn exec(command: &str, shell: bool) -> ExecSpec {
    let text = serde_json::json!({"command": command, "shell": shell});
    serde_json::from_value(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_stdin() {
    let bench = Bench::start().await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let base = bench.tiny().await;
    // All at once, larger than a pipe, echoed back whole.
    let mut request = command(base, "cat", &[]);
    let long = "0123456789abcde\n".repeat(20_000);
    request.stdin = Some(input(&long, true));
    assert_eq!(bench.run(request).await.stdout(), long);
    // None at all is end of file.
    assert_eq!(bench.run(command(base, "cat", &[])).await.stdout(), "");
    // A process that does not read does not keep its run from ending.
    let mut request = command(base, "true", &[]);
    request.stdin = Some(input(&long, true));
    assert_eq!(bench.run(request).await.exit_code(), 0);

    // In pieces.
    let operation = waiting(&bench, base).await;
    for piece in ["one\n", "two\nth", "ree\n"] {
        engine
            .write_stdin(identity, operation, 1, input(piece, false))
            .await
            .unwrap();
    }
    bench.output(operation, 1, "got three").await;
    let no_such = engine
        .write_stdin(identity, operation, 9, input("x", true))
        .await
        .unwrap_err();
    assert_eq!(no_such.kind(), ErrorKind::NotFound);
    engine
        .write_stdin(identity, operation, 1, input("four\n", true))
        .await
        .unwrap();
    let run = Run::of(bench.finished(operation).await);
    assert_eq!(
        run.stdout(),
        "ready\ngot one\ngot two\ngot three\ngot four\n"
    );
    let late = engine
        .write_stdin(identity, operation, 1, input("x", true))
        .await
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Gone);
    let recorded: String = bench
        .events(operation)
        .await
        .iter()
        .filter_map(|event| match &event.data {
            EventData::Stdin(chunk) => Some(chunk.value.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(recorded, "one\ntwo\nthree\nfour\n");

    // Never opened, and closed already.
    let operation = bench.spawn(shell(base, "echo up; sleep 1000")).await;
    bench.output(operation, 1, "up").await;
    let closed = engine
        .write_stdin(identity, operation, 1, input("x", true))
        .await
        .unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Conflict);
    engine.signal(identity, operation, 1, None).await.unwrap();
    bench.finished(operation).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_further_processes() {
    let bench = Bench::start().await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let base = bench.tiny().await;
    let operation = waiting(&bench, base).await;

    // The same filesystem and environment.
    let mut spec = exec("echo $SHARED $MORE > /made; exit 7", true);
    spec.env = env(&[("MORE", Some("too"))]);
    let first = engine.exec(identity, operation, spec).await.unwrap().spid;
    assert_eq!(first, 2);
    let exit = bench
        .event(operation, |e| {
            e.spid == Some(first) && matches!(e.data, EventData::Exit(_))
        })
        .await;
    let EventData::Exit(exit) = exit.data else {
        unreachable!()
    };
    assert_eq!(exit.code, 7);
    let result = engine
        .process_result(identity, operation, first)
        .await
        .unwrap();
    assert_eq!(result.state.exit_code, 7);

    // Input is taken at once; a signal ends it; its result says so.
    let mut spec = exec("cat", false);
    spec.stdin = Some(input("a", false));
    let second = engine.exec(identity, operation, spec).await.unwrap().spid;
    assert_eq!(second, 3);
    engine
        .write_stdin(identity, operation, second, input("b\n", false))
        .await
        .unwrap();
    bench.output(operation, second, "ab\n").await;
    let running = engine
        .process_result(identity, operation, second)
        .await
        .unwrap();
    assert_eq!((running.state.exit_code, running.state.signal), (-1, -1));
    assert_eq!(text(&running.stdout), "ab\n");
    engine
        .signal(identity, operation, second, Some("sigterm"))
        .await
        .unwrap();
    bench
        .event(operation, |e| {
            e.spid == Some(second) && matches!(e.data, EventData::Exit(_))
        })
        .await;
    let ended = engine
        .process_result(identity, operation, second)
        .await
        .unwrap();
    assert_eq!((ended.state.exit_code, ended.state.signal), (-1, 15));
    let gone = engine
        .signal(identity, operation, second, None)
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);

    // What cannot be: unknown command, unknown signal, unknown process.
    let missing = engine
        .exec(identity, operation, exec("nope", false))
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::BadRequest);
    assert!(missing.message().contains("exec nope"), "{missing}");
    let signal = engine
        .signal(identity, operation, 1, Some("SIGNOPE"))
        .await
        .unwrap_err();
    assert_eq!(signal.kind(), ErrorKind::BadRequest);
    let result = engine
        .process_result(identity, operation, 77)
        .await
        .unwrap_err();
    assert_eq!(result.kind(), ErrorKind::NotFound);

    // The rest goes when the first ends, and what was written stays.
    let third = engine
        .exec(identity, operation, exec("sleep 1000", true))
        .await
        .unwrap()
        .spid;
    engine
        .write_stdin(identity, operation, 1, input("", true))
        .await
        .unwrap();
    let run = Run::of(bench.finished(operation).await);
    assert_eq!(run.status, OperationStatus::Success);
    let swept = engine
        .process_result(identity, operation, third)
        .await
        .unwrap();
    assert_eq!((swept.state.exit_code, swept.state.signal), (-1, 9));
    assert_eq!(
        bench.sh(run.image.unwrap(), "cat /made").await.stdout(),
        "yes too\n"
    );

    let late = engine
        .exec(identity, operation, exec("true", false))
        .await
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let late = engine
        .signal(identity, operation, 1, None)
        .await
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let events = bench.events(operation).await;
    let exits = events
        .iter()
        .filter(|e| matches!(e.data, EventData::Exit(_)))
        .count();
    let shutdown = events
        .iter()
        .position(|e| matches!(e.data, EventData::Shutdown(_)))
        .unwrap();
    assert_eq!(exits, 4);
    assert!(
        events[shutdown..]
            .iter()
            .all(|e| !matches!(e.data, EventData::Exit(_)))
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_killing_the_command_ends_the_run() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let operation = bench
        .spawn(shell(base, "echo kept > /kept; echo up; sleep 1000"))
        .await;
    bench.output(operation, 1, "up").await;
    bench
        .engine
        .signal(&bench.identity, operation, 1, Some("15"))
        .await
        .unwrap();
    let run = Run::of(bench.finished(operation).await);
    assert_eq!(run.status, OperationStatus::Success);
    let state = run.result().state;
    assert_eq!(
        (state.exit_code, state.signal, state.timed_out),
        (-1, 15, false)
    );
    bench.sh(run.image.unwrap(), "test -s /kept").await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_output_so_far() {
    let bench = Bench::start().await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let base = bench.tiny().await;
    let operation = waiting(&bench, base).await;
    let shown = engine.operation(identity, operation, false).await.unwrap();
    assert_eq!(shown.summary.status, OperationStatus::Executing);
    assert_eq!(shown.result, None);
    let shown = engine.operation(identity, operation, true).await.unwrap();
    assert_eq!(text(&shown.result.unwrap().stdout.unwrap()), "ready\n");
    engine
        .write_stdin(identity, operation, 1, input("", true))
        .await
        .unwrap();
    bench.finished(operation).await;
    // In any state.
    let shown = engine.operation(identity, operation, true).await.unwrap();
    assert_eq!(shown.result.unwrap().image, Some(base));
    bench.stop().await;
}
