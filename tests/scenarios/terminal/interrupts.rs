//! Ctrl-C of commands that take a while.

use std::net::TcpListener;

use contree_e2e::Key;

use crate::{all_end, session};

#[tokio::test]
async fn privileged_ctrl_c_interrupts_what_runs_then_cancels_it() {
    let (_server, contree) = session().await;
    let mut polite = contree.terminal(&[
        "run",
        "-s",
        "trap 'echo caught; exit 5' INT; echo ready; sleep 60 & wait",
    ]);
    polite.shows("ready");
    polite.press(Key::Ctrl('c'));
    assert_eq!(polite.ended(), 5);
    polite.shows("caught");

    let mut deaf = contree.terminal(&["run", "-s", "trap '' INT; echo ready; sleep 60"]);
    deaf.shows("ready");
    deaf.press(Key::Ctrl('c'));
    deaf.shows("Ctrl-C again to force-cancel");
    deaf.press(Key::Ctrl('c'));
    assert_eq!(deaf.ended(), 1);
    deaf.shows("error: User interrupted");
    all_end(&contree);
    contree.line("ps -a").succeeds().shows("CANCELLED");
}

#[tokio::test]
async fn privileged_ctrl_c_leaves_what_is_only_waited_for() {
    let (_server, contree) = session().await;
    let started = contree.line("-o json run -d sleep 600").succeeds();
    let row: serde_json::Value =
        serde_json::from_str(started.stdout.lines().next().expect("a row")).expect("JSON");
    let id = row["uuid"].as_str().expect("an operation").to_owned();
    let mut terminal = contree.terminal(&["op", "wait", "-t", "600", &id]);
    // However early it comes.
    terminal.press(Key::Ctrl('c'));
    assert_ne!(terminal.ended(), 0);
    contree
        .line("ps -a")
        .succeeds()
        .shows(&id)
        .hides("CANCELLED");
    contree.line(&format!("kill {id}")).succeeds();
}

#[tokio::test]
async fn privileged_ctrl_c_cancels_an_import() {
    // A registry that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = silent.local_addr().expect("an address").to_string();
    let server =
        contree_e2e::Server::start(contree_e2e::Settings::with(&["--allow-registry", &host]));
    let contree = contree_e2e::Contree::new(&server);
    let mut terminal =
        contree.terminal(&["images", "import", &format!("{host}/library/thing:latest")]);
    terminal.shows("thing");
    terminal.press(Key::Ctrl('c'));
    assert_eq!(terminal.ended(), 1);
    terminal.shows("User interrupted");
    all_end(&contree);
    contree.line("ps -a").succeeds().shows("CANCELLED");
}
