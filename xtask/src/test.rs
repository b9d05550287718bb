//! `cargo xtask test`: all tests, with everything they need set up first.
//!
//! Tests named `privileged_*` need root: they make namespaces, mounts and firewall rules, or
//! start a server that does. The runner's settings (.config/nextest.toml) start the others
//! first, so that a simple mistake shows early. Before all of them come the examples of the Rust
//! SDK's documentation, which the runner does not know; its closing line is the last that is printed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::build::{self, Profile};
use crate::debian;
use crate::programs::{self, cargo};
use crate::python;

/// Which tests.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the tests that need neither root nor Debian's packages
    #[arg(long)]
    unprivileged: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// How the end of a test's name path starts when it needs root.
const PRIVILEGED: &str = "privileged_";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if !args.unprivileged && !debian::is_root() {
        bail!(
            "most tests make namespaces and mounts and need root: run this as root, or the few \
             others with `cargo xtask test --unprivileged`"
        );
    }
    let mut settings: Vec<(&str, PathBuf)> = Vec::new();
    if !args.unprivileged {
        debian::install(&[
            debian::SERVER,
            debian::ROOTFS,
            debian::REGISTRY,
            debian::PASSWORDS,
            debian::NETWORK,
            debian::PYTHON,
            debian::SEARCH,
        ])?;
        settings.push(("CONTREE_TEST_ROOTFS", debian::rootfs()?));
        settings.push(("CONTREE_TEST_TOOLS", debian::tools()?));
        settings.push(("CONTREE_TEST_WHEEL", python::wheel(Profile::Dev)?));
    }
    // One feature set for programs and tests: the runner below finds everything built.
    programs::run(cargo().args(["build", "--locked", "--workspace", "--bins", "--tests"]))?;
    if !args.unprivileged {
        settings.push(("CONTREE_TEST_BIN", programs_for_tests()?));
    }
    if !args.unprivileged && args.filter.is_none() {
        // They need a server that runs sandboxes. All of the workspace, though only the SDK has any:
        // of a package alone the dependencies would be built again, with fewer features.
        let mut examples = cargo();
        examples.args(["test", "--doc", "--locked", "--workspace"]);
        programs::run(examples.envs(settings.iter().cloned()))?;
    }
    programs::run(runner(args).envs(settings))
}

/// A folder with `contree` and the static `contree-sandbox`. Apart from target/debug, where
/// building the tests would put a sandbox that is not static.
fn programs_for_tests() -> anyhow::Result<PathBuf> {
    let built = programs::target().join(Profile::Dev.folder());
    let folder = programs::target().join("test-bin");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (source, name) in [
        (built.join("contree"), "contree"),
        (build::sandbox(Profile::Dev)?, "contree-sandbox"),
    ] {
        // A new file, as a server of an earlier run may still be executing the old one.
        let new = folder.join(format!("{name}.new"));
        fs::copy(&source, &new).with_context(|| format!("cannot copy {}", source.display()))?;
        fs::rename(&new, folder.join(name)).with_context(|| format!("cannot name {name}"))?;
    }
    Ok(folder)
}

/// nextest where it is installed (a process per test, fast tests first), else `cargo test`.
fn runner(args: &Args) -> Command {
    let mut runner = cargo();
    if programs::find("cargo-nextest").is_some() {
        runner.args([
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--no-fail-fast",
        ]);
        if args.unprivileged {
            runner.args(["-E", &format!("not test({PRIVILEGED})")]);
        }
        runner.args(&args.filter);
    } else {
        println!("cargo-nextest is not installed; `cargo test` runs the tests, more slowly");
        runner.args([
            "test",
            "--locked",
            "--workspace",
            "--bins",
            "--lib",
            "--tests",
            "--no-fail-fast",
        ]);
        runner.args(&args.filter);
        if args.unprivileged {
            runner.args(["--", "--skip", PRIVILEGED]);
        }
    }
    runner
}
