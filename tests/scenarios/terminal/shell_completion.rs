//! `contree shell`: what Tab offers.

use contree_e2e::{Key, Terminal};

use super::{enter, shell, types};
use crate::session;

/// Types, presses Tab and holds the line to what it becomes; then gives it up.
#[track_caller]
fn becomes(terminal: &mut Terminal, typed: &str, line: &str) {
    types(terminal, typed);
    terminal.press(Key::Tab);
    terminal.cursor_row_is(&format!("(main) / $ {line}"));
    terminal.press(Key::Ctrl('c'));
    terminal.cursor_row_is("(main) / $");
}

#[tokio::test]
async fn privileged_shell_completes_every_kind_of_word() {
    let (_server, contree) = session().await;
    contree
        .run(&[
            "run",
            "-s",
            "mkdir -p '/srv/a b' /srv/sub && touch '/srv/a b/c$d' /srv/sub/file",
        ])
        .succeeds();
    contree.line("session branch experiment").succeeds();
    contree.line("-S elsewhere use tiny:latest").succeeds();
    let started = contree.line("-o json run -d true").succeeds();
    let row: serde_json::Value =
        serde_json::from_str(started.stdout.lines().next().expect("a row")).expect("JSON");
    let operation = row["uuid"].as_str().expect("an operation").to_owned();
    let mut terminal = shell(&contree);

    // Builtins, and programs of the image; both of them after a pipe.
    becomes(&mut terminal, "hist", "history");
    becomes(&mut terminal, "printe", "printenv");
    becomes(
        &mut terminal,
        "cat /etc/passwd | sha2",
        "cat /etc/passwd | sha256sum",
    );
    becomes(&mut terminal, "timeout 5 printe", "timeout 5 printenv");
    becomes(&mut terminal, "help tim", "help timeout");
    becomes(&mut terminal, "-o json-", "-o json-pretty");
    // Paths of the image.
    becomes(
        &mut terminal,
        "cat /etc/debian_v",
        "cat /etc/debian_version",
    );
    becomes(&mut terminal, "cd /sr", "cd /srv/");
    becomes(&mut terminal, "cat srv/su", "cat srv/sub/");
    becomes(&mut terminal, "cat /srv/a", "cat /srv/a\\ b/");
    becomes(&mut terminal, "cat '/srv/a b/c", "cat '/srv/a b/c$d'");
    becomes(
        &mut terminal,
        "echo x > /srv/sub/f",
        "echo x > /srv/sub/file",
    );
    becomes(
        &mut terminal,
        "vim /etc/debian_v",
        "vim /etc/debian_version",
    );
    // Commands of contree, and whatever they take.
    becomes(&mut terminal, "contree sess", "contree session");
    becomes(
        &mut terminal,
        "contree session check",
        "contree session checkout",
    );
    becomes(
        &mut terminal,
        "contree run --dispo",
        "contree run --disposable",
    );
    becomes(
        &mut terminal,
        "contree session checkout exp",
        "contree session checkout experiment",
    );
    becomes(
        &mut terminal,
        "contree use tag:ti",
        "contree use tag:tiny:latest",
    );
    becomes(
        &mut terminal,
        "contree session use else",
        "contree session use elsewhere",
    );
    becomes(
        &mut terminal,
        "contree cat /etc/debian_v",
        "contree cat /etc/debian_version",
    );
    becomes(
        &mut terminal,
        &format!("contree show {}", &operation[..28]),
        &format!("contree show {operation}"),
    );

    // What more than one can stand for is listed.
    types(&mut terminal, "cat /srv/");
    terminal.press(Key::Tab);
    terminal.shows("\na b/");
    terminal.shows("sub/");
    terminal.cursor_row_is("(main) / $ cat /srv/");
    terminal.press(Key::Ctrl('c'));
    terminal.cursor_row_is("(main) / $");
    // The session moved on; so does what is offered.
    enter(&mut terminal, "touch /srv/sub/fresh");
    terminal.cursor_row_is("(main) / $");
    becomes(&mut terminal, "cat /srv/sub/fr", "cat /srv/sub/fresh");
}

#[tokio::test]
async fn privileged_shell_completion_is_silent_without_a_server() {
    let (mut server, contree) = session().await;
    let mut terminal = shell(&contree);
    server.stop();
    types(&mut terminal, "cat /never/seen/b");
    terminal.press(Key::Tab);
    types(&mut terminal, "efore");
    terminal.cursor_row_is("(main) / $ cat /never/seen/before");
    assert!(!terminal.screen_text().contains("error"));
}
