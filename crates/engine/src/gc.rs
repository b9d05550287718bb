//! Removing what is no longer wanted, while everything goes on.
//!
//! Mark: the layers that images stand on, and all layers below them. Sweep, in this order:
//!
//! 1. images without a tag that are older than the retention setting, when there is one;
//! 2. layers that are not marked: nobody gets to stand on them any more, then the records forget
//!    them, then their folders go. A layer that someone stands on is left for the next sweep, and
//!    what lies below it too. If an image has come to stand on one of them in between, the
//!    records refuse, and the next sweep looks again;
//! 3. folders that no record names: merged folders that a larger one replaced while runs stood on
//!    them, and what an earlier sweep did not get to. Folders that are about to get on record
//!    are held ([`crate::layers::Grounds::hold`]) and so left alone;
//! 4. uploaded files whose last use is longer ago than their retention.
//!
//! Each step is safe to repeat, and a crash between two leaves nothing but folders without a
//! record.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use contree_api::{LayerId, Timestamp};
use contree_images::StoreError;
use contree_records::{Change, LayerNode};

use crate::MIN_FILE_RETENTION;
use crate::engine::Engine;

/// Between two sweeps.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Records removed in one transaction, so that runs do not wait for long.
const AT_ONCE: u32 = 500;

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Images.
    pub images: u64,
    /// Layers.
    pub layers: u64,
    /// Folders that no record named.
    pub folders: u64,
    /// Uploaded files.
    pub files: u64,
}

/// Why a sweep stopped half-way. The next one goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The records failed.
    #[error("could not use the records")]
    Records(#[from] contree_records::Error),
    /// A log could not be removed.
    #[error("could not remove the event log {path}")]
    Log {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The store failed.
    #[error("could not remove a folder or file")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Sweeps every hour until the engine shuts down.
    pub(crate) fn start_sweeping(&self) {
        let engine = self.clone();
        let shutdown = self.shutdown_token();
        self.tasks().spawn(async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(EVERY) => {}
                }
                match engine.sweep().await {
                    Ok(swept) if swept == Swept::default() => {}
                    Ok(swept) => tracing::info!(?swept, "swept"),
                    Err(error) => {
                        let error = crate::error::chain(&error);
                        tracing::warn!(error, "a sweep stopped half-way; the next goes on");
                    }
                }
            }
        });
    }

    /// Removes what is no longer wanted, now.
    ///
    /// # Errors
    /// See [`SweepError`]; what was removed before stays removed.
    pub async fn sweep(&self) -> Result<Swept, SweepError> {
        Ok(Swept {
            images: self.sweep_images().await?,
            layers: self.sweep_layers().await?,
            folders: self.sweep_folders().await?,
            files: self.sweep_files().await?,
        })
    }

    async fn sweep_images(&self) -> Result<u64, SweepError> {
        let Some(retention) = self.config().retention.untagged_images else {
            return Ok(0);
        };
        let mut removed = 0;
        loop {
            let images = self
                .records()
                .untagged_images(before(retention), AT_ONCE)
                .await?;
            if images.is_empty() {
                return Ok(removed);
            }
            // A run that has looked one of them up finds its layers as long as it stands on them.
            let change = Change::RemoveUntaggedImages { images };
            let some = self.records().apply(change, false).await?;
            self.known_images().forget_all();
            removed += some;
            if some == 0 {
                return Ok(removed);
            }
        }
    }

    async fn sweep_layers(&self) -> Result<u64, SweepError> {
        let nodes = self.records().layer_nodes().await?;
        let roots = self.records().layers_of_images().await?;
        let unmarked = unmarked(&nodes, roots);
        if unmarked.is_empty() {
            return Ok(0);
        }
        // Images that were looked up before must be looked up again.
        self.known_images().forget_all();
        let free: HashSet<LayerId> = self
            .grounds()
            .doom(unmarked.iter().copied())
            .into_iter()
            .collect();
        let condemned = closed_upwards(&nodes, free);
        let removed = self.remove_layers(&nodes, &condemned).await;
        self.grounds().spare();
        removed
    }

    async fn remove_layers(
        &self,
        nodes: &[LayerNode],
        condemned: &HashSet<LayerId>,
    ) -> Result<u64, SweepError> {
        if condemned.is_empty() {
            return Ok(0);
        }
        let layers: Vec<LayerId> = condemned.iter().copied().collect();
        let count = match self
            .records()
            .apply(Change::RemoveLayers { layers }, false)
            .await
        {
            Ok(count) => count,
            Err(contree_records::Error::Reference { .. }) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        for node in nodes.iter().filter(|node| condemned.contains(&node.id)) {
            self.store().remove_layer(node.id)?;
        }
        // Merged folders go with the next step: someone above may still stand on one.
        Ok(count)
    }

    async fn sweep_folders(&self) -> Result<u64, SweepError> {
        // The store first, then who holds what, then the records: a folder that was made after
        // the first is not looked at, one that is on its way to the records is held, and one that
        // is no longer held by then is on record.
        let there: Vec<LayerId> = self.store().layer_ids()?.collect();
        let free = self.grounds().released(there);
        let named: HashSet<LayerId> = self
            .records()
            .layer_nodes()
            .await?
            .iter()
            .flat_map(|node| [Some(node.id), node.merged])
            .flatten()
            .collect();
        // No chain that the records give names one of these, and no remembered one does.
        let orphans = self
            .grounds()
            .released(free.into_iter().filter(|folder| !named.contains(folder)));
        let count = orphans.len() as u64;
        for folder in orphans {
            self.store().remove_layer(folder)?;
        }
        Ok(count)
    }

    async fn sweep_files(&self) -> Result<u64, SweepError> {
        let unused_since = before(self.config().retention.files.max(MIN_FILE_RETENTION));
        let mut removed = 0;
        loop {
            let files = self.records().unused_files(unused_since, AT_ONCE).await?;
            if files.is_empty() {
                return Ok(removed);
            }
            let alone = self.naming_files().write().await;
            let change = Change::RemoveFiles {
                files: files.clone(),
                unused_since,
            };
            removed += self.records().apply(change, false).await?;
            // Those that were used after they had been listed are still on record.
            let kept = self.records().known_files(None, &files).await?;
            for file in files.iter().filter(|file| !kept.contains(file)) {
                self.store().remove_file(*file)?;
            }
            drop(alone);
        }
    }
}

fn before(age: Duration) -> Timestamp {
    let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(Timestamp::now().as_micros().saturating_sub(micros))
}

/// Layers that no root stands on, directly or through others.
fn unmarked(nodes: &[LayerNode], roots: Vec<LayerId>) -> Vec<LayerId> {
    let parents: HashMap<LayerId, Option<LayerId>> =
        nodes.iter().map(|node| (node.id, node.parent)).collect();
    let mut marked = HashSet::new();
    for root in roots {
        let mut at = Some(root);
        while let Some(layer) = at
            && marked.insert(layer)
        {
            at = parents.get(&layer).copied().flatten();
        }
    }
    nodes
        .iter()
        .map(|node| node.id)
        .filter(|layer| !marked.contains(layer))
        .collect()
}

/// Of these layers, those on which nothing stands but others of them: a layer can only be
/// forgotten together with all that stands on it.
fn closed_upwards(nodes: &[LayerNode], mut chosen: HashSet<LayerId>) -> HashSet<LayerId> {
    loop {
        let kept: Vec<LayerId> = nodes
            .iter()
            .filter(|node| !chosen.contains(&node.id))
            .flat_map(|node| [node.parent, node.merged_base])
            .flatten()
            .filter(|below| chosen.contains(below))
            .collect();
        if kept.is_empty() {
            return chosen;
        }
        for layer in kept {
            chosen.remove(&layer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marking() {
        let ids: Vec<LayerId> = (0..6).map(|_| LayerId::new()).collect();
        let node = |at: usize, parent: Option<usize>| LayerNode {
            id: ids[at],
            parent: parent.map(|parent| ids[parent]),
            merged: None,
            merged_base: None,
        };
        // 0 ─ 1 ─ 2 ─ 3 and 1 ─ 4 ─ 5
        let nodes = [
            node(0, None),
            node(1, Some(0)),
            node(2, Some(1)),
            node(3, Some(2)),
            node(4, Some(1)),
            node(5, Some(4)),
        ];
        assert_eq!(unmarked(&nodes, vec![ids[3]]), [ids[4], ids[5]]);
        assert_eq!(unmarked(&nodes, vec![]).len(), 6);
        assert_eq!(unmarked(&nodes, vec![ids[5], ids[3]]), []);
        let set = |at: &[usize]| at.iter().map(|&at| ids[at]).collect::<HashSet<_>>();
        // 5 is in use: 4 has to stay as well.
        assert_eq!(closed_upwards(&nodes, set(&[2, 3, 4])), set(&[2, 3]));
        assert_eq!(closed_upwards(&nodes, set(&[0, 1, 2, 4])), set(&[]));
    }
}
