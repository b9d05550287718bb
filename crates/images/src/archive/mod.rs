//! A folder or file of an image as a tar archive, made while it is read.
//!
//! An [`Archive`] is a reader that takes its bytes straight from the layers: nothing is mounted,
//! copied or written. It does work only while it is read, so a slow reader costs its descriptors
//! (one per layer and one file) and a few megabytes at most. What it gives is the same each time.
//!
//! **[`members`]** are those of the image, with owners (numbers only, so that no name of another
//! machine is taken for one of this), modes, times to the nanosecond and extended attributes
//! ([`header`]). The archive of `/` has the names in it as they are (`etc/passwd`); that of a
//! folder has names that start with the last name of the path that was asked for (`etc/passwd`
//! for `/etc`, `bin/sh` for `/bin`, also where that is a link to `/usr/bin`); that of a file has
//! one member by that name. The holes of sparse files come as zeros.

mod header;
mod links;
pub(crate) mod members;

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};

use rustix::fs::Stat;

use crate::stack::{LayerAt, Stack};
use members::{Fault, Kind, MAX_XATTR_BYTES, Members};

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
    /// Headers and padding that are to be given out next.
    pending: Vec<u8>,
    /// How much of them was.
    given: usize,
    /// What comes after them.
    content: Option<Content>,
}

/// What comes next.
#[derive(Debug)]
enum Source {
    Members(Box<Members>),
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

impl Archive {
    /// Of the regular file `name` in the folder where the stack stands, under the name `base`.
    pub(crate) fn of_file(
        stack: Stack,
        name: CString,
        layer: LayerAt,
        facts: Box<Stat>,
        base: Vec<u8>,
    ) -> Self {
        Self::new(Members::of_file(stack, name, layer, facts, base))
    }

    /// Of the folder where the stack stands, under the name `base`, or under none when that is
    /// empty.
    pub(crate) fn of_folder(stack: Stack, base: Vec<u8>) -> Self {
        Self::new(if base.is_empty() {
            Members::in_folder(stack)
        } else {
            Members::of_folder(stack, base)
        })
    }

    fn new(members: Members) -> Self {
        Self {
            source: Source::Members(Box::new(members)),
            pending: Vec::new(),
            given: 0,
            content: None,
        }
    }

    /// Puts what comes next into `pending` and `content`.
    fn advance(&mut self) -> io::Result<()> {
        // Room for extended attributes is not kept.
        self.pending.truncate(0);
        self.pending.shrink_to(64 << 10);
        self.given = 0;
        let members = match &mut self.source {
            Source::Members(members) => members,
            Source::Nothing => return Ok(()),
            Source::Broken => return Err(rustix::io::Errno::IO.into()),
        };
        match members.next() {
            Ok(Some(member)) => {
                header::write(members.name(), &member, &mut self.pending);
                if let Kind::File(file, size) = member.kind {
                    self.content = Some(Content {
                        file,
                        left: size,
                        padding: header::padding(size),
                    });
                }
            }
            Ok(None) => {
                self.pending.resize(END, 0);
                self.source = Source::Nothing;
            }
            Err(fault) => {
                let error = fault.of(members.name());
                return Err(self.broken(error));
            }
        }
        Ok(())
    }

    /// The name of the member at hand.
    fn member(&self) -> String {
        match &self.source {
            Source::Members(members) => String::from_utf8_lossy(members.name()).into_owned(),
            Source::Nothing | Source::Broken => String::new(),
        }
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
                let name = self.member();
                return Err(self.broken(ArchiveError::Read { name, source }));
            }
            Ok(read) => read,
        };
        content.left -= read as u64;
        if read == 0 && content.left > 0 {
            let missing = content.left;
            let name = self.member();
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
            self.advance()?;
        }
    }
}

impl Fault {
    /// What it is, of the member with this name.
    pub(crate) fn of(self, name: &[u8]) -> ArchiveError {
        let name = String::from_utf8_lossy(name).into_owned();
        match self {
            Self::Kernel(error) => ArchiveError::Read {
                name,
                source: error.into(),
            },
            Self::TooManyXattrs => ArchiveError::TooManyXattrs {
                name,
                limit: MAX_XATTR_BYTES,
            },
        }
    }
}
