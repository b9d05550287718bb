//! Processes: start, streams, signals, ends.

use contree_sandbox::{Program, SignalError, SpawnError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, command, finish, line, process, within};

#[tokio::test]
async fn privileged_a_command_runs_and_its_exit_code_comes_back() {
    let world = World::new().await;
    assert_eq!(
        world.sh("echo hello; echo error >&2").await.text(),
        "hello\nerror\n"
    );
    for code in [0, 1, 7, 255] {
        let outcome = world.sh(&format!("exit {code}")).await;
        assert_eq!((outcome.exit.code, outcome.exit.signal), (Some(code), None));
    }
    let killed = world.sh("kill -TERM $$").await.exit;
    assert_eq!(
        (killed.code, killed.signal, killed.oom_killed),
        (None, Some(15), false)
    );
    world.end().await;
}

#[tokio::test]
async fn privileged_what_a_process_used_is_told() {
    let world = World::new().await;
    let exit = world
        .sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
        .await
        .exit;
    assert!(
        exit.usage.user_time_us > 0 && exit.usage.max_rss_kb > 0,
        "{exit:?}"
    );
    assert!(exit.duration.as_micros() > 0, "{exit:?}");
    world.end().await;
}

#[tokio::test]
async fn privileged_output_is_exact_however_much() {
    let world = World::new().await;
    let script = "dd if=/dev/urandom of=/tmp/x bs=1048576 count=8 2>/dev/null; \
                  sha256sum < /tmp/x >&2; cat /tmp/x";
    let outcome = world.sh(script).await;
    assert_eq!(outcome.stdout.len(), 8 << 20);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x"), &outcome.stdout).unwrap();
    let sum = std::process::Command::new("sha256sum")
        .stdin(std::fs::File::open(dir.path().join("x")).unwrap())
        .output()
        .unwrap();
    assert_eq!(outcome.stderr, sum.stdout);
    world.end().await;
}

#[tokio::test]
async fn privileged_stdin_is_a_pipe_when_asked_for_and_empty_when_not() {
    let world = World::new().await;
    assert_eq!(
        world
            .sh("cat; echo end; readlink /proc/self/fd/0")
            .await
            .ok(),
        "end\n/dev/null\n"
    );
    let mut job = world.job("cat; echo end");
    job.process.stdin = true;
    let (_sandbox, mut running) = world.host.spawn(job).await.unwrap();
    let mut stdin = running.stdin.take().unwrap();
    let input = vec![b'x'; 300_000];
    let sent = input.clone();
    let writer = tokio::spawn(async move { stdin.write_all(&sent).await });
    let outcome = finish(running).await;
    writer.await.unwrap().unwrap();
    assert_eq!(outcome.stdout, [&input[..], b"end\n"].concat());
    world.end().await;
}

#[tokio::test]
async fn privileged_a_command_that_cannot_start_says_why() {
    let world = World::new().await;
    let cases: [(&[&str], &str, i32); 6] = [
        (&["nonexistent"], "nonexistent", libc_errno::ENOENT),
        (&["/no/such/file"], "/no/such/file", libc_errno::ENOENT),
        (&["/etc/passwd"], "/etc/passwd", libc_errno::EACCES),
        (&["/etc"], "/etc", libc_errno::EACCES),
        (&[""], "", libc_errno::ENOENT),
        (&[], "", libc_errno::ENOENT),
    ];
    for (argv, expected_path, errno) in cases {
        let mut job = world.job("");
        job.process.program = command(argv);
        let upper = world.upper(&job);
        match world.run(job).await {
            Err(error @ SpawnError::Exec { .. }) => {
                assert!(!error.is_host());
                let SpawnError::Exec { path, source } = error else {
                    unreachable!()
                };
                assert_eq!(
                    (path.as_str(), source.0),
                    (expected_path, errno),
                    "{argv:?}"
                );
            }
            other => panic!("{argv:?}: {other:?}"),
        }
        assert_eq!(
            std::fs::read_dir(upper).unwrap().count(),
            0,
            "the upper is free again"
        );
    }
    let mut job = world.job("");
    job.process.program = command(&["nonexistent"]);
    let error = world.run(job).await.unwrap_err();
    let mut long = world.job("");
    long.process.program = Program::Command(vec![[b"/".as_slice(), &[b'x'; 100_000]].concat()]);
    match world.run(long).await {
        Err(SpawnError::Exec { path, source }) => {
            assert_eq!((path.len(), source.0), (4096, libc_errno::ENAMETOOLONG));
        }
        other => panic!("{other:?}"),
    }
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(
        format!("{error}: {cause}"),
        "exec nonexistent: no such file or directory"
    );
    world.end().await;
}

#[tokio::test]
async fn privileged_users_and_working_directories() {
    let world = World::new().await;
    let mut job = world.job("id -u; id -g; id -G; pwd; touch here && stat -c %u:%g here .");
    job.process.uid = 1000;
    job.process.gid = 100;
    job.process.cwd = b"/home/new/deep".to_vec();
    assert_eq!(
        world.run(job).await.unwrap().ok(),
        "1000\n100\n100\n/home/new/deep\n1000:100\n1000:100\n"
    );

    let mut job = world.job("");
    job.process.uid = 65_536;
    assert!(matches!(
        world.run(job).await,
        Err(SpawnError::User { uid: 65_536, .. } | SpawnError::Cwd { .. })
    ));
    let mut job = world.job("");
    job.process.uid = u32::MAX;
    assert!(matches!(
        world.run(job).await,
        Err(SpawnError::User { uid: u32::MAX, .. })
    ));
    let mut job = world.job("");
    job.process.cwd = b"/etc/passwd/x".to_vec();
    assert!(matches!(
        world.run(job).await,
        Err(SpawnError::Cwd { path, source }) if path == "/etc/passwd/x" && source.0 == 20
    ));
    let mut job = world.job("pwd");
    job.process.cwd = b"relative".to_vec();
    assert_eq!(world.run(job).await.unwrap().ok(), "/relative\n");
    world.end().await;
}

#[tokio::test]
async fn privileged_arguments_and_environment_of_two_mebibytes() {
    let world = World::new().await;
    let mut job = world.job("");
    // One argument may have 128 KiB, all together a quarter of the stack limit.
    let argument = "a".repeat(120 * 1024);
    let mut argv = vec!["sh", "-c", "echo ${#1} $# ${#BIG}", "sh"];
    argv.extend(std::iter::repeat_n(argument.as_str(), 13));
    job.process = process(&argv);
    job.process
        .env
        .push((b"BIG".to_vec(), vec![b'e'; 100 * 1024]));
    assert_eq!(world.run(job).await.unwrap().ok(), "122880 13 102400\n");

    let mut job = world.job("");
    let mut argv = vec![vec![b'a'; 100_000]; 40];
    argv[0] = b"/bin/true".to_vec();
    job.process.program = Program::Command(argv);
    assert!(matches!(
        world.run(job).await,
        Err(SpawnError::Exec { path, source }) if path == "/bin/true" && source.0 == libc_errno::E2BIG
    ));
    world.end().await;
}

#[tokio::test]
async fn privileged_further_processes_share_the_sandbox_and_end_with_it() {
    let world = World::new().await;
    let mut job = world.job("echo one > /tmp/file; echo ready; read line");
    job.process.stdin = true;
    let (sandbox, mut first) = world.host.spawn(job).await.unwrap();
    assert_eq!(line(&mut first.stdout).await, "ready");
    let second = sandbox.exec(process(&["cat", "/tmp/file"])).await.unwrap();
    assert_eq!(second.argv[0], b"/bin/cat", "found in PATH");
    assert_eq!(finish(second).await.ok(), "one\n");
    let missing = sandbox.exec(process(&["nope"])).await;
    assert!(matches!(missing, Err(SpawnError::Exec { .. })));
    let long = sandbox.exec(process(&["sleep", "1000"])).await.unwrap();
    let fed = {
        let mut process = process(&["cat"]);
        process.stdin = true;
        sandbox.exec(process).await.unwrap()
    };
    drop(first.stdin.take());
    let first = finish(first).await;
    assert_eq!(first.exit.code, Some(1));
    let (long, fed) = (finish(long).await.exit, finish_with_stdin(fed).await);
    assert_eq!((long.signal, fed.signal), (Some(9), Some(9)));
    within(sandbox.gone()).await;
    assert!(matches!(
        sandbox.exec(process(&["true"])).await,
        Err(SpawnError::Ended)
    ));
    world.end().await;
}

#[tokio::test]
async fn privileged_signals_reach_the_whole_group() {
    let world = World::new().await;
    let (sandbox, mut first) = world.spawn("echo ready; sleep 1000").await;
    assert_eq!(line(&mut first.stdout).await, "ready");
    // The shell's child holds the pipe: output ends only when it is dead too.
    let group = "sleep 1000 & echo ready; wait";
    let mut second = sandbox.exec(process(&["sh", "-c", group])).await.unwrap();
    assert_eq!(line(&mut second.stdout).await, "ready");
    let id = second.id;
    sandbox.signal(&id, 15).unwrap();
    assert_eq!(finish(second).await.exit.signal, Some(15));
    assert_eq!(sandbox.signal(&id, 15), Err(SignalError::Ended));
    assert_eq!(sandbox.signal(&first.id, 0), Err(SignalError::Invalid(0)));

    let trap = "trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 0.01; done";
    let mut third = sandbox.exec(process(&["sh", "-c", trap])).await.unwrap();
    assert_eq!(line(&mut third.stdout).await, "ready");
    sandbox.signal(&third.id, 10).unwrap();
    let outcome = finish(third).await;
    assert_eq!(outcome.exit.code, Some(3), "{}", outcome.text());

    sandbox.signal(&first.id, 9).unwrap();
    assert_eq!(finish(first).await.exit.signal, Some(9));
    within(sandbox.gone()).await;
    world.end().await;
}

#[tokio::test]
async fn privileged_orphans_are_reaped_and_killed() {
    let world = World::new().await;
    // Shows all processes once the short orphan is reaped and the long one has become `sleep`.
    let script = "(setsid sleep 1000 >/dev/null 2>&1 &)
                  (sh -c 'echo $$ > /short; exec sleep 0.01' &)
                  until test -s /short && ! test -e /proc/$(cat /short); do sleep 0.01; done
                  while true; do
                      all=$(for p in /proc/[0-9]*/stat; do head -c 200 $p 2>/dev/null; done)
                      case $all in *'(sleep)'*) break;; esac
                  done
                  echo \"$all\"";
    let outcome = world.sh(script).await;
    let text = outcome.ok();
    assert!(!text.contains(") Z "), "no zombies: {text}");
    assert!(
        text.contains("(sleep)"),
        "the orphan lives until the end: {text}"
    );
    world.end().await;
}

#[tokio::test]
async fn privileged_kill_ends_everything_and_reports_it() {
    let world = World::new().await;
    let (sandbox, mut running) = world
        .spawn("trap '' TERM INT; setsid sleep 1000 & echo ready; wait; sleep 1000")
        .await;
    assert_eq!(line(&mut running.stdout).await, "ready");
    sandbox.kill();
    let outcome = finish(running).await;
    assert_eq!((outcome.exit.code, outcome.exit.signal), (None, Some(9)));
    assert!(
        outcome.exit.usage.max_rss_kb > 0,
        "init reported it: {:?}",
        outcome.exit
    );
    within(sandbox.gone()).await;
    world.end().await;
}

#[tokio::test]
async fn privileged_dropping_the_handle_kills() {
    let world = World::new().await;
    let (sandbox, mut running) = world.spawn("echo ready; sleep 1000").await;
    assert_eq!(line(&mut running.stdout).await, "ready");
    drop(sandbox);
    assert_eq!(finish(running).await.exit.signal, Some(9));
    world.end().await;
}

#[tokio::test]
async fn privileged_the_guest_cannot_stop_or_trace_init() {
    let world = World::new().await;
    let script = "kill -9 1; kill -STOP 1; kill -TERM 1; \
                  for f in root cwd exe fd/0 ns/user; do readlink /proc/1/$f && echo LEAK $f; done; \
                  head -c 1 /proc/1/mem && echo LEAK mem; \
                  head -c 1 /proc/1/maps | wc -c; ls /proc/1/fd && echo LEAK fds; \
                  head -c 1 /proc/1/environ && echo LEAK environ; echo done";
    let outcome = world.sh(script).await;
    let text = outcome.text();
    assert!(
        outcome.exit.code == Some(0) && text.contains("done"),
        "{text}"
    );
    assert!(!text.contains("LEAK"), "{text}");
    world.end().await;
}

async fn finish_with_stdin(mut running: contree_sandbox::Running) -> contree_sandbox::Exit {
    // Held open until the process is dead.
    let stdin = running.stdin.take();
    let mut rest = Vec::new();
    within(running.stdout.read_to_end(&mut rest)).await.unwrap();
    let exit = within(running.exit).await.unwrap();
    drop(stdin);
    exit
}

mod libc_errno {
    pub(super) const ENOENT: i32 = 2;
    pub(super) const E2BIG: i32 = 7;
    pub(super) const EACCES: i32 = 13;
    pub(super) const ENAMETOOLONG: i32 = 36;
}
