//! A history as a tree, drawn with the newest entry last:
//!
//! ```text
//! 1  use  ubuntu:latest
//! ├─ 2  run  apt-get update
//! │  └─ 3  run  make            ◀ main
//! └─ 4  run  rm -rf /etc        ◀ try
//! ```
//!
//! A chain without forks stays in one column; only where several entries share a parent does the
//! drawing step to the right, so that a long history does not wander off the screen.

use std::collections::{BTreeMap, HashSet};

/// An entry and the one it stands on.
pub(crate) struct Node {
    pub(crate) id: i64,
    pub(crate) parent: Option<i64>,
    /// What is printed.
    pub(crate) label: String,
}

/// The lines of the drawing. Entries whose parent is not among them are roots.
pub(crate) fn draw(nodes: &[Node]) -> Vec<String> {
    let known: HashSet<i64> = nodes.iter().map(|node| node.id).collect();
    let mut children: BTreeMap<Option<i64>, Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        let parent = node
            .parent
            .filter(|parent| known.contains(parent) && *parent < node.id);
        children.entry(parent).or_default().push(node);
    }
    let mut lines = Vec::new();
    // What is still to be drawn, next one last: the node, what stands before it, and what stands
    // before those below it.
    let mut open: Vec<(&Node, String, String)> = Vec::new();
    let roots = children.get(&None).map(Vec::as_slice).unwrap_or_default();
    open.extend(
        roots
            .iter()
            .rev()
            .map(|root| (*root, String::new(), String::new())),
    );
    while let Some((node, before, below)) = open.pop() {
        lines.push(format!("{before}{}", node.label));
        let branches = children
            .get(&Some(node.id))
            .map(Vec::as_slice)
            .unwrap_or_default();
        if let [only] = branches {
            open.push((only, below.clone(), below));
            continue;
        }
        for (index, child) in branches.iter().enumerate().rev() {
            let is_last = index + 1 == branches.len();
            let (corner, stem) = if is_last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            open.push((child, format!("{below}{corner}"), format!("{below}{stem}")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_step_to_the_right() {
        let node = |id, parent| Node {
            id,
            parent,
            label: id.to_string(),
        };
        let nodes = [
            node(1, None),
            node(2, Some(1)),
            node(3, Some(2)),
            node(4, Some(2)),
            node(5, Some(3)),
            node(6, Some(5)),
            node(7, Some(4)),
            node(8, Some(2)),
            node(9, Some(99)),
        ];
        assert_eq!(
            draw(&nodes).join("\n"),
            "1\n2\n├─ 3\n│  5\n│  6\n├─ 4\n│  7\n└─ 8\n9"
        );
    }

    #[test]
    fn long_chains_and_circles_are_survived() {
        let chain: Vec<Node> = (1..20_000)
            .map(|id| Node {
                id,
                parent: (id > 1).then_some(id - 1),
                label: String::new(),
            })
            .collect();
        assert_eq!(draw(&chain).len(), 19_999);
        let circle = [
            Node {
                id: 1,
                parent: Some(2),
                label: "a".into(),
            },
            Node {
                id: 2,
                parent: Some(1),
                label: "b".into(),
            },
        ];
        assert_eq!(draw(&circle), ["a", "b"]);
    }
}
