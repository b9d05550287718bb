//! A folder or file of an image as a tar archive, made while it is read.
//!
//! An [`Archive`] is a reader that takes its bytes straight from the layers: nothing is mounted,
//! copied or written. It does work only while it is read, so a slow reader costs its descriptors
//! (one per layer and one file) and a few megabytes at most. What it gives is the same each time.
//!
//! **Members** come in the order of a [`Walk`]: a folder before what is in it. The archive of `/`
//! has the names in it as they are (`etc/passwd`); that of a folder has names that start with the
//! last name of the path that was asked for (`etc/passwd` for `/etc`, `bin/sh` for `/bin`, also
//! where that is a link to `/usr/bin`); that of a file has one member by that name. Names, owners
//! (numbers only, so that no name of another machine is taken for one of this), modes, times to
//! the nanosecond, symbolic links, pipes, device nodes and extended attributes ([`header`]) are
//! those of the image. Files with several names are stored once, and the other names as hard
//! links to the first. Left out are sockets, which tar cannot store, and the holes of sparse
//! files, which come as zeros.
//!
//! **Bounds.** To know hard links, the first name of every file that may have more is
//! remembered, up to [`MAX_LINK_BYTES`]; beyond that, further names become copies. Merged layers
//! share files with those they were made from, so in an image with merged layers that may be
//! every file. Extended attributes are held one file at a time, up to [`MAX_XATTR_BYTES`].

mod header;
mod links;

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use crate::attributes::{self, Xattrs};
use crate::cursor::{identity, open_regular};
use crate::stack::{LayerAt, Stack};
use crate::walk::{Step, Walk};
use header::{Device, Kind, Member};
use links::FirstNames;

/// Bytes of names that are remembered for hard links.
const MAX_LINK_BYTES: usize = 32 << 20;
/// Bytes of extended attributes that one entry may have. Filesystems other than ext4 would keep
/// half a gigabyte for a guest that wants them to.
const MAX_XATTR_BYTES: usize = 16 << 20;
/// Archives end with two empty blocks.
const END: usize = 1024;

/// Why an archive cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The layers cannot be read.
    #[error("cannot read {name} from the image's layers")]
    Read {
        /// The member.
        name: String,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// A file ends before the size that it has.
    #[error("{name} ends {missing} bytes early")]
    Short {
        /// The member.
        name: String,
        /// Bytes that were announced and are not there.
        missing: u64,
    },
    /// An entry has more extended attributes than are taken.
    #[error("{name} has more than {limit} bytes of extended attributes")]
    TooManyXattrs {
        /// The member.
        name: String,
        /// How many are taken.
        limit: usize,
    },
}

/// See the [module](self). Reading blocks for as long as the disk needs.
#[derive(Debug)]
pub struct Archive {
    source: Source,
    /// What names of members start with: empty, a file's name, or a folder's and a slash.
    base: Vec<u8>,
    /// Headers and padding that are to be given out next.
    pending: Vec<u8>,
    /// How much of them was.
    given: usize,
    /// What comes after them.
    content: Option<Content>,
    first_names: FirstNames,
    /// Name of the last member.
    member: Vec<u8>,
}

/// What comes next.
#[derive(Debug)]
enum Source {
    /// A file.
    File {
        stack: Stack,
        name: CString,
        layer: LayerAt,
        facts: Box<Stat>,
    },
    /// The folder where the stack stands.
    Folder(Stack),
    /// What is in it.
    Entries(Walk),
    /// The blocks that end an archive.
    End,
    Nothing,
    /// Reading failed.
    Broken,
}

/// The content of a member that is being given out.
#[derive(Debug)]
struct Content {
    file: File,
    left: u64,
    padding: usize,
}

/// What went wrong with a member, before it is said with which.
enum Fault {
    Kernel(Errno),
    TooManyXattrs,
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        Self::Kernel(error)
    }
}

impl Archive {
    /// Of the regular file `name` in the folder where the stack stands, under the name `base`.
    pub(crate) fn of_file(
        stack: Stack,
        name: CString,
        layer: LayerAt,
        facts: Box<Stat>,
        base: Vec<u8>,
    ) -> Self {
        let source = Source::File {
            stack,
            name,
            layer,
            facts,
        };
        Self::new(source, base)
    }

    /// Of the folder where the stack stands, under the name `base`, or under none when that is
    /// empty.
    pub(crate) fn of_folder(stack: Stack, mut base: Vec<u8>) -> Self {
        if base.is_empty() {
            return Self::new(Source::Entries(Walk::new(stack)), base);
        }
        base.push(b'/');
        Self::new(Source::Folder(stack), base)
    }

    fn new(source: Source, base: Vec<u8>) -> Self {
        Self {
            source,
            base,
            pending: Vec::new(),
            given: 0,
            content: None,
            first_names: FirstNames::new(MAX_LINK_BYTES),
            member: Vec::new(),
        }
    }

    /// Puts what comes next into `pending` and `content`; nothing when it cannot be stored.
    fn advance(&mut self) -> Result<(), Fault> {
        // Room for extended attributes is not kept.
        self.pending.truncate(0);
        self.pending.shrink_to(64 << 10);
        self.given = 0;
        self.source = match std::mem::replace(&mut self.source, Source::Broken) {
            Source::File {
                stack,
                name,
                layer,
                facts,
            } => {
                self.member.clone_from(&self.base);
                self.regular(stack.part(layer), &name, &facts)?;
                Source::End
            }
            Source::Folder(stack) => {
                self.member.clone_from(&self.base);
                let facts = rustix::fs::fstat(stack.top())?;
                self.folder(stack.top(), &facts)?;
                Source::Entries(Walk::new(stack))
            }
            Source::Entries(mut walk) => {
                let step = walk.next()?;
                self.member.clone_from(&self.base);
                self.member.extend_from_slice(walk.path());
                match step {
                    Some(Step::Folder(facts)) => {
                        self.member.push(b'/');
                        self.folder(walk.stack().top(), &facts)?;
                        Source::Entries(walk)
                    }
                    Some(Step::Entry { name, layer, .. }) => {
                        if !walk.path().is_empty() {
                            self.member.push(b'/');
                        }
                        self.member.extend_from_slice(name.to_bytes());
                        self.entry(walk.stack().part(layer), &name)?;
                        Source::Entries(walk)
                    }
                    None => Source::End,
                }
            }
            Source::End => {
                self.pending.resize(END, 0);
                Source::Nothing
            }
            Source::Nothing => Source::Nothing,
            Source::Broken => return Err(Errno::IO.into()),
        };
        Ok(())
    }

    fn folder(&mut self, folder: BorrowedFd<'_>, facts: &Stat) -> Result<(), Fault> {
        let xattrs = xattrs(|| attributes::xattrs_of(folder, MAX_XATTR_BYTES))?;
        let member = Member::new(&self.member, Kind::Folder, facts).with_xattrs(&xattrs);
        member.write(&mut self.pending);
        Ok(())
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
        let facts = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(facts.st_mode);
        if kind == FileType::Socket {
            return Ok(());
        }
        if facts.st_nlink > 1
            && let Some(first) = self.first_names.of(identity(&facts), &self.member)
        {
            Member::new(&self.member, Kind::HardLink(first), &facts).write(&mut self.pending);
            return Ok(());
        }
        let device = || Device {
            major: rustix::fs::major(facts.st_rdev),
            minor: rustix::fs::minor(facts.st_rdev),
        };
        let kind = match kind {
            FileType::RegularFile => return self.regular(dir, name, &facts),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
                // A link has no extended attributes that are kept.
                let kind = Kind::Symlink(target.to_bytes());
                Member::new(&self.member, kind, &facts).write(&mut self.pending);
                return Ok(());
            }
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharacterDevice(device()),
            FileType::BlockDevice => Kind::BlockDevice(device()),
            // There are no others.
            _ => return Ok(()),
        };
        let path = attributes::proc_path(dir, name.to_bytes());
        let xattrs = xattrs(|| attributes::xattrs(&path, MAX_XATTR_BYTES))?;
        let member = Member::new(&self.member, kind, &facts).with_xattrs(&xattrs);
        member.write(&mut self.pending);
        Ok(())
    }

    fn regular(&mut self, dir: BorrowedFd<'_>, name: &CStr, facts: &Stat) -> Result<(), Fault> {
        let file = open_regular(dir, name)?;
        let xattrs = xattrs(|| attributes::xattrs_of(file.as_fd(), MAX_XATTR_BYTES))?;
        let size = u64::try_from(facts.st_size).unwrap_or(0);
        let member = Member::new(&self.member, Kind::File(size), facts).with_xattrs(&xattrs);
        member.write(&mut self.pending);
        self.content = Some(Content {
            file,
            left: size,
            padding: header::padding(size),
        });
        Ok(())
    }

    /// Gives out content of the member at hand.
    fn content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(content) = &mut self.content else {
            return Ok(0);
        };
        let most =
            usize::try_from(content.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = match content.file.read(&mut buffer[..most]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(source) => {
                let name = String::from_utf8_lossy(&self.member).into_owned();
                return Err(self.broken(ArchiveError::Read { name, source }));
            }
            Ok(read) => read,
        };
        content.left -= read as u64;
        if read == 0 && content.left > 0 {
            let missing = content.left;
            let name = String::from_utf8_lossy(&self.member).into_owned();
            return Err(self.broken(ArchiveError::Short { name, missing }));
        }
        if content.left == 0 {
            self.pending.clear();
            self.pending.resize(content.padding, 0);
            self.given = 0;
            self.content = None;
        }
        Ok(read)
    }

    /// No byte comes after this: what was given out must not pass for a whole archive.
    fn broken(&mut self, error: ArchiveError) -> io::Error {
        self.source = Source::Broken;
        self.content = None;
        self.pending.clear();
        self.given = 0;
        io::Error::other(error)
    }
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let pending = &self.pending[self.given..];
            if !pending.is_empty() {
                let length = pending.len().min(buffer.len());
                buffer[..length].copy_from_slice(&pending[..length]);
                self.given += length;
                return Ok(length);
            }
            if self.content.is_some() {
                let read = self.content(buffer)?;
                if read > 0 {
                    return Ok(read);
                }
                // An empty file.
                continue;
            }
            if matches!(self.source, Source::Nothing) {
                return Ok(0);
            }
            if let Err(fault) = self.advance() {
                let name = String::from_utf8_lossy(&self.member).into_owned();
                return Err(self.broken(match fault {
                    Fault::Kernel(error) => ArchiveError::Read {
                        name,
                        source: error.into(),
                    },
                    Fault::TooManyXattrs => ArchiveError::TooManyXattrs {
                        name,
                        limit: MAX_XATTR_BYTES,
                    },
                }));
            }
        }
    }
}

fn xattrs(read: impl FnOnce() -> Result<Xattrs, Errno>) -> Result<Xattrs, Fault> {
    read().map_err(|error| match error {
        Errno::TOOBIG => Fault::TooManyXattrs,
        error => Fault::Kernel(error),
    })
}
