//! `cargo xtask build`: the two programs of a release, side by side.

use std::path::PathBuf;

use crate::programs::{self, cargo};

/// What to build.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Optimised, into target/release
    #[arg(long)]
    release: bool,
}

/// Which of cargo's profiles.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build.
    Dev,
    /// Quick to run.
    Release,
}

impl Profile {
    /// Its folder under target/.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }

    /// Its name for cargo's `--profile`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

/// The programs.
pub(crate) struct Built {
    pub(crate) contree: PathBuf,
    pub(crate) sandbox: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Built> {
    build(if args.release {
        Profile::Release
    } else {
        Profile::Dev
    })
}

/// Builds both programs; `contree` finds `contree-sandbox` beside itself.
pub(crate) fn build(profile: Profile) -> anyhow::Result<Built> {
    programs::run(cargo().args([
        "build",
        "--locked",
        "--profile",
        profile.name(),
        "--package",
        "contree-cli",
        "--bin",
        "contree",
    ]))?;
    let folder = programs::target().join(profile.folder());
    let sandbox = sandbox(profile)?;
    Ok(Built {
        contree: folder.join("contree"),
        sandbox,
    })
}

/// Builds `contree-sandbox` as a static executable. The flag goes to the last rustc alone, so
/// that every dependency is shared with the rest of the build.
pub(crate) fn sandbox(profile: Profile) -> anyhow::Result<PathBuf> {
    programs::run(cargo().args([
        "rustc",
        "--locked",
        "--profile",
        profile.name(),
        "--package",
        "contree-sandbox",
        "--bin",
        "contree-sandbox",
        "--",
        "-C",
        "target-feature=+crt-static",
    ]))?;
    Ok(programs::target()
        .join(profile.folder())
        .join("contree-sandbox"))
}
