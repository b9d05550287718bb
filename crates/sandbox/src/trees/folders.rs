//! The folders that entries are put into, kept open while a tree stays in them.
//!
//! A tree lists what is in a folder together, so the last few folders stay open, in the order in
//! which they lie below each other, and most entries need no path to be resolved. What is made in
//! a folder changes its modification time; a folder that has an entry gets its time when it is
//! left. Trees may come back to a folder; so the times that were set are remembered, by inode.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, Stat, Timespec, Timestamps, fstat, futimens, openat};
use rustix::io::Errno;

use crate::rootfs::{make_folders, open_in_root};

/// Most folders kept open.
const MOST_OPEN: usize = 64;
/// `S_ISGID`: what is made in such a folder gets its group.
const SETGID: u32 = 0o2000;

/// Device and inode number.
type Identity = (u64, u64);

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) fd: OwnedFd,
    /// From the root, without a slash at its start; symbolic links are not resolved in it.
    path: Vec<u8>,
    identity: Identity,
    pub(super) setgid: bool,
    /// What it gets when it is left.
    times: Option<Timestamps>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Folders {
    root: OwnedFd,
    open: Vec<Folder>,
    /// Times that folders were left with.
    set: HashMap<Identity, Timestamps>,
}

impl Folders {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self {
            root,
            open: Vec::new(),
            set: HashMap::new(),
        }
    }

    /// The folder at `path`, links followed; made with this owner when it is missing, as are
    /// those on the way. Tells whether it was made.
    pub(super) fn open(
        &mut self,
        path: &[u8],
        (uid, gid): (u32, u32),
    ) -> Result<(&Folder, bool), Errno> {
        while self
            .open
            .last()
            .is_some_and(|last| !is_above(&last.path, path))
        {
            self.leave()?;
        }
        let is_there = self.open.last().is_some_and(|last| last.path == path);
        let mut made = false;
        if !is_there {
            let folder = make_folders(&self.root, path, (uid, gid), &mut made)?;
            let fd = openat(folder, ".", flags(), Mode::empty())?;
            let facts = fstat(&fd)?;
            let times = self.set.get(&identity(&facts)).cloned();
            self.push(path, fd, &facts, times)?;
        }
        let folder = self.open.last().ok_or(Errno::NOENT)?;
        Ok((folder, made))
    }

    /// Opens the folder `path`, which is there, links followed.
    pub(super) fn existing(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        open_in_root(&self.root, path, flags(), Mode::empty())
    }

    /// Goes on in a folder that was made or found in the one opened last, or is that one. It gets
    /// these times when it is left.
    pub(super) fn enter(
        &mut self,
        path: &[u8],
        fd: OwnedFd,
        times: Timestamps,
    ) -> Result<(), Errno> {
        let facts = fstat(&fd)?;
        for folder in &mut self.open {
            // The same by another path, or by this one.
            if folder.identity == identity(&facts) {
                folder.times = Some(times.clone());
            }
        }
        if self.open.last().is_some_and(|last| last.path == path) {
            return Ok(());
        }
        self.push(path, fd, &facts, Some(times))
    }

    fn push(
        &mut self,
        path: &[u8],
        fd: OwnedFd,
        facts: &Stat,
        times: Option<Timestamps>,
    ) -> Result<(), Errno> {
        if self.open.len() == MOST_OPEN {
            let furthest = self.open.remove(0);
            self.finish(furthest)?;
        }
        self.open.push(Folder {
            fd,
            path: path.to_vec(),
            identity: identity(facts),
            setgid: facts.st_mode & SETGID != 0,
            times,
        });
        Ok(())
    }

    /// Lets go of all folders; their times are right afterwards.
    pub(super) fn leave_all(&mut self) -> Result<(), Errno> {
        while !self.open.is_empty() {
            self.leave()?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Errno> {
        match self.open.pop() {
            Some(folder) => self.finish(folder),
            None => Ok(()),
        }
    }

    fn finish(&mut self, folder: Folder) -> Result<(), Errno> {
        if let Some(times) = folder.times {
            futimens(&folder.fd, &times)?;
            self.set.insert(folder.identity, times);
        }
        Ok(())
    }
}

/// For both times of an entry: nobody says when it was last read.
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

const fn identity(facts: &Stat) -> Identity {
    (facts.st_dev, facts.st_ino)
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK
}

/// Whether `folder` is `path`, or a leading part of it.
fn is_above(folder: &[u8], path: &[u8]) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
