//! When which layers of a chain are merged.
//!
//! Every run that changes something puts a layer on top of the chain under its image. A cold
//! lookup costs time in proportion to the chain's length, and the kernel takes only so many
//! folders, so the topmost layers are merged into one folder now and then, the way a
//! log-structured store does it. The bottom of a chain, what was imported, is never merged.
//!
//! Weights are numbers of entries: linking them is what a merge costs. Let `w1, w2, …` be the
//! weights of a chain, topmost first, without the bottom. When there are more than [`SOFT`], the
//! topmost `t` are merged, for the greatest `t ≥ FAN` with
//!
//! ```text
//! wt · (FAN − 1) ≤ w1 + … + w(t−1)
//! ```
//!
//! that is, when what lies above a folder has grown to its size several times over. So
//!
//! - when all layers weigh the same, this is a base-[`FAN`] counter: merged folders of similar
//!   size come together to one of the next size, and each entry is linked O(log depth) times;
//! - a heavy layer (`apt-get install`) is not linked again for a few light ones above it. That
//!   matters for trees: a thousand branches of small steps above one heavy layer share it as it
//!   is, where a rule that counts layers alone would link it once in each branch;
//! - a chain that has no such `t` grows by more than a third with each folder, so it is short:
//!   its length is bounded by the logarithm of its weight.
//!
//! The rule looks at nothing but the chain itself, and the merged folder belongs to the layer it
//! ends at. All branches above that layer share it.
//!
//! [`HARD`] is the length at which a run waits for a merge, whatever it costs. Sizes that grow by
//! exactly the factor above need 10^8 entries to get there without.

/// Length of a chain, its bottom not counted, up to which nothing is merged. An overlay mount
/// costs about 10 µs for each folder.
pub(crate) const SOFT: usize = 10;
/// Folders of similar weight that come together.
pub(crate) const FAN: usize = 4;
/// Length of a chain, its bottom not counted, beyond which no run starts. The options of an
/// overlay mount have to fit into a page: 99 folders.
pub(crate) const HARD: usize = 64;

/// How many of the topmost folders are to be merged, given the weights of a chain without its
/// bottom, topmost first. None: leave it.
pub(crate) fn due(weights: &[u64]) -> Option<usize> {
    if weights.len() <= SOFT {
        return None;
    }
    let mut above = 0_u128;
    let mut found = None;
    for (index, &weight) in weights.iter().enumerate() {
        let weight = u128::from(weight.max(1));
        if index + 1 >= FAN && weight * (FAN as u128 - 1) <= above {
            found = Some(index + 1);
        }
        above += weight;
    }
    if weights.len() > HARD {
        // One folder is left of those that are merged.
        let enough = weights.len() - SOFT + 1;
        found = Some(found.map_or(enough, |found| found.max(enough)));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A tree of layers with merged folders, as the records hold it.
    #[derive(Default)]
    struct Tree {
        parent: HashMap<u32, u32>,
        weight: HashMap<u32, u64>,
        /// Top → (what the folder stands for, topmost first; its weight; where to go on).
        merged: HashMap<u32, (Vec<u32>, u64, u32)>,
        linked: u64,
    }

    impl Tree {
        fn new(bottom: u64) -> Self {
            Self {
                weight: HashMap::from([(0, bottom)]),
                ..Self::default()
            }
        }

        fn child(&mut self, parent: u32, weight: u64) -> u32 {
            let id = u32::try_from(self.weight.len()).unwrap();
            self.parent.insert(id, parent);
            self.weight.insert(id, weight);
            id
        }

        /// Folders under a layer: what each stands for and its weight; the bottom last.
        fn chain(&self, mut at: u32) -> Vec<(u32, Vec<u32>, u64)> {
            let mut chain = Vec::new();
            loop {
                if let Some((layers, weight, next)) = self.merged.get(&at) {
                    chain.push((at, layers.clone(), *weight));
                    at = *next;
                } else {
                    chain.push((at, vec![at], self.weight[&at]));
                    match self.parent.get(&at) {
                        Some(parent) => at = *parent,
                        None => return chain,
                    }
                }
            }
        }

        /// What a run from this layer does: stand on the chain, and have it merged when due.
        fn use_layer(&mut self, at: u32) -> usize {
            let chain = self.chain(at);
            let length = chain.len();
            let weights: Vec<u64> = chain[..length - 1].iter().map(|folder| folder.2).collect();
            if let Some(take) = due(&weights) {
                let layers = chain[..take]
                    .iter()
                    .flat_map(|folder| folder.1.clone())
                    .collect();
                let weight = weights[..take].iter().sum();
                self.linked += weight;
                self.merged.insert(at, (layers, weight, chain[take].0));
            }
            length
        }

        /// The folders under a layer show each ancestor once, in order.
        fn check(&self, at: u32) {
            let shown: Vec<u32> = self
                .chain(at)
                .into_iter()
                .flat_map(|folder| folder.1)
                .collect();
            let mut expected = vec![at];
            while let Some(parent) = self.parent.get(expected.last().unwrap()) {
                expected.push(*parent);
            }
            assert_eq!(shown, expected);
        }
    }

    /// A small generator of numbers, the same each time.
    fn numbers(mut seed: u64) -> impl FnMut(u64) -> u64 {
        move |below| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        }
    }

    #[test]
    fn equal_layers_to_depth_10_000() {
        let mut tree = Tree::new(8_000);
        let (mut at, mut longest) = (0, 0);
        for depth in 1..=10_000_u64 {
            at = tree.child(at, 1);
            longest = longest.max(tree.use_layer(at));
            if depth % 499 == 0 {
                tree.check(at);
            }
        }
        assert!(longest <= 24, "{longest}");
        // Each entry was linked a few times.
        assert!(tree.linked <= 60_000, "{}", tree.linked);
    }

    #[test]
    fn every_depth_with_branches_and_mixed_weights() {
        let mut next = numbers(7);
        let mut tree = Tree::new(8_000);
        let mut trunk = vec![0];
        let mut longest = 0;
        let mut total = 0;
        for depth in 1..=2_000 {
            let weight = match next(20) {
                0 => 1_000 + next(10_000),
                1..=3 => 10 + next(100),
                _ => 1 + next(3),
            };
            total += weight;
            let at = tree.child(trunk[depth - 1], weight);
            trunk.push(at);
            longest = longest.max(tree.use_layer(at));
            tree.check(at);
            if depth % 7 == 0 {
                // A branch somewhere below, a few steps long.
                let from = usize::try_from(next(depth as u64)).unwrap();
                let mut at = trunk[from];
                for _ in 0..next(40) {
                    at = tree.child(at, 1 + next(5));
                    longest = longest.max(tree.use_layer(at));
                    tree.check(at);
                }
            }
        }
        for at in trunk {
            tree.check(at);
        }
        assert!(longest <= 40, "{longest}");
        assert!(tree.linked <= total * 8, "{} of {total}", tree.linked);
    }

    /// What the rule is for: many branches of small steps over one heavy layer.
    #[test]
    fn light_branches_do_not_link_a_heavy_layer() {
        let mut tree = Tree::new(8_000);
        let heavy = tree.child(0, 8_700);
        for _ in 0..200 {
            let mut at = heavy;
            for _ in 0..50 {
                at = tree.child(at, 3);
                tree.use_layer(at);
            }
            tree.check(at);
        }
        assert!(tree.linked < 200 * 50 * 3 * 4, "{}", tree.linked);
    }

    #[test]
    fn sizes_that_resist_merging_are_merged_at_the_hard_limit() {
        let mut weights = vec![1_u64];
        while weights.len() <= HARD {
            let above: u64 = weights.iter().sum();
            weights.push(above / (FAN as u64 - 1) + 1);
        }
        assert_eq!(due(&weights[..HARD]), None);
        assert_eq!(due(&weights), Some(HARD + 1 - SOFT + 1));
    }
}
