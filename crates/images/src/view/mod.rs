//! Looking into an image without running or mounting it.
//!
//! A [`View`] reads the layers of a chain by the rules of overlayfs and resolves paths itself,
//! because a symbolic link in one layer may lead to a file in another: the kernel could only be
//! asked one layer at a time. Links are followed inside the image alone: an absolute one starts
//! at the image's root, `..` stops there. What a view shows is the image's content; the mount
//! points that a sandbox adds (the skeleton layer) are not part of it.
//!
//! All calls block, for about a millisecond in a folder of 200 entries. They open the layers
//! anew, so a view costs nothing to keep, and one of layers that were removed fails cleanly.
//!
//! Bounds, against images made to hurt: 40 symbolic links and 16,384 components per path (as
//! much as the kernel lets one path expand to in practice), 4,095 bytes of path, 250,000
//! entries per listing, 1 MiB of `/etc/passwd` and `/etc/group`. The number of descriptors is
//! the number of layers. Pipes, sockets and devices are never opened.

mod list;
mod owners;
mod resolve;
mod text;

use std::fs::File;
use std::io;

use contree_api::LayerId;
use contree_api::inspect::{DirectoryList, FileItem};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::archive::Archive;
use crate::cursor::open_regular;
use crate::stack::Stack;
use crate::store::{Store, StoreError};
use owners::Owners;
pub(crate) use resolve::Entry;
use resolve::{LastLink, Target};

/// Why a path of an image cannot be shown. `path` is what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// There is no such path.
    #[error("{path} does not exist in the image")]
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// There is no such path: something on the way is not a folder.
    #[error("{path} does not exist in the image: something on the way is not a folder")]
    BeneathNoFolder {
        /// What was asked for.
        path: String,
    },
    /// A folder was expected: to be listed, or because the path ends with a slash.
    #[error("{path} is not a folder")]
    NotADirectory {
        /// What was asked for.
        path: String,
    },
    /// A file was expected.
    #[error("{path} is a folder")]
    IsADirectory {
        /// What was asked for.
        path: String,
    },
    /// A file was expected, and this is a pipe, a socket or a device.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// What was asked for.
        path: String,
    },
    /// A file or a folder was expected, and this is a pipe, a socket or a device.
    #[error("{path} is neither a regular file nor a folder")]
    NeitherFileNorFolder {
        /// What was asked for.
        path: String,
    },
    /// Symbolic links that lead in a circle, or too many of them.
    #[error("{path} leads through too many symbolic links")]
    TooManyLinks {
        /// What was asked for.
        path: String,
    },
    /// The path is longer than 4,095 bytes, or a name in it longer than 255.
    #[error("the path or a name in it is too long")]
    TooLong,
    /// The folder has more entries than a listing takes.
    #[error("{path} has more than {limit} entries")]
    TooManyEntries {
        /// What was asked for.
        path: String,
        /// How many a listing takes.
        limit: usize,
    },
    /// The image's layers cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk failed, or the process ran out of something.
    #[error("cannot read {path} from the image's layers")]
    Read {
        /// What was asked for.
        path: String,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
}

/// Where in a request an error came up, before it is known what was asked for.
pub(crate) enum Refused {
    NotFound,
    BeneathNoFolder,
    NotADirectory,
    TooManyLinks,
    TooLong,
    TooManyEntries,
    Kernel(Errno),
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::NotFound,
            Errno::NOTDIR => Self::NotADirectory,
            Errno::NAMETOOLONG => Self::TooLong,
            other => Self::Kernel(other),
        }
    }
}

impl Refused {
    pub(crate) fn of(self, path: &[u8]) -> PathError {
        let path = String::from_utf8_lossy(path).into_owned();
        match self {
            Self::NotFound => PathError::NotFound { path },
            Self::BeneathNoFolder => PathError::BeneathNoFolder { path },
            Self::NotADirectory => PathError::NotADirectory { path },
            Self::TooManyLinks => PathError::TooManyLinks { path },
            Self::TooLong => PathError::TooLong,
            Self::TooManyEntries => PathError::TooManyEntries {
                path,
                limit: list::LIMIT,
            },
            Self::Kernel(error) => PathError::Read {
                path,
                source: error.into(),
            },
        }
    }
}

/// An open file of an image.
#[derive(Debug)]
pub struct OpenFile {
    /// Its content, from the start.
    pub file: File,
    /// Bytes.
    pub size: u64,
    /// Everything else; `path` is the name in its folder, after following links.
    pub meta: FileItem,
}

/// An image, to be looked into; see the [module](self).
#[derive(Debug, Clone)]
pub struct View {
    store: Store,
    chain: Vec<LayerId>,
}

/// What a path leads to.
pub(crate) enum Start {
    /// The stack stands in it.
    Folder(Stack),
    /// The stack stands in the folder that has it.
    Entry(Stack, Entry),
}

impl Store {
    /// A look at the image that `chain`, the topmost layer first, makes up.
    #[must_use]
    pub fn view(&self, chain: &[LayerId]) -> View {
        View {
            store: self.clone(),
            chain: chain.to_vec(),
        }
    }
}

impl View {
    /// The entries of the folder that `path` leads to, by name. Names that are not UTF-8 are
    /// shown with replacement characters. Paths start at the image's root with or without `/`.
    ///
    /// # Errors
    /// [`PathError::NotADirectory`] for anything but a folder.
    pub fn list(&self, path: impl AsRef<[u8]>) -> Result<DirectoryList, PathError> {
        let path = path.as_ref();
        let (stack, owners) = self.folder(path)?;
        let files = list::items(&stack, &owners).map_err(|refused| refused.of(path))?;
        Ok(DirectoryList {
            path: String::from_utf8_lossy(path).into_owned(),
            files,
        })
    }

    /// The same for people, in the manner of `ls -l`, moments in UTC.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn list_text(&self, path: impl AsRef<[u8]>) -> Result<String, PathError> {
        let path = path.as_ref();
        let (stack, _) = self.folder(path)?;
        // The contract shows numbers here, so nobody's name is looked up.
        let files = list::items(&stack, &Owners::default()).map_err(|refused| refused.of(path))?;
        Ok(text::listing(&files))
    }

    fn folder(&self, path: &[u8]) -> Result<(Stack, Owners), PathError> {
        let mut stack = self.stack(path)?;
        let owners = Owners::read(&mut stack).map_err(|error| Refused::from(error).of(path))?;
        match resolve::resolve(&mut stack, path, LastLink::Follow) {
            Ok(Target::Folder) => Ok((stack, owners)),
            Ok(Target::Entry(_)) => Err(Refused::NotADirectory.of(path)),
            Err(refused) => Err(refused.of(path)),
        }
    }

    /// Opens the regular file that `path` leads to, links followed.
    ///
    /// # Errors
    /// [`PathError::IsADirectory`] for a folder, [`PathError::NotAFile`] for a pipe, a socket or
    /// a device.
    pub fn open(&self, path: impl AsRef<[u8]>) -> Result<OpenFile, PathError> {
        let path = path.as_ref();
        let lossy = || String::from_utf8_lossy(path).into_owned();
        let mut stack = self.stack(path)?;
        let owners = Owners::read(&mut stack).map_err(|error| Refused::from(error).of(path))?;
        let entry = match resolve::resolve(&mut stack, path, LastLink::Follow) {
            Ok(Target::Entry(entry)) => entry,
            Ok(Target::Folder) => return Err(PathError::IsADirectory { path: lossy() }),
            Err(refused) => return Err(refused.of(path)),
        };
        if FileType::from_raw_mode(entry.facts.st_mode) != FileType::RegularFile {
            return Err(PathError::NotAFile { path: lossy() });
        }
        let failed = |error: Errno| Refused::from(error).of(path);
        let file = open_regular(stack.part(entry.layer), &entry.name).map_err(failed)?;
        let size = u64::try_from(entry.facts.st_size).unwrap_or(0);
        let meta = list::item(entry.name.to_bytes(), &entry.facts, Vec::new(), &owners);
        Ok(OpenFile { file, size, meta })
    }

    /// The file or folder that `path` leads to, links followed, as a tar archive that is made while
    /// it is read. See [`Archive`] for what members are called.
    ///
    /// # Errors
    /// [`PathError::NeitherFileNorFolder`] for a pipe, a socket or a device.
    pub fn archive(&self, path: impl AsRef<[u8]>) -> Result<Archive, PathError> {
        let path = path.as_ref();
        let (start, shown) = self.start(path)?;
        let base = shown.rsplit(|byte| *byte == b'/').next();
        let base = base.unwrap_or_default().to_vec();
        match start {
            Start::Folder(stack) => Ok(Archive::of_folder(stack, base)),
            Start::Entry(stack, Entry { name, layer, facts }) => {
                if FileType::from_raw_mode(facts.st_mode) != FileType::RegularFile {
                    let path = String::from_utf8_lossy(path).into_owned();
                    return Err(PathError::NeitherFileNorFolder { path });
                }
                Ok(Archive::of_file(stack, name, layer, facts, base))
            }
        }
    }

    /// Where `path` leads to, links followed, with the path by which it is shown: as it was asked
    /// for, with one slash before each name; or where that has `..` in it, the place itself.
    pub(crate) fn start(&self, path: &[u8]) -> Result<(Start, Vec<u8>), PathError> {
        let mut stack = self.stack(path)?;
        let target = resolve::resolve(&mut stack, path, LastLink::Follow);
        let target = target.map_err(|refused| refused.of(path))?;
        let names = path.split(|byte| *byte == b'/');
        let names = names.filter(|name| !matches!(*name, b"" | b"."));
        let mut shown = if names.clone().any(|name| name == b"..") {
            let mut place = stack.path();
            if let Target::Entry(entry) = &target {
                place.push(b'/');
                place.extend_from_slice(entry.name.to_bytes());
            }
            place
        } else {
            names.flat_map(|name| [b"/", name].concat()).collect()
        };
        if shown.is_empty() {
            shown.push(b'/');
        }
        let start = match target {
            Target::Folder => Start::Folder(stack),
            Target::Entry(entry) => Start::Entry(stack, entry),
        };
        Ok((start, shown))
    }

    /// Facts about what `path` leads to, links followed. `path` in them is the name in its
    /// folder, `/` for the root.
    ///
    /// # Errors
    /// [`PathError::NotFound`] also for a dangling link.
    pub fn stat(&self, path: impl AsRef<[u8]>) -> Result<FileItem, PathError> {
        self.facts(path.as_ref(), LastLink::Follow)
    }

    /// Facts about `path` itself: a symbolic link as the last component is not followed.
    ///
    /// # Errors
    /// [`PathError::NotFound`] when there is nothing by that name.
    pub fn lstat(&self, path: impl AsRef<[u8]>) -> Result<FileItem, PathError> {
        self.facts(path.as_ref(), LastLink::Show)
    }

    fn facts(&self, path: &[u8], last: LastLink) -> Result<FileItem, PathError> {
        let failed = |error: Errno| Refused::from(error).of(path);
        let mut stack = self.stack(path)?;
        let owners = Owners::read(&mut stack).map_err(failed)?;
        match resolve::resolve(&mut stack, path, last) {
            Ok(Target::Entry(entry)) => {
                let target = list::link_target(&stack, &entry).map_err(failed)?;
                Ok(list::item(
                    entry.name.to_bytes(),
                    &entry.facts,
                    target,
                    &owners,
                ))
            }
            Ok(Target::Folder) => {
                let facts = rustix::fs::fstat(stack.top()).map_err(failed)?;
                let name = stack.name().map_or(&b"/"[..], |name| name.to_bytes());
                Ok(list::item(name, &facts, Vec::new(), &owners))
            }
            Err(refused) => Err(refused.of(path)),
        }
    }

    fn stack(&self, path: &[u8]) -> Result<Stack, PathError> {
        if self.chain.is_empty() {
            // An image without layers has an empty root, which nothing can be said about.
            return Err(Refused::NotFound.of(path));
        }
        let roots = self.store.open_layers(&self.chain)?;
        Stack::new(roots).map_err(|error| Refused::Kernel(error).of(path))
    }
}
