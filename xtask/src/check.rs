//! `cargo xtask check`: what a reader of a change should not have to look for.

mod arrows;
mod house;
mod pages;

use anyhow::bail;

use crate::programs::{self, cargo};

pub(crate) fn run() -> anyhow::Result<()> {
    programs::run(cargo().args(["fmt", "--all", "--check"]))?;
    // Cheap and ours before slow and the compiler's.
    let mut faults = arrows::faults()?;
    let root = programs::root();
    let sources = house::sources(&root)?;
    faults.extend(house::faults(&root, &sources)?);
    faults.extend(pages::faults(&root, &sources)?);
    if !faults.is_empty() {
        for fault in &faults {
            println!("{fault}");
        }
        bail!("{} of the house's rules broken, listed above", faults.len());
    }
    programs::run(cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))
}
