//! The everyday commands against a real server.

use std::collections::BTreeMap;
use std::io::Read as _;

use crate::session;

#[tokio::test]
async fn privileged_run_passes_on_streams_and_exit_codes() {
    let (_server, contree) = session().await;
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
    let (_server, contree) = session().await;
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
    let (_server, contree) = session().await;
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
    let (_server, contree) = session().await;
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

#[tokio::test]
async fn privileged_files_are_found_and_brought_home() {
    let (_server, contree) = session().await;
    contree
        .run(&[
            "run",
            "-s",
            "mkdir -p /data/deep && echo 'hello world' > /data/a && echo Hello > /data/deep/b.txt \
             && head -c 300000 /dev/urandom > /data/deep/blob",
        ])
        .succeeds();
    contree.line("cd /data").succeeds();
    contree.line("env GREETING=hi").succeeds();
    contree.line("run pwd").succeeds().shows("/data");
    contree.line("run printenv GREETING").succeeds().shows("hi");
    contree
        .line("cd none")
        .ends_with(1)
        .complains("no such directory");
    contree.line("cd a").ends_with(1);

    let found = contree.line("grep hello").succeeds();
    assert_eq!(found.stdout, "/data/a:1:hello world\n");
    let found = contree
        .line("grep --case insensitive --glob *.txt hello / /data/deep")
        .succeeds();
    assert_eq!(found.stdout, "/data/deep/b.txt:1:Hello\n".repeat(2));
    contree.line("grep nothing-like-it").ends_with(1);
    contree
        .line("grep ( /data")
        .ends_with(1)
        .complains("pattern");

    let folder = tempfile::tempdir().expect("a folder");
    let here = |name: &str| folder.path().join(name).display().to_string();
    let read = |name: &str| std::fs::read(here(name)).expect("the file");
    contree.run(&["cp", "deep/blob", &here("")]).succeeds();
    let inside = contree.line("run sha256sum deep/blob").succeeds();
    assert!(inside.stdout.starts_with(&sha256(&read("blob"))));
    contree
        .run(&["cp", "deep", &here("deep")])
        .ends_with(1)
        .complains("contree export /data/deep");

    contree
        .run(&["export", ".", "-F", &here("data.tar.gz")])
        .succeeds();
    contree.run(&["export", "-F", &here("all.tar")]).succeeds();
    let printed = contree
        .command(&["export", "deep", "--decompress"])
        .output()
        .expect("contree starts");
    let packed = read("data.tar.gz");
    let files = files_of(flate2::read::GzDecoder::new(&packed[..]));
    assert_eq!(
        files.keys().map(String::as_str).collect::<Vec<_>>(),
        ["data/a", "data/deep/b.txt", "data/deep/blob"]
    );
    assert_eq!(files["data/a"], b"hello world\n");
    assert!(files["data/deep/blob"] == read("blob"));
    assert!(files_of(&read("all.tar")[..])["data/deep/blob"] == read("blob"));
    assert_eq!(files_of(&printed.stdout[..])["deep/b.txt"], b"Hello\n");

    // Where the session was before.
    contree.line("session rollback -- -3").succeeds();
    assert_eq!(contree.line("cd").succeeds().stdout, "/data\n");
    contree.line("session rollback").succeeds();
    assert_eq!(contree.line("cd").succeeds().stdout, "/\n");
}

/// The plain files of an archive.
fn files_of(archive: impl std::io::Read) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let name = entry.path().expect("a name").display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("its content");
            files.insert(name, content);
        }
    }
    files
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
