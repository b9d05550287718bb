//! `file`: what goes into the next run.

use serde_json::{Value, json};

use crate::fake::Fake;
use crate::home::{Ended, Home};

fn session() -> (Fake, Home) {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    std::fs::write(home.folder.path().join("a.py"), "a").unwrap();
    std::fs::write(home.folder.path().join("b.py"), "b").unwrap();
    (fake, home)
}

/// The files that the next run takes along, which keeps nothing.
fn next(fake: &Fake, home: &Home) -> Value {
    home.contree(&["run", "-D", "echo"]).code(0);
    fake.bodies().pop().unwrap()["files"].clone()
}

#[test]
fn copies_go_into_the_next_run_and_are_taken_back_by_rollback() {
    let (fake, home) = session();
    home.contree(&["file", "cp", "none", "/x"])
        .code(1)
        .says("File not found: none");
    home.contree(&["file", "cp", "a.py", "/srv/a"])
        .code(0)
        .says("Pending: /srv/a -> ")
        .says("(will be included in next run)");
    home.contree(&["f", "cp", "a.py", "/srv/"]).code(0);
    home.contree(&["cd", "/srv"]).code(0);
    home.contree(&["file", "cp", "b.py", "a"]).code(0);
    let last = home.rows(&["session", "show"]).pop().unwrap();
    assert_eq!(
        (&last["kind"], &last["title"]),
        (&json!("file"), &json!("Change file /srv/a"))
    );
    let files = next(&fake, &home);
    let paths: Vec<&String> = files.as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/srv/a", "/srv/a.py"]);
    assert_ne!(files["/srv/a"]["uuid"], files["/srv/a.py"]["uuid"]);
    assert_eq!(files["/srv/a"]["mode"], "0644");
    assert_eq!(fake.uploads().len(), 2);

    home.contree(&["session", "rollback"]).code(0);
    let files = next(&fake, &home);
    assert_eq!(files["/srv/a"]["uuid"], files["/srv/a.py"]["uuid"]);
    // Part of the image from here on.
    home.contree(&["run", "echo"]).code(0);
    assert_eq!(next(&fake, &home), Value::Null);
}

#[test]
fn edits_go_into_the_next_run_when_something_changed() {
    let (fake, home) = session();
    let edit = |editor: &str, path: &str| home.contree(&["file", "edit", "-E", editor, path]);
    edit("true", "/srv/data")
        .code(0)
        .says("No changes detected");
    edit("exit 3;", "/srv/data")
        .code(1)
        .says("Editor exited with code 3");
    edit("true", "/srv").code(1).says("could not fetch /srv");
    assert_eq!(next(&fake, &home), Value::Null);
    edit("echo new >", "/srv/it's new")
        .code(0)
        .says("not found, creating empty file");
    assert_eq!(fake.uploads(), [b"new\n"]);
    assert!(next(&fake, &home)["/srv/it's new"]["uuid"].is_string());
    edit("echo newer >", "/srv/it's new")
        .code(0)
        .says("waiting for the next run already");

    // $EDITOR, and that of cli.ini when there is none.
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["file", "e", "/e"]);
    command.env("EDITOR", "echo environment >");
    Ended::of(command.spawn().unwrap()).code(0);
    let ini = "[cli]\neditor = echo settings >\n";
    std::fs::write(home.folder.path().join("cli.ini"), ini).unwrap();
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["file", "e", "/f"]);
    command.env_remove("EDITOR");
    Ended::of(command.spawn().unwrap()).code(0);
    let texts = fake.uploads();
    assert!(texts.contains(&b"environment\n".to_vec()), "{texts:?}");
    assert!(texts.contains(&b"settings\n".to_vec()), "{texts:?}");
}

#[test]
fn uploads_are_listed_with_where_they_came_from() {
    let (_fake, home) = session();
    home.contree(&["file", "cp", "a.py", "/a"]).code(0);
    home.contree(&["run", "-F", "b.py:/b", "echo"]).code(0);
    let rows = home.rows(&["file", "ls", "--since", "1d"]);
    assert_eq!(rows.len(), 2);
    let mut sources: Vec<&str> = rows.iter().map(|r| r["source"].as_str().unwrap()).collect();
    sources.sort_unstable();
    assert!(
        sources[0].ends_with("/a.py") && sources[1].ends_with("/b.py"),
        "{sources:?}"
    );
    let quiet = &home.rows(&["file", "list", "-q"])[0];
    let names: Vec<&String> = quiet.as_object().unwrap().keys().collect();
    assert_eq!(names, ["sha256", "source", "uuid"]);
    home.contree(&["file", "ls", "--limit", "1"])
        .code(0)
        .says("more than 1 files");
    home.contree(&["file"]).code(2);
}
