//! Owner, mode, extended attributes and times: read from one entry, given to another.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::root_dir::is_overlay_xattr;

/// The entry `name` of an open folder, as a path for calls that take no descriptor and name.
/// Only for calls that do not follow a symbolic link in the last component.
pub(crate) fn proc_path(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// Names and values.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Every extended attribute of what `path` names, a symbolic link not followed. Filesystems
/// without any have none. More than `most` bytes of them are `TOOBIG`.
pub(crate) fn xattrs(path: &[u8], most: usize) -> Result<Xattrs, Errno> {
    collect(
        most,
        |buffer| rustix::fs::llistxattr(path, buffer),
        |key, buffer| rustix::fs::lgetxattr(path, key, buffer),
    )
}

/// As [`xattrs`], of an open file or folder.
pub(crate) fn xattrs_of(fd: BorrowedFd<'_>, most: usize) -> Result<Xattrs, Errno> {
    collect(
        most,
        |buffer| rustix::fs::flistxattr(fd, buffer),
        |key, buffer| rustix::fs::fgetxattr(fd, key, buffer),
    )
}

/// Names and values are at most 64 KiB each by the kernel's own limits (`XATTR_LIST_MAX`,
/// `XATTR_SIZE_MAX`); most entries have none, so a small buffer is tried first.
fn collect(
    most: usize,
    mut list: impl FnMut(&mut [u8]) -> Result<usize, Errno>,
    mut get: impl FnMut(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> Result<Xattrs, Errno> {
    let mut names = [0_u8; 512];
    let mut large = Vec::new();
    let names: &[u8] = match list(&mut names) {
        Ok(length) => &names[..length],
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(Errno::RANGE) => {
            large.resize(1 << 16, 0);
            let length = list(&mut large)?;
            &large[..length]
        }
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    let mut bytes = 0_usize;
    let mut value = Vec::new();
    for key in names.split(|&b| b == 0).filter(|key| !key.is_empty()) {
        value.resize(512, 0);
        let length = match get(key, &mut value) {
            Err(Errno::RANGE) => {
                value.resize(1 << 16, 0);
                get(key, &mut value)?
            }
            // Listed, but not for us to see, or no longer there.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
            other => other?,
        };
        bytes += key.len() + length;
        if bytes > most {
            return Err(Errno::TOOBIG);
        }
        found.push((key.to_vec(), value[..length].to_vec()));
    }
    Ok(found)
}

/// The extended attributes that belong to the content, not to overlayfs.
pub(crate) fn content_xattrs(fd: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    let mut all = xattrs_of(fd, usize::MAX)?;
    all.retain(|(key, _)| !is_overlay_xattr(key));
    Ok(all)
}

/// Gives an open file or folder an owner, mode and extended attributes, in the order that keeps
/// setuid bits and capabilities. Times are not touched: see [`set_times`].
pub(crate) fn copy_to(
    facts: &Stat,
    xattrs: &[(Vec<u8>, Vec<u8>)],
    to: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(facts.st_uid), Gid::from_raw(facts.st_gid));
    rustix::fs::fchown(to, Some(uid), Some(gid))?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(facts.st_mode))?;
    for (key, value) in xattrs {
        rustix::fs::fsetxattr(to, &key[..], value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Gives `to/copy`, which may be anything but is not followed, owner, mode, extended attributes
/// and times of `from/name`.
pub(crate) fn copy_to_entry(
    from: BorrowedFd<'_>,
    name: &CStr,
    facts: &Stat,
    to: BorrowedFd<'_>,
    copy: &CStr,
) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(facts.st_uid), Gid::from_raw(facts.st_gid));
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(to, copy, Some(uid), Some(gid), nofollow)?;
    if FileType::from_raw_mode(facts.st_mode) != FileType::Symlink {
        rustix::fs::chmodat(
            to,
            copy,
            Mode::from_raw_mode(facts.st_mode),
            AtFlags::empty(),
        )?;
    }
    let target = proc_path(to, copy.to_bytes());
    for (key, value) in xattrs(&proc_path(from, name.to_bytes()), usize::MAX)? {
        rustix::fs::lsetxattr(&target[..], &key[..], &value, XattrFlags::empty())?;
    }
    rustix::fs::utimensat(to, copy, &times(facts), nofollow)
}

/// Access and modification time, as `utimensat` takes them.
pub(crate) fn times(facts: &Stat) -> Timestamps {
    let nanos = |value: u64| i64::try_from(value).unwrap_or(0);
    Timestamps {
        last_access: Timespec {
            tv_sec: facts.st_atime,
            tv_nsec: nanos(facts.st_atime_nsec),
        },
        last_modification: Timespec {
            tv_sec: facts.st_mtime,
            tv_nsec: nanos(facts.st_mtime_nsec),
        },
    }
}

/// Gives an open file or folder the times of another. Last of all: making entries in a folder
/// changes its time.
pub(crate) fn set_times(facts: &Stat, to: impl AsFd) -> Result<(), Errno> {
    rustix::fs::futimens(to, &times(facts))
}
