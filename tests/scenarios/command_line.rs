//! The everyday commands against a real server.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Contree, Server, Settings};

async fn tiny_session() -> (Server, Contree) {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    server.import(&tiny.tar(), "tiny:latest").await;
    let contree = Contree::new(&server);
    contree.line("use tag:tiny:latest").succeeds();
    (server, contree)
}

#[tokio::test]
async fn privileged_run_passes_on_streams_and_exit_codes() {
    let (_server, contree) = tiny_session().await;
    let both = contree
        .run(&["run", "-s", "echo out; echo err >&2; exit 7"])
        .ends_with(7);
    assert_eq!(
        (both.stdout.as_str(), both.stderr.as_str()),
        ("out\n", "err\n")
    );
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let digest = contree
        .run_with_stdin(&["run", "sha256sum"], Some(&bytes))
        .succeeds();
    let expected = sha256(&bytes);
    assert!(digest.stdout.starts_with(&expected), "{digest:?}");
    contree
        .line("run no-such-program")
        .ends_with(1)
        .complains("no such file");
}

#[tokio::test]
async fn privileged_run_options_reach_the_sandbox() {
    let (_server, contree) = tiny_session().await;
    contree
        .line("run -e COLOUR=green -- printenv COLOUR")
        .succeeds()
        .shows("green");
    contree
        .line("run -C /var/tmp pwd")
        .succeeds()
        .shows("/var/tmp");
    contree.line("run -H box uname -n").succeeds().shows("box");
    contree
        .run(&["run", "-s", "echo $((6 * 7))"])
        .succeeds()
        .shows("42");
    contree.line("run --use tag:tiny:latest true").succeeds();

    // A disposable run changes nothing, also not what the session stands on.
    let before = contree.line("use").succeeds();
    contree
        .run(&["run", "-D", "-s", "rm -rf /home; ls /"])
        .succeeds()
        .shows("etc")
        .hides("home");
    contree.line("run ls /").succeeds().shows("home");
    contree.line("ls /").succeeds().shows("home");
    assert_eq!(
        image_of(&before.stdout),
        image_of(&contree.line("use").succeeds().stdout)
    );

    contree
        .line("run -t 1 sleep 60")
        .ends_with(255)
        .complains("timed out");
}

#[tokio::test]
async fn privileged_detached_runs_are_seen_and_killed() {
    let (_server, contree) = tiny_session().await;
    let started = contree.line("--format json run -d sleep 600").succeeds();
    let row: serde_json::Value =
        serde_json::from_str(started.stdout.lines().next().expect("a row")).expect("JSON");
    let uuid = row["uuid"].as_str().expect("an operation").to_owned();
    contree.line("ps -a").succeeds().shows(&uuid);
    contree.line(&format!("kill {uuid}")).succeeds();
    contree
        .line(&format!("show {uuid}"))
        .succeeds()
        .shows("CANCELLED");
    contree.line("ps").succeeds().hides(&uuid);
    // Killed already.
    contree.line(&format!("kill {uuid}")).ends_with(1);
}

#[tokio::test]
async fn privileged_images_are_looked_into_without_running() {
    let (_server, contree) = tiny_session().await;
    contree
        .run(&[
            "run",
            "-s",
            "mkdir -p /data/deep && echo hello > /data/a && ln -s a /data/b && : > /data/deep/c",
        ])
        .succeeds();
    contree
        .line("ls /data")
        .succeeds()
        .shows("a")
        .shows("b -> a")
        .shows("deep");
    contree.line("cat /data/b").succeeds().shows("hello");
    contree.line("cat /data/none").ends_with(1);
    contree.line("cat /data").ends_with(1);
    contree.line("ls /data/none").ends_with(1);
}

fn image_of(row: &str) -> Vec<&str> {
    row.split_whitespace()
        .filter(|word| word.len() == 36 && word.matches('-').count() == 4)
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
