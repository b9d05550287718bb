//! Side by side with contree-cli 0.9.4, the published program whose files ours are.
//!
//! It is installed from PyPI once, alone and into the target folder, as its users have it: so it speaks
//! through Python's own HTTP client. Where it cannot be had these tests fail, and say so: a comparison
//! that was not made must not look like one that went well.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use crate::fake::{BASE, Fake};
use crate::home::{Ended, Home};

const OTHER: &str = "eb1ea259-fac9-5a79-9ffd-000000000002";

/// The published program.
pub(crate) fn peer() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contree-cli-0.9.4");
    let program = folder.join("bin/contree");
    let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
    // Tests run in processes of their own, at once.
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    if !program.exists() {
        let venv = ["-m", "venv", "--clear"];
        installs(Command::new("python3").args(venv).arg(&folder));
        let package = ["install", "--quiet", "contree-cli==0.9.4"];
        installs(Command::new(folder.join("bin/pip")).args(package));
    }
    program
}

fn installs(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(
        output.status.success(),
        "contree-cli 0.9.4, to compare with, cannot be installed: {command:?} ended with {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

struct Pair {
    home: Home,
    peer: String,
    _fake: Fake,
}

impl Pair {
    fn new() -> Self {
        let peer = peer().to_str().unwrap().to_owned();
        let fake = Fake::start();
        Self {
            home: Home::of(&fake),
            peer,
            _fake: fake,
        }
    }

    fn theirs(&self, args: &[&str]) -> Ended {
        Ended::of(self.home.command(&self.peer, args).spawn().unwrap())
    }

    fn ours(&self, args: &[&str]) -> Ended {
        self.home.contree(args)
    }

    /// What both print, and the exit code, must be the same.
    #[track_caller]
    fn same(&self, args: &[&str], code: i32) -> String {
        let (ours, theirs) = (self.ours(args).code(code), self.theirs(args).code(code));
        assert_eq!(ours.stdout, theirs.stdout, "contree {}", args.join(" "));
        ours.stdout
    }

    /// What both say about the same thing, which must be the same.
    #[track_caller]
    fn both(&self, args: &[&str]) -> Vec<Value> {
        let args = [&["-o", "json"], args].concat();
        let (ours, theirs) = (self.ours(&args).code(0), self.theirs(&args).code(0));
        assert_eq!(ours.rows(), theirs.rows(), "contree {}", args.join(" "));
        ours.rows()
    }
}

async fn schema(path: &Path) -> Vec<(String, String)> {
    let url = format!("sqlite:{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let rows: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT name, sql FROM sqlite_master ORDER BY name")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    rows.into_iter()
        .map(|(name, sql)| {
            let words: Vec<String> = sql
                .unwrap_or_default()
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect();
            (name, words.join(" "))
        })
        .collect()
}

#[test]
fn compat_0_9_4_schema_is_the_same() {
    let (ours, theirs) = (Pair::new(), Pair::new());
    ours.ours(&["use", BASE]).code(0);
    theirs.theirs(&["use", BASE]).code(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let of = |pair: &Pair| {
        let path = pair.home.folder.path().join("cli/sessions/default.db");
        runtime.block_on(schema(&path))
    };
    assert_eq!(of(&ours), of(&theirs));
}

#[test]
fn compat_0_9_4_sessions_are_shared_in_turn() {
    let pair = Pair::new();
    pair.theirs(&["use", BASE]).code(0);
    pair.ours(&["session", "branch", "ours"]).code(0);
    pair.theirs(&["session", "branch", "theirs"]).code(0);
    pair.ours(&["session", "checkout", "theirs"]).code(0);
    pair.theirs(&["use", OTHER]).code(0);
    pair.ours(&["use", BASE]).code(0);
    pair.both(&["session"]);
    pair.both(&["session", "branch"]);
    assert_eq!(pair.both(&["session", "show", "-a"]).len(), 3);
    pair.theirs(&["session", "rollback", "--", "-2"]).code(0);
    assert_eq!(pair.both(&["session"])[0]["current_image"], BASE);
    pair.ours(&["session", "rollback", "+1"]).code(0);
    assert_eq!(pair.both(&["session"])[0]["current_image"], OTHER);
    pair.ours(&["session", "checkout", "ours"]).code(0);
    pair.theirs(&["session", "branch", "-U", "theirs"]).code(0);
    pair.ours(&["-S", "second", "use", OTHER]).code(0);
    pair.theirs(&["session", "use", "second"]).code(0);
    pair.both(&["session", "show"]);
    // Newest first, by the second: two of one second come in either order.
    let sessions = |listed: Ended| {
        let mut rows = listed.code(0).rows();
        rows.sort_by_key(|row| row["session_key"].to_string());
        rows
    };
    let list = ["-o", "json", "session", "list"];
    let ours = sessions(pair.ours(&list));
    assert_eq!(ours, sessions(pair.theirs(&list)));
    assert_eq!(ours.len(), 2);
    pair.theirs(&["session", "delete", "-f", "second"]).code(0);
    assert_eq!(pair.both(&["session", "list"]).len(), 1);
}

#[test]
fn compat_0_9_4_runs_go_on_from_each_other() {
    let pair = Pair::new();
    pair.theirs(&["use", "tag:base:latest"]).code(0);
    assert_eq!(
        pair.theirs(&["run", "echo", "theirs"]).code(0).stdout,
        "theirs\n"
    );
    assert_eq!(pair.ours(&["run", "echo", "ours"]).code(0).stdout, "ours\n");
    pair.ours(&["run", "--preserve-env", "-e", "A=1", "echo"])
        .code(0);
    // Which the other program knows not to send again.
    pair.theirs(&["run", "-e", "A=1", "echo"]).code(0);
    assert!(pair._fake.bodies().pop().unwrap().get("env").is_none());
    let shown = pair.both(&["session", "show"]);
    assert_eq!(shown.len(), 5);
    let detached = pair
        .ours(&["-o", "json", "run", "-d", "sleep"])
        .code(0)
        .rows();
    let id = detached[0]["uuid"].as_str().unwrap();
    pair.theirs(&["kill", "HEAD~0"]).code(1);
    pair.theirs(&["kill", "6"]).code(0);
    // The other program waits for what ours started.
    pair.theirs(&["session", "wait"]).code(1);
    assert_eq!(pair.both(&["show", id])[0]["status"], "CANCELLED");
    assert_eq!(pair.theirs(&["run", "exit", "3"]).code(3).code, 3);
}

/// Ours adds the branch that has the result.
#[test]
fn compat_0_9_4_detached_runs_are_waited_for_alike() {
    let pair = Pair::new();
    let (theirs, ours) = ("theirs", "ours");
    let shown = |key: &str| {
        let mut rows = pair.both(&["-S", key, "session", "show"]);
        let ids: Vec<Value> = rows.iter().map(|row| row["id"].clone()).collect();
        for row in &mut rows {
            // Steps of both sessions are numbered together.
            let row = row.as_object_mut().unwrap();
            row.remove("id");
            row["parent_id"] = ids.iter().position(|id| *id == row["parent_id"]).into();
            row["operation"] = (row["operation"] != "").into();
            row["branches"] = row["branches"].as_str().unwrap().contains("main").into();
            row.remove("created_at");
        }
        rows
    };
    // Each waits in a session of its own for what one or the other started.
    let wait = |key: &str, code: i32| {
        let args = ["-o", "json", "-S", key, "session", "wait"];
        let mut rows = if key == ours {
            pair.ours(&args)
        } else {
            pair.theirs(&args)
        }
        .code(code)
        .rows();
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            row.remove("branch");
            row.remove("uuid");
        }
        rows
    };
    for command in [&["echo", "x"][..], &["nothing"]] {
        for key in [ours, theirs] {
            pair.ours(&["-S", key, "use", BASE]).code(0);
            let run = [&["-S", key, "run", "-d"], command].concat();
            if command == ["echo", "x"] {
                pair.theirs(&run)
            } else {
                pair.ours(&run)
            }
            .code(0);
        }
        let code = i32::from(command == ["nothing"]);
        assert_eq!(wait(ours, code), wait(theirs, code));
        assert_eq!(shown(ours), shown(theirs));
        assert!(wait(ours, 0).is_empty() && wait(theirs, 0).is_empty());
    }
}

#[test]
fn compat_0_9_4_profiles_are_shared() {
    let pair = Pair::new();
    let url = pair._fake.url();
    pair.theirs(&[
        "auth", "--type", "jwt", "-p", "theirs", "-u", &url, "--token", "secret",
    ])
    .code(0);
    pair.ours(&["auth", "-p", "our%s", "-u", &url, "--token", "secret"])
        .code(1);
    pair.ours(&["auth", "-p", "ours", "-u", &url, "--token", "secret"])
        .code(0);
    let profiles = pair.both(&["auth", "list"]);
    assert_eq!(profiles.len(), 3);
    assert!(
        profiles.iter().all(|profile| profile["status"] == "ok"),
        "{profiles:?}"
    );
    pair.theirs(&["auth", "switch", "default"]).code(0);
    pair.both(&["auth", "list", "-O"]);
    for format in ["csv", "tsv", "plain", "table"] {
        pair.same(&["-o", format, "auth", "list", "-O"], 0);
    }
}

#[test]
fn compat_0_9_4_the_same_shell_has_the_same_session() {
    let pair = Pair::new();
    let run = |program: &str, args: &[&str]| {
        let mut command = pair.home.command(program, args);
        command.env_remove("CONTREE_SESSION");
        Ended::of(command.spawn().unwrap()).code(0).stdout
    };
    let ours = run(env!("CARGO_BIN_EXE_contree"), &["use", BASE]);
    let theirs = run(&pair.peer, &["use", BASE]);
    assert_eq!(ours, theirs);
}

#[test]
fn compat_0_9_4_directories_and_variables_are_shared() {
    let pair = Pair::new();
    let same = |args: &[&str], code: i32| pair.same(args, code);
    // Before there is a session, too.
    same(&["cd"], 0);
    same(&["env"], 0);
    pair.theirs(&["use", BASE]).code(0);
    pair.theirs(&["cd", "/srv"]).code(0);
    assert_eq!(same(&["cd"], 0), "/srv\n");
    pair.ours(&["cd", "../"]).code(0);
    assert_eq!(same(&["cd"], 0), "/\n");
    pair.ours(&["cd", "srv"]).code(0);
    same(&["cd", "none"], 1);
    same(&["cd", "data"], 1);
    assert_eq!(pair.both(&["session", "show", "-k", "cd"]).len(), 3);

    pair.theirs(&["env", "A=1", "B=x=y"]).code(0);
    pair.ours(&["env", "B=2", "C="]).code(0);
    assert_eq!(pair.both(&["env"]).len(), 3);
    for format in ["csv", "tsv", "plain", "table", "toml"] {
        same(&["-o", format, "env"], 0);
    }
    pair.theirs(&["env", "-U", "A"]).code(0);
    pair.ours(&["env", "--delete", "C", "none"]).code(0);
    assert_eq!(pair.both(&["env"]).len(), 1);
    same(&["env", "-U"], 1);
    same(&["env", "D"], 1);
    pair.theirs(&["run", "echo"]).code(0);
    pair.ours(&["run", "echo"]).code(0);
    let bodies = pair._fake.bodies();
    assert_eq!(bodies[0]["env"], bodies[1]["env"]);
    assert_eq!(bodies[0]["cwd"], bodies[1]["cwd"]);
}

#[test]
fn compat_0_9_4_operations_are_told_alike() {
    let pair = Pair::new();
    pair.theirs(&["use", BASE]).code(0);
    let detached = |command: &[&str]| {
        let args = [&["-o", "json", "run", "-d"], command].concat();
        let row = pair.ours(&args).code(0).rows().remove(0);
        row["uuid"].as_str().unwrap().to_owned()
    };
    let fine = detached(&["both"]);
    pair.both(&["operation", "wait", &fine]);
    pair.both(&["op", "w", "HEAD+1"]);
    let events = pair.both(&["op", "events", &fine]);
    assert_eq!(events.len(), 6);
    pair.both(&["op", "show", &fine]);
    pair.both(&["op", "ls", "-a"]);
    // What one remembers of an operation that has ended, the other reads.
    let three = detached(&["exit", "3"]);
    let same = |args: &[&str], code: i32| {
        let args = [&["-o", "json"], args].concat();
        let (ours, theirs) = (pair.ours(&args).code(code), pair.theirs(&args).code(code));
        assert_eq!(ours.rows(), theirs.rows(), "contree {}", args.join(" "));
    };
    same(&["op", "wait", &three], 3);
    same(&["op", "wait", &detached(&["nothing"])], 1);
    same(&["op", "wait"], 1);
    same(&["op", "show", "@99"], 1);
    same(&["op", "events", BASE], 1);
    let asleep = detached(&["sleep"]);
    same(&["op", "wait", "-t", "1", &asleep], 1);
    same(&["op", "list", "--status", "E"], 0);
    pair.theirs(&["op", "k", &asleep]).code(0);
    same(&["op", "wait", &asleep], 1);
    same(&["op", "cancel", &asleep], 1);
    // All that was started from here; nobody else started anything.
    let asleep = detached(&["sleep"]);
    pair.ours(&["op", "cancel", "--all"]).code(0);
    same(&["op", "wait", &asleep], 1);
    // Killed, and so not a success: there it is 0.
    let late = detached(&["late"]);
    pair.theirs(&["op", "wait", &late]).code(0);
    pair.ours(&["op", "wait", &late]).code(255);
}

#[test]
fn compat_0_9_4_searches_print_the_same() {
    let pair = Pair::new();
    pair.ours(&["use", BASE]).code(0);
    pair.same(&["grep", "root"], 0);
    pair.ours(&["cd", "/srv"]).code(0);
    pair.same(&["grep", "-C", "1", "-B", "0", "root", "deep", "/etc"], 0);
    let options = "grep --glob *.py --max-count 2 --case smart --before 1 --after 2 root";
    pair.same(&options.split(' ').collect::<Vec<_>>(), 0);
    pair.same(&["grep", "--max-total", "1", "root"], 0);
    pair.same(&["grep", "none"], 1);
    pair.same(&["grep", "late"], 2);
    pair.same(&["grep", "("], 1);
    pair.same(&["grep", "-A", "51", "root"], 2);
    assert_eq!(pair.both(&["grep", "-A", "1", "root"]).len(), 3);
    for format in ["csv", "tsv", "table", "plain", "toml"] {
        pair.same(&["-o", format, "grep", "-A", "1", "root"], 0);
    }
    let raw = |ended: Ended| ended.code(0).rows();
    let args = ["grep", "--raw", "root", "/etc"];
    assert_eq!(raw(pair.ours(&args)), raw(pair.theirs(&args)));
    // Colours too, byte for byte.
    let painted = |program: &str| {
        let mut command = pair.home.command(program, &["grep", "-A1", "root"]);
        command.env("FORCE_COLOR", "1");
        Ended::of(command.spawn().unwrap()).code(0).stdout
    };
    assert_eq!(painted(env!("CARGO_BIN_EXE_contree")), painted(&pair.peer));
}

#[test]
fn compat_0_9_4_images_are_looked_into_alike() {
    let pair = Pair::new();
    pair.ours(&["use", BASE]).code(0);
    pair.same(&["ls"], 0);
    pair.same(&["ls", "srv"], 0);
    pair.same(&["ls", "/none"], 1);
    pair.same(&["ls", "/srv/data"], 1);
    assert_eq!(pair.both(&["ls", "/srv/../srv/"]).len(), 1);
    let header = |ended: Ended| ended.code(0).stdout.lines().next().unwrap().to_owned();
    for format in ["csv", "tsv", "table"] {
        let args = ["-o", format, "ls", "/srv"];
        assert_eq!(header(pair.ours(&args)), header(pair.theirs(&args)));
    }
    pair.same(&["cat", "srv/data"], 0);
    pair.same(&["-o", "json", "cat", "/srv/data"], 0);
    pair.same(&["cat", "/srv"], 1);
    pair.same(&["cat"], 2);
}

#[test]
fn compat_0_9_4_files_and_archives_are_brought_alike() {
    let pair = Pair::new();
    pair.ours(&["use", BASE]).code(0);
    pair.ours(&["cd", "/srv"]).code(0);
    let left = |name: &str| std::fs::read(pair.home.folder.path().join(name)).unwrap();
    // Both to one file, one after the other, so what is compared is what each left.
    let same_file = |args: &[&str], name: &str| {
        pair.ours(args).code(0);
        let ours = left(name);
        pair.theirs(args).code(0);
        assert!(ours == left(name), "contree {}", args.join(" "));
    };
    same_file(&["cp", "long", "x"], "x");
    same_file(&["cp", "/srv/data", "."], "data");
    same_file(&["export", "-F", "a.tgz"], "a.tgz");
    same_file(&["export", ".", "-F", "a.tar"], "a.tar");
    same_file(&["export", "/srv/packed", "--decompress", "-F", "a"], "a");
    pair.same(&["export", "/srv", "--decompress"], 0);
    pair.same(&["-o", "json", "export", "/srv/packed"], 0);
    for wrong in [
        &["cp", "none", "y"][..],
        &["cp", "/srv", "y"],
        &["cp", "data", "none/y"],
        &["export", "/none"],
        &["export", "/none", "-F", "y"],
    ] {
        pair.same(wrong, 1);
    }
    assert!(!pair.home.folder.path().join("y").exists());
}

#[test]
fn compat_0_9_4_files_wait_for_the_same_run() {
    let pair = Pair::new();
    std::fs::write(pair.home.folder.path().join("a"), "a").unwrap();
    pair.theirs(&["use", BASE]).code(0);
    pair.theirs(&["file", "cp", "a", "/theirs"]).code(0);
    pair.ours(&["file", "cp", "a", "/ours"]).code(0);
    pair.theirs(&["file", "edit", "-E", "echo x >", "/edited"])
        .code(0);
    pair.ours(&["file", "e", "-E", "echo y >", "/edited"])
        .code(0);
    pair.ours(&["file", "cp", "none", "/x"]).code(1);
    pair.theirs(&["file", "cp", "none", "/x"]).code(1);
    assert_eq!(pair.both(&["session", "show"]).len(), 5);
    // What each takes along is what both put there.
    pair.theirs(&["run", "-D", "echo"]).code(0);
    pair.ours(&["run", "-D", "echo"]).code(0);
    let bodies = pair._fake.bodies();
    assert_eq!(bodies[0]["files"], bodies[1]["files"]);
    assert_eq!(bodies[0]["files"].as_object().unwrap().len(), 3);
    pair.ours(&["run", "-F", "a:/x", "echo"]).code(0);
    // Uploaded by ours, and known to the other as the same local file.
    let asked = pair._fake.requests().len();
    pair.theirs(&["run", "-F", "a:/x", "echo"]).code(0);
    assert!(
        !pair._fake.requests()[asked..]
            .iter()
            .any(|r| r.contains("/files"))
    );
    assert_eq!(pair.both(&["file", "ls"]).len(), 3);
    pair.both(&["file", "list", "-q", "--limit", "2"]);
}
