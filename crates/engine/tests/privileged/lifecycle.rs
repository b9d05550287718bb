//! What becomes of a run.

use contree_api::event::{EventData, ShutdownReason, StreamName};
use contree_api::image::MASKED;
use contree_api::instance::AttachedFile;
use contree_api::operation::OperationStatus;
use contree_api::stream::{ClosableStreamRepr, Encoding};
use contree_api::{FileId, ImageId};
use contree_engine::ErrorKind;

use crate::bench::{Bench, Run, command, env, shell, text};

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
    let used = run.result().resources;
    assert!(
        used.max_rss > 0 && used.page_faults > 0 && used.voluntary_switches > 0,
        "{used:?}"
    );
    assert!(used.user_cpu_time + used.system_cpu_time > 0.0, "{used:?}");
    assert!(
        used.elapsed_time > 0.0 && used.monotonic_time > 0.0,
        "{used:?}"
    );
    assert_eq!(
        run.shown.summary.consumed_cpu,
        Some(used.user_cpu_time + used.system_cpu_time)
    );
    assert_eq!(run.shown.summary.consumed_memory, Some(used.max_rss));

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
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_nothing_changed_is_the_source_image() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let layers = bench.layers();
    // Reading, and writing where it does not stay, change nothing.
    let run = bench
        .sh(base, "cat /etc/passwd; ls -lR /; echo x > /dev/null")
        .await;
    assert_eq!(run.image, Some(base));
    assert_eq!(run.shown.result.as_ref().unwrap().image, Some(base));
    assert_eq!(run.shown.summary.image_size, Some(0));
    assert_eq!(bench.layers(), layers);

    // Disposable: null, whatever it wrote.
    let mut request = shell(base, "echo x > /x");
    request.disposable = true;
    let run = bench.run(request).await;
    assert_eq!((run.status, run.image), (OperationStatus::Success, None));
    assert_eq!(run.shown.summary.image_size, None);
    assert_eq!(bench.layers(), layers);
    assert!(bench.uppers().is_empty());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_bad_endings_of_a_command_are_results() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let failed = bench.run(shell(base, "echo kept > /kept; exit 42")).await;
    assert_eq!(failed.status, OperationStatus::Success);
    assert_eq!((failed.exit_code(), failed.result().state.signal), (42, -1));
    assert_eq!(
        bench.sh(failed.image.unwrap(), "cat /kept").await.stdout(),
        "kept\n"
    );

    let killed = bench
        .run(shell(base, "echo kept > /kept; kill -SEGV $$"))
        .await;
    assert_eq!(killed.status, OperationStatus::Success);
    assert_eq!((killed.exit_code(), killed.result().state.signal), (-1, 11));
    assert_eq!(
        bench.sh(killed.image.unwrap(), "cat /kept").await.stdout(),
        "kept\n"
    );
    assert_eq!(
        shutdown_reason(&bench, &killed).await,
        ShutdownReason::Signal
    );

    // Past its timeout: so are those that it left behind.
    let mut request = shell(
        base,
        "echo kept > /kept; (sleep 1000 &) ; echo on; sleep 1000",
    );
    request.timeout = Some(1);
    let late = bench.run(request).await;
    assert_eq!(
        (late.status, late.error.as_deref()),
        (OperationStatus::Success, None)
    );
    let state = late.result().state;
    assert_eq!(
        (state.exit_code, state.signal, state.timed_out),
        (-1, 9, true)
    );
    assert_eq!(late.stdout(), "on\n");
    assert_eq!(
        shutdown_reason(&bench, &late).await,
        ShutdownReason::Timeout
    );
    assert_eq!(
        bench.sh(late.image.unwrap(), "cat /kept").await.stdout(),
        "kept\n"
    );
    bench.stop().await;
}

async fn shutdown_reason(bench: &Bench, run: &Run) -> ShutdownReason {
    let events = bench.events(run.id).await;
    events
        .iter()
        .find_map(|event| match &event.data {
            EventData::Shutdown(shutdown) => Some(shutdown.reason),
            _ => None,
        })
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_what_cannot_start_fails() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let layers = bench.layers();
    for (name, part) in [
        ("no-such-command", "exec no-such-command: "),
        ("/etc/passwd", "exec /etc/passwd: "),
    ] {
        let run = bench.run(command(base, name, &[])).await;
        assert_eq!((run.status, run.image), (OperationStatus::Failed, None));
        let error = run.error.as_deref().unwrap();
        assert!(
            error.starts_with(&format!("spawn failed: {part}")),
            "{error}"
        );
        assert!(run.result.is_none());
        assert_eq!(run.shown.result, None);
        let kinds: Vec<_> = bench
            .events(run.id)
            .await
            .iter()
            .map(|e| e.data.type_name())
            .collect();
        assert_eq!(kinds, ["init", "shutdown", "completion"]);
        assert_eq!(
            shutdown_reason(&bench, &run).await,
            ShutdownReason::SpawnFailed
        );
    }
    assert_eq!(bench.layers(), layers);
    assert!(bench.uppers().is_empty());

    let refused = bench
        .engine
        .spawn(&bench.identity, command(ImageId::new(), "true", &[]))
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    let mut unnamed = command(base, "true", &[]);
    unnamed.image = "tag:nothing".parse().unwrap();
    let refused = bench
        .engine
        .spawn(&bench.identity, unnamed)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.message().contains("nothing"), "{refused}");

    let mut identity = bench.identity.clone();
    identity
        .permissions
        .retain(|permission| permission.name() != "spawn");
    let refused = bench
        .engine
        .spawn(&identity, command(base, "true", &[]))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_environment_and_directory_stay_with_the_image() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let plain = bench.run(command(base, "env", &[])).await;
    assert_eq!(
        plain.stdout(),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    );
    let layers = bench.layers();
    let mut request = command(base, "pwd", &[]);
    request.env = env(&[("A", Some("1")), ("B", Some("2")), ("C", Some("3"))]);
    request.preserve_env = true;
    request.preserve_cwd = true;
    request.cwd = "/var".into();
    let kept = bench.run(request).await;
    assert_eq!(kept.stdout(), "/var\n");
    // A new image on the same layers.
    let image = kept.image.unwrap();
    assert_ne!(image, base);
    assert_eq!(bench.layers(), layers);

    // Applied with and without shell, under what the request says.
    let mut request = command(image, "env", &[]);
    request.env = env(&[
        ("A", Some("9")),
        ("B", None),
        ("C", Some("")),
        ("MY_TOKEN", Some("s3cret")),
    ]);
    request.preserve_env = true;
    let run = bench.run(request).await;
    let shown = run.stdout();
    let lines: Vec<_> = shown
        .lines()
        .filter(|line| !line.starts_with("PATH="))
        .collect();
    assert_eq!(lines, ["A=9", "C=", "MY_TOKEN=s3cret"]);
    let events = bench.events(run.id).await;
    let EventData::Spawn(spawn) = &events[1].data else {
        panic!("{events:?}")
    };
    assert_eq!(spawn.env.as_ref().unwrap()["MY_TOKEN"], MASKED);
    assert_eq!(spawn.env.as_ref().unwrap()["A"], "9");
    assert_eq!(
        bench.run(shell(image, "echo $A$B$C; pwd")).await.stdout(),
        "123\n/var\n"
    );

    // `null` and `""` are gone from what is kept.
    let next = bench
        .run(shell(run.image.unwrap(), "echo $A-$B-$C-$MY_TOKEN"))
        .await;
    assert_eq!(next.stdout(), "9---s3cret\n");
    // The same again changes nothing.
    let mut request = command(run.image.unwrap(), "true", &[]);
    request.env = env(&[("A", Some("9"))]);
    request.preserve_env = true;
    assert_eq!(bench.run(request).await.image, run.image);

    // A directory that is not there is made, and that is a change.
    let mut request = command(base, "pwd", &[]);
    request.cwd = "/new/place".into();
    let run = bench.run(request).await;
    assert_eq!(run.stdout(), "/new/place\n");
    bench.sh(run.image.unwrap(), "test -d /new/place").await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_shells_and_their_arguments() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let mut request = shell(base, "echo $0 $1");
    request.args = vec!["zero".into(), "one two".into()];
    assert_eq!(bench.run(request).await.stdout(), "zero one two\n");

    // A script over stdin, with arguments.
    let mut request = shell(base, "/bin/sh");
    request.args = ["-s", "--", "a b", "c"].map(str::to_owned).to_vec();
    request.stdin = Some(ClosableStreamRepr {
        value: "echo \"$# $1 $2\"\nexit 3\n".into(),
        encoding: Encoding::Ascii,
        close: true,
    });
    let run = bench.run(request).await;
    assert_eq!((run.stdout().as_str(), run.exit_code()), ("2 a b c\n", 3));

    let mut request = shell(base, "echo x");
    request.env = env(&[("SHELL", Some("/bin/false"))]);
    assert_eq!(bench.run(request).await.exit_code(), 1);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_attached_files() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let script = bench.upload(b"#!/bin/sh\necho run by $(id -u)\n").await;
    assert_eq!(
        bench.upload(b"#!/bin/sh\necho run by $(id -u)\n").await,
        script
    );
    let empty = bench.upload(b"").await;
    let attached = |uuid, mode: &str, uid| AttachedFile {
        uuid,
        uid,
        gid: 7,
        mode: Some(mode.to_owned()),
    };
    let mut request = shell(
        base,
        "tool; stat -c '%a %u %g %s' /opt/bin/tool /etc/passwd",
    );
    request
        .files
        .insert("opt/bin/tool".into(), attached(script, "4755", 0));
    request
        .files
        .insert("/etc/passwd".into(), attached(empty, "0o100600", 12));
    request.env = env(&[("PATH", Some("/opt/bin:/bin"))]);
    let run = bench.run(request).await;
    assert_eq!(
        run.stdout(),
        "run by 0\n4755 0 7 31\n600 12 7 0\n",
        "{}",
        run.stderr()
    );
    // They are part of the image.
    bench
        .sh(run.image.unwrap(), "/opt/bin/tool; ! test -s /etc/passwd")
        .await;
    bench.sh(base, "test -s /etc/passwd").await;

    // Through links of the image, which lead nowhere else; a place of its own for each.
    let linked = bench
        .sh(
            base,
            "ln -s /opt/real /link; ln -s ../../../../etc/out /up; mkdir -p /opt/real",
        )
        .await;
    let mut request = shell(linked.image.unwrap(), "cat /opt/real/deep/a /etc/out");
    for dest in ["/link/deep/a", "up", "/not/there/yet"] {
        request
            .files
            .insert(dest.into(), attached(script, "100644", 5));
    }
    let run = bench.run(request).await;
    assert_eq!(run.stdout(), "#!/bin/sh\necho run by $(id -u)\n".repeat(2));
    bench
        .sh(
            run.image.unwrap(),
            "test -L /link && test -s /not/there/yet",
        )
        .await;
    // Where no file can be.
    let mut request = shell(base, "true");
    request
        .files
        .insert("/etc/passwd/x".into(), attached(script, "644", 0));
    let run = bench.run(request).await;
    assert_eq!(run.status, OperationStatus::Failed);
    assert!(
        run.error.as_deref().unwrap().contains("/etc/passwd/x"),
        "{:?}",
        run.error
    );

    let mut request = shell(base, "true");
    request
        .files
        .insert("/x".into(), attached(FileId::new(), "644", 0));
    let refused = bench
        .engine
        .spawn(&bench.identity, request)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.message().contains("/x"), "{refused}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_output_is_capped() {
    let bench = Bench::start_with(|config| config.limits.event_log_cap = 400_000).await;
    let base = bench.tiny().await;
    let mut request = shell(base, "head -c 70000 /dev/zero; echo done >&2; seq 3 >&2");
    request.truncate_output_at = 10_000;
    let run = bench.run(request).await;
    let stdout = &run.result().stdout;
    assert_eq!(stdout.encoding, Encoding::Base64);
    assert_eq!(stdout.to_bytes().unwrap(), vec![0; 10_000]);
    assert!(stdout.truncated);
    assert!(!run.result().stderr.truncated);
    assert_eq!(run.stderr(), "done\n1\n2\n3\n");
    let events = bench.events(run.id).await;
    let truncated: Vec<_> = events
        .iter()
        .filter_map(|event| match event.data {
            EventData::Truncated(truncated) => Some(truncated),
            _ => None,
        })
        .collect();
    assert_eq!(truncated.len(), 1);
    assert_eq!(truncated[0].stream, StreamName::Stdout);
    assert_eq!(
        (truncated[0].bytes_emitted, truncated[0].bytes_dropped),
        (10_000, 60_000)
    );

    // The log as a whole is capped as well; what tells of the process goes on.
    let mut request = shell(base, "seq 200000; exit 5");
    request.truncate_output_at = 10_485_760;
    let run = bench.run(request).await;
    assert_eq!(run.exit_code(), 5);
    let events = bench.events(run.id).await;
    let caps = events
        .iter()
        .filter(|event| matches!(event.data, EventData::SizeCap(_)));
    assert_eq!(caps.count(), 1);
    let kept = text(&run.result().stdout);
    assert!(
        kept.starts_with("1\n2\n3\n") && kept.len() < 500_000,
        "{}",
        kept.len()
    );
    assert!(run.result().stdout.truncated);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_network_is_told_of() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let mut request = shell(base, "cat /etc/resolv.conf /proc/net/dev; cat /etc/hosts");
    request.networking.enabled = true;
    request.hostname = "some-host".into();
    let run = bench.run(request).await;
    assert_eq!(run.exit_code(), 0, "{}", run.stderr());
    // Supplied, and not part of the image.
    assert_eq!(run.image, Some(base));
    assert!(run.stdout().contains("some-host"), "{}", run.stdout());
    let events = bench.events(run.id).await;
    let EventData::Init(init) = &events[0].data else {
        panic!("{events:?}")
    };
    assert_eq!(init.hostname.as_deref(), Some("some-host"));
    // Where the machine has no packet filter there is loopback only, and no such event.
    if let EventData::Network(network) = &events[1].data {
        let configured = network.configured.as_ref().unwrap();
        assert!(
            configured.ip4.as_ref().unwrap().ends_with("/32"),
            "{configured:?}"
        );
        let names: Vec<_> = network.interfaces.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["lo", "eth0"]);
        assert!(run.stdout().contains("eth0"), "{}", run.stdout());
    } else {
        assert!(
            bench
                .engine
                .findings()
                .iter()
                .any(|finding| finding.contains("network"))
        );
    }
    bench.stop().await;
}
