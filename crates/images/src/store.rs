//! The store itself: opening it, and what concerns it as a whole.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contree_api::{LayerId, OperationId};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use uuid::Uuid;

use crate::measure::DiskUse;
use crate::root_dir::DIR_FLAGS;
use crate::sync::SharedSync;
use crate::trash::Trash;
use crate::{cursor, layout};

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder could not be made ready.
    #[error("cannot open the layer store at {path}")]
    Open {
        /// The store's root.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// Another server has the store open.
    #[error("the layer store at {path} is in use by another server")]
    InUse {
        /// The store's root.
        path: PathBuf,
    },
    /// The store was written by a version that this one does not know.
    #[error("the layer store at {path} has the unknown format {format:?}")]
    Format {
        /// The store's root.
        path: PathBuf,
        /// What its `format` file says.
        format: String,
    },
    /// A layer that should exist does not.
    #[error("layer {layer} is not in the store")]
    NoLayer {
        /// The missing layer.
        layer: LayerId,
    },
    /// A step on something in the store failed.
    #[error("cannot {step} {name}")]
    Step {
        /// What was tried, such as `rename`.
        step: &'static str,
        /// What it was tried on, relative to the store's root.
        name: String,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    pub(crate) fn step<E: Into<io::Error>>(
        step: &'static str,
        name: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let name = name.into();
        move |error| Self::Step {
            step,
            name,
            source: error.into(),
        }
    }

    /// Whether the disk (or its quota or its inodes) is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let (Self::Open { source, .. } | Self::Step { source, .. }) = self else {
            return false;
        };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// What an earlier server left unfinished, as found and put into the trash when the store was
/// opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Runs that were in progress.
    pub uppers: Vec<OperationId>,
    /// Imports, merges and uploads that were in progress.
    pub staged: usize,
    /// Things that were already in the trash.
    pub trash: usize,
}

/// The layer store; see the [crate]. Clones share one store.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    root: OwnedFd,
    leftovers: Leftovers,
    trash: Trash,
    sync: SharedSync,
    /// Holds the lock for as long as the store is open.
    _lock: OwnedFd,
}

impl Store {
    /// Opens the store at `root`, made if missing, with its skeleton layer, and takes its lock.
    /// What an earlier server left unfinished goes to the trash, which a thread of its own
    /// empties from now on.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another server has it open, [`StoreError::Format`] when a
    /// version that this one does not know wrote it, [`StoreError::Open`] for everything else.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let failed = |source: io::Error| StoreError::Open {
            path: root.to_owned(),
            source,
        };
        let private = Mode::RWXU;
        match std::os::unix::fs::DirBuilderExt::mode(
            std::fs::DirBuilder::new().recursive(true),
            0o700,
        )
        .create(root)
        {
            Ok(()) => {}
            Err(error) => return Err(failed(error)),
        }
        let path = root.canonicalize().map_err(failed)?;
        let fd = rustix::fs::openat(CWD, &path, DIR_FLAGS, Mode::empty())
            .map_err(|error| failed(error.into()))?;
        let errno = |error: Errno| failed(error.into());
        rustix::fs::fchmod(&fd, private).map_err(errno)?;

        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::openat(&fd, layout::LOCK_FILE, flags, Mode::RUSR | Mode::WUSR)
            .map_err(errno)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(StoreError::InUse { path }),
            Err(error) => return Err(errno(error)),
        }

        check_format(&fd, &path)?;
        for folder in [
            layout::LAYERS,
            layout::UPPERS,
            layout::FILES,
            layout::STAGING,
            layout::TRASH,
        ] {
            make_dir(fd.as_fd(), folder, private).map_err(errno)?;
        }
        make_skeleton(fd.as_fd()).map_err(errno)?;
        let leftovers = sweep(fd.as_fd()).map_err(errno)?;
        let trash = Trash::start(&fd).map_err(failed)?;
        let sync = fd
            .try_clone()
            .and_then(SharedSync::of_filesystem)
            .map_err(failed)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                root: fd,
                leftovers,
                trash,
                sync,
                _lock: lock,
            }),
        })
    }

    /// The store's root on the host, absolute and without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.inner.path
    }

    /// What an earlier server left unfinished.
    #[must_use]
    pub fn leftovers(&self) -> &Leftovers {
        &self.inner.leftovers
    }

    /// Bytes that can still be written to the store's disk.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let facts = rustix::fs::fstatvfs(&self.inner.root)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    /// How much of the store's disk is in use, by whomever. Takes a microsecond.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn disk_use(&self) -> io::Result<DiskUse> {
        let facts = rustix::fs::fstatvfs(&self.inner.root)?;
        let blocks = facts.f_blocks.saturating_sub(facts.f_bfree);
        Ok(DiskUse {
            bytes: blocks.saturating_mul(facts.f_frsize),
            entries: facts.f_files.saturating_sub(facts.f_ffree),
        })
    }

    /// Makes everything that was written to the store before this call survive a power failure.
    /// Concurrent callers share one `syncfs`: each is served by the first that starts after its
    /// call, so none waits for more than two.
    ///
    /// # Errors
    /// When the disk did not take everything: what was written since the last sync may be lost.
    pub async fn sync(&self) -> io::Result<()> {
        self.inner.sync.sync().await
    }

    /// Whether the layer is in the store.
    #[must_use]
    pub fn has_layer(&self, layer: LayerId) -> bool {
        rustix::fs::statat(
            &self.inner.root,
            layout::layer(layer),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .is_ok()
    }

    /// Every layer in the store but the skeleton, in no order.
    ///
    /// # Errors
    /// What the kernel says while reading `layers/`.
    pub fn layer_ids(&self) -> Result<impl Iterator<Item = LayerId> + use<>, StoreError> {
        let failed = || StoreError::step("read", layout::LAYERS);
        let mut found = Vec::new();
        let fd = rustix::fs::openat(&self.inner.root, layout::LAYERS, DIR_FLAGS, Mode::empty())
            .map_err(failed())?;
        cursor::read_dir(&fd, |name, _| {
            found.extend(layout::id_of(name.to_bytes()));
            Ok(())
        })
        .map_err(failed())?;
        Ok(found.into_iter().map(LayerId::from_uuid))
    }

    /// Takes the layer out of the store; its content is removed in the background. No run,
    /// merge or view may use it any more. A layer that is not there is fine.
    ///
    /// # Errors
    /// What the kernel says to the rename into the trash.
    pub fn remove_layer(&self, layer: LayerId) -> Result<(), StoreError> {
        self.throw_away(&layout::layer(layer))
    }

    /// Moves `name` (relative to the root) into the trash. Nothing there is fine.
    pub(crate) fn throw_away(&self, name: &str) -> Result<(), StoreError> {
        let place = format!("{}/{}", layout::TRASH, layout::hex(Uuid::now_v7()));
        match rustix::fs::renameat(&self.inner.root, name, &self.inner.root, &place) {
            Ok(()) => {
                self.inner.trash.empty();
                Ok(())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(StoreError::step("throw away", name)(error)),
        }
    }

    /// Gives a finished tree its place among the layers.
    pub(crate) fn publish(&self, name: &str, layer: LayerId) -> Result<(), StoreError> {
        let place = layout::layer(layer);
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(self.fd(), name, self.fd(), &place, flags)
            .map_err(StoreError::step("commit", place))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.inner.root.as_fd()
    }
}

fn check_format(root: &OwnedFd, path: &Path) -> Result<(), StoreError> {
    let failed = |source: io::Error| StoreError::Open {
        path: path.to_owned(),
        source,
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::openat(root, layout::FORMAT_FILE, flags, Mode::empty()) {
        Ok(file) => {
            let mut text = [0; 64];
            let length = rustix::io::read(&file, &mut text).map_err(|e| failed(e.into()))?;
            let format = String::from_utf8_lossy(&text[..length]);
            if format == layout::FORMAT {
                return Ok(());
            }
            Err(StoreError::Format {
                path: path.to_owned(),
                format: format.trim().to_owned(),
            })
        }
        Err(Errno::NOENT) => {
            let temporary = format!("{}.new", layout::FORMAT_FILE);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
            let write = || -> Result<(), Errno> {
                let file = rustix::fs::openat(root, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
                rustix::io::write(&file, layout::FORMAT.as_bytes())?;
                rustix::fs::fsync(&file)?;
                rustix::fs::renameat(root, &temporary, root, layout::FORMAT_FILE)
            };
            write().map_err(|error| failed(error.into()))
        }
        Err(error) => Err(failed(error.into())),
    }
}

/// A folder with exactly this mode; one that exists keeps its own.
pub(crate) fn make_dir(dir: BorrowedFd<'_>, name: &str, mode: Mode) -> Result<(), Errno> {
    match rustix::fs::mkdirat(dir, name, mode) {
        // The umask has masked the mode.
        Ok(()) => rustix::fs::chmodat(dir, name, mode, AtFlags::empty()),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The places that a sandbox mounts something over (and `/tmp`, which everything expects), so
/// that they exist whatever the image brings and without being written to it.
fn make_skeleton(root: BorrowedFd<'_>) -> Result<(), Errno> {
    make_dir(root, layout::SKELETON, Mode::from_raw_mode(0o755))?;
    let skeleton = rustix::fs::openat(root, layout::SKELETON, DIR_FLAGS, Mode::empty())?;
    for (name, mode) in [
        ("proc", 0o555),
        ("sys", 0o555),
        ("dev", 0o755),
        ("tmp", 0o1777),
        ("etc", 0o755),
    ] {
        make_dir(skeleton.as_fd(), name, Mode::from_raw_mode(mode))?;
    }
    for name in ["etc/resolv.conf", "etc/hosts"] {
        let mode = Mode::from_raw_mode(0o644);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&skeleton, name, flags, mode)?;
        rustix::fs::fchmod(&file, mode)?;
    }
    Ok(())
}

/// Moves what an earlier server left unfinished into the trash.
fn sweep(root: BorrowedFd<'_>) -> Result<Leftovers, Errno> {
    let mut leftovers = Leftovers::default();
    for folder in [layout::UPPERS, layout::STAGING, layout::TRASH] {
        let mut names = Vec::new();
        let fd = rustix::fs::openat(root, folder, DIR_FLAGS, Mode::empty())?;
        cursor::read_dir(&fd, |name, _| {
            names.push(name.to_owned());
            Ok(())
        })?;
        if folder == layout::TRASH {
            // Read last: what came in just now is counted where it came from.
            leftovers.trash = names.len() - leftovers.uppers.len() - leftovers.staged;
            break;
        }
        for name in names {
            if folder == layout::STAGING {
                leftovers.staged += 1;
            } else if let Some(id) = layout::id_of(name.to_bytes()) {
                leftovers.uppers.push(OperationId::from_uuid(id));
            } else {
                leftovers.staged += 1;
            }
            let place = format!("{}/{}", layout::TRASH, layout::hex(Uuid::now_v7()));
            rustix::fs::renameat(&fd, &name, root, &place)?;
        }
    }
    Ok(leftovers)
}
