//! Making the files of an image: the entries of its layers, lowest layer first, become one tree.
//!
//! Every entry is made here, by its single name in a folder that the kernel resolved with the
//! tree as root ([`RootDir`]); no path of an archive is ever joined to one of the host, and no
//! library unpacks anything. What an archive may try, and what it gets:
//!
//! | entry | becomes |
//! | --- | --- |
//! | absolute, or with `..` | an error |
//! | below a symbolic link | made where the link leads *inside the image* (usr-merged systems need that: `bin/x` below `bin -> usr/bin`) |
//! | at a name that exists | the old one is removed first, never written through; a folder on a folder keeps its content |
//! | hard link | to what is in the image, or an error; a symbolic link is linked itself |
//! | device | nothing: a sandbox has its own `/dev`, and may not open others |
//! | `.wh.NAME`, `.wh..wh..opq` | the removal of what lower layers put there |
//!
//! A whiteout hides what *lower* layers have, wherever it stands among the entries of its own
//! layer; so names made by the current layer are remembered (as keyed hashes) and spared. The
//! lowest layer needs none of that, and most images are mostly lowest layer.
//!
//! Order matters for each entry: owner (which clears setuid), mode, content (which clears
//! capabilities), extended attributes, times. Times of folders are the business of [`Folders`].
//!
//! # Speed
//! The benchmark `import` of this crate puts imports beside `tar -x`. A minimal Debian (9,528
//! entries, 180 MB as tar), release build, two cores that other work shared, medians of
//! elapsed time and of CPU time, as ratios to GNU tar on the same file:
//!
//! | what | where | elapsed | CPU |
//! | --- | --- | --- | --- |
//! | image in a registry on loopback, gzip | ext4 | 0.80 | 0.96 |
//! | image in a registry on loopback, gzip | tmpfs | 0.40 | 0.62 |
//! | root filesystem, gzip | tmpfs | 0.49 | 0.48 |
//! | root filesystem, plain | ext4 | 1.01 to 1.30 | |
//! | root filesystem, plain | tmpfs | 1.38 | 1.52 |
//!
//! On a disk nearly all time goes into the kernel making files; for each that is `openat`,
//! `fchmod`, `write`, `utimensat` and `close`, as with `tar`, and one resolution of a folder's
//! path per visit of that folder. Where files cost next to nothing, what remains above `tar` is
//! the digest of the plain archive (120 ms of the 350 ms there). Compressed, that is more than
//! made up for by a faster gzip and by decompressing on another thread.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use rustix::fs::{FileType, Gid, Mode, Stat, Uid};
use rustix::io::Errno;

use super::attributes::{Xattrs, stored_id};
use super::disk::{DiskError, DiskWatch};
use super::folders::{Folder, Folders, times};
use super::limits::{Limits, MAX_PATH};
use super::path::{BadPath, EntryPath, shown};
use super::progress::Size;
use super::sparse::Sparse;
use super::stream::{ByteSource, StreamError};
use super::tarball::{Entries, Entry, Kind, TarError};
use crate::{Dir, RootDir};

/// Beginning of the names that hide names of lower layers.
const WHITEOUT: &[u8] = b".wh.";
/// Hides everything that lower layers have in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Beginning of the names of aufs' own files, of which only [`OPAQUE`] means something.
const AUFS: &[u8] = b".wh..wh.";
/// Bytes of disk that an entry is taken to need beside its content.
const ENTRY_COST: u64 = 4 << 10;
/// Skipped devices that are remembered, for hard links to them.
const MAX_SKIPPED: usize = 10_000;
/// Permissions of folders that an archive forgot to mention.
const IMPLIED_MODE: u32 = 0o755;

/// Why the files of a layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive is broken.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A name that no honest archive has.
    #[error("the archive is not acceptable: the entry {path:?} is refused, {source}")]
    Path {
        /// As written.
        path: String,
        /// What about it.
        source: BadPath,
    },
    /// A link target longer than the kernel takes.
    #[error("the link {path:?} has a target that is empty or longer than {MAX_PATH} bytes")]
    LinkTarget {
        /// Of the link.
        path: String,
    },
    /// A hard link to a name that is refused.
    #[error("the archive is not acceptable: the hard link {path:?} is refused, {source}")]
    HardLinkPath {
        /// Of the link.
        path: String,
        /// What about its target.
        source: BadPath,
    },
    /// A hard link to something that is not in the image.
    #[error("the hard link {path:?} points to {target:?}, which is not a file of the image")]
    HardLinkTarget {
        /// Of the link.
        path: String,
        /// As written.
        target: String,
    },
    /// A whiteout of nothing that can be named.
    #[error("the archive is not acceptable: the whiteout {path:?} does not name an entry")]
    Whiteout {
        /// As written.
        path: String,
    },
    /// The root of the image is something else than a folder.
    #[error("the archive is not acceptable: its root is not a folder")]
    RootKind,
    /// Something in the way of an entry's folder.
    #[error(
        "{path:?} cannot be made: what should be its folder is a file, or a link to nowhere or to itself"
    )]
    NoFolder {
        /// Of the entry.
        path: String,
    },
    /// Deeper than allowed, by way of links.
    #[error("the archive is not acceptable: {path:?} lies deeper than {limit} folders")]
    TooDeep {
        /// Of the entry.
        path: String,
        /// Most folders.
        limit: usize,
    },
    /// More entries than allowed.
    #[error("the image has more than {limit} entries")]
    TooManyEntries {
        /// Most entries.
        limit: u64,
    },
    /// A sparse file larger than everything may be.
    #[error("{path:?} is {} large, more than the {} that an image may unpack to", Size(*size), Size(*limit))]
    TooLarge {
        /// Of the file.
        path: String,
        /// With its holes.
        size: u64,
        /// Most bytes.
        limit: u64,
    },
    /// The disk is nearly full.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The kernel refused.
    #[error("{path:?} could not be made")]
    Make {
        /// Of the entry.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused, with no entry to blame.
    #[error("the image's tree could not be worked on")]
    Tree {
        /// Why.
        source: io::Error,
    },
}

impl From<StreamError> for UnpackError {
    fn from(error: StreamError) -> Self {
        Self::Tar(error.into())
    }
}

impl UnpackError {
    /// Whether the bytes or what they say are wrong, in which case they may not be the bytes that
    /// were meant.
    pub(super) const fn is_of_content(&self) -> bool {
        use StreamError::{Compression, Digest, Truncated, Unsupported};
        self.is_malformed()
            || matches!(
                self,
                Self::Tar(TarError::Stream(
                    Truncated | Compression { .. } | Unsupported { .. } | Digest { .. }
                ))
            )
    }

    /// Whether what the bytes say is wrong, so that reading on may show that the bytes are.
    pub(super) const fn is_malformed(&self) -> bool {
        match self {
            Self::Tar(error) => error.is_malformed(),
            Self::TooManyEntries { .. }
            | Self::TooLarge { .. }
            | Self::Disk(_)
            | Self::Make { .. }
            | Self::Tree { .. } => false,
            _ => true,
        }
    }
}

/// What the entries of an archive are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A layer of an image: `.wh.` names are whiteouts.
    Layer,
    /// A root filesystem as it is.
    Rootfs,
}

/// Fills one tree.
pub(super) struct Unpacker<'t> {
    tree: &'t RootDir,
    limits: &'t Limits,
    folders: Folders<'t>,
    xattrs: Xattrs,
    /// Entries so far, folders that had to be implied included.
    entries: u64,
    disk: DiskWatch,
    /// Whether there is a layer below.
    upper: bool,
    /// Names that the current layer made, by folder; empty for the lowest.
    mine: HashSet<u64>,
    /// With a key that archives cannot know.
    hasher: RandomState,
    skipped: HashSet<EntryPath>,
}

impl<'t> Unpacker<'t> {
    /// For the root folder `tree`, which is empty.
    pub(super) fn new(tree: &'t RootDir, limits: &'t Limits) -> Result<Self, UnpackError> {
        let folders = Folders::new(tree).map_err(|source| UnpackError::Tree { source })?;
        Ok(Self {
            tree,
            limits,
            folders,
            xattrs: Xattrs::default(),
            entries: 0,
            disk: DiskWatch::new(limits.reserved_bytes),
            upper: false,
            mine: HashSet::new(),
            hasher: RandomState::new(),
            skipped: HashSet::new(),
        })
    }

    /// Adds the next layer.
    pub(super) fn layer<S: ByteSource>(
        &mut self,
        source: &mut S,
        role: Role,
    ) -> Result<(), UnpackError> {
        let mut entries = Entries::new(source);
        let mut headers = 0;
        while let Some(entry) = entries.next()? {
            let before = headers;
            headers = entries.headers();
            self.count(headers - before)?;
            self.entry(&entry, &mut entries, role)?;
        }
        self.folders
            .finish()
            .map_err(|source| UnpackError::Tree { source })?;
        self.upper = true;
        self.mine.clear();
        self.skipped.clear();
        Ok(())
    }

    fn count(&mut self, entries: u64) -> Result<(), UnpackError> {
        self.entries += entries;
        if self.entries > self.limits.entries {
            return Err(UnpackError::TooManyEntries {
                limit: self.limits.entries,
            });
        }
        self.used(entries * ENTRY_COST)
    }

    fn used(&mut self, bytes: u64) -> Result<(), UnpackError> {
        Ok(self.disk.use_up(self.tree, bytes)?)
    }

    fn entry<S: ByteSource>(
        &mut self,
        entry: &Entry,
        data: &mut Entries<'_, S>,
        role: Role,
    ) -> Result<(), UnpackError> {
        let path = EntryPath::parse(&entry.path, self.limits.depth).map_err(|source| {
            UnpackError::Path {
                path: shown(&entry.path),
                source,
            }
        })?;
        let Some((parent, name)) = path.split() else {
            return self.root(entry);
        };
        if role == Role::Layer && path.components().any(|part| part.starts_with(WHITEOUT)) {
            return self.whiteout(&path, parent, name);
        }
        if entry.kind == Kind::Device {
            tracing::debug!(path = %shown(&entry.path), "a device of the image is left out");
            if self.skipped.len() < MAX_SKIPPED {
                self.skipped.insert(path);
            }
            return Ok(());
        }
        let folder = self.folder(parent, &entry.path)?;
        folder.change();
        if self.upper {
            let key = self.key(folder.inode, name);
            self.mine.insert(key);
        }
        match &entry.kind {
            Kind::File { sparse, .. } => self.file(entry, &folder, name, sparse.as_ref(), data),
            Kind::Folder => self.make_folder(entry, &folder, name),
            Kind::Symlink(target) => self.symlink(entry, &folder, name, target),
            Kind::HardLink(target) => self.hard_link(entry, &path, &folder, name, target),
            Kind::Fifo => self.fifo(entry, &folder, name),
            Kind::Device => Ok(()),
        }
    }

    /// The folder of an entry, made when the archive did not mention it.
    fn folder(&mut self, path: &[u8], of: &[u8]) -> Result<Rc<Folder>, UnpackError> {
        match self.folders.open(path, self.limits.depth) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.imply(path, of)?;
                self.folders.open(path, self.limits.depth)
            }
            found => found,
        }
        .map_err(|error| self.no_folder(of, error))
    }

    fn no_folder(&self, of: &[u8], error: io::Error) -> UnpackError {
        let path = shown(of);
        match Errno::from_io_error(&error) {
            Some(Errno::NAMETOOLONG) => UnpackError::TooDeep {
                path,
                limit: self.limits.depth,
            },
            Some(Errno::NOTDIR | Errno::NOENT | Errno::LOOP) => UnpackError::NoFolder { path },
            _ => UnpackError::Make {
                path,
                source: error,
            },
        }
    }

    fn imply(&mut self, path: &[u8], of: &[u8]) -> Result<(), UnpackError> {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        let mut above: &[u8] = b"";
        for end in ends.chain([path.len()]) {
            let here = &path[..end];
            match self.tree.open_dir(here) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.count(1)?;
                    let folder = self
                        .folders
                        .open(above, self.limits.depth)
                        .map_err(|error| self.no_folder(of, error))?;
                    let name =
                        &here[here.len().min(above.len() + usize::from(!above.is_empty()))..];
                    folder.change();
                    if self.upper {
                        let key = self.key(folder.inode, name);
                        self.mine.insert(key);
                    }
                    folder.dir.create_dir(name, IMPLIED_MODE).map_err(|error| {
                        // What exists and yet could not be opened is a link to nowhere.
                        if error.kind() == io::ErrorKind::AlreadyExists {
                            UnpackError::NoFolder { path: shown(of) }
                        } else {
                            UnpackError::Make {
                                path: shown(of),
                                source: error,
                            }
                        }
                    })?;
                }
                Err(error) => return Err(self.no_folder(of, error)),
            }
            above = here;
        }
        Ok(())
    }

    fn root(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        if entry.kind != Kind::Folder {
            return Err(UnpackError::RootKind);
        }
        let top = self
            .tree
            .top()
            .map_err(|source| UnpackError::Tree { source })?;
        self.describe_folder(entry, &top, true)
    }

    fn make_folder(
        &mut self,
        entry: &Entry,
        folder: &Folder,
        name: &[u8],
    ) -> Result<(), UnpackError> {
        let made = self.in_place(entry, folder, name, |dir| {
            match dir.create_dir(name, 0o700) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    match dir.open_dir(name) {
                        Ok(there) => Ok((there, true)),
                        Err(_) => Err(error),
                    }
                }
                made => made.map(|made| (made, false)),
            }
        });
        let (made, was_there) = made?;
        self.describe_folder(entry, &made, was_there)
    }

    fn describe_folder(
        &mut self,
        entry: &Entry,
        dir: &Dir,
        was_there: bool,
    ) -> Result<(), UnpackError> {
        let times = times(entry.mtime);
        let described = (|| {
            rustix::fs::fchown(dir, Some(uid(entry)), Some(gid(entry)))?;
            rustix::fs::fchmod(dir, Mode::from_raw_mode(entry.mode))?;
            if was_there {
                self.xattrs.replace(dir, &entry.xattrs)?;
            } else {
                self.xattrs.set(dir, &entry.xattrs)?;
            }
            rustix::fs::futimens(dir, &times)?;
            if was_there {
                self.folders
                    .time_was_set(rustix::fs::fstat(dir)?.st_ino, &times);
            }
            Ok(())
        })();
        described.map_err(|source| UnpackError::Make {
            path: shown(&entry.path),
            source,
        })
    }

    fn file<S: ByteSource>(
        &mut self,
        entry: &Entry,
        folder: &Folder,
        name: &[u8],
        sparse: Option<&Sparse>,
        data: &mut Entries<'_, S>,
    ) -> Result<(), UnpackError> {
        let failed = |source| UnpackError::Make {
            path: shown(&entry.path),
            source,
        };
        let foreign = is_foreign(entry, folder);
        // Privileged bits come last, after the content.
        let privileged = entry.mode & 0o6000 != 0;
        let first_mode = if foreign || privileged {
            0o600
        } else {
            entry.mode
        };
        let mut file =
            self.in_place(entry, folder, name, |dir| dir.create_file(name, first_mode))?;
        if let Some(sparse) = sparse {
            let limit = self.limits.unpacked_bytes;
            if sparse.real_size > limit {
                let (path, size) = (shown(&entry.path), sparse.real_size);
                return Err(UnpackError::TooLarge { path, size, limit });
            }
            for (mut offset, mut left) in sparse.pieces.iter().copied() {
                while left > 0 {
                    let piece = data.data()?;
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                    file.write_all_at(&piece[..count], offset).map_err(failed)?;
                    data.take(count);
                    self.used(count as u64)?;
                    offset += count as u64;
                    left -= count as u64;
                }
            }
            file.set_len(sparse.real_size).map_err(failed)?;
        } else {
            loop {
                let piece = data.data()?;
                if piece.is_empty() {
                    break;
                }
                let count = piece.len();
                file.write_all(piece).map_err(failed)?;
                data.take(count);
                self.used(count as u64)?;
            }
        }
        (|| {
            if foreign {
                rustix::fs::fchown(&file, Some(uid(entry)), Some(gid(entry)))?;
            }
            if foreign || privileged {
                rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))?;
            }
            self.xattrs.set(&file, &entry.xattrs)?;
            rustix::fs::futimens(&file, &times(entry.mtime))?;
            Ok(())
        })()
        .map_err(failed)
    }

    fn symlink(
        &mut self,
        entry: &Entry,
        folder: &Folder,
        name: &[u8],
        target: &[u8],
    ) -> Result<(), UnpackError> {
        if target.is_empty() || target.len() > MAX_PATH || target.contains(&0) {
            return Err(UnpackError::LinkTarget {
                path: shown(&entry.path),
            });
        }
        self.in_place(entry, folder, name, |dir| dir.create_symlink(name, target))?;
        (|| {
            if is_foreign(entry, folder) {
                folder
                    .dir
                    .set_owner(name, stored_id(entry.uid), stored_id(entry.gid))?;
            }
            folder.dir.set_times(name, &times(entry.mtime))
        })()
        .map_err(|source| UnpackError::Make {
            path: shown(&entry.path),
            source,
        })
    }

    fn fifo(&mut self, entry: &Entry, folder: &Folder, name: &[u8]) -> Result<(), UnpackError> {
        self.in_place(entry, folder, name, |dir| dir.create_fifo(name, 0o600))?;
        (|| {
            if is_foreign(entry, folder) {
                folder
                    .dir
                    .set_owner(name, stored_id(entry.uid), stored_id(entry.gid))?;
            }
            folder.dir.set_mode(name, entry.mode)?;
            folder.dir.set_times(name, &times(entry.mtime))
        })()
        .map_err(|source| UnpackError::Make {
            path: shown(&entry.path),
            source,
        })
    }

    fn hard_link(
        &mut self,
        entry: &Entry,
        path: &EntryPath,
        folder: &Folder,
        name: &[u8],
        target: &[u8],
    ) -> Result<(), UnpackError> {
        let missing = || UnpackError::HardLinkTarget {
            path: shown(&entry.path),
            target: shown(target),
        };
        let to = EntryPath::parse_link(target, self.limits.depth).map_err(|source| {
            UnpackError::HardLinkPath {
                path: shown(&entry.path),
                source,
            }
        })?;
        if self.skipped.contains(&to) {
            if self.skipped.len() < MAX_SKIPPED {
                self.skipped.insert(path.clone());
            }
            return Ok(());
        }
        let Some((to_folder, to_name)) = to.split() else {
            return Err(missing());
        };
        let other;
        let to_dir = match path.split() {
            Some((parent, _)) if parent == to_folder => &folder.dir,
            _ => {
                other = self.tree.open_dir(to_folder).map_err(|_| missing())?;
                &other
            }
        };
        let there = to_dir.stat(to_name).map_err(|_| missing())?;
        if is_folder(&there) {
            return Err(missing());
        }
        // Removing what is in the way would remove the target when they are the same.
        let same = |facts: &Stat| facts.st_ino == there.st_ino && facts.st_dev == there.st_dev;
        if folder.dir.stat(name).is_ok_and(|facts| same(&facts)) {
            return Ok(());
        }
        self.in_place(entry, folder, name, |dir| {
            dir.create_hard_link(name, to_dir, to_name)
        })
    }

    /// Makes something by a name; what has the name already is removed first.
    fn in_place<T>(
        &mut self,
        entry: &Entry,
        folder: &Folder,
        name: &[u8],
        make: impl Fn(&Dir) -> io::Result<T>,
    ) -> Result<T, UnpackError> {
        let made = match make(&folder.dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self
                .remove(&folder.dir, name)
                .and_then(|()| make(&folder.dir)),
            made => made,
        };
        made.map_err(|source| UnpackError::Make {
            path: shown(&entry.path),
            source,
        })
    }

    fn remove(&mut self, dir: &Dir, name: &[u8]) -> io::Result<()> {
        let facts = dir.stat(name)?;
        dir.remove_all(name)?;
        if is_folder(&facts) || FileType::from_raw_mode(facts.st_mode) == FileType::Symlink {
            self.folders.forget();
        }
        Ok(())
    }

    fn whiteout(
        &mut self,
        path: &EntryPath,
        parent: &[u8],
        name: &[u8],
    ) -> Result<(), UnpackError> {
        let written = [parent, name].join(&b'/');
        let opaque = name == OPAQUE;
        if !opaque && path.components().any(|part| part.starts_with(AUFS)) {
            return Ok(());
        }
        let hidden = if opaque {
            name
        } else {
            name.strip_prefix(WHITEOUT).unwrap_or_default()
        };
        let above_too = parent
            .split(|byte| *byte == b'/')
            .any(|part| part.starts_with(WHITEOUT));
        if above_too || matches!(hidden, b"" | b"." | b"..") {
            return Err(UnpackError::Whiteout {
                path: shown(&written),
            });
        }
        if !self.upper {
            return Ok(());
        }
        let folder = match self.folders.open(parent, self.limits.depth) {
            Ok(folder) => folder,
            // Where there is no folder there is nothing to hide.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(self.no_folder(&written, error)),
        };
        folder.change();
        let done = if opaque {
            self.clear(&folder.dir, folder.inode).map(|_| ())
        } else {
            self.hide(&folder.dir, folder.inode, hidden).map(|_| ())
        };
        self.folders.forget();
        done.map_err(|source| UnpackError::Make {
            path: shown(&written),
            source,
        })
    }

    /// Removes `name` as far as lower layers made it; true when nothing is left of it.
    fn hide(&self, dir: &Dir, inode: u64, name: &[u8]) -> io::Result<bool> {
        let facts = match dir.stat(name) {
            Ok(facts) => facts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        let mine = self.mine.contains(&self.key(inode, name));
        if !is_folder(&facts) {
            if mine {
                return Ok(false);
            }
            return dir.remove_file(name).map(|()| true);
        }
        let child = dir.open_dir(name)?;
        if self.clear(&child, facts.st_ino)? && !mine {
            return dir.remove_all(name).map(|()| true);
        }
        rustix::fs::futimens(&child, &crate::attributes::times(&facts))?;
        Ok(false)
    }

    /// Removes what lower layers made in a folder; true when it is empty then. Goes as deep as
    /// the tree, whose depth is bounded.
    fn clear(&self, dir: &Dir, inode: u64) -> io::Result<bool> {
        let mut empty = true;
        for name in dir.names()? {
            empty &= self.hide(dir, inode, &name)?;
        }
        Ok(empty)
    }

    fn key(&self, inode: u64, name: &[u8]) -> u64 {
        self.hasher.hash_one((inode, name))
    }
}

fn is_folder(facts: &Stat) -> bool {
    FileType::from_raw_mode(facts.st_mode) == FileType::Directory
}

/// Whether an entry's owner is not the one it gets when it is made.
fn is_foreign(entry: &Entry, folder: &Folder) -> bool {
    entry.uid != 0 || entry.gid != 0 || folder.setgid
}

fn uid(entry: &Entry) -> Uid {
    Uid::from_raw(stored_id(entry.uid))
}

fn gid(entry: &Entry) -> Gid {
    Gid::from_raw(stored_id(entry.gid))
}
