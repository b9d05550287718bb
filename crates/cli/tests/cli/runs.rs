//! `run` and what became of it: `ps`, `show`, `kill`.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::fake::{BASE, Fake};
use crate::home::{Ended, Home};
use crate::interrupt;

fn session() -> (Fake, Home) {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    (fake, home)
}

fn current(home: &Home) -> Value {
    home.rows(&["use"])[0]["current_image"].clone()
}

#[test]
fn output_and_exit_code_are_the_commands_own() {
    let (fake, home) = session();
    let both = home.contree(&["run", "both"]).code(0);
    assert_eq!(
        (both.stdout.as_str(), both.stderr.as_str()),
        ("out\n", "err\n")
    );
    home.contree(&["run", "exit", "7"]).code(7);
    assert_ne!(
        current(&home),
        BASE,
        "the state is the checkpoint, whatever the exit code"
    );
    home.contree(&["run", "late"])
        .code(255)
        .says("timed out after 120s");
    let before = current(&home);
    home.contree(&["run", "nothing"])
        .code(1)
        .says("ended with status FAILED: spawn failed")
        .says("contree show");
    assert_eq!(current(&home), before);
    home.contree(&["run", "-D", "echo", "x"]).code(0);
    assert_eq!(
        current(&home),
        before,
        "nothing is kept of a disposable run"
    );
    assert!(
        fake.bodies().last().unwrap()["disposable"]
            .as_bool()
            .unwrap()
    );
}

#[test]
fn options_are_ours_until_the_command_begins() {
    let (fake, home) = session();
    let body = |args: &[&str]| {
        home.contree(args).code(0);
        fake.bodies().pop().unwrap()
    };
    let sent = body(&["run", "echo", "-D", "--timeout", "5", "--help"]);
    assert_eq!(sent["args"], json!(["-D", "--timeout", "5", "--help"]));
    assert_eq!(sent["timeout"], 120);
    assert_eq!(sent["truncate_output_at"], 65_536);
    assert!(
        sent.get("disposable").is_none() && sent.get("env").is_none() && sent.get("cwd").is_none()
    );
    assert_eq!(
        body(&["run", "-t", "5", "--", "echo", "--", "a"])["args"],
        json!(["--", "a"])
    );

    let sent = body(&[
        "run", "-e", "A=1", "-e", "B=x=y", "-C", "/srv", "-H", "box", "-T", "10", "echo",
    ]);
    assert_eq!(sent["env"], json!({"A": "1", "B": "x=y"}));
    assert_eq!(
        (&sent["cwd"], &sent["hostname"]),
        (&json!("/srv"), &json!("box"))
    );
    assert_eq!(sent["truncate_output_at"], 10);
    home.contree(&["run"]).code(2);
    home.contree(&["run", "-e", "=x", "echo"])
        .code(1)
        .says("KEY=VALUE");

    home.contree(&["run", "-s", "echo a | b"]).code(1);
    let sent = fake.bodies().pop().unwrap();
    assert_eq!(
        (&sent["command"], &sent["shell"]),
        (&json!("echo a | b"), &json!(true))
    );
    home.contree(&["run", "-s", "echo", "a b", "$X"]).code(1);
    assert_eq!(fake.bodies().pop().unwrap()["command"], "echo 'a b' '$X'");
}

#[test]
fn preserved_variables_are_not_sent_again() {
    let (fake, home) = session();
    home.contree(&["run", "--preserve-env", "-e", "A=1", "echo"])
        .code(0);
    let sent = fake.bodies().pop().unwrap();
    assert_eq!(
        (&sent["preserve_env"], &sent["env"]),
        (&json!(true), &json!({"A": "1"}))
    );
    home.contree(&["run", "-e", "A=1", "echo"]).code(0);
    assert!(fake.bodies().pop().unwrap().get("env").is_none());
}

#[test]
fn input_goes_along_or_follows() {
    let (fake, home) = session();
    // Nothing to read, nothing sent.
    assert_eq!(home.contree(&["run", "cat"]).code(0).stdout, "");
    assert!(fake.bodies().pop().unwrap().get("stdin").is_none());
    // A short pipe goes along with the request.
    assert_eq!(
        home.contree_with(&["run", "cat"], b"short\n")
            .code(0)
            .stdout,
        "short\n"
    );
    let posted = || {
        fake.requests()
            .iter()
            .filter(|line| line.contains("/stdin"))
            .count()
    };
    if fake.bodies().pop().unwrap()["stdin"]["close"] == json!(true) {
        assert_eq!(posted(), 0);
    }
    // What is too long for that follows, in order and complete, whatever the bytes.
    let long: Vec<u8> = (0..2_000_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    let mut child = home.start(&["run", "-T", "10000000", "cat"], Stdio::piped());
    let mut input = child.stdin.take().unwrap();
    let bytes = long.clone();
    std::thread::spawn(move || input.write_all(&bytes));
    let mut output = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut output)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert!(output == long, "{} bytes came back", output.len());
    assert!(posted() > 1);
}

#[test]
fn input_that_comes_late_is_waited_for() {
    let (fake, home) = session();
    let mut child = home.start(&["run", "cat"], Stdio::piped());
    // The run has begun without any input.
    fake.wait_for("EXECUTING");
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"late\n").unwrap();
    drop(input);
    assert_eq!(Ended::of(child).code(0).stdout, "late\n");
    assert_eq!(
        fake.bodies()[0]["stdin"],
        json!({"value": "", "encoding": "ascii", "close": false})
    );
}

#[test]
fn a_command_that_does_not_read_is_not_waited_for() {
    let (_fake, home) = session();
    let mut child = home.start(&["run", "echo", "done"], Stdio::piped());
    let input = child.stdin.take().unwrap();
    let ended = Ended::of(child).code(0);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("done\n", "")
    );
    drop(input);
}

#[test]
fn ctrl_c_interrupts_then_cancels() {
    let (fake, home) = session();
    let child = home.start(&["run", "sleep"], Stdio::null());
    fake.wait_for_request("/events");
    interrupt(&child);
    Ended::of(child).code(255).says("Sent SIGINT");
    assert!(
        !fake
            .requests()
            .iter()
            .any(|line| line.starts_with("DELETE") && line.ends_with("1"))
    );

    let (fake, home) = session();
    let before = current(&home);
    let mut child = home.start(&["run", "stubborn"], Stdio::null());
    fake.wait_for_request("/events");
    interrupt(&child);
    // What it says after the first one is still shown.
    let mut said = Vec::new();
    let mut stderr = child.stderr.take().unwrap();
    while !String::from_utf8_lossy(&said).contains("not now") {
        let mut piece = [0; 512];
        let size = stderr.read(&mut piece).unwrap();
        assert!(size > 0);
        said.extend_from_slice(&piece[..size]);
    }
    interrupt(&child);
    stderr.read_to_end(&mut said).unwrap();
    Ended::of(child).code(1);
    assert!(String::from_utf8_lossy(&said).contains("User interrupted"));
    fake.wait_for("CANCELLED");
    assert_eq!(current(&home), before);
}

#[test]
fn nobody_reading_cancels_the_run_quietly() {
    let (fake, home) = session();
    let mut child = home.start(&["run", "flood"], Stdio::null());
    let mut first = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"yyyyyyyyyy");
    drop(stdout);
    let ended = Ended::of(child).code(141);
    assert_eq!(ended.stderr, "");
    fake.wait_for("CANCELLED");
}

#[test]
fn other_commands_end_quietly_when_nobody_reads() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let (reader, unread) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["images"]);
    let ended = Ended::of(command.stdout(unread).spawn().unwrap()).code(141);
    assert_eq!(ended.stderr, "");
}

#[test]
fn one_record_for_programs() {
    let (_fake, home) = session();
    let row = &home.rows(&["run", "both"])[0];
    assert_eq!(row["status"], "SUCCESS");
    assert_eq!(
        (&row["exit_code"], &row["stdout"], &row["stderr"]),
        (&json!(0), &json!("out\n"), &json!("err\n"))
    );
    assert_eq!(row["image"], current(&home));
    let ended = home.contree(&["-o", "json", "run", "exit", "3"]).code(3);
    assert_eq!(ended.rows()[0]["exit_code"], 3);
    for format in ["csv", "tsv", "table"] {
        let ended = home.contree(&["-o", format, "run", "both"]).code(0);
        let (header, row) = ended.stdout.split_once('\n').unwrap();
        assert!(header.to_lowercase().contains("exit_code"), "{header}");
        assert!(row.contains("SUCCESS") && row.contains("out"), "{row}");
    }
    let toml = home
        .contree(&["-o", "toml", "run", "echo", "x"])
        .code(0)
        .stdout;
    let read: toml::Table = toml.parse().unwrap();
    assert_eq!(read["results"][0]["stdout"].as_str(), Some("x\n"));
}

#[test]
fn files_go_along() {
    let (fake, home) = session();
    let folder = home.folder.path().join("src");
    std::fs::create_dir_all(folder.join("deep/.git")).unwrap();
    for name in [
        "a.py",
        "a.pyc",
        "deep/b",
        "deep/c.txt",
        "deep/.git/c",
        "x.log",
    ] {
        std::fs::write(folder.join(name), name).unwrap();
    }
    home.contree(&[
        "run",
        "-F",
        "src:/srv:u5:m0700",
        "--file-excludes",
        "*.log",
        "deep/c*",
        "-F",
        "src/a.py:/x:m4755",
        "echo",
    ])
    .code(0);
    let files = fake.bodies().pop().unwrap()["files"].clone();
    let paths: Vec<&String> = files.as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/srv/a.py", "/srv/deep/b", "/x"]);
    assert_eq!(
        (&files["/srv/a.py"]["mode"], &files["/srv/a.py"]["uid"]),
        (&json!("0700"), &json!(5))
    );
    assert_eq!(files["/x"]["mode"], "4755");
    assert_eq!(files["/x"]["uuid"], files["/srv/a.py"]["uuid"]);
    assert_eq!(fake.uploads().len(), 2);
    home.contree(&["run", "-F", "none:/x", "echo"])
        .code(1)
        .says("could not attach none");
    home.contree(&["run", "-F", "src:what", "echo"])
        .code(1)
        .says("HOST[:/PATH]");
}

#[test]
fn uploads_are_remembered_until_the_server_forgets_them() {
    let (fake, home) = session();
    std::fs::write(home.folder.path().join("a"), "first").unwrap();
    let run = ["run", "-F", "a:/a", "-F", "./a:/b", "echo"];
    let asked = |fake: &Fake| {
        let files = |request: &&String| request.contains("/files");
        fake.requests().iter().filter(files).count()
    };
    home.contree(&run).code(0);
    let known = asked(&fake);
    assert!(known > 0);
    // Not asked after again while it stays as it is.
    home.contree(&run).code(0);
    assert_eq!(asked(&fake), known);
    fake.forget_files();
    home.contree(&run).code(0);
    assert!(asked(&fake) > known);
    assert_eq!(fake.uploads(), [b"first"]);
    let files = fake.bodies().pop().unwrap()["files"].clone();
    assert_eq!(files["/a"]["uuid"], files["/b"]["uuid"]);
    std::fs::write(home.folder.path().join("a"), "second!").unwrap();
    home.contree(&run).code(0);
    assert_eq!(fake.uploads().len(), 2);
    // What is not there for another reason is not tried for ever.
    std::fs::write(home.folder.path().join("b"), "staged").unwrap();
    home.contree(&["file", "cp", "b", "/c"]).code(0);
    fake.forget_files();
    home.contree(&run).code(1).says("there is no file");
}

#[test]
fn a_script_reaches_the_shell_with_its_words() {
    let (fake, home) = session();
    let script = home.folder.path().join("script");
    std::fs::write(
        script,
        "#!/usr/bin/env -S contree run -I\r\necho \"$@\"\r\n",
    )
    .unwrap();
    // The server that is played has no shell; what it was asked is the point.
    home.contree_with(&["run", "-I", "script", "a b", "-x"], b"not for it")
        .code(1);
    let body = fake.bodies().pop().unwrap();
    assert_eq!(body["command"], "/bin/sh");
    assert_eq!(body["args"], json!(["-s", "--", "a b", "-x"]));
    assert_eq!(
        body["stdin"],
        json!({"value": "echo \"$@\"\n", "encoding": "ascii", "close": true})
    );
    home.contree(&["run", "-I", "none"])
        .code(1)
        .says("could not read the script none");
}

#[test]
fn use_goes_on_from_another_image() {
    let (fake, home) = session();
    home.contree(&["tag", BASE, "other"]).code(0);
    home.contree(&["run", "--use", "none", "echo"])
        .code(1)
        .says("no image has this tag");
    home.contree(&["run", "--use", "other", "echo", "x"])
        .code(0);
    assert_eq!(fake.bodies().pop().unwrap()["image"], BASE);
    let kinds: Vec<Value> = home
        .rows(&["session", "show"])
        .iter()
        .map(|row| row["kind"].clone())
        .collect();
    assert_eq!(kinds, ["use", "use", "run"]);
}

#[test]
fn detached_runs_are_listed_shown_and_killed() {
    let (fake, home) = session();
    let row = &home.rows(&["run", "-d", "sleep"])[0];
    let id = row["uuid"].as_str().unwrap();
    assert_eq!(row["status"], "PENDING");
    assert_eq!(current(&home), BASE, "the session does not move");
    let last = home.rows(&["session", "show"]).pop().unwrap();
    assert_eq!(
        (&last["kind"], &last["operation"]),
        (&json!("run-detached"), &json!(id))
    );
    assert_eq!(last["branches"], format!("detached-{id}"));

    assert_eq!(
        home.contree(&["ps", "-q"]).code(0).stdout,
        format!("{id}\n")
    );
    assert_eq!(home.rows(&["ps"])[0]["status"], "EXECUTING");
    assert_eq!(home.rows(&["ps", "--status", "s"]).len(), 0);
    home.contree(&["ps", "--status", "X"]).code(2);
    home.contree(&["show", id]).code(0);

    home.contree(&["kill", "2"]).code(0).says("Cancelled");
    home.contree(&["kill", id]).code(1).says("has ended");
    home.contree(&["kill", "-a"])
        .code(0)
        .says("Nothing to cancel");
    home.contree(&["kill"]).code(1);
    assert_eq!(home.rows(&["show", "@2"])[0]["status"], "CANCELLED");
    // What has ended is remembered.
    let asked = fake.requests().len();
    assert_eq!(home.rows(&["show", id])[0]["status"], "CANCELLED");
    assert_eq!(fake.requests().len(), asked);
    let raw = home.contree(&["show", "--raw", id]).code(0).rows();
    assert_eq!(raw[0]["metadata"]["command"], "sleep");

    home.contree(&["show", "HEAD", "nonsense", "@9"])
        .code(1)
        .says("invalid operation references")
        .says("nonsense")
        .says("history entry 1 has no operation")
        .says("History entry 9 not found");
    home.contree(&["show", BASE])
        .code(1)
        .says("no such operation");
    home.contree(&["session", "branch", "--prune"]).code(0);
    assert_eq!(
        home.contree(&["session", "branch"]).code(0).stdout,
        "MARKER  BRANCH\n*   main\n"
    );
}

#[test]
fn a_detached_run_gets_all_of_its_input() {
    let (_fake, home) = session();
    let long = vec![b'x'; 2_000_000];
    let row = &home
        .contree_with(&["-o", "json", "run", "-d", "cat"], &long)
        .code(0)
        .rows()[0];
    assert_eq!(
        row["status"], "SUCCESS",
        "its input was delivered before we ended"
    );
}
