//! The real command line, as one person at one terminal would use it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::{Server, Terminal, contree_program};

/// `contree` with a profile for a server and a home of its own.
pub struct Contree {
    home: TempDir,
    session: String,
}

/// What a command did.
#[derive(Debug)]
pub struct Output {
    /// The command as typed.
    pub command: String,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// Its exit code; −1 when a signal ended it.
    pub code: i32,
}

impl Contree {
    /// Logs in to a server, in the session `test`.
    #[must_use]
    pub fn new(server: &Server) -> Self {
        let contree = Self::stranger();
        contree.log_in(server);
        contree
    }

    /// A home where nothing is saved yet.
    #[must_use]
    pub fn stranger() -> Self {
        Self {
            home: TempDir::with_prefix("contree-home-").expect("a folder for the home"),
            session: "test".to_owned(),
        }
    }

    /// Its home: profiles and sessions.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Saves the profile again, as after a server came back on another port.
    pub fn log_in(&self, server: &Server) {
        let token = server.token();
        let auth = [
            "auth",
            "--type",
            "jwt",
            "--url",
            server.url(),
            "--token",
            &token,
            "--force",
        ];
        self.run(&auth).succeeds();
    }

    /// The same person in another session.
    #[must_use]
    pub fn session(self, name: &str) -> Self {
        Self {
            home: self.home,
            session: name.to_owned(),
        }
    }

    /// Runs a command with nothing on stdin.
    #[must_use = "hold it to an exit code"]
    pub fn run(&self, args: &[&str]) -> Output {
        self.run_with_stdin(args, None)
    }

    /// Runs a command line as a shell would split it at spaces.
    #[must_use = "hold it to an exit code"]
    pub fn line(&self, line: &str) -> Output {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a command with bytes piped into it.
    #[must_use = "hold it to an exit code"]
    pub fn run_with_stdin(&self, args: &[&str], stdin: Option<&[u8]>) -> Output {
        let mut child = self
            .command(args)
            .stdin(if stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("contree starts");
        if let Some(bytes) = stdin {
            let mut pipe = child.stdin.take().expect("stdin was piped");
            let bytes = bytes.to_vec();
            // Beside the wait below, so that neither side waits for the other for ever. A command
            // that ends early closes the pipe.
            std::thread::spawn(move || {
                let _ = pipe.write_all(&bytes);
            });
        }
        let output = child.wait_with_output().expect("contree can be waited for");
        Output {
            command: format!("contree {}", args.join(" ")),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Starts a command on a terminal of its own.
    #[must_use]
    pub fn terminal(&self, args: &[&str]) -> Terminal {
        Terminal::start(self.command(args))
    }

    /// A command that is not started yet.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(contree_program());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONTREE_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .env("CONTREE_HOME", self.home.path())
            // The machine may be busy with other tests.
            .env("CONTREE_PATIENCE", "60")
            .env("CONTREE_SESSION", &self.session);
        command
    }
}

impl Output {
    /// Holds it to exit code 0.
    pub fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// Holds it to an exit code.
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Holds it to some text on stdout.
    pub fn shows(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "stdout lacks {text:?}: {self:#?}"
        );
        self
    }

    /// Holds it to not having some text on stdout.
    pub fn hides(self, text: &str) -> Self {
        assert!(
            !self.stdout.contains(text),
            "stdout has {text:?}: {self:#?}"
        );
        self
    }

    /// Holds it to some text on stderr.
    pub fn complains(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "stderr lacks {text:?}: {self:#?}"
        );
        self
    }
}
