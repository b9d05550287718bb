//! A host with a layer store that has one small image.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use contree_sandbox::{
    Exit, Host, HostConfig, Job, Limits, NetworkConfig, Process, Program, Running, Sandbox,
    SpawnError,
};
use tokio::io::AsyncReadExt;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_contree-sandbox");

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the image has in `/bin`, copied from this machine with the libraries it needs.
const TOOLS: [&str; 33] = [
    "sh",
    "cat",
    "ls",
    "id",
    "mount",
    "umount",
    "stat",
    "chown",
    "chmod",
    "mkdir",
    "sleep",
    "head",
    "true",
    "false",
    "env",
    "pwd",
    "hostname",
    "dd",
    "tail",
    "setsid",
    "ln",
    "mknod",
    "unshare",
    "rm",
    "touch",
    "echo",
    "readlink",
    "wc",
    "sha256sum",
    "mv",
    "nproc",
    "uname",
    "sync",
];

pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) host: Host,
    runs: AtomicU32,
}

/// What a process left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) exit: Exit,
}

impl Outcome {
    pub(crate) fn text(&self) -> String {
        format!(
            "{}{}",
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr)
        )
    }

    /// Its output, when it succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> String {
        assert_eq!(self.exit.code, Some(0), "{self:?}\n{}", self.text());
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(configure: impl FnOnce(&mut HostConfig)) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("contree-test-")
            .tempdir_in("/var/tmp")
            .unwrap();
        let store = dir.path();
        for folder in ["layers/base", "layers/skeleton", "uppers", "files"] {
            std::fs::create_dir_all(store.join(folder)).unwrap();
        }
        skeleton(&store.join("layers/skeleton"));
        base(&store.join("layers/base"));
        let mut config = HostConfig {
            launcher: PROGRAM.into(),
            store: store.to_owned(),
            network: NetworkConfig {
                pool: 2,
                ..NetworkConfig::default()
            },
            defaults: Limits::default(),
        };
        configure(&mut config);
        let host = Host::start(config)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        Self {
            dir,
            host,
            runs: AtomicU32::new(0),
        }
    }

    pub(crate) fn store(&self) -> &Path {
        self.dir.path()
    }

    /// The upper folder of a job.
    pub(crate) fn upper(&self, job: &Job) -> PathBuf {
        self.store().join(&job.upper)
    }

    /// A job that runs `sh -c SCRIPT`.
    pub(crate) fn job(&self, script: &str) -> Job {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let (upper, work) = (format!("uppers/{run}/upper"), format!("uppers/{run}/work"));
        for folder in [&upper, &work] {
            std::fs::create_dir_all(self.store().join(folder)).unwrap();
        }
        Job {
            name: run.to_string(),
            lowers: vec!["layers/base".into(), "layers/skeleton".into()],
            upper,
            work,
            hostname: "linuxkit".into(),
            network: false,
            limits: Limits::default(),
            files: Vec::new(),
            process: process(&["sh", "-c", script]),
        }
    }

    /// Runs a job to its end.
    pub(crate) async fn run(&self, job: Job) -> Result<Outcome, SpawnError> {
        let (sandbox, running) = self.host.spawn(job).await?;
        let outcome = finish(running).await;
        within(sandbox.gone()).await;
        Ok(outcome)
    }

    /// Runs a script to its end.
    pub(crate) async fn sh(&self, script: &str) -> Outcome {
        self.run(self.job(script))
            .await
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    pub(crate) async fn spawn(&self, script: &str) -> (Sandbox, Running) {
        self.host
            .spawn(self.job(script))
            .await
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Takes the host down; the test then sees to it that nothing is left.
    pub(crate) async fn end(self) {
        within(self.host.shutdown()).await;
    }
}

pub(crate) fn command(argv: &[&str]) -> Program {
    Program::Command(argv.iter().map(|arg| arg.as_bytes().to_vec()).collect())
}

pub(crate) fn process(argv: &[&str]) -> Process {
    Process {
        program: command(argv),
        env: vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())],
        cwd: b"/".to_vec(),
        uid: 0,
        gid: 0,
        stdin: false,
    }
}

/// Reads a process's output to its end and waits for it.
pub(crate) async fn finish(running: Running) -> Outcome {
    finish_within(PATIENCE, running).await
}

/// The same for one that takes its time.
pub(crate) async fn finish_within(patience: Duration, running: Running) -> Outcome {
    let Running {
        mut stdout,
        mut stderr,
        exit,
        ..
    } = running;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let all = async {
        tokio::join!(
            stdout.read_to_end(&mut out),
            stderr.read_to_end(&mut err),
            exit
        )
        .2
    };
    let exit = tokio::time::timeout(patience, all)
        .await
        .expect("in time")
        .expect("the sandbox is not lost");
    Outcome {
        stdout: out,
        stderr: err,
        exit,
    }
}

/// Reads one line.
pub(crate) async fn line(pipe: &mut contree_sandbox::OutputPipe) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(within(pipe.read_u8()).await.expect("a line"));
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}

fn skeleton(root: &Path) {
    for folder in ["proc", "sys", "dev", "etc", "tmp"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    for file in ["etc/resolv.conf", "etc/hosts"] {
        std::fs::write(root.join(file), "").unwrap();
    }
}

fn base(root: &Path) {
    for folder in ["bin", "etc", "root", "tmp"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    for tool in TOOLS {
        let path = ["/bin", "/usr/bin", "/usr/sbin", "/sbin"]
            .into_iter()
            .map(|folder| Path::new(folder).join(tool))
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("this machine has no {tool}"));
        copy_with_libraries(&path, root, &root.join("bin").join(tool));
    }
}

pub(crate) fn copy_with_libraries(program: &Path, root: &Path, to: &Path) {
    std::fs::copy(program, to).unwrap();
    let listed = Command::new("ldd").arg(program).output().unwrap();
    for word in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
        let library = Path::new(word);
        if library.is_absolute() && library.is_file() {
            let copy: PathBuf = root.join(library.strip_prefix("/").unwrap());
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            if !copy.exists() {
                std::fs::copy(library, copy).unwrap();
            }
        }
    }
}
