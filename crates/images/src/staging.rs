//! Making a layer bit by bit, out of sight until it is complete.

use std::io;
use std::os::fd::OwnedFd;

use contree_api::LayerId;
use rustix::fs::Mode;
use uuid::Uuid;

use crate::layout;
use crate::root_dir::{DIR_FLAGS, Dir, RootDir};
use crate::store::{Store, StoreError, make_dir};

/// A layer in the making: a tree to fill and a folder for whatever that needs. Dropped without
/// [`commit`](Self::commit), both are gone.
#[derive(Debug)]
pub struct Staged {
    store: Store,
    /// The staging folder, relative to the store's root.
    name: String,
    tree: RootDir,
    scratch: OwnedFd,
}

impl Store {
    /// A new tree to fill: an empty root folder, mode 0755, owner 0:0.
    ///
    /// # Errors
    /// What the kernel says to making the folders.
    pub fn stage(&self) -> Result<Staged, StoreError> {
        let name = format!("{}/{}", layout::STAGING, layout::hex(Uuid::now_v7()));
        let make = || -> Result<_, rustix::io::Errno> {
            rustix::fs::mkdirat(self.fd(), &name, Mode::RWXU)?;
            let staged = rustix::fs::openat(self.fd(), &name, DIR_FLAGS, Mode::empty())?;
            make_dir(
                std::os::fd::AsFd::as_fd(&staged),
                layout::TREE,
                Mode::from_raw_mode(0o755),
            )?;
            rustix::fs::mkdirat(&staged, layout::SCRATCH, Mode::RWXU)?;
            let tree = rustix::fs::openat(&staged, layout::TREE, DIR_FLAGS, Mode::empty())?;
            let scratch = rustix::fs::openat(&staged, layout::SCRATCH, DIR_FLAGS, Mode::empty())?;
            Ok((RootDir::from_fd(tree), scratch))
        };
        match make() {
            Ok((tree, scratch)) => Ok(Staged {
                store: self.clone(),
                name,
                tree,
                scratch,
            }),
            Err(error) => {
                self.throw_away(&name)?;
                Err(StoreError::step("make", name)(error))
            }
        }
    }
}

impl Staged {
    /// The tree that becomes a layer.
    #[must_use]
    pub const fn tree(&self) -> &RootDir {
        &self.tree
    }

    /// A folder for temporary files on the same disk, such as downloaded blobs; gone with this.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn scratch(&self) -> io::Result<Dir> {
        Ok(Dir::from_fd(self.scratch.try_clone()?))
    }

    /// Makes the tree a layer. Durable only after the next [`Store::sync`].
    ///
    /// # Errors
    /// When the id is taken, or the kernel refuses the rename.
    pub fn commit(self, layer: LayerId) -> Result<(), StoreError> {
        self.store
            .publish(&format!("{}/{}", self.name, layout::TREE), layer)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Err(error) = self.store.throw_away(&self.name) {
            // The next opening of the store removes it.
            tracing::warn!(%error, name = %self.name, "a staging folder is left behind");
        }
    }
}
