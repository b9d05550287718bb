//! What the probes say about the machine the tests run on, which runs sandboxes. The trial has a
//! network of its own: the filter it loads has the same name in every trial, and others may be
//! under way on the machine's.

use std::path::PathBuf;

use contree_sandbox::probe::{State, Subject, machine};

use crate::network::on_a_machine;
use crate::world::LAUNCHER;

#[test]
fn privileged_this_machine_is_fit() {
    on_a_machine(|_world| async {
        let data = tempfile::tempdir().unwrap();
        let subject = Subject {
            data_dir: data.path().join("not/yet/there"),
            launcher: PathBuf::from(LAUNCHER),
        };
        let findings = machine(&subject).await;
        for finding in &findings {
            println!("{finding:?}");
            assert_ne!(finding.state, State::Missing, "{finding:?}");
        }
        let tables = std::process::Command::new("nft")
            .args(["list", "tables"])
            .output()
            .unwrap();
        assert!(!String::from_utf8_lossy(&tables.stdout).contains("contree_30"));
    });
}

#[tokio::test]
async fn a_launcher_that_is_not_there_is_named() {
    let subject = Subject {
        data_dir: PathBuf::from("/"),
        launcher: PathBuf::from("/nonexistent/contree-sandbox"),
    };
    let findings = machine(&subject).await;
    let finding = findings.last().expect("a finding");
    assert_eq!(finding.name, "sandbox");
    assert_eq!(finding.state, State::Missing);
    assert!(
        finding.detail.contains("No such file or directory"),
        "{finding:?}"
    );
}
