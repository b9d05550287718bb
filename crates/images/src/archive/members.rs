//! What a folder or file of an image consists of, one thing after the other.
//!
//! Members come in the order of a [`Walk`]: a folder before what is in it. Of a file with several
//! names the first one met is the file, the others are hard links to it. Sockets are left out:
//! they mean something only while somebody listens.
//!
//! **Bounds.** To know hard links, the first name of every file that may have more is
//! remembered, up to [`MAX_LINK_BYTES`]; beyond that, further names become copies. Merged layers
//! share files with those they were made from, so in an image with merged layers that may be
//! every file. Extended attributes are held one file at a time, up to [`MAX_XATTR_BYTES`].

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::links::FirstNames;
use crate::attributes::{self, Xattrs};
use crate::cursor::{identity, open_regular};
use crate::root_dir::is_overlay_xattr;
use crate::stack::{LayerAt, Stack};
use crate::walk::{Step, Walk};

/// Bytes of names that are remembered for hard links.
const MAX_LINK_BYTES: usize = 32 << 20;
/// Bytes of extended attributes that one entry may have. Filesystems other than ext4 would keep
/// half a gigabyte for a guest that wants them to.
pub(super) const MAX_XATTR_BYTES: usize = 16 << 20;

/// One of them.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) kind: Kind,
    pub(crate) facts: Stat,
    /// As they are on the disk; [`shown`] tells which are the image's.
    pub(crate) xattrs: Xattrs,
}

/// What a member is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Open at its start, with its size.
    File(File, u64),
    Folder,
    /// With its target.
    Symlink(Vec<u8>),
    /// With the name of an earlier member.
    HardLink(Vec<u8>),
    Fifo,
    CharacterDevice(Device),
    BlockDevice(Device),
}

/// A device's number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// What went wrong with a member, before it is said with which.
#[derive(Debug)]
pub(crate) enum Fault {
    Kernel(Errno),
    TooManyXattrs,
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        Self::Kernel(error)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Members {
    source: Source,
    /// What names of members start with: empty, a file's name, or a folder's and a slash.
    base: Vec<u8>,
    first_names: FirstNames,
    /// Name of the last member.
    name: Vec<u8>,
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
    Nothing,
    /// Reading failed.
    Broken,
}

impl Members {
    /// The regular file `name` in the folder where the stack stands, under the name `base`.
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

    /// The folder where the stack stands, under the name `base`, and what is in it.
    pub(crate) fn of_folder(stack: Stack, base: Vec<u8>) -> Self {
        Self::new(Source::Folder(stack), base)
    }

    /// What is in the folder where the stack stands, by the names that it has there.
    pub(crate) fn in_folder(stack: Stack) -> Self {
        Self::new(Source::Entries(Walk::new(stack)), Vec::new())
    }

    fn new(source: Source, base: Vec<u8>) -> Self {
        Self {
            source,
            base,
            first_names: FirstNames::new(MAX_LINK_BYTES),
            name: Vec::new(),
        }
    }

    /// The name of the member that came last, or that could not be read: no slash at its end,
    /// empty for a folder that was given none.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// The next one; none at the end. There is nothing to be had after a failure.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Fault> {
        loop {
            let source = std::mem::replace(&mut self.source, Source::Broken);
            let (source, member) = match source {
                Source::File {
                    stack,
                    name,
                    layer,
                    facts,
                } => {
                    self.name.clone_from(&self.base);
                    let member = regular(stack.part(layer), &name, *facts)?;
                    (Source::Nothing, Some(member))
                }
                Source::Folder(stack) => {
                    self.name.clone_from(&self.base);
                    let facts = rustix::fs::fstat(stack.top())?;
                    let member = folder(stack.top(), facts)?;
                    (Source::Entries(Walk::new(stack)), Some(member))
                }
                Source::Entries(mut walk) => match walk.next()? {
                    Some(step) => {
                        let member = self.step(&walk, step)?;
                        (Source::Entries(walk), member)
                    }
                    None => (Source::Nothing, None),
                },
                Source::Nothing => {
                    self.source = Source::Nothing;
                    return Ok(None);
                }
                Source::Broken => return Err(Errno::IO.into()),
            };
            self.source = source;
            if member.is_some() {
                return Ok(member);
            }
        }
    }

    fn step(&mut self, walk: &Walk, step: Step) -> Result<Option<Member>, Fault> {
        self.name.clone_from(&self.base);
        let mut add = |name: &[u8]| {
            if !(self.name.is_empty() || name.is_empty()) {
                self.name.push(b'/');
            }
            self.name.extend_from_slice(name);
        };
        add(walk.path());
        match step {
            Step::Folder(facts) => folder(walk.stack().top(), *facts).map(Some),
            Step::Entry { name, layer, .. } => {
                add(name.to_bytes());
                self.entry(walk.stack().part(layer), &name)
            }
        }
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<Member>, Fault> {
        let facts = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(facts.st_mode);
        if kind == FileType::Socket {
            return Ok(None);
        }
        let plain = |kind| {
            Ok(Some(Member {
                kind,
                facts,
                xattrs: Vec::new(),
            }))
        };
        if facts.st_nlink > 1
            && let Some(first) = self.first_names.of(identity(&facts), &self.name)
        {
            return plain(Kind::HardLink(first.to_vec()));
        }
        let device = || Device {
            major: rustix::fs::major(facts.st_rdev),
            minor: rustix::fs::minor(facts.st_rdev),
        };
        let kind = match kind {
            FileType::RegularFile => return regular(dir, name, facts).map(Some),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
                // A link has no extended attributes that are kept.
                return plain(Kind::Symlink(target.into_bytes()));
            }
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharacterDevice(device()),
            FileType::BlockDevice => Kind::BlockDevice(device()),
            // There are no others.
            _ => return Ok(None),
        };
        let path = attributes::proc_path(dir, name.to_bytes());
        let xattrs = xattrs(|| attributes::xattrs(&path, MAX_XATTR_BYTES))?;
        Ok(Some(Member {
            kind,
            facts,
            xattrs,
        }))
    }
}

fn folder(folder: BorrowedFd<'_>, facts: Stat) -> Result<Member, Fault> {
    let xattrs = xattrs(|| attributes::xattrs_of(folder, MAX_XATTR_BYTES))?;
    Ok(Member {
        kind: Kind::Folder,
        facts,
        xattrs,
    })
}

fn regular(dir: BorrowedFd<'_>, name: &CStr, facts: Stat) -> Result<Member, Fault> {
    let file = open_regular(dir, name)?;
    let xattrs = xattrs(|| attributes::xattrs_of(file.as_fd(), MAX_XATTR_BYTES))?;
    let size = u64::try_from(facts.st_size).unwrap_or(0);
    Ok(Member {
        kind: Kind::File(file, size),
        facts,
        xattrs,
    })
}

fn xattrs(read: impl FnOnce() -> Result<Xattrs, Errno>) -> Result<Xattrs, Fault> {
    read().map_err(|error| match error {
        Errno::TOOBIG => Fault::TooManyXattrs,
        error => Fault::Kernel(error),
    })
}

/// The name by which the guest sees an attribute; none for what is not the image's.
pub(crate) fn shown(key: &[u8]) -> Option<Cow<'_, [u8]>> {
    const NESTED: &[u8] = b"user.overlay.overlay.";
    if let Some(rest) = key.strip_prefix(NESTED) {
        return Some([b"user.overlay.", rest].concat().into());
    }
    let is_content = match key {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        key => key.starts_with(b"user.") && !is_overlay_xattr(key),
    };
    is_content.then_some(key.into())
}
