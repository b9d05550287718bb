//! One command after the other, each shown with its output and held to what it should do.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, bail};

use crate::programs;

/// The person at the keyboard.
pub(super) struct Walk {
    contree: PathBuf,
    home: PathBuf,
}

/// What a command wrote.
pub(super) struct Shown {
    command: String,
    output: String,
}

/// Where the walk's profile and sessions are, instead of the user's own.
pub(super) fn home(folder: &Path) -> PathBuf {
    folder.join("home")
}

impl Walk {
    pub(super) fn new(contree: &Path, folder: &Path) -> Self {
        Self {
            contree: contree.to_path_buf(),
            home: home(folder),
        }
    }

    /// A command that must succeed.
    pub(super) fn contree(&self, args: &[&str]) -> anyhow::Result<Shown> {
        self.expect(args, &[], true)
    }

    /// A command that must not succeed.
    pub(super) fn failing_contree(&self, args: &[&str]) -> anyhow::Result<Shown> {
        self.expect(args, &[], false)
    }

    /// A command that must succeed, whose last argument is not shown.
    pub(super) fn contree_with_secret(&self, args: &[&str], secret: &str) -> anyhow::Result<Shown> {
        self.expect(args, &[secret], true)
    }

    fn expect(&self, args: &[&str], secret: &[&str], success: bool) -> anyhow::Result<Shown> {
        let mut command = Command::new(&self.contree);
        command.args(args);
        let mut shown = programs::shown(&command);
        if !secret.is_empty() {
            shown.push_str(" \"$(cat DATA_DIR/admin.token)\"");
        }
        println!("\n$ {shown}");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONTREE_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(secret)
            .env("CONTREE_HOME", &self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let stdout = child.stdout.take().context("stdout was piped")?;
        let stderr = child.stderr.take().context("stderr was piped")?;
        let errors = thread::spawn(move || copy(stderr, io::stderr()));
        let mut output = copy(stdout, io::stdout())?;
        output.push_str(&errors.join().expect("the copying thread does not panic")?);
        let status = child
            .wait()
            .with_context(|| format!("cannot wait for `{shown}`"))?;
        if !success {
            println!("[exit code {}]", status.code().unwrap_or(-1));
        }
        if status.success() != success {
            let wanted = if success { "0" } else { "another than 0" };
            bail!("`{shown}` ended with {status}; expected was exit code {wanted}");
        }
        Ok(Shown {
            command: shown,
            output,
        })
    }
}

impl Shown {
    /// Holds the command to having written something.
    pub(super) fn shows(self, text: &str) -> anyhow::Result<Self> {
        if self.output.contains(text) {
            return Ok(self);
        }
        bail!("`{}` did not write '{text}'", self.command)
    }
}

/// Passes everything on as it comes, and returns it.
fn copy(mut from: impl Read, mut to: impl Write) -> anyhow::Result<String> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = from
            .read(&mut buffer)
            .context("cannot read a command's output")?;
        if count == 0 {
            return Ok(String::from_utf8_lossy(&all).into_owned());
        }
        to.write_all(&buffer[..count])
            .and_then(|()| to.flush())
            .context("cannot show output")?;
        all.extend_from_slice(&buffer[..count]);
    }
}
