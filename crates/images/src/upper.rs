//! What a run writes to, and what becomes of it: a layer or nothing.
//!
//! An upper's folder in `uppers/` holds the `upper` and `work` folders that overlayfs wants. The
//! root folder of an overlay shows the attributes of its upper's root, so that one starts as a
//! copy of the root of the layer below; otherwise `/` would change its owner and mode with
//! every run. Committing renames `upper` away, so its cost does not depend on what is in it;
//! what remains, and everything that is discarded, is removed in the background.

use std::os::fd::AsFd;

use contree_api::{LayerId, OperationId};
use rustix::fs::{Mode, Stat};
use rustix::io::Errno;

use crate::attributes::Xattrs;
use crate::measure::{self, Usage};
use crate::root_dir::DIR_FLAGS;
use crate::store::{Store, StoreError};
use crate::{attributes, layout};

/// The writable layer of one run. Dropped without [`Store::commit`], it is discarded.
#[derive(Debug)]
pub struct Upper {
    store: Store,
    /// Relative to the store's root.
    name: String,
    /// The root folder as the run found it.
    before: Root,
}

/// What of an overlay's root folder makes a difference to an image. Its time does not: it
/// changes when a file is made in `/` and removed again.
#[derive(Debug, PartialEq, Eq)]
struct Root {
    mode: u32,
    owner: (u32, u32),
    xattrs: Xattrs,
}

impl Root {
    fn new(facts: &Stat, mut xattrs: Xattrs) -> Self {
        xattrs.sort();
        Self {
            mode: facts.st_mode,
            owner: (facts.st_uid, facts.st_gid),
            xattrs,
        }
    }
}

impl Upper {
    /// overlayfs's `upperdir`, relative to the store's root.
    #[must_use]
    pub fn upper_name(&self) -> String {
        format!("{}/{}", self.name, layout::UPPER)
    }

    /// overlayfs's `workdir`, relative to the store's root.
    #[must_use]
    pub fn work_name(&self) -> String {
        format!("{}/{}", self.name, layout::WORK)
    }
}

impl Drop for Upper {
    fn drop(&mut self) {
        if let Err(error) = self.store.throw_away(&self.name) {
            // The next opening of the store removes it.
            tracing::warn!(%error, name = %self.name, "an upper is left behind");
        }
    }
}

impl Store {
    /// The chain's layers as overlayfs's `lowerdir`s, relative to the store's root, the topmost
    /// first; the skeleton layer is added below them.
    #[must_use]
    pub fn lower_names(&self, chain: &[LayerId]) -> Vec<String> {
        chain
            .iter()
            .map(|&layer| layout::layer(layer))
            .chain([layout::SKELETON.to_owned()])
            .collect()
    }

    /// An empty writable layer for a run that stands on `chain`, the topmost layer first.
    ///
    /// # Errors
    /// [`StoreError::NoLayer`] when the topmost layer is missing; otherwise what the kernel says
    /// to making the folders, `AlreadyExists` when the run has an upper.
    pub fn new_upper(&self, run: OperationId, chain: &[LayerId]) -> Result<Upper, StoreError> {
        let below = chain
            .first()
            .map_or_else(|| layout::SKELETON.to_owned(), |&l| layout::layer(l));
        let below = match rustix::fs::openat(self.fd(), &below, DIR_FLAGS, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) if !chain.is_empty() => {
                return Err(StoreError::NoLayer { layer: chain[0] });
            }
            Err(error) => return Err(StoreError::step("open", below)(error)),
        };
        let name = layout::upper(run);
        rustix::fs::mkdirat(self.fd(), &name, Mode::RWXU)
            .map_err(StoreError::step("make", name.as_str()))?;
        let make = || -> Result<Root, Errno> {
            let folder = rustix::fs::openat(self.fd(), &name, DIR_FLAGS, Mode::empty())?;
            rustix::fs::mkdirat(&folder, layout::WORK, Mode::RWXU)?;
            rustix::fs::mkdirat(&folder, layout::UPPER, Mode::RWXU)?;
            let upper = rustix::fs::openat(&folder, layout::UPPER, DIR_FLAGS, Mode::empty())?;
            let facts = rustix::fs::fstat(&below)?;
            let xattrs = attributes::content_xattrs(below.as_fd())?;
            attributes::copy_to(&facts, &xattrs, upper.as_fd())?;
            attributes::set_times(&facts, &upper)?;
            Ok(Root::new(&facts, xattrs))
        };
        match make() {
            Ok(before) => Ok(Upper {
                store: self.clone(),
                name,
                before,
            }),
            Err(error) => {
                self.throw_away(&name)?;
                Err(StoreError::step("make", name)(error))
            }
        }
    }

    /// What the run wrote. The count stops as soon as its [`Usage::charge`] is above `cap`
    /// bytes. Whiteouts and folders that hold nothing new count as changes; the time of the
    /// root folder does not.
    ///
    /// # Errors
    /// What the kernel says while walking.
    pub fn measure(&self, upper: &Upper, cap: Option<u64>) -> Result<Usage, StoreError> {
        let name = upper.upper_name();
        let walk = || -> Result<Usage, Errno> {
            let root = rustix::fs::openat(self.fd(), &name, DIR_FLAGS, Mode::empty())?;
            let facts = rustix::fs::fstat(&root)?;
            let after = Root::new(&facts, attributes::content_xattrs(root.as_fd())?);
            let mut usage = measure::measure(root, cap)?;
            usage.changed |= after != upper.before;
            Ok(usage)
        };
        walk().map_err(StoreError::step("measure", name.as_str()))
    }

    /// Makes what the run wrote a layer. Nothing of the run may be alive and its overlay must be
    /// unmounted. Durable only after the next [`Store::sync`].
    ///
    /// # Errors
    /// When the id is taken, or the kernel refuses the rename.
    pub fn commit(&self, upper: Upper, layer: LayerId) -> Result<(), StoreError> {
        self.publish(&upper.upper_name(), layer)
    }

    /// Throws away what the run wrote. As dropping the upper does.
    pub fn discard(&self, upper: Upper) {
        drop(upper);
    }
}
