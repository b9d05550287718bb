//! Sessions, branches and history.

use serde_json::Value;

use crate::fake::{BASE, Fake};
use crate::home::Home;

fn titles(home: &Home) -> Vec<String> {
    let rows = home.rows(&["session", "show", "-a"]);
    rows.iter()
        .map(|row| row["title"].as_str().unwrap().to_owned())
        .collect()
}

fn field(home: &Home, name: &str) -> Value {
    home.rows(&["session"])[0][name].clone()
}

#[test]
fn use_begins_a_session_only_when_the_image_is_there() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "no:such"])
        .code(1)
        .says("contree images");
    home.contree(&["use", "not a tag"])
        .code(1)
        .says("not a tag");
    home.contree(&["use"])
        .code(1)
        .says("No active session. Run `contree use IMAGE` to start one.");
    for args in [
        vec!["session"],
        vec!["run", "true"],
        vec!["ls"],
        vec!["tag", "x"],
    ] {
        home.contree(&args).code(1).says("No active session");
    }
    let used = home.contree(&["use", "tag:base:latest"]).code(0);
    assert_eq!(used.stdout, "export CONTREE_SESSION=test\n");
    let shown = home.rows(&["use"]);
    assert_eq!(shown[0]["current_image"], BASE);
    assert_eq!(shown[0]["active_branch"], "main");
    assert_eq!(shown[0]["last_kind"], "use");
    assert_eq!(shown[0]["last_title"], "tag:base:latest");
}

#[test]
fn a_new_session_is_one_of_its_own() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", BASE]).code(0);
    let line = home.contree(&["use", "-N", "base:latest"]).code(0).stdout;
    let key = line
        .trim()
        .strip_prefix("export CONTREE_SESSION=")
        .unwrap()
        .to_owned();
    assert_eq!(key.len(), 36);
    assert_eq!(
        home.rows(&["-S", &key, "session"])[0]["session_key"],
        key.as_str()
    );
    assert_eq!(home.rows(&["session", "list"]).len(), 2);
    assert_eq!(home.rows(&["session", "list", "--filter", "tes"]).len(), 1);
    home.contree(&["use", "-N"]).code(1);
    // Another shell has another syntax.
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["use", BASE]);
    command
        .env("SHELL", "/usr/bin/fish")
        .env("CONTREE_SESSION", "my session");
    let ended = crate::home::Ended::of(command.spawn().unwrap()).code(0);
    assert_eq!(ended.stdout, "set -gx CONTREE_SESSION 'my session'\n");
}

#[test]
fn branches_and_the_way_back() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    home.contree(&["run", "echo", "one"]).code(0);
    home.contree(&["run", "echo", "two"]).code(0);
    let two = field(&home, "current_image");

    home.contree(&["session", "branch", "try"]).code(0);
    home.contree(&["session", "branch", "try"])
        .code(1)
        .says("already exists");
    home.contree(&["session", "checkout", "none"])
        .code(1)
        .says("does not exist");
    home.contree(&["session", "checkout", "try"]).code(0);
    home.contree(&["run", "echo", "three"]).code(0);
    assert_ne!(field(&home, "current_image"), two);
    let listed = home.contree(&["session", "branch"]).code(0);
    assert_eq!(listed.stdout, "MARKER  BRANCH\n    main\n*   try\n");

    home.contree(&["session", "checkout", "main"]).code(0);
    assert_eq!(field(&home, "current_image"), two);

    // One back, two back, to an id, forward along the newest, and not too far.
    home.contree(&["session", "rollback"]).code(0);
    assert_eq!(field(&home, "last_title"), "echo one");
    home.contree(&["session", "rollback", "+1"]).code(0);
    assert_eq!(field(&home, "last_title"), "echo two");
    home.contree(&["session", "rollback", "--", "-2"]).code(0);
    assert_eq!(field(&home, "last_title"), "base:latest");
    home.contree(&["session", "rollback", "3"]).code(0);
    home.contree(&["session", "rollback", "-1"]).code(0);
    assert_eq!(field(&home, "last_title"), "echo one");
    home.contree(&["session", "rollback", "-5"])
        .code(1)
        .says("only 1 ancestors available");
    home.contree(&["session", "rollback", "+9"])
        .code(1)
        .says("children available");
    home.contree(&["session", "rollback", "99"])
        .code(1)
        .says("not found in this session");
    home.contree(&["session", "rollback", "0"]).code(1);

    // Nothing was lost.
    assert_eq!(
        titles(&home),
        ["base:latest", "echo one", "echo two", "echo three"]
    );
    home.contree(&["session", "branch", "-U", "main"])
        .code(1)
        .says("active branch");
    home.contree(&["session", "branch", "-U", "try"]).code(0);
    home.contree(&["session", "branch", "old", "--from", "none"])
        .code(1);
    home.contree(&["session", "branch", "old", "--from", "main"])
        .code(0);
}

#[test]
fn sessions_are_found_by_how_their_keys_end() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    for key in ["one+1a", "two+1a", "three+3c"] {
        home.contree(&["-S", key, "use", BASE]).code(0);
    }
    let shown = home.rows(&["session", "show", "3c"]);
    assert_eq!(shown.len(), 1);
    let used = home.rows(&["session", "use", "+3c"]);
    assert_eq!(used[0]["from_session"], "three+3c");
    for wrong in [&["delete", "-f", "1a"][..], &["show", "1a"], &["use", "1a"]] {
        let args = [&["session"], wrong].concat();
        home.contree(&args).code(1).says("one+1a, two+1a");
    }
    for nothing in ["", "none"] {
        home.contree(&["session", "delete", "-f", nothing])
            .code(1)
            .says("there is no session");
    }
    // Asked about it one sees which one is meant; unasked it must be named.
    home.contree(&["session", "delete", "-f", "o+1a", "three+3c"])
        .code(1)
        .says("'two+1a' ends so");
    home.contree_with(&["session", "delete", "o+1a"], b"y\n")
        .code(0)
        .says("Delete session 'two+1a'");
    let left = home.rows(&["session", "list"]);
    let mut left: Vec<&str> = left
        .iter()
        .map(|row| row["session_key"].as_str().unwrap())
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["one+1a", "test"]);
}

#[test]
fn history_is_shown_filtered_and_as_a_tree() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["session", "show"])
        .code(0)
        .says("No history.");
    home.contree(&["use", "base:latest"]).code(0);
    for n in 0..22 {
        home.contree(&["run", "echo", &n.to_string()]).code(0);
    }
    let shown = home.contree(&["-o", "json", "session", "show"]).code(0);
    assert_eq!(shown.rows().len(), 20);
    assert!(shown.stderr.contains("Showing last 20 of 23"), "{shown:?}");
    assert_eq!(home.rows(&["session", "show", "-a", "-k", "use"]).len(), 1);
    assert_eq!(home.rows(&["session", "show", "-l", "3"]).len(), 3);
    assert_eq!(
        home.rows(&["session", "show", "-a", "--since", "1h"]).len(),
        23
    );
    home.contree(&["session", "show", "--until", "2020"])
        .code(0)
        .says("No history.");
    home.contree(&["session", "show", "--since", "yesterday"])
        .code(2);

    home.contree(&["session", "rollback", "2"]).code(0);
    home.contree(&["run", "echo", "else"]).code(0);
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["session", "show", "-a"]);
    command.env("FORCE_COLOR", "1").env("NO_COLOR", "1");
    let tree = crate::home::Ended::of(command.spawn().unwrap())
        .code(0)
        .stdout;
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines[0], "test · 24 steps, 1 branch");
    let ends = |line: usize, end: &str| assert!(lines[line].ends_with(end), "{tree}");
    ends(1, "  ◆ use  base:latest (tag: base:latest)");
    ends(3, "  ├─● run  echo 1");
    ends(4, "  │ ● run  echo 2");
    ends(24, "  ◉ run  echo else (HEAD -> main)");

    // How runs ended is known, whoever was told of it; and of another session its own tip.
    home.contree(&["run", "exit", "3"]).code(3);
    let detached = home.rows(&["run", "-d", "exit", "4"]);
    let id = detached[0]["uuid"].as_str().unwrap();
    home.contree(&["op", "wait", id]).code(4);
    home.contree(&["-S", "demo_other", "use", BASE]).code(0);
    let tree = |args: &[&str]| {
        let args = [&["session", "show"], args].concat();
        let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &args);
        command.env("FORCE_COLOR", "1").env("NO_COLOR", "1");
        command.env("COLUMNS", "100");
        crate::home::Ended::of(command.spawn().unwrap())
            .code(0)
            .stdout
    };
    let shown = tree(&["-l", "3"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[1].ends_with("  ⋮ 23 earlier (-a shows all)"),
        "{shown}"
    );
    assert!(
        lines[3].ends_with("  ◉ run  exit 3 exit 3 (HEAD -> main)"),
        "{shown}"
    );
    let beside = format!("  ◌ run-detached exit 4 exit 4 (detached-{id})");
    assert!(lines[4].ends_with(&beside), "{shown}");
    let other = tree(&["other"]);
    assert!(
        other.starts_with("demo_other · 1 step, 1 branch\n"),
        "{other}"
    );
    assert!(
        other
            .trim_end()
            .ends_with("(HEAD -> main, tag: base:latest)"),
        "{other}"
    );
}

#[test]
fn sessions_lend_images_and_are_deleted() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["-S", "work+1234", "use", "base:latest"])
        .code(0);
    home.contree(&["session", "use", "none"])
        .code(1)
        .says("contree session list");
    let row = &home.rows(&["session", "use", "1234"])[0];
    assert_eq!(row["image"], BASE);
    assert_eq!(row["from_session"], "work+1234");
    assert_eq!(field(&home, "last_kind"), "session use");
    home.contree(&["session", "delete", "work+1234"])
        .code(1)
        .says("--force");
    home.contree(&["session", "delete", "-f", "1234"])
        .code(1)
        .says("'work+1234' ends so");
    home.contree_with(&["session", "delete", "1234"], b"n\n")
        .code(1)
        .says("Delete session 'work+1234'");
    home.contree(&["session", "delete", "work+1234", "none", "-f"])
        .code(1)
        .says("'none'");
    assert_eq!(home.rows(&["session", "list"]).len(), 1);
    home.contree_with(&["session", "delete", "est"], b"y\n")
        .code(0)
        .says("Deleted session 'test'");
    assert!(home.rows(&["session", "list"]).is_empty());
}

#[test]
fn many_at_once_lose_nothing() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    let runs: Vec<_> = (0..12)
        .map(|n| {
            home.start(
                &["run", "echo", &n.to_string()],
                std::process::Stdio::null(),
            )
        })
        .collect();
    for run in runs {
        crate::home::Ended::of(run).code(0);
    }
    assert_eq!(titles(&home).len(), 13);
    // Each step stands on the one before it, whatever the order.
    let rows = home.rows(&["session", "show", "-a"]);
    for pair in rows.windows(2) {
        assert_eq!(pair[1]["parent_id"], pair[0]["id"]);
    }
}

/// Starts a run that is not waited for; its id.
fn detached(home: &Home, command: &[&str]) -> String {
    let rows = home.rows(&[&["run", "-d"], command].concat());
    rows[0]["uuid"].as_str().unwrap().to_owned()
}

#[test]
fn waiting_goes_on_to_the_result_with_and_without_a_name() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["session", "wait"])
        .code(1)
        .says("No active session");
    home.contree(&["use", "base:latest"]).code(0);
    home.contree(&["session", "wait"])
        .code(0)
        .says("No active operations for this session.");
    let first = detached(&home, &["echo", "first"]);
    let row = &home.rows(&["session", "wait"])[0];
    assert_eq!(row["uuid"], first.as_str());
    assert_eq!(
        (&row["title"], &row["exit_code"]),
        (&"echo first".into(), &0.into())
    );
    assert_eq!(row["branch"], "main");
    assert_eq!(field(&home, "current_image"), row["result_image_uuid"]);
    assert_eq!(field(&home, "last_kind"), "run");

    let second = detached(&home, &["echo", "second"]);
    // Where one is does not change what the image holds.
    home.contree(&["cd", "/srv"]).code(0);
    let row = &home.rows(&["session", "wait", &second])[0];
    assert_eq!(field(&home, "current_image"), row["result_image_uuid"]);
    assert_eq!(field(&home, "last_title"), "echo second");
    // Once: what was settled is only looked at.
    let steps = titles(&home).len();
    let again = &home.rows(&["session", "wait", &second, &first]);
    assert_eq!((again.len(), &again[0]["branch"]), (2, &"".into()));
    assert_eq!(titles(&home).len(), steps);
    home.contree(&["session", "wait"]).code(0).says("No active");
}

#[test]
fn a_detached_run_does_not_overwrite_a_newer_tip() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    let late = detached(&home, &["echo", "late"]);
    home.contree(&["run", "echo", "newer"]).code(0);
    let tip = field(&home, "current_image");
    let branch = format!("detached-{late}");
    let ended = home
        .contree(&["-o", "json", "session", "wait"])
        .code(0)
        .says("branch 'main' has moved")
        .says(&format!("contree session checkout {branch}"));
    assert_eq!(field(&home, "current_image"), tip, "the newer one stays");
    let row = &ended.rows()[0];
    assert_eq!(row["branch"], branch.as_str());
    home.contree(&["session", "checkout", &branch]).code(0);
    assert_eq!(field(&home, "current_image"), row["result_image_uuid"]);
    assert_eq!(field(&home, "last_kind"), "run");

    // Of two from one step the first is gone on to, the second is kept aside.
    home.contree(&["session", "checkout", "main"]).code(0);
    let one = detached(&home, &["echo", "1"]);
    let two = detached(&home, &["echo", "2"]);
    // Also when its branch is gone.
    home.contree(&["session", "branch", "-U", &format!("detached-{two}")])
        .code(0);
    let rows = home.rows(&["session", "wait"]);
    assert_eq!(rows[0]["uuid"], one.as_str());
    assert_eq!(rows[0]["branch"], "main");
    assert_eq!(rows[1]["branch"], format!("detached-{two}"));
    assert_eq!(field(&home, "last_title"), "echo 1");
}

#[test]
fn waiting_ends_with_the_runs_codes_and_leaves_failures_aside() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    detached(&home, &["nothing"]);
    detached(&home, &["-D", "echo"]);
    let seven = detached(&home, &["exit", "7"]);
    let ended = home
        .contree(&["-o", "json", "session", "wait"])
        .code(7)
        .says("did not end with exit code 0");
    let branches: Vec<Value> = ended
        .rows()
        .iter()
        .map(|row| row["branch"].clone())
        .collect();
    assert_eq!(branches, ["", "", &format!("detached-{seven}")]);
    assert_eq!(field(&home, "current_image"), BASE);

    let asleep = detached(&home, &["sleep"]);
    let child = home.start(&["session", "wait"], std::process::Stdio::null());
    fake.wait_for_request(&format!("{asleep}/events"));
    crate::interrupt(&child);
    crate::home::Ended::of(child)
        .code(1)
        .says("User interrupted");
    // It is waited for by whoever comes next.
    home.contree(&["kill", &asleep]).code(0);
    home.contree(&["session", "wait"])
        .code(1)
        .says("Waiting for 1 operation...");
    home.contree(&["session", "wait", "nonsense"]).code(1);
}
