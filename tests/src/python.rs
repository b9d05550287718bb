//! Python packages, published ones and this project's own, and pytest suites that use them
//! against a [`Server`].
//!
//! A suite is a folder below `tests/clients` of pytest files. The packages of the suites come from
//! PyPI, pinned in `tests/clients/ENVIRONMENT.txt`, into a virtual environment that is made once
//! per text of that file and kept in the target folder.
//!
//! `contree_sdk` is the name of two packages: the published one, and this project's, which takes its
//! place. Each has a fresh environment of its own with nothing else installed; what tests need
//! beside it is looked up in an environment that both share and that has neither.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

use crate::{Server, given};

/// The `contree_sdk` that a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// The one for the hosted service, from PyPI.
    Published,
    /// This project's, from the wheel under test.
    Ours,
}

/// The published version that ours takes the place of.
const PUBLISHED_SDK: &str = "contree-sdk==0.3.6";

/// The folder of a virtual environment with the packages of `tests/clients/{name}.txt`, and with
/// those of `{name}-alone.txt`, where there is such a file, without what they say that they need.
///
/// # Panics
/// When there is no Python 3, or the packages cannot be installed.
#[must_use]
pub fn environment(name: &str) -> PathBuf {
    let list = clients().join(format!("{name}.txt"));
    let alone = clients().join(format!("{name}-alone.txt"));
    let mut content = read(&list);
    if alone.exists() {
        content.extend(read(&alone));
    }
    made(name, &content, |folder| {
        install(folder, &["--requirement".as_ref(), list.as_os_str()]);
        if alone.exists() {
            let words = [
                "--no-deps".as_ref(),
                "--requirement".as_ref(),
                alone.as_os_str(),
            ];
            install(folder, &words);
        }
    })
}

/// The folder of a virtual environment with this `contree_sdk`, in which the packages of
/// `tests/clients/sdk.txt` are found too.
///
/// # Panics
/// As [`environment`], or when `cargo xtask test` has not named a wheel.
#[must_use]
pub fn sdk(sdk: Sdk) -> PathBuf {
    let shared = environment("sdk");
    let shared = packages_of(&shared);
    match sdk {
        Sdk::Published => {
            let content = [
                shared.as_os_str().as_encoded_bytes(),
                PUBLISHED_SDK.as_bytes(),
            ];
            made("sdk-published", &content.concat(), |folder| {
                find_too(folder, &shared);
                install(folder, &[PUBLISHED_SDK.as_ref()]);
            })
        }
        Sdk::Ours => {
            let wheel = given("CONTREE_TEST_WHEEL");
            let content = [shared.as_os_str().as_encoded_bytes(), &read(&wheel)];
            made("sdk-ours", &content.concat(), |folder| {
                find_too(folder, &shared);
                install(folder, &["--no-deps".as_ref(), wheel.as_os_str()]);
            })
        }
    }
}

/// Makes the environment of this name for this content, unless it is there already.
fn made(name: &str, content: &[u8], fill: impl FnOnce(&Path)) -> PathBuf {
    let digest: String = Sha256::digest(content)[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = target().join(format!("python-{name}-{digest}"));
    let lock = File::create(folder.with_extension("lock")).expect("a lock for the environment");
    // Tests run in processes of their own, at once.
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("the lock is taken");
    let done = folder.join("installed");
    if !done.exists() {
        let venv = ["-m", "venv", "--clear"];
        succeeds(Command::new("python3").args(venv).arg(&folder));
        fill(&folder);
        File::create(&done).expect("the environment is marked as whole");
    }
    folder
}

fn install(folder: &Path, packages: &[&std::ffi::OsStr]) {
    let pip = ["install", "--quiet", "--disable-pip-version-check"];
    succeeds(
        Command::new(folder.join("bin/pip"))
            .args(pip)
            .args(packages),
    );
}

/// Lets the packages in this folder be found from an environment that does not have them.
fn find_too(folder: &Path, packages: &Path) {
    let line = format!("{}\n", packages.display());
    std::fs::write(packages_of(folder).join("shared.pth"), line).expect("the folder is named");
}

/// Where an environment has its packages.
fn packages_of(folder: &Path) -> PathBuf {
    let lib = std::fs::read_dir(folder.join("lib")).expect("an environment has a folder lib");
    let mut pythons = lib.map(|entry| entry.expect("lib can be listed").path());
    let python = pythons.next().expect("an environment has a Python");
    python.join("site-packages")
}

fn succeeds(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status();
    let status = status.unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}"));
    assert!(status.success(), "{command:?} ended with {status}");
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Runs the suite `tests/clients/{suite}` with pytest from the environment `environment`
/// ([`environment`]), and shows what it printed.
///
/// # Panics
/// When a test of the suite fails, or it has none.
pub fn suite(environment: &str, suite: &str, server: &Server, settings: &[(&str, &str)]) {
    suite_in(&self::environment(environment), suite, server, settings);
}

/// The same with this `contree_sdk` ([`sdk`]). The suite is told which by `CONTREE_TEST_SDK`.
///
/// # Panics
/// When a test of the suite fails, or it has none.
pub fn sdk_suite(sdk: Sdk, suite: &str, server: &Server, settings: &[(&str, &str)]) {
    let name = match sdk {
        Sdk::Published => "published",
        Sdk::Ours => "ours",
    };
    let mut settings = settings.to_vec();
    settings.push(("CONTREE_TEST_SDK", name));
    suite_in(&self::sdk(sdk), suite, server, &settings);
}

/// The suite finds the server in `CONTREE_TEST_URL` and `CONTREE_TEST_TOKEN`, the programs of the
/// environment first in `PATH`, and an empty `HOME`. No other `CONTREE_*` variable is set but
/// `settings`.
#[expect(
    clippy::print_stdout,
    reason = "the suite's closing line is to be seen"
)]
fn suite_in(environment: &Path, suite: &str, server: &Server, settings: &[(&str, &str)]) {
    let python = environment.join("bin");
    let home = tempfile::tempdir().expect("a home for the suite");
    // Of its own: in the folder that all share, suites that begin at once take away each other's.
    let temporary = tempfile::tempdir().expect("a folder for the suite's temporary files");
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
        .arg("--basetemp")
        .arg(temporary.path().join("pytest"))
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
