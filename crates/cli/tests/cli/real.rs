//! What only a real server shows: output while the command runs, signals, pipes that break, files
//! that keep their owner. `cargo xtask test` names the programs (`CONTREE_TEST_BIN`) and a Debian
//! root (`CONTREE_TEST_ROOTFS`).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::home::{Ended, Home};
use crate::interrupt;

fn given(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    value
        .unwrap_or_else(|| panic!("{name} is not set: run this by `cargo xtask test`"))
        .into()
}

/// A server, ended with the test.
struct Server {
    child: Child,
    url: String,
    data: TempDir,
}

impl Server {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new(given("CONTREE_TEST_BIN").join("contree"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--durability",
                "relaxed",
                "--data-dir",
            ])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .expect("the server starts")
            .to_owned();
        Self { child, url, data }
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.data.path().join("admin.token")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn last_status(home: &Home) -> Value {
    home.rows(&["ps", "-a", "-M", "1"])[0]["status"].clone()
}

#[test]
fn privileged_the_command_line_against_a_real_server() {
    let server = Server::start();
    let home = Home::empty();
    home.contree_with(&["auth", "-u", &server.url], server.token().as_bytes())
        .code(0);
    let rootfs = given("CONTREE_TEST_ROOTFS");
    home.contree(&[
        "images",
        "import",
        rootfs.to_str().unwrap(),
        "--tag",
        "debian:test",
    ])
    .code(0)
    .says("uploading")
    .says("unpacking layer 1/1");
    home.contree(&["use", "debian:test"]).code(0);

    output_comes_while_the_command_runs(&home);
    ctrl_c_is_a_signal_inside(&home);
    a_broken_pipe_ends_the_run(&home);
    a_pipe_that_breaks_late_ends_the_run(&home);
    files_keep_owner_and_mode(&home);
    the_session_follows(&home);
}

fn output_comes_while_the_command_runs(home: &Home) {
    let args = [
        "run",
        "-s",
        "echo first; read line; echo second $line; exit 3",
    ];
    let mut child = home.start(&args, Stdio::piped());
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    // The command waits for this: what came before did not wait for its end.
    child.stdin.take().unwrap().write_all(b"x\n").unwrap();
    stdout.read_to_string(&mut line).unwrap();
    assert_eq!(line, "first\nsecond x\n");
    Ended::of(child).code(3);
}

fn ctrl_c_is_a_signal_inside(home: &Home) {
    let start = |script: &str| {
        let mut child = home.start(&["run", "-s", script], Stdio::null());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        (child, stdout)
    };
    let script = "trap 'echo interrupted; exit 9' INT; echo ready; sleep 100 & wait";
    let (child, mut stdout) = start(script);
    interrupt(&child);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "interrupted\n");
    Ended::of(child).code(9).says("Sent SIGINT");
    assert_eq!(last_status(home), "SUCCESS");

    let script = "trap 'echo no' INT; echo ready; while :; do sleep 100 & wait; done";
    let (child, mut stdout) = start(script);
    interrupt(&child);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "no\n");
    interrupt(&child);
    Ended::of(child)
        .code(1)
        .says("Cancelled")
        .says("User interrupted");
}

fn a_broken_pipe_ends_the_run(home: &Home) {
    reads_and_goes(home, &["run", "yes"], 100);
}

/// Also when all that would be passed on is in the pipe by then, and no write finds out.
fn a_pipe_that_breaks_late_ends_the_run(home: &Home) {
    reads_and_goes(home, &["run", "-T", "4096", "yes"], 4096);
    let mut status = last_status(home);
    while status == "EXECUTING" {
        status = last_status(home);
    }
    assert_eq!(status, "CANCELLED");
}

/// Who reads so many bytes of what a run prints ends it by going away.
#[track_caller]
fn reads_and_goes(home: &Home, args: &[&str], bytes: usize) {
    let mut child = home.start(args, Stdio::null());
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut vec![0; bytes]).unwrap();
    drop(stdout);
    let ended = Ended::of(child).code(141);
    assert_eq!(ended.stderr, "");
}

fn files_keep_owner_and_mode(home: &Home) {
    std::fs::write(home.folder.path().join("tool"), "#!/bin/sh\necho it runs\n").unwrap();
    let args = [
        "run",
        "-F",
        "tool:/opt/deep/tool:u33:g44:m4755",
        "stat",
        "-c",
        "%u %g %a",
        "/opt/deep/tool",
    ];
    assert_eq!(home.contree(&args).code(0).stdout, "33 44 4755\n");
    assert_eq!(
        home.contree(&["run", "/opt/deep/tool"]).code(0).stdout,
        "it runs\n"
    );
    assert_eq!(
        home.contree(&["cat", "/opt/deep/tool"]).code(0).stdout,
        "#!/bin/sh\necho it runs\n"
    );
}

fn the_session_follows(home: &Home) {
    home.contree(&["run", "-s", "echo one > /state"]).code(0);
    home.contree(&["session", "branch", "try"]).code(0);
    home.contree(&["session", "checkout", "try"]).code(0);
    home.contree(&["run", "-s", "rm -rf /opt /usr; echo two > /state"])
        .code(0);
    home.contree(&["ls", "/usr"])
        .code(1)
        .says("could not list /usr");
    home.contree(&["session", "rollback"]).code(0);
    assert_eq!(home.contree(&["cat", "/state"]).code(0).stdout, "one\n");
    home.contree(&["session", "rollback", "+1"]).code(0);
    assert_eq!(home.contree(&["cat", "/state"]).code(0).stdout, "two\n");
    let op = &home.rows(&["show", "HEAD"])[0];
    assert_eq!(
        (&op["status"], &op["exit_code"]),
        (&"SUCCESS".into(), &0.into())
    );
    home.contree(&["tag", "kept"]).code(0);
    home.contree(&["-S", "second", "use", "kept"]).code(0);
    assert_eq!(
        home.contree(&["-S", "second", "cat", "/state"])
            .code(0)
            .stdout,
        "two\n"
    );
}
