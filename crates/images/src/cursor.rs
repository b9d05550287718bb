//! Walking a tree of any depth with one descriptor.
//!
//! A hostile tree may be 5,000 folders deep and its full paths longer than the kernel takes, so
//! a walk neither recurses nor keeps a descriptor per level nor joins paths: a [`Cursor`] stands
//! in one folder, steps down by a name and up through `..`. The trees walked here are at rest
//! (layers are immutable, trash has no user), so `..` is the folder it came from; that it still
//! is one is checked by device and inode number all the same.

use std::ffi::CStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use crate::root_dir::DIR_FLAGS;

/// Device and inode number.
pub(crate) type Identity = (u64, u64);

pub(crate) const fn identity(facts: &Stat) -> Identity {
    (facts.st_dev, facts.st_ino)
}

/// One place in a tree; see the [module](self).
#[derive(Debug)]
pub(crate) struct Cursor {
    fd: OwnedFd,
}

impl Cursor {
    pub(crate) const fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Steps into the folder `name`, which is not a symbolic link.
    pub(crate) fn down(&mut self, name: &CStr) -> Result<(), Errno> {
        self.fd = open_child(self.fd.as_fd(), name)?;
        Ok(())
    }

    /// Steps to the folder above, which must be the one with this identity.
    pub(crate) fn up(&mut self, expected: Identity) -> Result<(), Errno> {
        let above = rustix::fs::openat(&self.fd, c"..", DIR_FLAGS, Mode::empty())?;
        if identity(&rustix::fs::fstat(&above)?) != expected {
            return Err(Errno::STALE);
        }
        self.fd = above;
        Ok(())
    }

    pub(crate) fn facts(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(&self.fd)
    }
}

impl AsFd for Cursor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens the folder `name` below another, not through a symbolic link.
pub(crate) fn open_child(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, DIR_FLAGS, Mode::empty())
}

/// Opens a regular file for reading; should it be something else after all, without waiting on it.
pub(crate) fn open_regular(dir: BorrowedFd<'_>, name: &CStr) -> Result<File, Errno> {
    let flags =
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    Ok(File::from(fd))
}

/// Calls `each` with every entry of a folder but `.` and `..`, from where the descriptor's
/// position is. The type is as the filesystem tells it, `Unknown` where it does not.
pub(crate) fn read_dir(
    dir: impl AsFd,
    mut each: impl FnMut(&CStr, FileType) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 16 << 10];
    let mut entries = RawDir::new(dir.as_fd(), &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            each(name, entry.file_type())?;
        }
    }
    Ok(())
}
