//! Guest paths, resolved inside the guest's root only.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat2};
use rustix::io::Errno;

/// Root, as the owner of a folder.
pub(super) const ROOT: (u32, u32) = (0, 0);

/// Opens a guest's path. `root` is where `/` and `..` of symlinks lead and what nothing leads
/// out of.
pub(crate) fn open_in_root(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(&root, path, flags | OFlags::CLOEXEC, mode, resolve) {
            // A rename somewhere while `..` was resolved; the kernel says to try again.
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

/// Opens a guest's folder, making what is missing on the way with mode 0755 and this owner, and
/// tells in `made` when it had to.
pub(crate) fn make_folders(
    root: impl AsFd,
    path: &[u8],
    (uid, gid): (u32, u32),
    made: &mut bool,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open_in_root(&root, non_empty(path), flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let mut so_far = Vec::new();
    let mut folder = open_in_root(&root, b".", flags, Mode::empty())?;
    for name in path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
    {
        if !so_far.is_empty() {
            so_far.push(b'/');
        }
        so_far.extend_from_slice(name);
        // From the root each time, so that `..` and links mean what they mean in a whole path.
        folder = match open_in_root(&root, &so_far, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                // EEXIST here is a symlink that leads nowhere; it is reported as it is.
                mkdirat(&folder, name, Mode::from_raw_mode(0o755))?;
                chownat(
                    &folder,
                    name,
                    Some(Uid::from_raw(uid)),
                    Some(Gid::from_raw(gid)),
                    rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
                )?;
                *made = true;
                open_in_root(&root, &so_far, flags, Mode::empty())?
            }
            result => result?,
        };
    }
    Ok(folder)
}

/// The folder part and the last name of a path; `None` when it names a folder by its form.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&path[..0], path),
    };
    (!matches!(name, b"" | b"." | b"..")).then_some((folder, name))
}

const fn non_empty(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        assert_eq!(split(b"/a/b"), Some((&b"/a"[..], &b"b"[..])));
        assert_eq!(split(b"b"), Some((&b""[..], &b"b"[..])));
        assert_eq!(split(b"/b"), Some((&b""[..], &b"b"[..])));
        for path in [&b""[..], b"/", b"a/", b"a/..", b".", b"a/."] {
            assert_eq!(split(path), None, "{path:?}");
        }
    }

    #[test]
    fn links_lead_nowhere_outside() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        let inside = dir.path().join("inside");
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::create_dir_all(inside.join("real")).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("absolute")).unwrap();
        std::os::unix::fs::symlink("../outside", inside.join("relative")).unwrap();
        std::os::unix::fs::symlink("/real", inside.join("good")).unwrap();
        let root = std::fs::File::open(&inside).unwrap();
        let make = |path: &[u8]| make_folders(&root, path, (0, 0), &mut false);
        make(b"/good/new/deep").unwrap();
        assert!(inside.join("real/new/deep").is_dir());
        make(b"a/../b").unwrap();
        assert!(inside.join("b").is_dir());
        make(b"../../../up").unwrap();
        assert!(inside.join("up").is_dir(), "the root is its own parent");
        for path in [&b"absolute/x"[..], b"relative/x"] {
            // Both dangle inside the root.
            assert_eq!(make(path).unwrap_err(), Errno::EXIST);
        }
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    }
}
