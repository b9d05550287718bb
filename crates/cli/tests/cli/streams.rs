//! Output that nobody reads or that cannot be written, and Ctrl-C.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use crate::fake::{BASE, Fake};
use crate::home::{Ended, Home};
use crate::interrupt;

/// Every command that prints, in a home where each has something to print.
fn printing() -> (Fake, Home, Vec<Vec<String>>) {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", BASE]).code(0);
    home.contree(&["env", "A=1"]).code(0);
    std::fs::write(home.folder.path().join("a"), "a").unwrap();
    home.contree(&["file", "cp", "a", "/a"]).code(0);
    home.contree(&["skill", "install", "claude:"]).code(0);
    let run = home.rows(&["run", "both"]).remove(0);
    let operation = run["uuid"].as_str().unwrap();
    let lines = [
        "--help",
        "",
        "-v",
        "run -h",
        "help session branch",
        "completions bash",
        "auth list -O",
        "auth list",
        "use",
        "run -D echo a",
        "-o json run -D echo a",
        "images",
        "images list -o csv",
        "images import x",
        "session",
        "session list",
        "session show",
        "session branch",
        "session checkout main",
        "session rollback -1",
        "ls",
        "-o json ls",
        "cat /srv/long",
        "grep root",
        "export /srv",
        "cd",
        "env",
        "file ls",
        "ps -a",
        "ps -aq",
        &format!("show {operation}"),
        &format!("op show --raw {operation}"),
        &format!("op events {operation}"),
        &format!("op wait {operation}"),
        "skill list",
        "agent",
        "-o json agent sessions",
    ];
    let words = |line: &str| line.split_whitespace().map(ToOwned::to_owned).collect();
    let lines = lines.iter().map(|line| words(line)).collect();
    (fake, home, lines)
}

fn ended(home: &Home, line: &[String], stdout: Stdio) -> Ended {
    let args: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &args);
    Ended::of(command.stdout(stdout).spawn().unwrap())
}

#[test]
fn a_reader_that_went_away_is_no_news() {
    let (_fake, home, lines) = printing();
    for line in lines {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop::<OwnedFd>(reader);
        let ended = ended(&home, &line, writer.into());
        let said: Vec<&str> = ended
            .stderr
            .lines()
            .filter(|l| l.contains("error"))
            .collect();
        assert!(ended.code == 141 && said.is_empty(), "{line:?}: {ended:?}");
    }
}

#[test]
fn a_full_disk_is_told() {
    let (_fake, home, lines) = printing();
    for line in lines {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let ended = ended(&home, &line, full.into());
        let is_told = ended.stderr.contains("No space left");
        assert!(ended.code == 1 && is_told, "{line:?}: {ended:?}");
    }
}

#[test]
fn nobody_need_read_what_is_said() {
    let (_fake, home, _) = printing();
    let quiet = |args: &[&str]| {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop::<OwnedFd>(reader);
        let mut command = home.command(env!("CARGO_BIN_EXE_contree"), args);
        Ended::of(command.stderr(Stdio::from(writer)).spawn().unwrap()).code
    };
    assert_eq!(quiet(&["images"]), 0);
    assert_eq!(quiet(&["tag", BASE, "a:b"]), 0);
    assert_eq!(quiet(&["use", "none:such"]), 1);
    assert_eq!(quiet(&["nothing"]), 2);
}

/// The server takes the request and does not answer. (What run and import do is tested with them:
/// they first learn what there is to cancel.)
#[test]
fn ctrl_c_ends_every_request_at_once() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", BASE]).code(0);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for line in [
        "images",
        "use some:tag",
        "run --use some:tag echo",
        "tag a:b",
        "ls",
        "-o json ls",
        "cat /a",
        "cp /a b",
        "export -F b",
        "grep a",
        "cd /srv",
        "file ls",
        "file cp auth.ini /a",
        "ps",
        "show UUID",
        "kill UUID",
        "op events UUID",
        "op wait UUID",
        "session wait UUID",
        "auth -p new --token secret",
        "admin project list",
    ] {
        let line = line.replace("UUID", "01900000-0000-7000-8000-000000000001");
        let args: Vec<&str> = ["-u", &url].into_iter().chain(line.split(' ')).collect();
        let mut child = home.start(&args, Stdio::null());
        let connection = loop {
            if let Ok((connection, _)) = silent.accept() {
                break connection;
            }
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "{line} asked nothing: {:?}",
                Ended::of(child)
            );
            std::thread::yield_now();
        };
        interrupt(&child);
        let ended = Ended::of(child);
        assert!(
            ended.code == 1 && ended.stderr.matches("User interrupted").count() == 1,
            "{line}: {ended:?}"
        );
        drop(connection);
    }
    let left = std::fs::read_dir(home.folder.path()).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().starts_with(".b")),
        "{names:?}"
    );
}

#[test]
fn colours_are_for_terminals_that_have_them() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", BASE]).code(0);
    let paints = |args: &[&str], variables: &[(&str, &str)], terminal: bool| {
        let program = env!("CARGO_BIN_EXE_contree");
        let line = format!("'{program}' '{}'", args.join("' '"));
        let mut command = if terminal {
            home.command("script", &["--quiet", "--command", &line, "/dev/null"])
        } else {
            home.command(program, args)
        };
        command.env("TERM", "xterm").envs(variables.iter().copied());
        let ended = Ended::of(command.spawn().unwrap());
        (ended.stdout + &ended.stderr).contains("\x1b[")
    };
    // A result, and an error.
    for args in [&["images"][..], &["-o", "json", "show", "@99"]] {
        assert!(paints(args, &[], true));
        assert!(!paints(args, &[], false));
        assert!(!paints(args, &[("NO_COLOR", "1")], true));
        assert!(!paints(args, &[("TERM", "dumb")], true));
        assert!(paints(args, &[("FORCE_COLOR", "1")], false));
        assert!(!paints(
            args,
            &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")],
            true
        ));
    }
}
