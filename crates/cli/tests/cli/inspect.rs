//! Looking into the session's image, and where the session is in it.

use serde_json::json;

use crate::fake::Fake;
use crate::home::{Ended, Home};

/// A session that has begun.
fn session() -> (Fake, Home) {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    (fake, home)
}

#[test]
fn cd_moves_the_session_and_rolls_back() {
    let (fake, home) = session();
    let cwd = || home.contree(&["cd"]).code(0).stdout;
    assert_eq!(cwd(), "/\n");
    assert_eq!(home.contree(&["cd", "/srv"]).code(0).stdout, "");
    assert_eq!(cwd(), "/srv\n");
    // What looks into the image starts there.
    home.contree(&["ls"]).code(0);
    home.contree(&["ls", "../srv/./"]).code(0);
    home.contree(&["cat", "data"]).code(0);
    let asked = fake.requests();
    assert!(asked[asked.len() - 1].ends_with("/download?path=/srv/data"));
    assert!(asked[asked.len() - 2].ends_with("/list?path=/srv&text=1"));
    assert!(asked[asked.len() - 3].ends_with("/list?path=/srv&text=1"));
    // Runs too.
    home.contree(&["run", "echo"]).code(0);
    assert_eq!(fake.bodies().pop().unwrap()["cwd"], "/srv");

    home.contree(&["cd", "none"])
        .code(1)
        .says("cd: /srv/none: no such directory")
        .says("contree ls /srv");
    home.contree(&["cd", "data"])
        .code(1)
        .says("/srv/data is not a folder");
    assert_eq!(cwd(), "/srv\n");
    home.contree(&["cd", ".."]).code(0);
    assert_eq!(cwd(), "/\n");
    home.contree(&["session", "rollback"]).code(0);
    assert_eq!(cwd(), "/srv\n");
    let steps = home.rows(&["session", "show", "-a", "-k", "cd"]);
    assert_eq!(
        (steps.len(), &steps[0]["title"]),
        (2, &json!("/srv")),
        "{steps:?}"
    );
}

#[test]
fn cd_needs_a_session() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    assert_eq!(home.contree(&["cd"]).code(0).stdout, "/\n");
    home.contree(&["cd", "/srv"])
        .code(1)
        .says("No active session");
}

#[test]
fn env_is_set_for_every_run() {
    let (fake, home) = session();
    let none = "No session environment variables set.";
    assert_eq!(home.contree(&["env"]).code(0).stdout, format!("{none}\n"));
    let rows = home.contree(&["-o", "json", "env"]).code(0).says(none);
    assert_eq!(rows.stdout, "");
    home.contree(&["env", "B=x=y z", "A=", "C=3"])
        .code(0)
        .says("Set B=x=y z");
    home.contree(&["env", "C=4"]).code(0);
    assert_eq!(
        home.rows(&["env"]),
        [
            json!({"key": "A", "value": ""}),
            json!({"key": "B", "value": "x=y z"}),
            json!({"key": "C", "value": "4"}),
        ]
    );
    home.contree(&["run", "-e", "C=5", "echo"]).code(0);
    assert_eq!(
        fake.bodies().pop().unwrap()["env"],
        json!({"A": "", "B": "x=y z", "C": "5"})
    );
    home.contree(&["env", "-U", "A", "none"])
        .code(0)
        .says("Unset A");
    home.contree(&["env", "--rm", "C"]).code(0);
    assert_eq!(home.rows(&["env"]).len(), 1);
    // It is the session's, on whatever step it stands.
    assert_eq!(home.rows(&["-S", "second", "env"]).len(), 0);
}

#[test]
fn env_sets_all_or_nothing() {
    let (_fake, home) = session();
    home.contree(&["env", "A=1", "B"])
        .code(1)
        .says("'B' is no variable")
        .says("contree env B=VALUE");
    home.contree(&["env", "=1"]).code(1);
    home.contree(&["env", "-U"])
        .code(1)
        .says("contree env -U KEY");
    assert_eq!(home.rows(&["env"]).len(), 0);
}

#[test]
fn grep_prints_lines_as_grep_does() {
    let (fake, home) = session();
    let plain = home.contree(&["grep", "root"]).code(0);
    assert_eq!(
        plain.stdout,
        "/etc/a:2:ein ü root, root\n/etc/b:4:\u{fffd}root\n"
    );
    let context = home.contree(&["grep", "-A", "1", "root"]).code(0);
    assert_eq!(
        context.stdout,
        "/etc/a:2:ein ü root, root\n/etc/a-3-next\n--\n/etc/b:4:\u{fffd}root\n"
    );
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["grep", "root"]);
    command.env("FORCE_COLOR", "1");
    let painted = Ended::of(command.spawn().unwrap()).code(0).stdout;
    assert_eq!(
        painted.lines().next().unwrap(),
        "\x1b[35m/etc/a\x1b[0m:\x1b[32m2\x1b[0m:ein ü \x1b[1;31mroot\x1b[0m, \x1b[1;31mroot\x1b[0m"
    );
    command.env("NO_COLOR", "1");
    let black = Ended::of(command.spawn().unwrap()).code(0).stdout;
    assert_eq!(black, plain.stdout);
    assert!(
        fake.requests()
            .iter()
            .filter(|asked| asked.contains("/grep?"))
            .all(|asked| asked.contains("pattern=root&path=/&case=sensitive"))
    );
}

#[test]
fn grep_asks_for_what_it_is_told() {
    let (fake, home) = session();
    home.contree(&["cd", "/srv"]).code(0);
    home.contree(&["grep", "root"]).code(0);
    assert!(fake.requests().pop().unwrap().contains("path=/srv&case="));
    home.contree(&[
        "grep",
        "^a b",
        "deep",
        "/etc/../opt",
        "--glob",
        "!*.py",
        "--max-count",
        "2",
        "--case",
        "smart",
        "-C",
        "3",
        "-B",
        "0",
    ])
    .code(0);
    assert!(
        fake.requests().pop().unwrap().ends_with(
            "/grep?pattern=%5Ea%20b&path=/srv/deep&path=/opt&glob=%21%2A.py&max_count=2\
             &case=smart&before=0&after=3"
        ),
        "{:?}",
        fake.requests()
    );
    home.contree(&["grep", "--before", "1", "--after-context", "50", "--", "-x"])
        .code(0);
    assert!(
        fake.requests()
            .pop()
            .unwrap()
            .ends_with("pattern=-x&path=/srv&case=sensitive&before=1&after=50")
    );
    for wrong in [
        &["grep", "-C", "51", "a"][..],
        &["grep", "--max-count", "0", "a"],
        &["grep", "--max-total", "x", "a"],
        &["grep", "--case", "upper", "a"],
        &["grep"],
    ] {
        home.contree(wrong).code(2);
    }
}

#[test]
fn grep_tells_by_its_exit_code() {
    let (_fake, home) = session();
    assert_eq!(home.contree(&["grep", "none"]).code(1).stderr, "");
    home.contree(&["grep", "late"]).code(2).says("--max-total");
    home.contree(&["grep", "--max-total", "2", "root"])
        .code(0)
        .says("there may be more");
    home.contree(&["grep", "(", "/etc"])
        .code(1)
        .says("could not search /etc")
        .says("unclosed group");
}

#[test]
fn grep_has_rows_and_the_answer_itself() {
    let (_fake, home) = session();
    let rows = home.rows(&["grep", "-C1", "root", "/etc"]);
    assert_eq!(
        rows[1],
        json!({"path": "/etc/a", "line_number": 3, "absolute_offset": 30, "line_bytes": 5,
            "type": "context", "line_text": "next"})
    );
    let raw = home.contree(&["grep", "--raw", "root", "/etc"]).code(0);
    let raw = &raw.rows()[0];
    assert_eq!(raw["matches"][0]["line_text"], "ein ü root, root\r\n");
    assert_eq!(raw["matches"][0]["submatches"][1]["start"], 13);
    assert_eq!(
        (&raw["path"], &raw["truncated"]),
        (&json!("/etc"), &json!(false))
    );
    let none = home.contree(&["grep", "--raw", "none"]).code(1);
    assert_eq!(none.rows()[0]["matches"], json!([]));
}

#[test]
fn listings_have_the_columns_of_contree_cli() {
    let (_fake, home) = session();
    let csv = home.contree(&["-o", "csv", "ls", "/srv"]).code(0).stdout;
    assert_eq!(
        csv.lines().next().unwrap(),
        "size,path,owner,group,uid,gid,mode,mtime,nlink,is_dir,is_regular,is_symlink,is_socket,\
         is_fifo,symlink_to,type"
    );
}

#[test]
fn forced_colours_do_not_make_a_pipe_a_terminal() {
    let (_fake, home) = session();
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["cat", "/srv/data"]);
    command.env("FORCE_COLOR", "1");
    let output = command.output().unwrap();
    assert_eq!(output.stdout, b"\xff\x00");
    assert_eq!(output.status.code(), Some(0));
}
