//! Owners and extended attributes of an image, as a layer stores them.
//!
//! **Owners** are plain numbers, and a sandbox has the numbers 0 to 65,535. A file of any other
//! owner could be read in a sandbox but neither changed nor removed, not even by its root
//! (`EOVERFLOW`), and would show as nobody's. Such numbers come from build machines with large
//! user ids, not from what the image needs; they are stored as nobody's (65,534) to begin with,
//! so that root can do with these files what root does.
//!
//! **Extended attributes** that are kept:
//! - `user.*` except `user.overlay.*`, which overlayfs reads as its own notes: an image could hide
//!   or reveal files of other layers by them;
//! - `system.posix_acl_access` and `system.posix_acl_default`, whose ids the kernel maps like
//!   owners;
//! - `security.capability` without an owner of its own (versions 1 and 2, and version 3 when the
//!   owner is 0, which is the same): stored by the host's root, the kernel reads it through a
//!   sandbox's idmapped mount as given by the sandbox's root, so it means there what it means in
//!   the image. Version 3 with another owner belongs to a user namespace that does not exist here.
//!
//! Dropped are `trusted.*` (of the host's root; overlayfs again), and the rest of `security.*`
//! (labels of security modules of the machine the image was built on). Symbolic links, pipes and
//! sockets can have none of the kept ones.

use std::io;

use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::os::fd::AsFd;

use crate::attributes::xattrs_of;
use crate::root_dir::is_overlay_xattr;

/// Ids that exist in a sandbox: 0 up to this.
const LAST_ID: u32 = 65_535;
/// Who owns what nobody can own.
const NOBODY: u32 = 65_534;

const CAPABILITY: &[u8] = b"security.capability";
const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// The id that is stored for the one in an archive.
pub(crate) fn stored_id(id: u64) -> u32 {
    u32::try_from(id)
        .ok()
        .filter(|id| *id <= LAST_ID)
        .unwrap_or(NOBODY)
}

/// Whether an attribute is kept.
pub(super) fn is_kept(key: &[u8], value: &[u8]) -> bool {
    match key {
        CAPABILITY => is_plain_capability(value),
        ACL_ACCESS | ACL_DEFAULT => true,
        _ => key.starts_with(b"user.") && key.len() > 5 && !is_overlay_xattr(key),
    }
}

/// A `struct vfs_cap_data`: version in the top byte of a little-endian word, in version 3 the
/// owner's id in the last word.
fn is_plain_capability(value: &[u8]) -> bool {
    match (value.len(), value.get(3)) {
        (12, Some(1)) | (20, Some(2)) => true,
        (24, Some(3)) => value[20..] == [0; 4],
        _ => false,
    }
}

/// Sets the attributes of files and folders of one import.
#[derive(Debug, Default)]
pub(super) struct Xattrs {
    /// Some folder got a default ACL, which new entries inherit whether their archive says so or
    /// not.
    inherited: bool,
}

impl Xattrs {
    /// Gives a file or folder that was just made exactly the attributes of the archive. Owner,
    /// mode and content come before: each of them takes capabilities away.
    pub(super) fn set(
        &mut self,
        target: impl AsFd,
        xattrs: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<()> {
        if self.inherited {
            for key in [ACL_ACCESS, ACL_DEFAULT] {
                match rustix::fs::fremovexattr(&target, key) {
                    Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for (key, value) in xattrs.iter().filter(|(key, value)| is_kept(key, value)) {
            rustix::fs::fsetxattr(&target, &key[..], value, XattrFlags::empty())?;
            self.inherited |= key == ACL_DEFAULT;
        }
        Ok(())
    }

    /// As [`set`](Self::set) for a folder that was there before: what it had is gone.
    pub(super) fn replace(
        &mut self,
        target: impl AsFd,
        xattrs: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<()> {
        for (key, value) in xattrs_of(target.as_fd(), usize::MAX)? {
            if is_kept(&key, &value) {
                rustix::fs::fremovexattr(&target, &key[..])?;
            }
        }
        self.set(target, xattrs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        assert_eq!(stored_id(0), 0);
        assert_eq!(stored_id(65_535), 65_535);
        assert_eq!(stored_id(65_536), 65_534);
        assert_eq!(stored_id(1_516_583_083), 65_534);
        assert_eq!(stored_id(u64::MAX), 65_534);
    }

    #[test]
    fn which_attributes_are_kept() {
        let mut capability = vec![1, 0, 0, 2];
        capability.resize(20, 0);
        let mut of_root = vec![1, 0, 0, 3];
        of_root.resize(24, 0);
        let mut of_other = of_root.clone();
        of_other[20] = 1;
        assert!(is_kept(CAPABILITY, &capability));
        assert!(is_kept(CAPABILITY, &of_root));
        assert!(!is_kept(CAPABILITY, &of_other));
        assert!(!is_kept(CAPABILITY, b"nonsense"));
        assert!(is_kept(b"user.mime_type", b"text/plain"));
        assert!(is_kept(ACL_ACCESS, b""));
        for dropped in [
            &b"user.overlay.opaque"[..],
            b"user.overlay.redirect",
            b"trusted.overlay.opaque",
            b"trusted.x",
            b"security.selinux",
            b"security.ima",
            b"system.other",
            b"user.",
            b"",
        ] {
            assert!(
                !is_kept(dropped, b"y"),
                "{}",
                String::from_utf8_lossy(dropped)
            );
        }
    }
}
