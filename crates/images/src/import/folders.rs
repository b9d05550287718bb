//! The folders that entries are being put into, kept open while a tar stays in them.
//!
//! A tar lists a folder's entries together, so the path to most entries' folder need not be
//! resolved again: the last few folders stay open, in the order they lie below each other. The
//! same objects keep the folders' times. Making an entry changes its folder's modification time,
//! which the tar may have set before; so the time is noted when a folder is opened and set again
//! when it is let go of. Nothing has to be remembered for the whole import, however many folders
//! it has.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::fs::{Timespec, Timestamps};
use rustix::io::Errno;

use crate::{Dir, RootDir};

/// Most folders kept open; tars rarely come back to one further up.
const MOST_OPEN: usize = 8;
/// `S_ISGID`: what is made in such a folder gets its group.
const SETGID: u32 = 0o2000;

/// An open folder of the tree.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) dir: Dir,
    /// As it was asked for: symbolic links are not resolved in it.
    path: Vec<u8>,
    pub(super) inode: u64,
    pub(super) setgid: bool,
    times: RefCell<Timestamps>,
    changed: Cell<bool>,
    trouble: Rc<Trouble>,
}

/// The first failure to set a time again, which a drop cannot report.
type Trouble = RefCell<Option<io::Error>>;

impl Folder {
    /// Something is about to be made or removed in it.
    pub(super) fn change(&self) {
        self.changed.set(true);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.changed.get()
            && let Err(error) = rustix::fs::futimens(&self.dir, &self.times.borrow())
        {
            self.trouble
                .borrow_mut()
                .get_or_insert_with(|| error.into());
        }
    }
}

/// The open folders of one tree.
#[derive(Debug)]
pub(super) struct Folders<'t> {
    tree: &'t RootDir,
    /// Depth of the tree's own root on the host.
    root_depth: usize,
    open: Vec<Rc<Folder>>,
    trouble: Rc<Trouble>,
}

impl<'t> Folders<'t> {
    pub(super) fn new(tree: &'t RootDir) -> io::Result<Self> {
        let root_depth = depth(tree.as_fd())?;
        Ok(Self {
            tree,
            root_depth,
            open: Vec::new(),
            trouble: Rc::default(),
        })
    }

    /// The folder at `path`, symbolic links followed inside the tree.
    pub(super) fn open(&mut self, path: &[u8], most_deep: usize) -> io::Result<Rc<Folder>> {
        while let Some(last) = self.open.last() {
            if last.path == path {
                return Ok(Rc::clone(last));
            }
            if is_above(&last.path, path) {
                break;
            }
            self.open.pop();
        }
        let dir = self.tree.open_dir(path)?;
        // The path may go through links and so be shorter than the way down really is.
        if depth(dir.as_fd())?.saturating_sub(self.root_depth) >= most_deep {
            return Err(Errno::NAMETOOLONG.into());
        }
        let facts = rustix::fs::fstat(&dir)?;
        // The same folder by another path has the right time already.
        let known = self.open.iter().find(|folder| folder.inode == facts.st_ino);
        let times = match known {
            Some(folder) => folder.times.borrow().clone(),
            None => crate::attributes::times(&facts),
        };
        let folder = Rc::new(Folder {
            dir,
            path: path.to_vec(),
            inode: facts.st_ino,
            setgid: facts.st_mode & SETGID != 0,
            times: RefCell::new(times),
            changed: Cell::new(false),
            trouble: Rc::clone(&self.trouble),
        });
        if self.open.len() == MOST_OPEN {
            self.open.remove(0);
        }
        self.open.push(Rc::clone(&folder));
        Ok(folder)
    }

    /// A folder's time was set on purpose.
    pub(super) fn time_was_set(&self, inode: u64, times: &Timestamps) {
        for folder in self.open.iter().filter(|folder| folder.inode == inode) {
            folder.times.borrow_mut().clone_from(times);
        }
    }

    /// A folder or link is gone, and with it perhaps what the known paths lead to.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    /// Lets go of all folders; times are right afterwards.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.open.clear();
        self.trouble.borrow_mut().take().map_or(Ok(()), Err)
    }
}

/// Modification time in seconds and nanoseconds, for both times of an entry: archives do not say
/// when it was last read.
pub(super) fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Whether `folder` is the root or a leading part of `path`.
fn is_above(folder: &[u8], path: &[u8]) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// How deep an open folder really lies. The kernel knows, and says so as a path, of 4,096 bytes
/// at most: what lies deeper fails with `InvalidFilename`.
fn depth(folder: BorrowedFd<'_>) -> io::Result<usize> {
    let path = fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
    Ok(path
        .as_os_str()
        .as_bytes()
        .iter()
        .filter(|byte| **byte == b'/')
        .count())
}
