//! `cargo xtask pictures`: the pictures of docs/pictures, drawn anew.

use anyhow::Context as _;

use crate::build::{self, Profile};
use crate::debian;
use crate::programs::{self, cargo};

/// Which pictures.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these, by the names of their files
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    debian::install(&[
        debian::SERVER,
        debian::ROOTFS,
        debian::REGISTRY,
        debian::FONTS,
    ])?;
    let rootfs = debian::rootfs()?;
    let built = build::build(Profile::Release)?;
    let folder = built.contree.parent().context("a program is in a folder")?;
    programs::run(
        cargo()
            .args(["run", "--locked", "--quiet", "--package"])
            .args(["contree-pictures", "--", "--out"])
            .arg(programs::root().join("docs/pictures"))
            .args(["--fonts", debian::FONT_FOLDER])
            .args(&args.names)
            .env("CONTREE_TEST_BIN", folder)
            .env("CONTREE_TEST_ROOTFS", rootfs),
    )
}
