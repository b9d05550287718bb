//! `contree shell` beside the one of contree-cli 0.9.4: the same lines leave the same session.

use std::process::Command;

use contree_e2e::{Contree, Key, Terminal, python};

use crate::session;

/// Lines that both shells understand in the same way.
const LINES: [&str; 8] = [
    "echo one > /one",
    "echo one > /one",
    "cd /tmp",
    "cat /one",
    "pwd",
    "printf 'a  b' | wc -c",
    "contree session branch side",
    "false; exit 3",
];

/// What the lines left in the session database.
const ROWS: &str = "
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
key = sys.argv[2]
print(json.dumps([
    db.execute('SELECT kind, title FROM session_history WHERE session_key=? ORDER BY id', (key,)).fetchall(),
    db.execute('SELECT line FROM shell_history WHERE session_key=? ORDER BY id', (key,)).fetchall(),
    db.execute('SELECT branch_name FROM session_branches WHERE session_key=? ORDER BY 1', (key,)).fetchall(),
]))
";

fn rows(contree: &Contree, session: &str) -> String {
    let database = contree.home().join("cli/sessions/default.db");
    let output = Command::new("python3")
        .args(["-c", ROWS])
        .arg(database)
        .arg(session)
        .output()
        .expect("python3 starts");
    String::from_utf8(output.stdout).expect("text")
}

/// Types the lines, each at a prompt, and leaves.
fn type_lines(terminal: &mut Terminal) {
    let prompts = |text: &str| text.matches("session: ").count();
    for (done, line) in LINES.iter().enumerate() {
        terminal.wait_for("another prompt", |screen| {
            prompts(&screen.contents()) > done && screen.contents().trim_end().ends_with('$')
        });
        terminal.type_line(line);
    }
    terminal.wait_for("the last prompt", |screen| {
        prompts(&screen.contents()) > LINES.len() && screen.contents().trim_end().ends_with('$')
    });
    terminal.press(Key::Ctrl('d'));
    assert_eq!(terminal.ended(), 0);
}

#[tokio::test]
async fn privileged_shells_leave_the_same_rows() {
    let (_server, contree) = session().await;
    let published = python::environment("published").join("bin/contree");
    for session in ["ours", "theirs"] {
        contree
            .run(&["-S", session, "use", "tiny:latest"])
            .succeeds();
        let ours = contree.command(&["-S", session, "shell"]);
        let mut command = if session == "ours" {
            ours
        } else {
            let mut theirs = Command::new(&published);
            theirs.args(ours.get_args());
            for (name, value) in ours.get_envs() {
                match value {
                    Some(value) => theirs.env(name, value),
                    None => theirs.env_remove(name),
                };
            }
            theirs.env("CONTREE_NO_UPDATE_CHECK", "1");
            theirs
        };
        command.env("NO_COLOR", "1");
        // High enough for all of it to stay on the screen.
        type_lines(&mut Terminal::sized(command, 90, 120));
    }
    assert_eq!(rows(&contree, "ours"), rows(&contree, "theirs"));

    // The other shell knows what was typed in this one, and this one what was typed there.
    let mut terminal = contree.terminal(&["-S", "theirs", "shell"]);
    terminal.cursor_row_is("(main) /tmp $");
    terminal.press(Key::Up);
    terminal.cursor_row_is("(main) /tmp $ false; exit 3");
}

#[tokio::test]
async fn privileged_shell_history_has_an_end() {
    let (_server, contree) = session().await;
    let fill = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
lines = (('test', f'echo {i}') for i in range(10005))
db.executemany('INSERT INTO shell_history (session_key, line) VALUES (?, ?)', lines)
db.execute('INSERT INTO shell_history (session_key, line) VALUES (?, ?)', ('other', 'kept'))
db.commit()
";
    let filled = Command::new("python3")
        .args(["-c", fill])
        .arg(contree.home().join("cli/sessions/default.db"))
        .status();
    assert!(filled.expect("python3 starts").success());
    let mut terminal = super::shell(&contree);
    super::enter(&mut terminal, "history 10004");
    // Of 10,006 lines the newest 10,000 are left.
    terminal.shows("  9999  echo 10004");
    terminal.shows(" 10000  history 10004");
    assert!(rows(&contree, "other").contains("kept"));
}
