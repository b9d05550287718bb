//! Trees to be made elsewhere: what a path of an image or an uploaded archive consists of, piece
//! by piece, in the order in which it can be made.
//!
//! Both kinds of source end in the same [`Piece`]s: a path of an image through a [`Tree`], which
//! reads the layers ([`crate::archive::members`]), an archive through [`read_archive`]. Nothing is
//! kept but the piece at hand. Paths are in normal form, owners those that a sandbox has, extended
//! attributes the image's own by the names that a guest knows; of sparse files only the data
//! comes.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::{FileType, SeekFrom as Seek, seek};
use rustix::io::Errno;

use crate::archive::ArchiveError;
use crate::archive::members::{Kind, Member, Members, shown};
use crate::import::{BadPath, StreamError, TarError};
use crate::view::{PathError, Start, View};

/// Bytes of a file that are handed over at once.
const PIECE: usize = 128 << 10;
/// Unit of a file's size on disk.
const BLOCK: u64 = 512;

/// A piece of a tree.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Something to make.
    Entry(TreeEntry<'a>),
    /// Content of the file that came last, for this place in it. What no piece covers is a hole.
    Data(u64, &'a [u8]),
}

/// Something to make.
#[derive(Debug, PartialEq, Eq)]
pub struct TreeEntry<'a> {
    /// Below the tree's place, no slash at either end; empty for the tree's own folder.
    pub path: Cow<'a, [u8]>,
    /// What it is.
    pub kind: TreeKind<'a>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Names and values.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What it is.
#[derive(Debug, PartialEq, Eq)]
pub enum TreeKind<'a> {
    /// A file of this size.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link to this.
    Symlink(Cow<'a, [u8]>),
    /// Another name of an earlier entry, in normal form.
    HardLink(Cow<'a, [u8]>),
    /// A pipe.
    Fifo,
    /// A device.
    Device,
}

/// Why a tree could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Whoever takes the pieces wants no more.
    #[error("the tree could not be handed over")]
    Taker(#[source] io::Error),
    /// The image's layers.
    #[error(transparent)]
    Image(#[from] ArchiveError),
    /// The archive's bytes.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A name that no honest archive has.
    #[error("the entry {path:?} is refused, {source}")]
    Path {
        /// As written.
        path: String,
        /// What about it.
        source: BadPath,
    },
    /// A link's target that no honest archive has.
    #[error("the link {path:?} is refused, its target is empty or too long")]
    LinkTarget {
        /// Of the link, as written.
        path: String,
    },
    /// A hard link to a name that is refused.
    #[error("the hard link {path:?} is refused, {source}")]
    HardLink {
        /// Of the link, as written.
        path: String,
        /// What about its target.
        source: BadPath,
    },
}

impl From<StreamError> for TreeError {
    fn from(error: StreamError) -> Self {
        Self::Tar(error.into())
    }
}

/// Takes the pieces of a tree.
pub type Take<'t> = dyn FnMut(Piece<'_>) -> io::Result<()> + 't;

/// What a path of an image leads to.
#[derive(Debug)]
pub struct Tree {
    members: Members,
    file: bool,
}

impl View {
    /// The file or folder that `path` leads to, links followed, of which nothing is read yet. A
    /// folder is the tree's own, what is in it lies below.
    ///
    /// # Errors
    /// [`PathError::NeitherFileNorFolder`] for a pipe, a socket or a device.
    pub fn tree(&self, path: impl AsRef<[u8]>) -> Result<Tree, PathError> {
        let path = path.as_ref();
        let (start, _) = self.start(path)?;
        Ok(match start {
            Start::Folder(stack) => Tree {
                members: Members::of_folder(stack, Vec::new()),
                file: false,
            },
            Start::Entry(stack, entry) => {
                if FileType::from_raw_mode(entry.facts.st_mode) != FileType::RegularFile {
                    let path = String::from_utf8_lossy(path).into_owned();
                    return Err(PathError::NeitherFileNorFolder { path });
                }
                let (name, layer, facts) = (entry.name, entry.layer, entry.facts);
                Tree {
                    members: Members::of_file(stack, name, layer, facts, Vec::new()),
                    file: true,
                }
            }
        })
    }
}

impl Tree {
    /// Whether it is one file, whose only entry has an empty path.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        self.file
    }

    /// Hands its pieces over. Blocks for as long as the disk and the taker need.
    ///
    /// # Errors
    /// The layers cannot be read, or the taker wants no more.
    pub fn read(mut self, take: &mut Take<'_>) -> Result<(), TreeError> {
        let mut buffer = Vec::new();
        while let Some(member) = self
            .members
            .next()
            .map_err(|fault| fault.of(self.members.name()))?
        {
            let Member {
                kind,
                facts,
                xattrs,
            } = member;
            let mut content = None;
            let kind = match kind {
                Kind::File(file, size) => {
                    content = Some((file, size));
                    TreeKind::File(size)
                }
                Kind::Folder => TreeKind::Folder,
                Kind::Symlink(target) => TreeKind::Symlink(target.into()),
                Kind::HardLink(first) => TreeKind::HardLink(first.into()),
                Kind::Fifo => TreeKind::Fifo,
                Kind::CharacterDevice(_) | Kind::BlockDevice(_) => TreeKind::Device,
            };
            let xattrs = xattrs
                .into_iter()
                .filter_map(|(key, value)| Some((shown(&key)?.into_owned(), value)))
                .collect();
            let entry = TreeEntry {
                path: self.members.name().into(),
                kind,
                uid: crate::import::stored_id(facts.st_uid.into()),
                gid: crate::import::stored_id(facts.st_gid.into()),
                mode: facts.st_mode & 0o7777,
                mtime: (
                    facts.st_mtime,
                    u32::try_from(facts.st_mtime_nsec).unwrap_or(0),
                ),
                xattrs,
            };
            take(Piece::Entry(entry)).map_err(TreeError::Taker)?;
            if let Some((file, size)) = content {
                let sparse = u64::try_from(facts.st_blocks).unwrap_or(0) * BLOCK < size;
                let failed = |source| ArchiveError::Read {
                    name: String::from_utf8_lossy(self.members.name()).into_owned(),
                    source,
                };
                buffer.resize(PIECE, 0);
                if sparse {
                    let mut at = 0;
                    while let Some((start, end)) = data_after(&file, at).map_err(failed)? {
                        content_of(&file, start, end, &mut buffer, take, &failed)?;
                        at = end;
                    }
                } else {
                    content_of(&file, 0, size, &mut buffer, take, &failed)?;
                }
            }
        }
        Ok(())
    }
}

/// Hands over the bytes of a file from `at` to `end`.
fn content_of(
    mut file: &File,
    mut at: u64,
    end: u64,
    buffer: &mut [u8],
    take: &mut Take<'_>,
    failed: &dyn Fn(io::Error) -> ArchiveError,
) -> Result<(), TreeError> {
    if at > 0 {
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
    }
    while at < end {
        let most = usize::try_from(end - at).map_or(buffer.len(), |left| left.min(buffer.len()));
        match file.read(&mut buffer[..most]) {
            // Layers do not change.
            Ok(0) => return Err(failed(Errno::STALE.into()).into()),
            Ok(count) => {
                take(Piece::Data(at, &buffer[..count])).map_err(TreeError::Taker)?;
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error).into()),
        }
    }
    Ok(())
}

/// Where the next data of a sparse file begins and ends.
fn data_after(file: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match seek(file.as_fd(), Seek::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let end = seek(file.as_fd(), Seek::Hole(start))?;
    seek(file.as_fd(), Seek::Start(start))?;
    Ok(Some((start, end)))
}

/// Hands over what is in an archive: a tar, plain or compressed with gzip or zstd. Blocks for as
/// long as that takes; `stop` ends it with the next piece of data.
///
/// # Errors
/// The archive is broken or hostile, or the taker wants no more. What was read until then was
/// handed over.
pub fn read_archive(
    archive: File,
    stop: &Arc<AtomicBool>,
    take: &mut Take<'_>,
) -> Result<(), TreeError> {
    crate::import::read_archive(archive, stop, take)
}
