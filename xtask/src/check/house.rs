//! Rules that no lint knows: files stay small, `unsafe` has one address, and the drawing in
//! ARCHITECTURE.md shows every crate.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Most lines of a source file: a longer one lacks a name for one of its parts.
const MAX_LINES: usize = 800;

/// Folders whose sources are ours.
const SOURCES: [&str; 6] = ["crates", "sdk", "tests", "benches", "pictures", "xtask"];

/// The only places where `unsafe` may stand.
const UNSAFE: [&str; 2] = ["crates/sandbox/src/sys", "benches/src/floor/sys.rs"];

/// Crates that hold such a place; every other crate forbids `unsafe` at its root.
const UNSAFE_CRATES: [&str; 2] = ["crates/sandbox", "benches"];

/// What goes against the rules, one sentence each.
pub(super) fn faults(root: &Path, sources: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for name in sources {
        let text = fs::read_to_string(root.join(name))
            .with_context(|| format!("cannot read {}", name.display()))?;
        faults.extend(faults_of(name, &text));
    }
    let drawing =
        fs::read_to_string(root.join("ARCHITECTURE.md")).context("cannot read ARCHITECTURE.md")?;
    let crates = fs::read_dir(root.join("crates")).context("cannot list crates/")?;
    for entry in crates {
        let folder = entry.context("cannot list crates/")?.file_name();
        let folder = format!("crates/{}", folder.to_string_lossy());
        if !drawing.contains(&folder) {
            faults.push(format!("ARCHITECTURE.md does not show {folder}"));
        }
    }
    Ok(faults)
}

fn faults_of(name: &Path, text: &str) -> Vec<String> {
    let shown = name.display();
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{shown} has {lines} lines, more than {MAX_LINES}"));
    }
    if !UNSAFE.iter().any(|place| name.starts_with(place)) {
        for (number, line) in (1..).zip(text.lines()) {
            if has_unsafe(line) {
                faults.push(format!(
                    "{shown}:{number}: unsafe stands outside {}",
                    UNSAFE[0]
                ));
            }
        }
    }
    let is_root = name.ends_with("src/lib.rs") || name.ends_with("src/main.rs");
    let may_hold_unsafe = UNSAFE_CRATES.iter().any(|folder| name.starts_with(folder));
    if is_root && !may_hold_unsafe && !text.contains("#![forbid(unsafe_code)]") {
        faults.push(format!("{shown} lacks #![forbid(unsafe_code)]"));
    }
    faults
}

/// Whether a line of code (not of comment) uses the keyword `unsafe`.
fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].trim_start();
        let starts_word = before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == '"'));
        starts_word
            && ["{", "fn ", "impl ", "extern ", "trait "]
                .iter()
                .any(|s| after.starts_with(s))
    })
}

/// All Rust files of ours, relative to `root`, in the order of their names.
pub(super) fn sources(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = SOURCES.map(|folder| root.join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("cannot list {}", folder.display()))?
                .path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(root).unwrap_or(&path).to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_seen_where_it_is_code() {
        for line in [
            concat!("let x = ", "unsafe", " { call() };"),
            concat!("    ", "unsafe", " fn f() {"),
            concat!("unsafe", " impl Send for X {}"),
        ] {
            assert!(has_unsafe(line), "{line}");
        }
        for line in [
            "#![forbid(unsafe_code)]",
            "// unsafe { }",
            "/// Why unsafe fn is kept away.",
            r#"let s = "unsafe {";"#,
        ] {
            assert!(!has_unsafe(line), "{line}");
        }
    }

    #[test]
    fn each_rule_names_the_file() {
        let long = "fn f() {}\n".repeat(MAX_LINES + 1);
        assert_eq!(
            faults_of(Path::new("crates/images/src/store.rs"), &long),
            ["crates/images/src/store.rs has 801 lines, more than 800"]
        );
        assert_eq!(
            faults_of(Path::new("crates/images/src/lib.rs"), "mod a;\n"),
            ["crates/images/src/lib.rs lacks #![forbid(unsafe_code)]"]
        );
        let code = concat!("fn f() {\n    ", "unsafe", " { g() }\n}\n");
        assert_eq!(
            faults_of(Path::new("crates/engine/src/run.rs"), code),
            ["crates/engine/src/run.rs:2: unsafe stands outside crates/sandbox/src/sys"]
        );
        assert!(faults_of(Path::new("crates/sandbox/src/sys/clone.rs"), code).is_empty());
    }
}
