//! The server is killed, and another one takes its data over.
//!
//! The engine to be killed runs in a process of its own: this test program again, told by the
//! environment which folder to use.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use contree_api::event::EventData;
use contree_api::operation::OperationStatus;
use contree_api::{ImageId, OperationId};
use contree_engine::{Durability, Engine, OperationFilter};

use crate::bench::{Bench, Run, config, names, shell};

const FOLDER: &str = "CONTREE_TEST_CRASH_FOLDER";

/// What the other process does: runs that end, runs that do not, runs that wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the part of privileged_a_killed_server that gets killed"]
async fn privileged_child_that_gets_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let mut config = config(std::path::Path::new(&folder));
    config.limits.instance_max_concurrency = 8;
    config.durability = Durability::Durable;
    let (engine, _) = Engine::start(config).await.unwrap();
    let token = std::fs::read_to_string(std::path::Path::new(&folder).join("admin.token")).unwrap();
    let identity = engine.authenticate(token.trim(), None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench {
        engine,
        identity,
        folder,
    };
    let base = bench.tiny().await;
    for n in 0..4 {
        let image = bench
            .sh(base, &format!("echo {n} > /n"))
            .await
            .image
            .unwrap();
        println!("done {n} {image}");
    }
    for _ in 0..8 {
        let operation = bench
            .spawn(shell(base, "echo x > /x; echo up; sleep 1000"))
            .await;
        bench.output(operation, 1, "up").await;
        println!("running {operation}");
    }
    for _ in 0..3 {
        println!(
            "waiting {}",
            bench.spawn(shell(base, "echo later > /later")).await
        );
    }
    println!("ready");
    std::future::pending::<()>().await;
}

struct Killed {
    done: BTreeMap<String, ImageId>,
    running: Vec<OperationId>,
    waiting: Vec<OperationId>,
}

/// Starts the child, reads what it did, and kills it.
fn run_and_kill(folder: &std::path::Path) -> Killed {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::privileged_child_that_gets_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut killed = Killed {
        done: BTreeMap::new(),
        running: Vec::new(),
        waiting: Vec::new(),
    };
    let mut ready = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["done", n, image] => drop(killed.done.insert(n.to_owned(), image.parse().unwrap())),
            ["running", operation] => killed.running.push(operation.parse().unwrap()),
            ["waiting", operation] => killed.waiting.push(operation.parse().unwrap()),
            ["ready"] => {
                ready = true;
                break;
            }
            _ => {}
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready, "the other process did not come that far");
    killed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_killed_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let killed = run_and_kill(&data);
    assert_eq!(
        (
            killed.done.len(),
            killed.running.len(),
            killed.waiting.len()
        ),
        (4, 8, 3)
    );
    assert!(!names(&data.join("store/uppers")).is_empty());
    // What a commit leaves that did not get on record.
    std::fs::create_dir(data.join("store/layers/0123456789abcdef0123456789abcdef")).unwrap();

    let (engine, first) = Engine::start(config(&data)).await.unwrap();
    assert!(first.is_none());
    let token = std::fs::read_to_string(data.join("admin.token")).unwrap();
    let identity = engine.authenticate(token.trim(), None).await.unwrap();
    let bench = Bench {
        engine,
        identity,
        folder,
    };

    // Acknowledged images are all there.
    for (n, image) in &killed.done {
        assert_eq!(bench.sh(*image, "cat /n").await.stdout(), format!("{n}\n"));
    }
    // What ran has failed, and its log says so at its end.
    for operation in killed.running {
        let run = Run::of(bench.finished(operation).await);
        assert_eq!((run.status, run.image), (OperationStatus::Failed, None));
        assert!(run.error.unwrap().contains("server stopped"));
        let events = bench.events(operation).await;
        assert!(
            events
                .iter()
                .enumerate()
                .all(|(at, event)| event.id == at as u64)
        );
        assert!(matches!(
            events.last().unwrap().data,
            EventData::Completion(_)
        ));
        assert!(
            events
                .iter()
                .any(|event| matches!(event.data, EventData::Stdout(_)))
        );
    }
    // What waited is carried out.
    for operation in killed.waiting {
        let run = Run::of(bench.finished(operation).await);
        assert_eq!(run.status, OperationStatus::Success);
        bench.sh(run.image.unwrap(), "test -s /later").await;
    }
    let open = OperationFilter {
        status: Some(OperationStatus::Executing),
        ..Default::default()
    };
    assert!(
        bench
            .engine
            .operations(&bench.identity, &open)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(bench.uppers().is_empty());
    assert!(!bench.layers().contains("0123456789abcdef0123456789abcdef"));
    let swept = bench.engine.sweep().await.unwrap();
    assert_eq!((swept.layers, swept.folders), (0, 0));
    bench.engine.drain(Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_one_engine_for_each_folder() {
    let bench = Bench::start().await;
    let second = Engine::start(config(&bench.data())).await.unwrap_err();
    assert!(second.to_string().contains("in use"), "{second}");
    let mode = std::fs::metadata(bench.data().join("admin.token"))
        .unwrap()
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
    assert!(
        bench
            .engine
            .authenticate("contree_wrong", None)
            .await
            .is_err()
    );
    let told = bench.engine.whoami(&bench.identity).await.unwrap();
    assert!(told.permissions.values().all(|granted| *granted));
    bench.stop().await;
}
