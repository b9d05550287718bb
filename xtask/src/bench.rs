//! `cargo xtask bench`: measures of this machine, as docs/performance.md explains them.

use std::fs;

use anyhow::Context as _;

use crate::build::{self, Profile};
use crate::debian;
use crate::programs::{self, cargo};

/// What to measure; all that follows goes to the measuring program.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Options of the measuring program; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    debian::install(&[debian::SERVER, debian::ROOTFS])?;
    let rootfs = debian::rootfs()?;
    let built = build::build(Profile::Release)?;
    let folder = built.contree.parent().context("a program is in a folder")?;
    let out = programs::target().join("bench");
    let scratch = out.join("servers");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    programs::run(
        cargo()
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
            .env("TMPDIR", &scratch),
    )
}
