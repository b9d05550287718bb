//! Tab, as shells press it: the program is called by the scripts that it printed itself.

use std::process::Stdio;

use crate::fake::{BASE, Fake};
use crate::home::{Ended, Home};

/// What readline cuts words at, unless told otherwise.
const BREAKS: &str = " \t\n\"'@><=;|&(:";

impl Home {
    /// What bash is offered for a line, with the cursor at its end.
    fn tab(&self, line: &str) -> Vec<String> {
        self.offered("bash", &[line, BREAKS])
    }

    fn offered(&self, shell: &str, words: &[&str]) -> Vec<String> {
        let args = [&["--"], words].concat();
        let mut command = self.command(env!("CARGO_BIN_EXE_contree"), &args);
        command.env("CONTREE_COMPLETE", shell);
        let ended = Ended::of(command.spawn().unwrap()).code(0);
        assert_eq!(ended.stderr, "");
        ended.stdout.lines().map(ToOwned::to_owned).collect()
    }
}

#[test]
fn commands_options_and_their_values_are_offered() {
    let home = Home::empty();
    let commands = home.tab("contree ");
    assert!(commands.contains(&"use".to_owned()) && !commands.contains(&"ci".to_owned()));
    assert!(
        !commands.iter().any(|word| word.starts_with('-')),
        "{commands:?}"
    );
    assert_eq!(home.tab("contree ci"), ["ci"]);
    assert_eq!(home.tab("contree s rol"), ["rollback"]);
    assert_eq!(home.tab("contree -o js"), ["json", "json-pretty"]);
    // Readline keeps what is before the cut.
    assert_eq!(home.tab("contree --output=ts"), ["tsv"]);
    assert_eq!(home.tab("contree use --n"), ["--new"]);
    assert_eq!(home.tab("contree ps --status CAN"), ["CANCELLED"]);
    assert_eq!(
        home.tab("contree session show -k 'session u"),
        ["session use"]
    );
    let dockerfile = "FROM a AS builder\nRUN x\nfrom builder as bare\n";
    std::fs::write(home.folder.path().join("Dockerfile"), dockerfile).unwrap();
    assert_eq!(home.tab("contree build --target b"), ["builder", "bare"]);
    assert_eq!(home.tab("contree build --dockerfile x --target "), [""; 0]);
    assert_eq!(home.tab("contree skill install 'cli"), ["cline:~"]);
    assert_eq!(home.tab("contree agent se"), ["sessions"]);
    // Files of this machine.
    std::fs::write(home.folder.path().join("my image.tar"), "").unwrap();
    assert_eq!(home.tab("contree images import ./my"), [r"./my\ image.tar"]);
}

#[test]
fn what_is_there_now_is_offered() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    assert_eq!(home.tab("contree use b"), ["base:latest"]);
    assert_eq!(home.tab("contree use tag:base:"), ["latest"]);
    assert_eq!(home.tab("contree run --use base"), ["base:latest"]);
    assert_eq!(home.tab("contree -p de"), ["default"]);
    assert_eq!(home.tab("contree auth switch "), ["default"]);
    // Nothing of a session is made by looking.
    assert_eq!(home.tab("contree session checkout "), [""; 0]);
    assert_eq!(home.tab("contree cat "), [""; 0]);
    assert!(!home.folder.path().join("cli").exists());

    home.contree(&["use", "base:latest"]).code(0);
    home.contree(&["-S", "other", "use", "base:latest"]).code(0);
    home.contree(&["session", "branch", "try"]).code(0);
    home.contree(&["run", "echo", "a"]).code(0);
    let detached = home.rows(&["run", "-d", "sleep"]).remove(0);
    let id = detached["uuid"].as_str().unwrap();
    let mut sessions = home.tab("contree -S ");
    sessions.sort();
    assert_eq!(sessions, ["other", "test"]);
    assert_eq!(home.tab("contree session delete o"), ["other"]);
    assert_eq!(home.tab("contree session checkout t"), ["try"]);
    let branches = home.tab("contree session branch -U ");
    assert_eq!(branches, [&format!("detached-{id}"), "main", "try"]);
    // In the session that is typed, too.
    assert_eq!(home.tab("contree -S other session checkout "), ["main"]);

    assert_eq!(home.tab("contree show @"), ["4", "3"]);
    assert!(home.tab("contree show ").contains(&id.to_owned()));
    assert_eq!(home.tab(&format!("contree kill {}", &id[..8])), [id]);
    assert_eq!(home.tab("contree kill @"), ["4"], "the other one has ended");

    assert_eq!(home.tab("contree cat /d"), ["/data"]);
    assert_eq!(home.tab("contree cat s"), ["srv/"]);
    assert_eq!(home.tab("contree cd "), ["srv/"]);
    assert_eq!(home.tab("contree cat srv/"), ["srv/data"]);
    assert_eq!(home.tab("contree cat /none/"), [""; 0]);
    home.contree(&["cd", "/srv"]).code(0);
    assert_eq!(home.tab("contree cat "), ["data"]);
    assert_eq!(home.tab("contree grep root "), ["data"]);
}

#[test]
fn answers_are_remembered_for_a_while() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    let asked = |part: &str| {
        let requests = fake.requests();
        requests
            .iter()
            .filter(|request| request.contains(part))
            .count()
    };
    for _ in 0..3 {
        assert_eq!(home.tab("contree use ba"), ["base:latest"]);
        assert_eq!(home.tab("contree cat sr"), ["srv/"]);
    }
    assert_eq!((asked("/images?"), asked("/list?")), (1, 1));
    // What was made a moment ago is found: nothing of what is known goes on from what is typed.
    home.contree(&["tag", "new:one"]).code(0);
    assert_eq!(home.tab("contree use ne"), ["new:one"]);
    assert_eq!(asked("/images?"), 2);
    // Somebody else's token may not see the same.
    assert_eq!(home.tab("contree --token wrong use ba"), [""; 0]);
}

#[test]
fn a_server_that_is_not_there_is_not_talked_about() {
    let home = Home::empty();
    let ini = "[profile:default]\nurl = http://127.0.0.1:1\ntoken = secret\n";
    std::fs::write(home.folder.path().join("auth.ini"), ini).unwrap();
    for line in ["contree use ", "contree show ", "contree cat /"] {
        assert_eq!(home.tab(line), [""; 0]);
    }
    std::fs::write(home.folder.path().join("auth.ini"), [0xff, 0xfe]).unwrap();
    assert_eq!(home.tab("contree session rol"), ["rollback"]);
    home.tab("contree use ");
}

#[test]
fn each_shell_is_answered_in_its_own_form() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    assert_eq!(
        home.offered("zsh", &["contree", "use", "ba"]),
        [r"-base\:latest"]
    );
    assert_eq!(home.offered("zsh", &["contree", "cd", ""]), ["+srv/"]);
    assert_eq!(home.offered("fish", &["contree", "cd", ""]), ["srv/\t"]);
    let ls = home.offered("fish", &["contree", "session", "rol"]);
    assert_eq!(ls, ["rollback\tMove the active branch to another step"]);
    let ls = home.offered("zsh", &["contree", "session", "rol"]);
    assert_eq!(ls, ["-rollback:Move the active branch to another step"]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.contree(&["completions", shell]).code(0).stdout;
        assert!(script.contains("CONTREE_COMPLETE"), "{script}");
        assert!(script.contains(env!("CARGO_BIN_EXE_contree")), "{script}");
    }
    home.contree(&["completions", "tcsh"]).code(2);
}

/// A real bash, at a terminal, into which a user types.
#[test]
fn bash_completes() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_contree"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = home.command(
        "script",
        &["--quiet", "--command", "bash --norc -i", "/dev/null"],
    );
    // The session is the one of this shell at this terminal, as nothing else names it.
    command
        .env("PATH", path)
        .env("HISTFILE", "")
        .env_remove("CONTREE_SESSION")
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let typed = "source <(contree completions bash)\n\
                 contree us\ttag:ba\t\n\
                 contree cd s\t\n\
                 contree cd > cwd; contree use -o js\t > session\n\
                 exit\n";
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), typed.as_bytes()).unwrap();
    let ended = Ended::of(child);
    let left = |name: &str| std::fs::read_to_string(home.folder.path().join(name));
    assert_eq!(left("cwd").unwrap_or_default(), "/srv\n", "{ended:#?}");
    assert!(
        ended.stdout.contains("contree use tag:base:latest "),
        "{ended:#?}"
    );
    assert!(left("session").unwrap().contains(BASE));
}
