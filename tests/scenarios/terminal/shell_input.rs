//! `contree shell`: what is typed while a command runs, Ctrl-C, and timeouts.

use std::net::TcpListener;

use contree_e2e::Key;
use contree_e2e::terminal::cursor_row;
use reqwest::StatusCode;
use serde_json::json;

use super::{enter, shell, types};
use crate::raw::Raw;
use crate::session;

#[tokio::test]
async fn privileged_shell_commands_read_what_is_typed() {
    let (_server, contree) = session().await;
    let mut terminal = shell(&contree);
    enter(&mut terminal, "echo name?; read x; echo hello $x");
    terminal.shows("\nname?");
    terminal.hides_typing(false);
    terminal.type_line("world");
    terminal.shows("\nhello world");
    terminal.cursor_row_is("(main) / $");
    // All that is typed from then on is the editor's again.
    for word in ["one", "two", "three"] {
        enter(&mut terminal, "cat; echo done");
        // The editor has left its line, too; what is typed before shows within it.
        terminal.cursor_row_is("");
        terminal.hides_typing(false);
        terminal.type_line(word);
        terminal.shows(&format!("\n{word}\n{word}"));
        terminal.press(Key::Ctrl('d'));
        terminal.cursor_row_is("(main) / $");
        enter(&mut terminal, &format!("echo after {word}"));
        terminal.shows(&format!("\nafter {word}"));
        terminal.cursor_row_is("(main) / $");
    }
}

#[tokio::test]
async fn privileged_shell_gets_back_what_a_command_did_not_take() {
    let (server, contree) = session().await;
    let mut terminal = shell(&contree);
    // Its input is closed by itself, so what is typed cannot be for it.
    enter(
        &mut terminal,
        "exec <&-; echo waits; until test -e /go; do sleep 0.1; done",
    );
    terminal.shows("\nwaits");
    terminal.hides_typing(false);
    terminal.type_text("echo typed");
    terminal.shows("echo typed");
    let running = contree.line("ps -q").succeeds().stdout;
    let path = format!("/v1/operations/{}/subprocesses", running.trim());
    let go = json!({"command": "touch", "args": ["/go"]});
    let started = Raw::new(&server).post(&path, &go).await;
    assert_eq!(started.status, StatusCode::CREATED, "{started:?}");
    terminal.cursor_row_is("(main) / $ echo typed");
    terminal.type_text(" ahead");
    terminal.press(Key::Enter);
    terminal.shows("\ntyped ahead");
}

#[tokio::test]
async fn privileged_shell_ctrl_c_is_for_the_command() {
    let (_server, contree) = session().await;
    let mut terminal = shell(&contree);
    types(&mut terminal, "echo not run");
    terminal.press(Key::Ctrl('c'));
    terminal.cursor_row_is("(main) / $");

    enter(
        &mut terminal,
        "trap 'echo caught; exit 5' INT; echo ready; sleep 60 & wait",
    );
    terminal.shows("\nready");
    terminal.hides_typing(false);
    terminal.press(Key::Ctrl('c'));
    terminal.shows("caught");
    terminal.cursor_row_is("(main) / [5] $");

    enter(&mut terminal, "clear");
    terminal.wait_for("an empty screen", |screen| {
        !screen.contents().contains("caught") && cursor_row(screen) == "(main) / $"
    });
    enter(&mut terminal, "trap '' INT; echo deaf; sleep 60");
    terminal.shows("\ndeaf");
    terminal.hides_typing(false);
    terminal.press(Key::Ctrl('c'));
    terminal.shows("Ctrl-C again to force-cancel");
    terminal.press(Key::Ctrl('c'));
    terminal.shows("Cancelled operation");
    terminal.cursor_row_is("(main) / [cancelled] $");

    // A command that does not listen is left where it stands.
    let started = contree.line("-o json run -d sleep 600").succeeds();
    let row: serde_json::Value =
        serde_json::from_str(started.stdout.lines().next().expect("a row")).expect("JSON");
    let id = row["uuid"].as_str().expect("an operation").to_owned();
    enter(&mut terminal, &format!("contree op wait -t 600 {id}"));
    terminal.hides_typing(false);
    terminal.press(Key::Ctrl('c'));
    terminal.shows("^C");
    terminal.hides_typing(true);
    enter(&mut terminal, "echo alive");
    terminal.shows("\nalive");
    terminal.cursor_row_is("(main) / $");
}

#[tokio::test]
async fn privileged_shell_timeouts() {
    let (_server, contree) = session().await;
    let mut terminal = shell(&contree);
    enter(&mut terminal, "timeout 1s sleep 60 | cat");
    terminal.cursor_row_is("(main) / [timed out] $");
    terminal.shows("timed out after 1s");
    enter(&mut terminal, "timeout 1m echo quick");
    terminal.shows("\nquick");
    terminal.cursor_row_is("(main) / $");
    // No duration of ours: the image's own program, which the image does not have.
    enter(&mut terminal, "timeout -k 1 2 true");
    terminal.cursor_row_is("(main) / [127] $");
    // A line without it has the server's own.
    enter(&mut terminal, "echo plain");
    terminal.shows("\nplain");
    let shown = contree.line("-o json show @").succeeds();
    let row: serde_json::Value = serde_json::from_str(shown.stdout.trim()).expect("JSON");
    assert_eq!(row["title"].as_str().unwrap_or("echo plain"), "echo plain");
}

#[tokio::test]
async fn privileged_shell_goes_on_with_lines_that_reached_no_command() {
    let (_server, contree) = session().await;
    // Takes the run and never answers, until it goes away.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let mut terminal = contree.terminal(&["--url", &url, "shell"]);
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "echo in vain");
    let (connection, _) = silent.accept().expect("a connection");
    terminal.hides_typing(false);
    terminal.type_line("pwd");
    terminal.type_text("echo begun");
    terminal.shows("echo begun");
    drop((connection, silent));
    terminal.shows("error: ");
    // What `pwd` says, and then the line that is not finished.
    terminal.shows("\n/\n");
    terminal.cursor_row_is("(main) / $ echo begun");
}
