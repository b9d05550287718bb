//! Files put into a sandbox before its process starts.
//!
//! Done inside the sandbox's root, in its user namespace: the worst that a destination can name
//! is another file of the same sandbox. Magic links of /proc are never followed, because those of
//! init lead to what init still holds, the layer store among it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, Mode, OFlags, RawMode, ResolveFlags, Uid, fchmod, fchown, fstat, openat2};

use super::paths::{ROOT, make_folders, open_in_root, split};
use crate::job::Attachment;
use crate::protocol::{Failure, FailureSource, Step};

/// Copies a file of the store to its place.
pub(crate) fn put(store: impl AsFd, root: impl AsFd, file: &Attachment) -> Result<(), Failure> {
    let Some((folder, _)) = split(&file.dest) else {
        return Err(Failure {
            step: "name the file: the destination names a folder".into(),
            source: FailureSource(libc::EISDIR),
        });
    };
    for id in [file.uid, file.gid] {
        if id >= crate::slot::IDS_PER_SANDBOX {
            return Err(Failure {
                step: format!("set the owner: {id} is not an id of the sandbox"),
                source: FailureSource(libc::EINVAL),
            });
        }
    }
    let mut source = open_source(store, &file.source).step("open the attached content")?;
    make_folders(&root, folder, ROOT, &mut false).step("make the folder")?;
    let mut target = open_target(&root, &file.dest)?;
    io::copy(&mut source, &mut target).step("write the file")?;
    fchown(
        &target,
        Some(Uid::from_raw(file.uid)),
        Some(Gid::from_raw(file.gid)),
    )
    .step("set the owner")?;
    // Last, because writing and changing the owner clear setuid.
    fchmod(
        &target,
        Mode::from_raw_mode((file.mode & 0o7777) as RawMode),
    )
    .step("set the mode")
}

fn open_source(store: impl AsFd, name: &str) -> rustix::io::Result<File> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat2(store, name, flags, Mode::empty(), resolve).map(File::from)
}

/// Opens the destination empty. What is there is written over, through a symlink too, as a
/// program of the sandbox would; only regular files are, since a FIFO would block us.
fn open_target(root: impl AsFd, dest: &[u8]) -> Result<File, Failure> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
    let target: OwnedFd =
        open_in_root(root, dest, flags, Mode::from_raw_mode(0o600)).step("open the destination")?;
    let kind = rustix::fs::FileType::from_raw_mode(
        fstat(&target).step("look at the destination")?.st_mode,
    );
    if kind != rustix::fs::FileType::RegularFile {
        return Err(Failure {
            step: "open the destination: it is no regular file".into(),
            source: FailureSource(libc::EINVAL),
        });
    }
    rustix::fs::ftruncate(&target, 0).step("empty the destination")?;
    Ok(File::from(target))
}
