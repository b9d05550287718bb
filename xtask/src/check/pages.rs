//! Pages do not point at what is not there: links between pages, and files that ARCHITECTURE.md
//! names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What points nowhere, one sentence each. `sources` are all Rust files, relative to `root`.
pub(super) fn faults(root: &Path, sources: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for folder in ["", "docs"] {
        let folder = root.join(folder);
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let page = entry
                .with_context(|| format!("cannot list {}", folder.display()))?
                .path();
            if page.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = fs::read_to_string(&page)
                .with_context(|| format!("cannot read {}", page.display()))?;
            let name = page.strip_prefix(root).unwrap_or(&page).display();
            for target in between(&text, "](", ")") {
                let file = target.split('#').next().unwrap_or_default();
                if !file.is_empty() && !file.contains("://") && !folder.join(file).exists() {
                    faults.push(format!("{name} links to {target}, which is not there"));
                }
            }
            for file in between(&text, "`", "`").filter(|code| is_source(code)) {
                if !sources.iter().any(|source| source.ends_with(file)) {
                    faults.push(format!("{name} names {file}, which is not there"));
                }
            }
        }
    }
    faults.sort();
    Ok(faults)
}

/// Whether a piece of code is the name of one Rust file.
fn is_source(code: &str) -> bool {
    code.ends_with(".rs")
        && code
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c))
}

/// What stands between each `open` and the next `close` after it.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(open)? + open.len();
        let end = start + rest[start..].find(close)?;
        let found = &rest[start..end];
        rest = &rest[end + close.len()..];
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_names_are_found() {
        let text = "See [a](docs/a.md#x) and `run/plan.rs`, not `cargo x.rs y`.";
        assert_eq!(
            between(text, "](", ")").collect::<Vec<_>>(),
            ["docs/a.md#x"]
        );
        let named: Vec<_> = between(text, "`", "`")
            .filter(|code| is_source(code))
            .collect();
        assert_eq!(named, ["run/plan.rs"]);
    }
}
