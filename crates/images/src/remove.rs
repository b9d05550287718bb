//! Removing a tree that a stranger made: any depth, any names, any size, one descriptor, no
//! recursion.
//!
//! Each folder is read once: what is not a folder is unlinked at once, folders are noted and
//! removed one after the other, the last one noted first. A folder that is not empty although
//! all that was read is gone (some filesystems skip entries when others are unlinked meanwhile)
//! is read again a few times.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::cursor::{Cursor, Identity, identity, open_child, read_dir};

/// How often a folder is read again that is still not empty.
const REREADS: u32 = 16;

struct Level {
    /// The folder's own name in the one above.
    name: CString,
    above: Identity,
    /// Folders in it that are still to be removed.
    folders: Vec<CString>,
    rereads: u32,
}

/// Removes the entry `name` of `dir` with everything in it. Nothing by that name is fine.
pub(crate) fn remove_all(dir: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    // Also removes an empty folder, the common case of a discarded upper.
    match rustix::fs::unlinkat(dir, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    match rustix::fs::unlinkat(dir, &name, AtFlags::REMOVEDIR) {
        Ok(()) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let above = identity(&rustix::fs::fstat(dir)?);
    let mut cursor = Cursor::new(open_child(dir, &name)?);
    let folders = unlink_files(&cursor)?;
    let mut path = vec![Level {
        name,
        above,
        folders,
        rereads: 0,
    }];
    loop {
        let depth = path.len();
        let level = path.last_mut().expect("left only through the return below");
        if let Some(child) = level.folders.pop() {
            if removed_empty(cursor.as_fd(), &child)? {
                continue;
            }
            let above = identity(&cursor.facts()?);
            cursor.down(&child)?;
            let folders = unlink_files(&cursor)?;
            path.push(Level {
                name: child,
                above,
                folders,
                rereads: 0,
            });
            continue;
        }
        let done = if depth == 1 {
            removed_empty(dir, &level.name)?
        } else {
            cursor.up(level.above)?;
            let done = removed_empty(cursor.as_fd(), &level.name)?;
            if !done {
                cursor.down(&level.name)?;
            }
            done
        };
        if done {
            path.pop();
            if path.is_empty() {
                return Ok(());
            }
        } else if level.rereads == REREADS {
            return Err(Errno::NOTEMPTY);
        } else {
            level.rereads += 1;
            rustix::fs::seek(&cursor, rustix::fs::SeekFrom::Start(0))?;
            level.folders = unlink_files(&cursor)?;
        }
    }
}

fn removed_empty(dir: BorrowedFd<'_>, name: &CString) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Unlinks what is not a folder and gives the names of the folders.
fn unlink_files(dir: &Cursor) -> Result<Vec<CString>, Errno> {
    let mut folders = Vec::new();
    read_dir(dir, |name, kind| {
        if kind == FileType::Directory {
            folders.push(name.to_owned());
            return Ok(());
        }
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // The filesystem did not tell the type.
            Err(Errno::ISDIR | Errno::PERM) if kind == FileType::Unknown => {
                folders.push(name.to_owned());
                Ok(())
            }
            Err(error) => Err(error),
        }
    })?;
    Ok(folders)
}
