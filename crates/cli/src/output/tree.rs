//! A tree drawn as `git log --graph` does it, with the newest step last:
//!
//! ```text
//! ◆ 1  use  debian:bookworm
//! ● 2  run  apt-get update
//! ├─● 4  run  rm -rf /etc          (try)
//! │ ● 5  run  ls
//! ● 3  run  make                   (HEAD -> main)
//! ```
//!
//! A chain stays in its column. Where several steps share a parent one of them goes on in the
//! column, and the others are drawn before it, each one step to the right: the one that goes on is
//! that on the way to the active tip, else the one with most steps below it. So a side line never has
//! more than half of the steps of the line it leaves, and however many forks there are the drawing is
//! at most as deep as the number of steps has digits in base two.

use std::collections::{BTreeMap, HashSet};

/// A step and the one it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: i64,
    pub(crate) parent: Option<i64>,
}

/// A line of the drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The step; none for the one that stands for all that is not drawn.
    pub(crate) id: Option<i64>,
    /// What is drawn before it.
    pub(crate) before: String,
}

/// Side lines are so much further to the right.
const CORNER: &str = "├─";
const STEM: &str = "│ ";

/// The lines, for steps in the order of their ids. Steps whose parent is not among them are roots;
/// with `is_cut` a line for what came before the drawing is the parent of those that have one.
pub(crate) fn draw(nodes: &[Node], active: Option<i64>, is_cut: bool) -> Vec<Line> {
    let known: HashSet<i64> = nodes.iter().map(|node| node.id).collect();
    // Parents are older, and so have smaller ids; anything else is no tree.
    let parent = |node: &Node| {
        let parent = node.parent?;
        (known.contains(&parent) && parent < node.id).then_some(parent)
    };
    let mut children: BTreeMap<Option<i64>, Vec<i64>> = BTreeMap::new();
    let mut sizes: BTreeMap<i64, usize> = nodes.iter().map(|node| (node.id, 1)).collect();
    let mut roots: Vec<i64> = Vec::new();
    for node in nodes {
        match parent(node) {
            None if !is_cut || node.parent.is_none() => roots.push(node.id),
            parent => children.entry(parent).or_default().push(node.id),
        }
    }
    let parents: BTreeMap<i64, i64> = nodes
        .iter()
        .filter_map(|node| Some((node.id, parent(node)?)))
        .collect();
    for (id, parent) in parents.iter().rev() {
        let size = sizes.get(id).copied().unwrap_or(0);
        *sizes.entry(*parent).or_default() += size;
    }
    let mut active_path = HashSet::new();
    let mut at = active.filter(|id| known.contains(id));
    while let Some(id) = at {
        active_path.insert(id);
        at = parents.get(&id).copied();
    }

    let mut lines = Vec::new();
    // What is still to be drawn, next one last: the step, what stands before it, and what stands
    // before those below it.
    let mut open: Vec<(Option<i64>, String, String)> = Vec::new();
    open.extend(
        roots
            .iter()
            .rev()
            .map(|id| (Some(*id), String::new(), String::new())),
    );
    if children.contains_key(&None) {
        open.push((None, String::new(), String::new()));
    }
    while let Some((id, before, below)) = open.pop() {
        lines.push(Line { id, before });
        let Some(next) = children.get(&id) else {
            continue;
        };
        let weight = |id: &&i64| (active_path.contains(id), sizes.get(id).copied(), **id);
        let trunk = next.iter().max_by_key(weight).copied();
        if let Some(trunk) = trunk {
            open.push((Some(trunk), below.clone(), below.clone()));
        }
        for side in next.iter().rev().filter(|id| Some(**id) != trunk) {
            let (corner, stem) = (format!("{below}{CORNER}"), format!("{below}{STEM}"));
            open.push((Some(*side), corner, stem));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(parents: &[(i64, i64)]) -> Vec<Node> {
        let node = |&(id, parent): &(i64, i64)| Node {
            id,
            parent: (parent > 0).then_some(parent),
        };
        parents.iter().map(node).collect()
    }

    fn drawn(parents: &[(i64, i64)], active: i64, is_cut: bool) -> String {
        let lines = draw(&nodes(parents), Some(active), is_cut);
        let line = |line: &Line| match line.id {
            Some(id) => format!("{}{id}", line.before),
            None => format!("{}⋮", line.before),
        };
        lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn forks_step_to_the_right_and_the_active_line_goes_on() {
        let tree = [
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (6, 5),
            (7, 4),
            (8, 2),
            (9, 6),
            (10, 5),
        ];
        assert_eq!(
            drawn(&tree, 8, false),
            "1\n2\n├─3\n│ 5\n│ ├─10\n│ 6\n│ 9\n├─4\n│ 7\n8"
        );
        assert_eq!(
            drawn(&tree, 10, false),
            "1\n2\n├─4\n│ 7\n├─8\n3\n5\n├─6\n│ 9\n10"
        );
    }

    #[test]
    fn what_is_not_drawn_is_a_parent_too() {
        assert_eq!(
            drawn(&[(21, 20), (22, 21), (23, 7), (24, 22)], 24, true),
            "⋮\n├─23\n21\n22\n24"
        );
        assert_eq!(drawn(&[(1, 0), (2, 1)], 2, true), "1\n2");
        assert_eq!(drawn(&[(21, 20), (23, 7)], 23, false), "21\n23");
    }

    #[test]
    fn long_chains_and_many_forks_stay_on_the_screen() {
        let deepest = |nodes: &[Node], active| {
            let lines = draw(nodes, active, false);
            assert_eq!(lines.len(), nodes.len());
            lines.iter().map(|line| line.before.chars().count()).max()
        };
        let chain: Vec<Node> = nodes(&(1..20_000).map(|id| (id, id - 1)).collect::<Vec<_>>());
        assert_eq!(deepest(&chain, Some(19_999)), Some(0));
        // A side branch at each step of the way.
        let forks: Vec<(i64, i64)> = (1..1_000)
            .flat_map(|n| [(2 * n, (2 * n - 2)), (2 * n + 1, 2 * n)])
            .collect();
        assert_eq!(deepest(&nodes(&forks), None), Some(2));
        // As bushy as can be, with the active tip at its very side.
        let bush: Vec<(i64, i64)> = (1..4_096).map(|id| (id, id / 2)).collect();
        assert!(deepest(&nodes(&bush), Some(4_095)) <= Some(24));
        // Hundreds at one step.
        let star: Vec<(i64, i64)> = (1..500).map(|id| (id, i64::from(id > 1))).collect();
        assert_eq!(deepest(&nodes(&star), Some(300)), Some(2));
    }

    #[test]
    fn circles_are_survived() {
        let circle = [(1, 2), (2, 1)].map(|(id, parent)| Node {
            id,
            parent: Some(parent),
        });
        assert_eq!(draw(&circle, Some(2), false).len(), 2);
    }
}
