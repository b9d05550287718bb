//! `cargo xtask bench`: measures of this machine, as docs/performance.md explains them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::build::{self, Profile};
use crate::debian;
use crate::programs::{self, cargo};
use crate::python;

/// What to measure; all that follows goes to the measuring program.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Options of the measuring program, or one of its parts, `start` or `sdk`, with that part's;
    /// `-- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// The published package that ours is measured beside.
const PEER: &str = "contree-sdk==0.3.6";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    debian::install(&[debian::SERVER, debian::ROOTFS])?;
    let rootfs = debian::rootfs()?;
    let built = build::build(Profile::Release)?;
    let folder = built.contree.parent().context("a program is in a folder")?;
    let out = programs::target().join("bench");
    let scratch = out.join("servers");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let mut bench = cargo();
    bench
        .args([
            "run",
            "--locked",
            "--release",
            "--quiet",
            "--package",
            "contree-bench",
            "--",
        ])
        .arg("--rootfs")
        .arg(rootfs)
        .arg("--out")
        .arg(&out)
        .args(&args.options)
        .env("CONTREE_TEST_BIN", folder)
        // Next to the floor's, so that both are on one filesystem.
        .env("TMPDIR", &scratch);
    if args.options.first().is_some_and(|part| part == "sdk") {
        debian::install(&[debian::PYTHON])?;
        let wheel = python::wheel(Profile::Release)?;
        let peer = environment(&out.join("python-peer"), Path::new(PEER))?;
        let ours = environment(&out.join("python-ours"), &wheel)?;
        bench.arg("--peer").arg(peer).arg("--ours").arg(ours);
    }
    programs::run(&mut bench)
}

/// A new virtual environment with a package and what it needs; returns its Python.
fn environment(folder: &Path, package: &Path) -> anyhow::Result<PathBuf> {
    programs::run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder),
    )?;
    programs::run(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(package),
    )?;
    Ok(folder.join("bin/python"))
}
