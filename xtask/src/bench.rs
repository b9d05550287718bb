//! `cargo xtask bench`: measures of this machine, as docs/performance.md explains them.

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
            .arg("--contree")
            .arg(built.contree)
            .arg("--out")
            .arg(programs::target().join("bench"))
            .args(&args.options),
    )
}
