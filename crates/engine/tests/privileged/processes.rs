//! Input, further processes and signals.

use contree_api::OperationId;
use contree_api::event::{EventData, Exit};
use contree_api::instance::{ExecSpec, InstanceResult};
use contree_api::operation::{OperationMetadata, OperationStatus};
use contree_api::stream::{ClosableStreamRepr, Encoding};
use contree_engine::{Engine, Error, ErrorKind, Identity, OperationFilter};

use crate::bench::{Bench, Run, command, env, shell, text};

fn input(value: &str, close: bool) -> ClosableStreamRepr {
    ClosableStreamRepr {
        value: value.into(),
        encoding: Encoding::Ascii,
        close,
    }
}

fn exec(command: &str, shell: bool) -> ExecSpec {
    let text = serde_json::json!({"command": command, "shell": shell});
    serde_json::from_value(text).unwrap()
}

/// An engine, and a run in it.
struct Running {
    bench: Bench,
    operation: OperationId,
}

impl Running {
    /// A run that says `ready`, echoes what it is told, and goes on until its stdin is closed.
    async fn start() -> Self {
        let bench = Bench::start().await;
        let base = bench.tiny().await;
        let mut request = shell(
            base,
            "export X=1; echo ready; while read line; do echo got $line; done",
        );
        request.stdin = Some(input("", false));
        request.env = env(&[("SHARED", Some("yes"))]);
        let operation = bench.spawn(request).await;
        bench.output(operation, 1, "ready").await;
        Self { bench, operation }
    }

    async fn exec(&self, spec: ExecSpec) -> Result<u32, Error> {
        let Bench {
            engine, identity, ..
        } = &self.bench;
        let made = engine.exec(identity, self.operation, spec).await?;
        Ok(made.spid)
    }

    async fn write(&self, spid: u32, text: &str, close: bool) -> Result<(), Error> {
        let Bench {
            engine, identity, ..
        } = &self.bench;
        engine
            .write_stdin(identity, self.operation, spid, input(text, close))
            .await
    }

    async fn signal(&self, spid: u32, signal: Option<&str>) -> Result<(), Error> {
        let Bench {
            engine, identity, ..
        } = &self.bench;
        engine.signal(identity, self.operation, spid, signal).await
    }

    async fn result(&self, spid: u32) -> Result<InstanceResult, Error> {
        let Bench {
            engine, identity, ..
        } = &self.bench;
        engine.process_result(identity, self.operation, spid).await
    }

    /// Waits for the end of a process.
    async fn exit(&self, spid: u32) -> Exit {
        let is_exit = |data: &EventData| matches!(data, EventData::Exit(_));
        let event = self
            .bench
            .event(self.operation, |e| e.spid == Some(spid) && is_exit(&e.data))
            .await;
        let EventData::Exit(exit) = event.data else {
            unreachable!()
        };
        exit
    }

    /// Starts a process, waits for its end, and gives its result.
    async fn carried_out(&self, spec: ExecSpec) -> InstanceResult {
        let spid = self.exec(spec).await.unwrap();
        self.exit(spid).await;
        self.result(spid).await.unwrap()
    }

    /// Closes the input of the run and waits for its end.
    async fn finish(&self) -> Run {
        self.write(1, "", true).await.unwrap();
        Run::of(self.bench.finished(self.operation).await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_stdin_of_the_command() {
    let running = Running::start().await;
    for piece in ["one\n", "two\nth", "ree\n"] {
        running.write(1, piece, false).await.unwrap();
    }
    running
        .bench
        .output(running.operation, 1, "got three")
        .await;
    let no_such = running.write(9, "x", true).await.unwrap_err();
    assert_eq!(no_such.kind(), ErrorKind::NotFound);
    running.write(1, "four\n", false).await.unwrap();
    let run = running.finish().await;
    assert_eq!(
        run.stdout(),
        "ready\ngot one\ngot two\ngot three\ngot four\n"
    );
    let late = running.write(1, "x", true).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let bench = running.bench;
    let recorded: String = bench
        .events(running.operation)
        .await
        .iter()
        .filter_map(|event| match &event.data {
            EventData::Stdin(chunk) => Some(chunk.value.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(recorded, "one\ntwo\nthree\nfour\n");

    // All at once, larger than a pipe, echoed back whole.
    let base = run.image.unwrap();
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
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_stdin_of_further_processes() {
    let running = Running::start().await;
    // Chunks that come at once do not mix.
    let mut spec = exec("cat", false);
    spec.stdin = Some(input("", false));
    spec.truncate_output_at = 10_485_760;
    let cat = running.exec(spec).await.unwrap();
    let chunk = |letter: &str| letter.repeat(300_000);
    let letters = ["a", "b", "c", "d", "e", "f"];
    let writes = letters.map(|letter| {
        let (running, chunk) = (&running, chunk(letter));
        async move { running.write(cat, &chunk, false).await.unwrap() }
    });
    futures_util::future::join_all(writes).await;
    running.write(cat, "", true).await.unwrap();
    running.exit(cat).await;
    let echoed = text(&running.result(cat).await.unwrap().stdout);
    assert_eq!(echoed.len(), letters.len() * 300_000);
    for letter in letters {
        assert!(echoed.contains(&chunk(letter)), "{letter} was torn apart");
    }

    // Closed already, and never opened.
    let mut spec = exec("cat > /dev/null; sleep 1000", true);
    spec.stdin = Some(input("", false));
    let closed = running.exec(spec).await.unwrap();
    running.write(closed, "", true).await.unwrap();
    let never = running.exec(exec("sleep 1000", true)).await.unwrap();
    for spid in [closed, never] {
        let refused = running.write(spid, "x", false).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
    }
    let malformed = ClosableStreamRepr {
        value: "?".into(),
        encoding: Encoding::Base64,
        close: true,
    };
    let Bench {
        engine, identity, ..
    } = &running.bench;
    let refused = engine
        .write_stdin(identity, running.operation, cat, malformed)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BadRequest);
    running.finish().await;
    running.bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_further_processes() {
    let running = Running::start().await;
    // The same filesystem and environment.
    let mut spec = exec("echo $SHARED $MORE > /made; exit 7", true);
    spec.env = env(&[("MORE", Some("too"))]);
    let first = running.exec(spec).await.unwrap();
    assert_eq!(first, 2);
    assert_eq!(running.exit(first).await.code, 7);
    let result = running.result(first).await.unwrap();
    assert_eq!(result.state.exit_code, 7);
    assert!(result.resources.max_rss > 0 && result.resources.page_faults > 0);

    // Input is taken at once; a signal ends it; its result says so.
    let mut spec = exec("cat", false);
    spec.stdin = Some(input("a", false));
    let second = running.exec(spec).await.unwrap();
    assert_eq!(second, 3);
    running.write(second, "b\n", false).await.unwrap();
    running
        .bench
        .output(running.operation, second, "ab\n")
        .await;
    let so_far = running.result(second).await.unwrap();
    assert_eq!((so_far.state.exit_code, so_far.state.signal), (-1, -1));
    assert_eq!(text(&so_far.stdout), "ab\n");
    running.signal(second, Some("sigterm")).await.unwrap();
    running.exit(second).await;
    let ended = running.result(second).await.unwrap();
    assert_eq!((ended.state.exit_code, ended.state.signal), (-1, 15));
    let gone = running.signal(second, None).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);

    // A user, a folder and a cap of their own.
    let mut spec = exec("pwd; id -u; id -g; seq 1000", true);
    (spec.uid, spec.gid, spec.cwd) = (33, 44, "/srv/made".into());
    spec.truncate_output_at = 20;
    let own = running.carried_out(spec).await;
    assert_eq!(text(&own.stdout), "/srv/made\n33\n44\n1\n2\n");
    assert!(own.stdout.truncated);

    // What cannot be: unknown command, unknown process, a bad field.
    let missing = running.exec(exec("nope", false)).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::BadRequest);
    assert!(missing.message().contains("exec nope"), "{missing}");
    let mut spec = exec("true", false);
    spec.cwd = "relative".into();
    let refused = running.exec(spec).await.unwrap_err();
    assert!(refused.message().starts_with("cwd"), "{refused}");
    let unknown = running.result(77).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);

    // The rest goes when the first ends, and what was written stays.
    let third = running.exec(exec("sleep 1000", true)).await.unwrap();
    let run = running.finish().await;
    assert_eq!(run.status, OperationStatus::Success);
    let swept = running.result(third).await.unwrap();
    assert_eq!((swept.state.exit_code, swept.state.signal), (-1, 9));
    let made = running.bench.sh(run.image.unwrap(), "cat /made").await;
    assert_eq!(made.stdout(), "yes too\n");

    let late = running.exec(exec("true", false)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let late = running.signal(1, None).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let events = running.bench.events(running.operation).await;
    let is_exit = |event: &&contree_api::event::Event| matches!(event.data, EventData::Exit(_));
    let shutdown = events
        .iter()
        .position(|e| matches!(e.data, EventData::Shutdown(_)))
        .unwrap();
    assert_eq!(events.iter().filter(is_exit).count(), 5);
    assert_eq!(events[shutdown..].iter().filter(is_exit).count(), 0);
    running.bench.stop().await;
}

/// A process that leaves a daemon behind has ended; what the daemon writes is still its output.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_what_a_process_leaves_running() {
    let running = Running::start().await;
    let daemon = "(while ! test -e /go; do sleep 0.01; done; echo from the daemon) & echo left";
    let spid = running.exec(exec(daemon, true)).await.unwrap();
    assert_eq!(running.exit(spid).await.code, 0);
    let result = running.result(spid).await.unwrap();
    assert_eq!(text(&result.stdout), "left\n");
    assert_eq!(result.state.exit_code, 0);
    running.carried_out(exec("echo > /go", true)).await;
    running
        .bench
        .output(running.operation, spid, "left\nfrom the daemon\n")
        .await;
    running.finish().await;
    running.bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_signals_go_to_the_group() {
    let running = Running::start().await;
    for (name, number) in [("15", 15), ("INT", 2), ("sigusr1", 10), ("SIGKILL", 9)] {
        let spid = running
            .exec(exec("sleep 1000 & echo $!; wait", true))
            .await
            .unwrap();
        running.bench.output(running.operation, spid, "\n").await;
        let child = text(&running.result(spid).await.unwrap().stdout);
        running.signal(spid, Some(name)).await.unwrap();
        let exit = running.exit(spid).await;
        assert_eq!((exit.code, exit.signal), (-1, number), "{name}");
        // A shell lets what it starts in the background ignore INT.
        if number != 2 {
            let gone = format!("while test -e /proc/{}; do sleep 0.01; done", child.trim());
            running.carried_out(exec(&gone, true)).await;
        }
    }
    let spid = running.exec(exec("sleep 1000", true)).await.unwrap();
    for bad in ["SIGNOPE", "0", "65", "-9", ""] {
        let refused = running.signal(spid, Some(bad)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::BadRequest, "{bad}");
        assert!(refused.message().starts_with("signal "), "{refused}");
    }
    running.signal(spid, None).await.unwrap();
    assert_eq!(running.exit(spid).await.signal, 9);
    running.finish().await;
    running.bench.stop().await;
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

/// Whoever was told of an operation may use its processes at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_nobody_is_early_but_while_a_run_waits() {
    let bench = Bench::start_with(|config| config.limits.instance_max_concurrency = 1).await;
    let Bench {
        engine, identity, ..
    } = &bench;
    let base = bench.tiny().await;
    for _ in 0..10 {
        let mut request = command(base, "cat", &[]);
        request.stdin = Some(input("", false));
        let operation = bench.spawn(request).await;
        let (further, result) = tokio::join!(
            engine.exec(identity, operation, exec("cat", false)),
            engine.process_result(identity, operation, 1),
        );
        assert_eq!(result.unwrap().state.exit_code, -1);
        let spid = further.unwrap().spid;
        assert_eq!(spid, 2);
        engine
            .process_result(identity, operation, spid)
            .await
            .unwrap();
        engine
            .write_stdin(identity, operation, 1, input("x", true))
            .await
            .unwrap();
        assert_eq!(Run::of(bench.finished(operation).await).stdout(), "x");
    }
    // One that cannot start: who waits for it is told that it has ended.
    let operation = bench.spawn(command(base, "no-such-command", &[])).await;
    let (further, result) = tokio::join!(
        engine.exec(identity, operation, exec("true", false)),
        engine.process_result(identity, operation, 1),
    );
    assert_eq!(further.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);

    let first = bench.spawn(shell(base, "sleep 1000")).await;
    let waits = bench.spawn(shell(base, "sleep 1000")).await;
    let errors = [
        engine
            .exec(identity, waits, exec("true", false))
            .await
            .unwrap_err(),
        engine.process_result(identity, waits, 1).await.unwrap_err(),
        engine.signal(identity, waits, 1, None).await.unwrap_err(),
        engine
            .write_stdin(identity, waits, 1, input("x", true))
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::TooEarly);
        assert!(error.retry_after().is_some());
    }
    for operation in [waits, first] {
        engine.cancel(identity, operation).await.unwrap();
        bench.finished(operation).await;
    }
    let never = engine.process_result(identity, waits, 1).await;
    assert_eq!(never.unwrap_err().kind(), ErrorKind::NotFound);
    let refused = engine.exec(identity, waits, exec("true", false)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    bench.stop().await;
}

async fn looked_at(engine: Engine, identity: Identity, operation: OperationId) {
    let all = OperationFilter::default();
    let mut before = OperationStatus::Pending;
    loop {
        let shown = engine.operation(&identity, operation, true).await.unwrap();
        let listed = engine.operations(&identity, &all).await.unwrap();
        let listed = listed.iter().find(|listed| listed.uuid == operation);
        let (first, then) = (shown.summary.status, listed.unwrap().status);
        for (before, now) in [(before, first), (first, then)] {
            let goes_back = before.is_terminal() && !now.is_terminal()
                || before != OperationStatus::Pending && now == OperationStatus::Pending;
            assert!(!goes_back, "{before:?}, and then {now:?}");
        }
        before = then;
        if first.is_terminal() {
            let OperationMetadata::Instance(metadata) = shown.metadata else {
                unreachable!()
            };
            assert!(shown.result.is_some());
            assert_eq!(metadata.result.unwrap().state.exit_code, 0);
            break;
        }
    }
}

/// However often it is looked at around its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_an_end_is_never_shown_without_its_result() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    for _ in 0..30 {
        let operation = bench.spawn(command(base, "true", &[])).await;
        let looks: Vec<_> = (0..4)
            .map(|_| {
                let (engine, identity) = (bench.engine.clone(), bench.identity.clone());
                tokio::spawn(looked_at(engine, identity, operation))
            })
            .collect();
        for look in looks {
            look.await.unwrap();
        }
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_output_so_far() {
    let running = Running::start().await;
    let Bench {
        engine, identity, ..
    } = &running.bench;
    let shown = engine
        .operation(identity, running.operation, false)
        .await
        .unwrap();
    assert_eq!(shown.summary.status, OperationStatus::Executing);
    assert_eq!(shown.result, None);
    let shown = engine
        .operation(identity, running.operation, true)
        .await
        .unwrap();
    assert_eq!(text(&shown.result.unwrap().stdout.unwrap()), "ready\n");
    let OperationMetadata::Instance(metadata) = shown.metadata else {
        unreachable!()
    };
    let so_far = metadata.result.unwrap();
    assert_eq!(text(&so_far.stdout), "ready\n");
    assert_eq!((so_far.state.exit_code, so_far.state.signal), (-1, -1));
    let base = running.finish().await.image;
    // In any state.
    let shown = engine
        .operation(identity, running.operation, true)
        .await
        .unwrap();
    assert_eq!(shown.result.unwrap().image, base);
    running.bench.stop().await;
}
