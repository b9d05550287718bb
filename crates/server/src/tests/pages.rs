//! The pages of documentation that describe what this crate does.

use std::collections::BTreeSet;

use contree_api::ErrorKind;

/// Refusals that are of HTTP alone, and no kind of error of the engine.
const OF_HTTP: [u16; 6] = [405, 408, 412, 414, 416, 431];

/// Every status that a refusal can have is explained, with what to do; and no other.
#[test]
fn every_status_is_explained() {
    let page = include_str!("../../../../docs/http-errors.md");
    let mut explained = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let Ok(status) = cells[0].parse::<u16>() else {
            continue;
        };
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        assert!(explained.insert(status), "twice: {row}");
    }
    let answered: BTreeSet<u16> = ErrorKind::ALL
        .iter()
        .map(|kind| kind.status())
        .chain(OF_HTTP)
        .collect();
    assert_eq!(explained, answered);
}
