//! `cargo xtask deny`: licences, banned crates and sources, as deny.toml has them.
//!
//! cargo-deny is installed into the target folder when it is not there, which takes some minutes
//! once. Advisories are left out: their database is a download that not every network allows; run
//! `cargo deny check` where it does.

use std::path::PathBuf;
use std::process::Command;

use crate::programs::{self, cargo};

/// The version whose reading of deny.toml was tried.
const VERSION: &str = "0.20.2";

pub(crate) fn run() -> anyhow::Result<()> {
    let program = match programs::find("cargo-deny") {
        Some(program) => program,
        None => installed()?,
    };
    programs::run(
        Command::new(program)
            .current_dir(programs::root())
            .args(["--locked", "check", "bans", "licenses", "sources"]),
    )
}

/// The program in the target folder, brought there if need be.
fn installed() -> anyhow::Result<PathBuf> {
    let folder = programs::target().join("tools");
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        let mut install = cargo();
        install.args(["install", "--locked", "--quiet", "--version", VERSION]);
        programs::run(install.arg("--root").arg(&folder).arg("cargo-deny"))?;
    }
    Ok(program)
}
