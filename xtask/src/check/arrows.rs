//! Dependencies go one way, as ARCHITECTURE.md draws it.

use std::process::Stdio;

use anyhow::Context as _;
use serde::Deserialize;

use crate::programs::{self, cargo};

/// Every crate of the workspace with the crates of the workspace that it may depend on, tests
/// and build scripts included.
const ARROWS: &[(&str, &[&str])] = &[
    ("contree-api", &[]),
    ("contree-records", &["contree-api"]),
    ("contree-images", &["contree-api"]),
    ("contree-sandbox", &["contree-api"]),
    (
        "contree-engine",
        &[
            "contree-api",
            "contree-records",
            "contree-images",
            "contree-sandbox",
        ],
    ),
    ("contree-server", &["contree-api", "contree-engine"]),
    ("contree-client", &["contree-api"]),
    // The server only for `contree serve`, `contree doctor` and `contree admin --data-dir`, and only
    // on Linux.
    (
        "contree-cli",
        &["contree-api", "contree-client", "contree-server"],
    ),
    ("contree-python", &["contree-client"]),
    ("contree-e2e", &["contree-api", "contree-client"]),
    // Measures the servers that the scenarios start.
    (
        "contree-bench",
        &["contree-api", "contree-client", "contree-e2e"],
    ),
    // Draws what they show on a terminal.
    ("contree-pictures", &["contree-e2e"]),
    ("xtask", &[]),
];

/// What tests and examples may use beyond that. It may point back: nothing that is shipped does.
const TESTS: &[(&str, &[&str])] = &[
    // The examples of its documentation run against a real server.
    ("contree-client", &["contree-e2e"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Absent, `dev` or `build`.
    kind: Option<String>,
    /// Set for folders of this workspace, absent for crates of a registry.
    path: Option<String>,
}

/// What goes against the drawing, one sentence each.
pub(super) fn faults() -> anyhow::Result<Vec<String>> {
    let text = programs::output(
        cargo()
            .args(["metadata", "--locked", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit()),
    )?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("cannot read what cargo metadata wrote")?;
    Ok(against(&metadata))
}

fn against(metadata: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            faults.push(format!(
                "crate {} has no place in the drawing: give it one in ARCHITECTURE.md and in \
                 xtask/src/check/arrows.rs",
                package.name
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let own = dependency.name == package.name;
            let name = dependency.name.as_str();
            let for_tests = dependency.kind.as_deref() == Some("dev")
                && TESTS
                    .iter()
                    .any(|(from, to)| *from == package.name && to.contains(&name));
            if !own && !for_tests && !allowed.contains(&name) {
                faults.push(format!(
                    "{} depends on {}, against the arrows of ARCHITECTURE.md",
                    package.name, dependency.name
                ));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_that_points_back_is_named() {
        let metadata = |dependency: &str| Metadata {
            packages: vec![Package {
                name: "contree-images".into(),
                dependencies: vec![
                    Dependency {
                        name: dependency.into(),
                        kind: None,
                        path: Some("crates/x".into()),
                    },
                    Dependency {
                        name: "serde".into(),
                        kind: None,
                        path: None,
                    },
                ],
            }],
        };
        assert_eq!(against(&metadata("contree-api")), Vec::<String>::new());
        assert_eq!(
            against(&metadata("contree-records")),
            ["contree-images depends on contree-records, against the arrows of ARCHITECTURE.md"]
        );
    }

    #[test]
    fn no_crate_points_at_one_that_points_back() {
        for (name, allowed) in ARROWS {
            for target in *allowed {
                let back = ARROWS
                    .iter()
                    .find(|(other, _)| other == target)
                    .expect("drawn")
                    .1;
                assert!(
                    !back.contains(name),
                    "{name} and {target} point at each other"
                );
            }
        }
    }
}
