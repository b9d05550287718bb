//! Images as a tree: branches, depth, and chains that stay short.

use std::path::Path;
use std::time::{Duration, Instant};

use contree_api::ImageId;
use contree_records::{Records, Segment};

use crate::bench::Bench;

/// The folders under an image, as the records have them.
pub(crate) async fn chain(bench: &Bench, image: ImageId) -> Vec<Segment> {
    let records = Records::open(&bench.data().join("records.db"))
        .await
        .unwrap();
    let project = bench.identity.project_id;
    let ground = records.image_ground(project, image).await.unwrap().unwrap();
    let chain = records.chain(ground.layer).await.unwrap();
    records.close().await;
    chain
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_depth_does_not_lengthen_chains() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let mut trunk = vec![base];
    for step in 1..=60 {
        // Each step makes a file, changes one, and removes one of an earlier step.
        let expression = format!(
            "mkdir -p /d/{m}; echo {step} > /d/{m}/f{step}; echo {step} >> /log; \
             rm -f /d/*/f{old}; test -s /log",
            m = step % 7,
            old = step - 10,
        );
        let run = bench.sh(*trunk.last().unwrap(), &expression).await;
        trunk.push(run.image.unwrap());
    }
    let last = trunk[60];
    let files = bench
        .sh(
            last,
            "cd /d; for f in */f*; do echo ${f#*/f}; done; head -n 99 /log",
        )
        .await;
    let shown = files.stdout();
    let numbers: Vec<u32> = shown.lines().map(|line| line.parse().unwrap()).collect();
    let (mut left, log) = (numbers[..10].to_vec(), &numbers[10..]);
    left.sort_unstable();
    assert_eq!(left, (51..=60).collect::<Vec<_>>());
    assert_eq!(log, (1..=60).collect::<Vec<_>>());
    // Merges follow the runs in the background; the last uses ask for what is still due.
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let length = chain(&bench, last).await.len();
        if length <= 20 {
            break;
        }
        assert!(Instant::now() < deadline, "{length}");
        bench.sh(last, "true").await;
    }

    // Every earlier image still shows what it showed.
    for at in [1, 9, 10, 11, 33, 59] {
        let shown = bench.sh(trunk[at], "cat /log").await.stdout();
        assert_eq!(shown.lines().count(), at);
    }
    // Branches off the middle do not see each other.
    let (left, right) = tokio::join!(
        bench.sh(trunk[30], "rm -r /d; echo left > /side"),
        bench.sh(trunk[30], "echo right > /side"),
    );
    assert_eq!(
        bench
            .sh(left.image.unwrap(), "cat /side; ls /")
            .await
            .stdout()
            .lines()
            .next(),
        Some("left")
    );
    bench.sh(left.image.unwrap(), "! test -e /d").await;
    bench.sh(right.image.unwrap(), "test -d /d").await;

    // Sweeping leaves no more than there was, but what a merge made meanwhile.
    loop {
        let before = bench.layers().len();
        bench.engine.sweep().await.unwrap();
        if bench.layers().len() <= before {
            break;
        }
        assert!(Instant::now() < deadline, "{:?}", bench.layers());
    }
    bench.sh(last, "test $(cat /log | head -n 1) = 1").await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_parent_stays_as_it_was() {
    let bench = Bench::start().await;
    let base = bench.tiny().await;
    let layer = chain(&bench, base).await[0]
        .folder
        .uuid()
        .simple()
        .to_string();
    let folder = bench.data().join("store/layers").join(layer);
    let before = facts(&folder);
    let destructive = "rm -r /etc /var; chmod 700 /usr; chown 5:5 /root; \
                       echo x >> /usr/bin/cat; mv /usr/bin/seq /usr/bin/qes; ln /usr/bin/ls /ls";
    let ruined = bench.sh(base, destructive).await.image.unwrap();
    bench
        .sh(ruined, "! test -e /etc; test -x /usr/bin/qes")
        .await;
    assert_eq!(facts(&folder), before);
    bench.sh(base, "test -s /etc/passwd; seq 1").await;
    bench.stop().await;
}

/// Everything that can be seen of a tree from outside, times of access left out.
fn facts(folder: &Path) -> String {
    let script = "find . -printf '%p %y %m %U %G %s %n %T@ %C@ %l\\n' | sort; \
                  find . -type f -print0 | sort -z | xargs -0 sha256sum";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
