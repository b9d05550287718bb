//! `cargo xtask python`: the wheel of the Python SDK, one for every Python from 3.10 on.
//!
//! maturin builds it. It is installed in a virtual environment in the target folder, which is made
//! once per version of maturin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::build::Profile;
use crate::debian;
use crate::programs;

/// The version of maturin whose wheels were tried; sdk/python/pyproject.toml takes later ones too.
const MATURIN: &str = "1.16.0";

/// Builds the optimised wheel, shows its name and size, and returns where it is.
pub(crate) fn run() -> anyhow::Result<()> {
    let wheel = wheel(Profile::Release)?;
    let size = fs::metadata(&wheel)
        .with_context(|| format!("cannot look at {}", wheel.display()))?
        .len();
    println!("{}, {} KiB", wheel.display(), size.div_ceil(1024));
    Ok(())
}

/// Builds the wheel into target/wheels/PROFILE, where it is the only one.
pub(crate) fn wheel(profile: Profile) -> anyhow::Result<PathBuf> {
    debian::install(&[debian::PYTHON])?;
    let maturin = maturin()?;
    let folder = programs::target().join("wheels").join(profile.folder());
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    programs::run(
        Command::new(maturin)
            .current_dir(programs::root())
            .args(["build", "--locked", "--quiet", "--profile", profile.name()])
            .args(["--manifest-path", "sdk/python/Cargo.toml", "--out"])
            .arg(&folder),
    )?;
    the_only_file(&folder)
}

/// maturin in the target folder, brought there if need be.
fn maturin() -> anyhow::Result<PathBuf> {
    let folder = programs::target().join(format!("tools/maturin-{MATURIN}"));
    let program = folder.join("bin/maturin");
    // Written last: an installation that broke off is begun anew.
    let done = folder.join("installed");
    if !done.exists() {
        programs::run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        )?;
        programs::run(
            Command::new(folder.join("bin/pip"))
                .args(["install", "--quiet", "--disable-pip-version-check"])
                .arg(format!("maturin=={MATURIN}")),
        )?;
        fs::write(&done, "").with_context(|| format!("cannot write {}", done.display()))?;
    }
    Ok(program)
}

fn the_only_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let cannot_list = || format!("cannot list {}", folder.display());
    let mut files = fs::read_dir(folder).with_context(cannot_list)?;
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file.with_context(cannot_list)?.path()),
        _ => bail!("{} does not hold exactly one wheel", folder.display()),
    }
}
