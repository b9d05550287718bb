//! How much a tree takes on disk.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use crate::cursor::{Cursor, Identity, identity, read_dir};

/// What an entry without content is charged: about its inode and its name.
const ENTRY_CHARGE: u64 = 512;

/// What a layer takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Whether there is anything at all: an entry, or another owner, mode or extended attribute
    /// of the root folder.
    pub changed: bool,
    /// Bytes on disk, as `du` counts them: holes are free, files with several names count once.
    pub bytes: u64,
    /// Entries, the root folder not among them.
    pub entries: u64,
}

impl Usage {
    /// Bytes to hold against a limit: empty files are not free, or a limit on bytes would let
    /// any number of them through.
    #[must_use]
    pub const fn charge(&self) -> u64 {
        self.bytes
            .saturating_add(self.entries.saturating_mul(ENTRY_CHARGE))
    }

    /// Whether the charge is above `cap`. A walk with that cap has then stopped short, and the
    /// numbers are a lower bound.
    #[must_use]
    pub fn exceeds(&self, cap: Option<u64>) -> bool {
        cap.is_some_and(|cap| self.charge() > cap)
    }

    /// Counts one more entry; its bytes only when no other name of it is in `seen`.
    pub(crate) fn add(&mut self, facts: &Stat, seen: &mut HashSet<Identity>) {
        self.changed = true;
        self.entries += 1;
        let folder = FileType::from_raw_mode(facts.st_mode) == FileType::Directory;
        if folder || facts.st_nlink == 1 || seen.insert(identity(facts)) {
            let blocks = u64::try_from(facts.st_blocks).unwrap_or(0);
            self.bytes = self.bytes.saturating_add(blocks.saturating_mul(512));
        }
    }
}

/// How much of a disk is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes.
    pub bytes: u64,
    /// Files and folders, as far as the filesystem counts them.
    pub entries: u64,
}

impl DiskUse {
    /// What has come to it since `before`, in the measure of [`Usage::charge`].
    #[must_use]
    pub const fn grown_since(&self, before: &Self) -> u64 {
        let grown = Usage {
            changed: true,
            bytes: self.bytes.saturating_sub(before.bytes),
            entries: self.entries.saturating_sub(before.entries),
        };
        grown.charge()
    }
}

struct Level {
    above: Identity,
    folders: Vec<CString>,
}

/// Walks the tree below `root` until the charge is above `cap`.
pub(crate) fn measure(root: OwnedFd, cap: Option<u64>) -> Result<Usage, Errno> {
    let mut usage = Usage::default();
    let mut seen = HashSet::new();
    let mut cursor = Cursor::new(root);
    // The root's own level has nothing above it.
    let mut path = vec![Level {
        above: (0, 0),
        folders: count(&cursor, &mut usage, &mut seen, cap)?,
    }];
    while let Some(level) = path.last_mut() {
        if usage.exceeds(cap) {
            break;
        }
        if let Some(child) = level.folders.pop() {
            let above = identity(&cursor.facts()?);
            cursor.down(&child)?;
            let folders = count(&cursor, &mut usage, &mut seen, cap)?;
            path.push(Level { above, folders });
        } else {
            let above = level.above;
            path.pop();
            if !path.is_empty() {
                cursor.up(above)?;
            }
        }
    }
    Ok(usage)
}

/// Counts the entries of one folder and gives the names of the folders among them.
fn count(
    dir: &Cursor,
    usage: &mut Usage,
    seen: &mut HashSet<Identity>,
    cap: Option<u64>,
) -> Result<Vec<CString>, Errno> {
    let mut folders = Vec::new();
    let read = read_dir(dir, |name, _| {
        let facts = rustix::fs::statat(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)?;
        usage.add(&facts, seen);
        if FileType::from_raw_mode(facts.st_mode) == FileType::Directory {
            folders.push(name.to_owned());
        }
        // Stops the reading; the caller sees that the cap is passed.
        if usage.exceeds(cap) {
            Err(Errno::CANCELED)
        } else {
            Ok(())
        }
    });
    match read {
        Err(Errno::CANCELED) if usage.exceeds(cap) => Ok(folders),
        other => other.map(|()| folders),
    }
}
