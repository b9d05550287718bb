//! `cargo xtask deny`: licences, banned crates and sources, as deny.toml has them.
//!
//! Apart from `check` because cargo-deny takes minutes to install. Advisories are left out: their
//! database is a download that not every network allows; run `cargo deny check` where it does.

use anyhow::bail;

use crate::programs::{self, cargo};

pub(crate) fn run() -> anyhow::Result<()> {
    if programs::find("cargo-deny").is_none() {
        bail!("cargo-deny is not installed: run `cargo install --locked cargo-deny` first");
    }
    programs::run(cargo().args(["deny", "--locked", "check", "bans", "licenses", "sources"]))
}
