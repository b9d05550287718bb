//! What a run stands on: the folders under its image, held so that nothing removes them.
//!
//! One lock guards what is remembered of chains and how often each folder is in use. The rules
//! that keep a folder in place while anyone stands on it:
//!
//! - A chain is read from the records (or from memory) and its folders are counted as used under
//!   the lock. A chain that was read from the records while `generation` moved on is read again,
//!   because what it names may have been removed in between.
//! - A chain is remembered only while its folders are in use by whoever remembers it.
//! - Who removes folders first makes the records forget them, then takes the lock, moves
//!   `generation` on, forgets the remembered chains, and removes those that nobody uses.
//! - A layer about to be forgotten by the records is `doomed` under the lock before; while it is,
//!   nobody gets to stand on it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contree_api::LayerId;
use contree_records::{Records, Segment};

/// Chains remembered at most; all are forgotten when there are more.
const REMEMBERED: usize = 4_096;

/// Why there is no ground.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroundError {
    /// The image's layers are no longer on record.
    #[error("the image is being removed")]
    Vanished,
    /// The chain could not be merged to a length that can be mounted; the log says why.
    #[error("the image stands on too many layers")]
    TooLong,
    /// The records failed.
    #[error("could not read the image's layers")]
    Records(#[source] contree_records::Error),
}

/// Hands out ground. Clones share one state.
#[derive(Debug, Clone)]
pub(crate) struct Grounds {
    records: Records,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    generation: u64,
    chains: HashMap<LayerId, Arc<[Segment]>>,
    used: HashMap<LayerId, u32>,
    doomed: HashSet<LayerId>,
}

/// A chain whose folders stay where they are until this is dropped.
#[derive(Debug)]
pub(crate) struct Ground {
    chain: Arc<[Segment]>,
    _held: Held,
}

/// Folders that stay where they are until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    shared: Arc<Mutex<Shared>>,
    folders: Vec<LayerId>,
}

impl Ground {
    /// The chain, topmost first.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.chain
    }

    /// Its folders, topmost first.
    pub(crate) fn folders(&self) -> Vec<LayerId> {
        self.chain.iter().map(|segment| segment.folder).collect()
    }

    /// Weights for [`super::due::due`]: all but the bottom.
    pub(crate) fn weights(&self) -> Vec<u64> {
        let above = self.chain.len().saturating_sub(1);
        self.chain[..above]
            .iter()
            .map(|segment| segment.entries)
            .collect()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        for folder in &self.folders {
            if let Some(count) = shared.used.get_mut(folder) {
                *count -= 1;
                if *count == 0 {
                    shared.used.remove(folder);
                }
            }
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Nothing panics while holding it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Grounds {
    pub(crate) fn new(records: Records) -> Self {
        Self {
            records,
            shared: Arc::default(),
        }
    }

    /// The chain under a layer, held.
    pub(crate) async fn stand_on(&self, layer: LayerId) -> Result<Ground, GroundError> {
        if let Some(ground) = self.remembered(layer)? {
            return Ok(ground);
        }
        loop {
            let generation = lock(&self.shared).generation;
            let chain: Arc<[Segment]> = self
                .records
                .chain(layer)
                .await
                .map_err(GroundError::Records)?
                .into();
            let mut shared = lock(&self.shared);
            if shared.generation != generation {
                continue;
            }
            if chain.is_empty() || chain.iter().any(|s| shared.doomed.contains(&s.folder)) {
                return Err(GroundError::Vanished);
            }
            shared.remember(layer, &chain);
            return Ok(self.hold_chain(&mut shared, chain));
        }
    }

    fn remembered(&self, layer: LayerId) -> Result<Option<Ground>, GroundError> {
        let mut shared = lock(&self.shared);
        let Some(chain) = shared.chains.get(&layer).cloned() else {
            return Ok(None);
        };
        if chain
            .iter()
            .any(|segment| shared.doomed.contains(&segment.folder))
        {
            return Err(GroundError::Vanished);
        }
        Ok(Some(self.hold_chain(&mut shared, chain)))
    }

    fn hold_chain(&self, shared: &mut Shared, chain: Arc<[Segment]>) -> Ground {
        let folders: Vec<LayerId> = chain.iter().map(|segment| segment.folder).collect();
        for folder in &folders {
            *shared.used.entry(*folder).or_default() += 1;
        }
        Ground {
            chain,
            _held: Held {
                shared: Arc::clone(&self.shared),
                folders,
            },
        }
    }

    /// Holds a folder that is not on record yet, so that a sweep leaves it alone.
    pub(crate) fn hold(&self, folder: LayerId) -> Held {
        *lock(&self.shared).used.entry(folder).or_default() += 1;
        Held {
            shared: Arc::clone(&self.shared),
            folders: vec![folder],
        }
    }

    /// Remembers the chain of a new layer on this ground; called while both are held.
    pub(crate) fn remember_child(&self, ground: &Ground, layer: LayerId, entries: u64) {
        let top = Segment {
            top: layer,
            folder: layer,
            next: ground.chain.first().map(|below| below.top),
            entries,
        };
        let chain = std::iter::once(top)
            .chain(ground.chain.iter().copied())
            .collect();
        lock(&self.shared).remember(layer, &chain);
    }

    /// To be called when the records no longer name these folders: answers with those that
    /// nobody stands on. They can be removed; the others go with a later sweep.
    pub(crate) fn released(&self, folders: impl IntoIterator<Item = LayerId>) -> Vec<LayerId> {
        let mut shared = lock(&self.shared);
        shared.forget();
        folders
            .into_iter()
            .filter(|folder| !shared.used.contains_key(folder))
            .collect()
    }

    /// Of these layers, those that nobody stands on; until [`Grounds::spare`] nobody will.
    pub(crate) fn doom(&self, layers: impl IntoIterator<Item = LayerId>) -> Vec<LayerId> {
        let mut shared = lock(&self.shared);
        let free: Vec<LayerId> = layers
            .into_iter()
            .filter(|layer| !shared.used.contains_key(layer))
            .collect();
        shared.doomed.extend(&free);
        shared.forget();
        free
    }

    /// Ends what [`Grounds::doom`] began.
    pub(crate) fn spare(&self) {
        let mut shared = lock(&self.shared);
        shared.doomed = HashSet::new();
        shared.forget();
    }
}

impl Shared {
    fn remember(&mut self, layer: LayerId, chain: &Arc<[Segment]>) {
        if self.chains.len() >= REMEMBERED {
            self.chains.clear();
        }
        self.chains.insert(layer, Arc::clone(chain));
    }

    fn forget(&mut self) {
        self.generation += 1;
        self.chains.clear();
    }
}
