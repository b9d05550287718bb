//! A server of ours, running beside the walk.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal};

use crate::programs;

/// A running program, ended when this is dropped.
pub(super) struct Background {
    child: Child,
    name: String,
    log: PathBuf,
    /// Lines of its stdout as they come.
    lines: Receiver<String>,
}

impl Background {
    /// Starts a program; its stderr goes to the file `log`, its stdout there and to
    /// [`line_with`](Self::line_with).
    pub(super) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let name = programs::shown(command);
        let file = File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
        let mut copy = file.try_clone().context("cannot write to one log twice")?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start `{name}`"))?;
        let stdout = child.stdout.take().context("stdout was piped")?;
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The log is for people after the fact; the walk goes on without it.
                let _ = writeln!(copy, "{line}");
                let _ = send.send(line);
            }
        });
        Ok(Self {
            child,
            name,
            log: log.to_path_buf(),
            lines,
        })
    }

    /// Waits for a line of stdout that contains a text; shows every line on the way.
    pub(super) fn line_with(&mut self, text: &str, patience: Duration) -> anyhow::Result<String> {
        let until = Instant::now() + patience;
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    println!("{line}");
                    if line.contains(text) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!(
                    "`{}` said nothing of '{text}' within {} s; its log is {}",
                    self.name,
                    patience.as_secs(),
                    self.log.display()
                ),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().context("cannot wait for a server")?;
                    let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                    bail!("`{}` ended at once: {status}\n{log}", self.name);
                }
            }
        }
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGTERM and waits for exit code 0.
    pub(super) fn stop(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.terminate()?;
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for a server")? {
                if status.success() {
                    return Ok(());
                }
                bail!(
                    "`{}` ended with {status}; its log is {}",
                    self.name,
                    self.log.display()
                );
            }
            if Instant::now() > until {
                bail!(
                    "`{}` did not end within {} s of SIGTERM",
                    self.name,
                    patience.as_secs()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn terminate(&self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).context("a process id fits")?;
        let pid = Pid::from_raw(pid).context("a process id is not 0")?;
        rustix::process::kill_process(pid, Signal::TERM)
            .with_context(|| format!("cannot signal `{}`", self.name))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.runs() {
            // Politely first, so that a server can clean up after itself.
            let polite = self.stop(Duration::from_secs(10));
            if polite.is_err() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}
