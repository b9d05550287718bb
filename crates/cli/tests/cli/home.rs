//! A user: an empty home, an environment without anything of ours, and the command.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::fake::Fake;

/// A home with a profile for a fake server.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    /// Nothing in it.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With a profile for the server.
    pub(crate) fn of(fake: &Fake) -> Self {
        let home = Self::empty();
        let ini = format!(
            "[DEFAULT]\nprofile = default\n\n[profile:default]\nurl = {}\ntoken = secret\ntype = jwt\n",
            fake.url()
        );
        std::fs::write(home.folder.path().join("auth.ini"), ini).unwrap();
        home
    }

    /// The command, not started.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CONTREE_")
                || name.starts_with("NEBIUS_")
                || name.ends_with("COLOR")
            {
                command.env_remove(&*name);
            }
        }
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("CONTREE_HOME", self.folder.path())
            .env("CONTREE_SESSION", "test")
            .env("CONTREE_NO_UPDATE_CHECK", "1")
            .env("CONTREE_PATIENCE", "60")
            .env("TZ", "UTC")
            .env("SHELL", "/bin/bash")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Ours, started.
    pub(crate) fn start(&self, args: &[&str], stdin: Stdio) -> Child {
        self.command(env!("CARGO_BIN_EXE_contree"), args)
            .stdin(stdin)
            .spawn()
            .unwrap()
    }

    /// Ours, to its end.
    #[must_use = "hold it to an exit code"]
    pub(crate) fn contree(&self, args: &[&str]) -> Ended {
        Ended::of(self.start(args, Stdio::null()))
    }

    /// Ours with bytes on a pipe.
    #[must_use = "hold it to an exit code"]
    pub(crate) fn contree_with(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut child = self.start(args, Stdio::piped());
        let mut pipe = child.stdin.take().unwrap();
        let input = input.to_vec();
        std::thread::spawn(move || pipe.write_all(&input));
        Ended::of(child)
    }

    /// Ours with a terminal, to its end; standard error comes with standard output.
    #[must_use = "hold it to an exit code"]
    pub(crate) fn on_a_terminal(&self, args: &[&str]) -> Ended {
        let program = env!("CARGO_BIN_EXE_contree");
        let line = format!("'{program}' '{}'", args.join("' '"));
        let script = ["--quiet", "--return", "--command", &line, "/dev/null"];
        Ended::of(self.command("script", &script).spawn().unwrap())
    }

    /// Rows of a command that prints JSON.
    pub(crate) fn rows(&self, args: &[&str]) -> Vec<serde_json::Value> {
        let args = [&["-o", "json"], args].concat();
        self.contree(&args).code(0).rows()
    }
}

impl Ended {
    #[must_use = "hold it to an exit code"]
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Holds it to an exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Holds standard error to a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    pub(crate) fn rows(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
