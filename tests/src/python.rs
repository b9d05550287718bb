//! Published Python packages, and pytest suites that use them against a [`Server`].
//!
//! A suite is a folder `tests/clients/NAME` of pytest files. The packages of all suites come from
//! PyPI, pinned in `tests/clients/ENVIRONMENT.txt`, into a virtual environment that is made once
//! per text of that file and kept in the target folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

use crate::Server;

/// The folder of a virtual environment with the packages of `tests/clients/{name}.txt`.
///
/// # Panics
/// When there is no Python 3, or the packages cannot be installed.
#[must_use]
pub fn environment(name: &str) -> PathBuf {
    let list = clients().join(format!("{name}.txt"));
    let text = std::fs::read(&list).unwrap_or_else(|e| panic!("{}: {e}", list.display()));
    let digest: String = Sha256::digest(&text)[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = target().join(format!("python-{name}-{digest}"));
    let lock = File::create(folder.with_extension("lock")).expect("a lock for the environment");
    // Tests run in processes of their own, at once.
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("the lock is taken");
    let done = folder.join("installed");
    if !done.exists() {
        install(&folder, &list);
        File::create(&done).expect("the environment is marked as whole");
    }
    folder
}

fn install(folder: &Path, list: &Path) {
    let succeeds = |command: &mut Command| {
        let status = command.stdin(Stdio::null()).status();
        let status = status.unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}"));
        assert!(status.success(), "{command:?} ended with {status}");
    };
    succeeds(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder),
    );
    succeeds(
        Command::new(folder.join("bin/pip"))
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(list),
    );
}

/// Runs the suite `tests/clients/{suite}` with pytest from the environment `environment`, and
/// shows what it printed.
///
/// The suite finds the server in `CONTREE_TEST_URL` and `CONTREE_TEST_TOKEN`, the programs of the
/// environment first in `PATH`, and an empty `HOME`. No other `CONTREE_*` variable is set.
///
/// # Panics
/// When a test of the suite fails, or it has none.
#[expect(
    clippy::print_stdout,
    reason = "the suite's closing line is to be seen"
)]
pub fn suite(environment: &str, suite: &str, server: &Server, settings: &[(&str, &str)]) {
    let python = self::environment(environment).join("bin");
    let home = tempfile::tempdir().expect("a home for the suite");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(python.join("python"))
        .args([
            "-m",
            "pytest",
            "-q",
            "-ra",
            "--tb=short",
            "-p",
            "no:cacheprovider",
        ])
        .arg(clients().join(suite))
        .current_dir(home.path())
        .env_clear()
        .env("PATH", format!("{}:{path}", python.display()))
        .env("HOME", home.path())
        .env("LANG", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CONTREE_TEST_URL", server.url())
        .env("CONTREE_TEST_TOKEN", server.token())
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("pytest starts");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "the suite {suite} ended with {}",
        output.status
    );
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Where tests may keep things from run to run: `tmp` in the target folder, of which the running
/// test is `PROFILE/deps/NAME`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its program");
    let target = test
        .ancestors()
        .nth(3)
        .expect("the test is in the target folder");
    let folder = target.join("tmp");
    std::fs::create_dir_all(&folder).expect("a folder for what tests keep");
    folder
}
