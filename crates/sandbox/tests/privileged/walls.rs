//! What a sandbox cannot do, see, or use up.

use std::time::Instant;

use contree_sandbox::{Limits, Lost, OutputPipe, SpawnError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use tokio::io::AsyncReadExt;

use crate::world::{World, finish, line, within};

#[tokio::test]
async fn privileged_proc_and_sys_cannot_be_written() {
    let world = World::new().await;
    let script = "
        w() { (echo $2 > $1) 2>/dev/null && echo WROTE $1; }
        w /proc/sys/kernel/core_pattern x
        w /proc/sys/kernel/hostname x
        w /proc/sys/net/ipv4/ip_forward 1
        w /proc/sys/vm/drop_caches 3
        w /proc/sysrq-trigger c
        w /proc/irq/default_smp_affinity 1
        w /proc/self/oom_score_adj -1000
        w /proc/1/oom_score_adj 1
        w /proc/self/uid_map '0 0 1'
        w /sys/devices/system/cpu/cpu1/online 0
        w /sys/x y
        for f in /sys/kernel /proc/kcore /proc/keys /proc/timer_list; do head -c 1 $f 2>/dev/null; done
        umount /proc/sys 2>/dev/null; mount -o remount,rw /proc/sys 2>/dev/null
        umount /proc/kcore 2>/dev/null; umount /sys 2>/dev/null
        w /proc/sys/kernel/core_pattern x
        w /proc/sys/vm/drop_caches 3
        w /proc/sysrq-trigger c
        head -c 1 /proc/kcore 2>/dev/null && echo READ kcore
        mkdir /s; mount -t sysfs none /s 2>/dev/null && { w /s/kernel/uevent_helper x; w /s/power/state mem; }
        mount -t proc none /s 2>/dev/null && w /s/sys/kernel/core_pattern x
        nproc; echo done";
    let outcome = world.sh(script).await;
    let text = outcome.text();
    assert!(!text.contains("WROTE") && !text.contains("READ"), "{text}");
    assert!(text.ends_with("done\n"), "{text}");
    world.end().await;
}

#[tokio::test]
async fn privileged_the_hosts_processes_and_devices_are_not_there() {
    let world = World::new().await;
    let script = "ls -d /proc/[0-9]*; kill -0 1000 2>/dev/null && echo SEEN;
        mknod /d b 254 0 2>/dev/null && echo MADE; mknod /c c 1 1 2>/dev/null && echo MADE;
        mknod /dev/c c 1 1 2>/dev/null && echo MADE;
        unshare --user true 2>/dev/null && echo NESTED; hostname changed && hostname; echo done";
    let text = world.sh(script).await.text();
    let pids: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("/proc/"))
        .collect();
    assert!(pids.len() <= 4, "{text}");
    for word in ["SEEN", "MADE", "NESTED"] {
        assert!(!text.contains(word), "{text}");
    }
    assert!(text.ends_with("changed\ndone\n"), "{text}");
    assert_ne!(rustix::system::uname().nodename().to_bytes(), b"changed");
    world.end().await;
}

#[tokio::test]
async fn privileged_a_fork_bomb_is_bounded() {
    let world = World::new().await;
    let mut job = world.job("bomb() { bomb | bomb & }; bomb; sleep 0.3; echo over");
    job.limits.pids = Some(40);
    let (sandbox, mut running) = world.host.spawn(job).await.unwrap();
    // Others are not touched by it.
    assert_eq!(world.sh("echo fine").await.ok(), "fine\n");
    // The shell that began it comes to its end, or cannot fork and ends as well.
    let is_told = |said: &str| said.contains("over") || said.contains("annot fork");
    let listen = async |pipe: &mut OutputPipe| {
        let (mut said, mut buffer) = (String::new(), [0; 4096]);
        loop {
            let size = pipe.read(&mut buffer).await.unwrap();
            if size == 0 {
                return said;
            }
            said.push_str(&String::from_utf8_lossy(&buffer[..size]));
            if is_told(&said) {
                sandbox.kill();
            }
        }
    };
    // Both pipes end when all who could write to them are dead.
    let both = async { tokio::join!(listen(&mut running.stdout), listen(&mut running.stderr)) };
    let (out, err) = within(both).await;
    assert!(is_told(&out) || is_told(&err), "{out}{err}");
    within(sandbox.gone()).await;
    world.end().await;
}

#[tokio::test]
async fn privileged_memory_is_bounded_and_what_goes_over_is_told() {
    let world = World::new().await;
    let mut job = world.job("head -c 300000000 /dev/zero | tail -c 299999999 | wc -c");
    job.limits.memory_bytes = Some(32 << 20);
    let outcome = world.run(job).await.unwrap();
    assert!(outcome.exit.oom_killed, "{outcome:?}");
    assert!(!outcome.text().contains("299999999"), "{}", outcome.text());
    let mut job = world.job("dd if=/dev/zero of=/dev/shm/big bs=1048576 count=200; true");
    job.limits.memory_bytes = Some(32 << 20);
    assert!(
        world.run(job).await.unwrap().exit.oom_killed,
        "tmpfs counts"
    );
    let modest = world
        .sh("x=$(head -c 3000000 /dev/zero | tail -c 3); echo survived")
        .await;
    assert!(!modest.exit.oom_killed && modest.ok().contains("survived"));
    world.end().await;
}

#[tokio::test]
async fn privileged_defaults_apply_and_processors_are_shared_out() {
    let world = World::with(|config| {
        config.defaults = Limits {
            memory_bytes: None,
            pids: Some(3),
            cpus: None,
        };
    })
    .await;
    let outcome = world
        .sh("sleep 0 & sleep 0 & sleep 0 & sleep 0 & sleep 0 & wait")
        .await;
    assert!(outcome.text().contains("fork"), "{}", outcome.text());
    let mut job = world.job("i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done");
    job.limits = Limits {
        pids: Some(10),
        cpus: Some(0.2),
        ..Limits::default()
    };
    let since = Instant::now();
    let exit = world.run(job).await.unwrap().exit;
    // Not a measure of speed: at a fifth of a processor, wall time is at least about five times
    // the processor time.
    let used = u64::try_from(exit.usage.user_time_us + exit.usage.sys_time_us).unwrap();
    assert!(
        since.elapsed().as_micros() as u64 > 2 * used,
        "{exit:?} in {:?}",
        since.elapsed()
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_hundred_at_once() {
    let world = std::sync::Arc::new(World::new().await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let world = std::sync::Arc::clone(&world);
        tasks.spawn(async move {
            let job = world.job(&format!("echo {number} | cat > /file; cat /file"));
            let upper = world.upper(&job);
            assert_eq!(world.run(job).await.unwrap().ok(), format!("{number}\n"));
            assert_eq!(
                std::fs::read_to_string(upper.join("file")).unwrap(),
                format!("{number}\n")
            );
        });
    }
    while let Some(done) = within(tasks.join_next()).await {
        done.unwrap();
    }
    std::sync::Arc::into_inner(world).unwrap().end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_killed_launcher_loses_its_sandboxes_and_is_replaced() {
    let world = World::new().await;
    let (sandbox, mut running) = world.spawn("echo ready; sleep 1000").await;
    assert_eq!(line(&mut running.stdout).await, "ready");
    for pid in launchers() {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    assert_eq!(within(running.exit).await, Err(Lost::Launcher));
    within(sandbox.gone()).await;
    assert!(matches!(
        sandbox.exec(crate::world::process(&["true"])).await,
        Err(SpawnError::Ended)
    ));
    for _ in 0..10 {
        assert_eq!(world.sh("echo again").await.ok(), "again\n");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_killed_init_is_a_lost_sandbox() {
    let world = World::new().await;
    let (sandbox, mut running) = world.spawn("echo ready; sleep 1000").await;
    assert_eq!(line(&mut running.stdout).await, "ready");
    // Of the inits that wait and the one that runs, all but the launcher's own process.
    let mut victims = Vec::new();
    for launcher in launchers() {
        victims.extend(children(launcher.as_raw_nonzero().get()));
    }
    let dying: Vec<_> = victims
        .into_iter()
        .filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        .inspect(|init| {
            let _ = pidfd_send_signal(init, rustix::process::Signal::KILL);
        })
        .collect();
    // A ready one that is still dying cannot be told from one that lives.
    for init in &dying {
        poll(&mut [PollFd::new(init, PollFlags::IN)], None).unwrap();
    }
    let lost = within(running.exit).await.unwrap_err();
    // Older kernels do not tell of the signal.
    assert!(matches!(lost, Lost::Signal(9) | Lost::Unknown), "{lost:?}");
    within(sandbox.gone()).await;
    assert_eq!(world.sh("echo again").await.ok(), "again\n");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_giving_up_on_a_spawn_leaves_nothing_running() {
    let world = World::new().await;
    for _ in 0..20 {
        let spawn = world.host.spawn(world.job("sleep 1000"));
        // Dropped at some point on its way.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(1), spawn).await;
    }
    let (sandbox, running) = world.spawn("sleep 1000").await;
    drop((sandbox, running));
    world.end().await;
}

#[tokio::test]
async fn privileged_a_host_that_is_shut_down_takes_no_jobs_and_leaves_nothing() {
    let world = World::new().await;
    let (sandbox, mut running) = world.spawn("echo ready; sleep 1000").await;
    assert_eq!(line(&mut running.stdout).await, "ready");
    let launchers = launchers();
    assert_eq!(launchers.len(), 1);
    within(world.host.shutdown()).await;
    assert_eq!(finish(running).await.exit.signal, Some(9));
    within(sandbox.gone()).await;
    let job = world.job("true");
    assert!(matches!(
        world.host.spawn(job).await,
        Err(SpawnError::Stopped | SpawnError::Lease(_))
    ));
}

/// A server of its own, to be killed; not a test.
#[tokio::test]
#[ignore = "started by privileged_everything_dies_with_the_server"]
async fn server_with_a_sandbox() {
    let world = World::new().await;
    let (_sandbox, mut running) = world.spawn("setsid sleep 1000 & echo ready; wait").await;
    assert_eq!(line(&mut running.stdout).await, "ready");
    println!("\nstore {}", world.store().display());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_everything_dies_with_the_server() {
    let mut server = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "walls::server_with_a_sandbox",
            "--ignored",
            "--nocapture",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let said = std::io::BufReader::new(server.stdout.take().unwrap());
    let store = std::io::BufRead::lines(said)
        .map(|line| line.unwrap())
        .find_map(|line| line.strip_prefix("store ").map(std::path::PathBuf::from))
        .expect("the server says where its store is");
    let launchers = launchers_of(server.id());
    assert_eq!(launchers.len(), 1);
    let mut all = launchers;
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let more = children(pid.as_raw_nonzero().get());
        all.extend(more);
        next += 1;
    }
    assert!(all.len() > 3, "launcher, init, shell, sleep: {all:?}");
    server.kill().unwrap();
    server.wait().unwrap();
    within(async {
        for pid in all {
            while rustix::process::test_kill_process(pid).is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    })
    .await;
    // Whoever starts next cleans up, and works.
    let world = World::new().await;
    assert_eq!(world.sh("echo fine").await.ok(), "fine\n");
    world.end().await;
    std::fs::remove_dir_all(store).unwrap();
}

/// The launchers of our host that make sandboxes.
fn launchers() -> Vec<rustix::process::Pid> {
    launchers_of(std::process::id())
}

fn launchers_of(server: u32) -> Vec<rustix::process::Pid> {
    let server = server.to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?;
            let found = parent == server && command == b"contree-sandbox\0sandboxes\0";
            found.then(|| rustix::process::Pid::from_raw(pid))?
        })
        .collect()
}

fn children(pid: i32) -> Vec<rustix::process::Pid> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?))
        .collect()
}
