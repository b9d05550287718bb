//! A real `contree serve` in a folder of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use contree_api::ImageId;
use contree_client::{Client, Config};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::{contree_program, import};

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Further arguments of `contree serve`; default none.
    pub args: Vec<String>,
}

impl Settings {
    /// With these arguments.
    #[must_use]
    pub fn with(args: &[&str]) -> Self {
        Self {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        }
    }
}

/// A running server. Ended by SIGTERM when dropped; its log is shown when the test panics.
pub struct Server {
    folder: TempDir,
    settings: Settings,
    running: Option<Running>,
}

struct Running {
    child: Child,
    url: String,
}

/// Longest wait for a server to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// Starts a server with an empty data folder.
    #[must_use]
    pub fn start(settings: Settings) -> Self {
        let folder = TempDir::with_prefix("contree-e2e-").expect("a folder for the server");
        let mut server = Self {
            folder,
            settings,
            running: None,
        };
        server.start_again();
        server
    }

    /// Starts it on the same data folder after [`Server::stop`] or [`Server::kill`].
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the server runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log for the server");
        let mut child = Command::new(contree_program())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.data_dir())
            .args(&self.settings.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("contree serve starts");
        let stdout = child.stdout.take().expect("stdout was piped");
        let mut lines = BufReader::new(stdout).lines();
        let url = loop {
            let Some(Ok(line)) = lines.next() else {
                let status = child.wait().expect("the server can be waited for");
                panic!(
                    "contree serve ended before it listened: {status}\n{}",
                    self.log()
                );
            };
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.to_owned();
            }
        };
        // Kept open and read, so that the server can always write.
        std::thread::spawn(move || lines.for_each(drop));
        self.running = Some(Running { child, url });
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.running.as_ref().expect("the server runs").url
    }

    /// The token made at first start.
    #[must_use]
    pub fn token(&self) -> String {
        let file = self.data_dir().join("admin.token");
        let token = std::fs::read_to_string(&file).expect("admin.token can be read");
        token.trim().to_owned()
    }

    /// A client with that token.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_with(&self.token())
    }

    /// A client with another token.
    #[must_use]
    pub fn client_with(&self, token: &str) -> Client {
        Client::new(Config::new(self.url(), token)).expect("a client")
    }

    /// The most memory it has had resident so far, in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let child = &self.running.as_ref().expect("the server runs").child;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let status = status.expect("a process has a status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        let kib: u64 = kib.and_then(|kib| kib.parse().ok()).expect("a size in kB");
        kib * 1024
    }

    /// Processor time that it has taken so far, without the sandboxes.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let child = &self.running.as_ref().expect("the server runs").child;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()));
        let stat = stat.expect("a process has a stat");
        // Fields 14 and 15 are user and system time; the 2nd is in parentheses and may hold spaces.
        let (_, after) = stat.rsplit_once(") ").expect("a stat names its program");
        let ticks = after.split(' ').skip(11).take(2);
        let ticks: u64 = ticks
            .map(|field| field.parse::<u64>().expect("a number of ticks"))
            .sum();
        // What programs are shown are hundredths of a second, whatever the kernel counts in.
        Duration::from_millis(ticks * 10)
    }

    /// Its data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Sends SIGTERM, and returns how and after how long it ended.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        self.end(Signal::TERM)
    }

    /// Sends SIGKILL and waits.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) -> (ExitStatus, Duration) {
        let mut running = self.running.take().expect("the server runs");
        let pid = i32::try_from(running.child.id()).expect("a process id fits");
        let pid = Pid::from_raw(pid).expect("a process id is not 0");
        let started = Instant::now();
        rustix::process::kill_process(pid, signal).expect("the server can be signalled");
        loop {
            let status = running
                .child
                .try_wait()
                .expect("the server can be waited for");
            if let Some(status) = status {
                return (status, started.elapsed());
            }
            if started.elapsed() > PATIENCE {
                let _ = running.child.kill();
                let _ = running.child.wait();
                panic!(
                    "the server did not end within {PATIENCE:?} of {signal:?}\n{}",
                    self.log()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Uploads a root filesystem and imports it under a tag.
    pub async fn import(&self, tar: &Path, tag: &str) -> ImageId {
        import(&self.client(), tar, tag).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            let runs = matches!(running.child.try_wait(), Ok(None));
            if !runs || std::thread::panicking() {
                let _ = running.child.kill();
                let _ = running.child.wait();
            } else {
                self.end(Signal::TERM);
            }
        }
        if std::thread::panicking() {
            let mut log = String::new();
            if let Ok(mut file) = File::open(self.log_path()) {
                let _ = file.read_to_string(&mut log);
            }
            eprintln!("--- the server's log ---\n{log}--- end of the server's log ---");
        }
    }
}
