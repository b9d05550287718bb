//! Runs in the background: waited for, taken in, and files that go along.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Contree, Server, Settings};
use serde_json::Value;

fn rows(contree: &Contree, line: &str) -> Vec<Value> {
    let output = contree.line(&format!("-o json {line}")).succeeds();
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Starts a run that is not waited for; its id.
fn detached(contree: &Contree, expression: &str) -> String {
    let started = contree
        .run(&["-o", "json", "run", "-d", "-s", expression])
        .succeeds();
    let row: Value = serde_json::from_str(started.stdout.trim()).expect("a row");
    row["uuid"].as_str().expect("an operation").to_owned()
}

#[tokio::test]
async fn privileged_detached_runs_are_waited_for_and_taken_in() {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    server.import(&tiny.tar(), "tiny:latest").await;
    let contree = Contree::new(&server);
    contree.line("use tag:tiny:latest").succeeds();

    // It prints more than is fetched by somebody who only waits.
    let first = detached(&contree, "seq 20000; echo first > /first");
    let second = detached(&contree, "echo second > /second; exit 0");
    let failing = detached(&contree, "echo half > /half; exit 9");
    let waited = contree.line("session wait").ends_with(9);
    assert!(
        waited.stderr.contains("branch 'main' has moved"),
        "{waited:#?}"
    );
    contree.line("cat /first").succeeds().shows("first");
    contree.line("cat /second").ends_with(1);
    for (id, file) in [(&second, "/second"), (&failing, "/half")] {
        contree
            .line(&format!("session checkout detached-{id}"))
            .succeeds();
        contree.line(&format!("cat {file}")).succeeds();
    }
    contree.line("session checkout main").succeeds();

    // By name, while it runs, and its events beside it.
    let id = detached(&contree, "sleep 1; echo third > /third");
    let events = rows(&contree, &format!("op events --follow {id}"));
    let kinds: Vec<&str> = events.iter().filter_map(|e| e["type"].as_str()).collect();
    assert_eq!(kinds.first(), Some(&"init"));
    assert_eq!(kinds.last(), Some(&"completion"));
    let row = &rows(&contree, &format!("session wait {id}"))[0];
    assert_eq!(row["branch"], "main");
    contree.line("cat /third").succeeds().shows("third");

    let id = detached(&contree, "sleep 600");
    contree
        .line(&format!("op wait -t 1 {id} {first}"))
        .ends_with(1)
        .complains("did not finish in 1s");
    contree.line("op cancel --all").succeeds();
    contree.line(&format!("op wait {id}")).ends_with(1);

    // Files that wait for the next run.
    contree
        .run(&["file", "edit", "-E", "echo edited >", "/first"])
        .succeeds();
    contree.line("cat /first").succeeds().shows("first");
    contree.line("run cat /first").succeeds().shows("edited");
    contree.line("cat /first").succeeds().shows("edited");
    // Beside the archive that was imported.
    assert_eq!(rows(&contree, "file ls").len(), 2);
}
