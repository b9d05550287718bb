//! Lookups and creations inside a tree that a stranger wrote.
//!
//! [`RootDir`] holds a descriptor of the tree's root and resolves every path with
//! `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)`: the kernel treats the tree as `/`, so an
//! absolute symbolic link starts at the tree's root, `..` stops there, and nothing outside can
//! be reached whatever the tree holds. A path is only ever handed to the kernel relative to that
//! descriptor; it is never joined to a host path.
//!
//! Creating works in two steps: the folder is resolved through the root ([`RootDir::parent_of`],
//! [`RootDir::create_dirs`]), which gives a [`Dir`]; then the entry is made in that folder by its
//! *single* name. [`Dir`] refuses names that are empty, `.`, `..` or hold a `/`, so its calls
//! cannot leave the folder, and none of them follows a symbolic link in the last component.
//!
//! Quirks handled here:
//! - The process's umask masks the mode of everything created, so modes are set again on the
//!   descriptor.
//! - Changing the owner clears setuid, setgid and file capabilities: callers set the owner
//!   first, then the mode, then extended attributes, and times last.
//! - Extended attributes and modes of what cannot be opened (symbolic links, pipes, whiteouts)
//!   are reached as `/proc/self/fd/N/NAME`: the folder's descriptor fixes the place, the name is
//!   a single component.
//! - The kernel takes paths of up to 4,095 bytes. Longer ones fail with `ENAMETOOLONG`; deeper
//!   trees are reached folder by folder.
//! - `openat2` answers `EAGAIN` when something is renamed while it resolves; it is asked again.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timestamps, XattrFlags,
};
use rustix::io::Errno;

use crate::{attributes, remove};

/// How often a lookup that ran into a concurrent rename is repeated. Trees at rest never need
/// it; the bound only keeps a lookup from going on for ever.
const LOOKUP_TRIES: u32 = 64;

/// Flags for a folder that is to be read or written through.
pub(crate) const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

/// The root of a tree that a stranger wrote; see the [module](self).
#[derive(Debug)]
pub struct RootDir {
    root: OwnedFd,
}

impl RootDir {
    /// Opens the folder at a *host* path as the root of a tree.
    ///
    /// # Errors
    /// When there is no such folder. A symbolic link as the last component is refused.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            root: rustix::fs::openat(CWD, path, DIR_FLAGS, Mode::empty())?,
        })
    }

    /// Takes an open folder (not an `O_PATH` one) as the root of a tree.
    #[must_use]
    pub const fn from_fd(root: OwnedFd) -> Self {
        Self { root }
    }

    /// The root folder itself.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn top(&self) -> io::Result<Dir> {
        Ok(Dir {
            fd: self.root.try_clone()?,
        })
    }

    /// Opens whatever `path` leads to, symbolic links followed inside the tree. `flags` decide
    /// how; add [`OFlags::NOFOLLOW`] (with [`OFlags::PATH`]) to get a link itself. `CLOEXEC` is
    /// always added. Opening a pipe for reading waits for a writer unless [`OFlags::NONBLOCK`]
    /// is given.
    ///
    /// # Errors
    /// What the kernel says: `NotFound`, `NotADirectory`, `ELOOP` (more than 40 links
    /// or a magic link), `InvalidFilename` (path or a name too long), `InvalidInput` (a NUL).
    pub fn open_with(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path: &[u8] = if path.is_empty() { b"." } else { path };
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut tries = 0;
        loop {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) if tries < LOOKUP_TRIES => tries += 1,
                other => return Ok(other?),
            }
        }
    }

    /// Opens the folder that `path` leads to, symbolic links followed inside the tree.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn open_dir(&self, path: &[u8]) -> io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Ok(Dir {
            fd: self.open_with(path, flags)?,
        })
    }

    /// Opens the regular file that `path` leads to for reading, symbolic links followed inside
    /// the tree. Never waits on a pipe or a device.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with); `IsADirectory` for a folder, `InvalidInput` for
    /// anything else that is not a regular file.
    pub fn open_file(&self, path: &[u8]) -> io::Result<File> {
        let found = self.open_with(path, OFlags::PATH)?;
        match FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(Errno::ISDIR.into()),
            _ => return Err(Errno::INVAL.into()),
        }
        Ok(File::from(
            self.open_with(path, OFlags::RDONLY | OFlags::NONBLOCK)?,
        ))
    }

    /// Facts about what `path` leads to, symbolic links followed inside the tree.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn stat(&self, path: &[u8]) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(self.open_with(path, OFlags::PATH)?)?)
    }

    /// Facts about `path` itself: a symbolic link as the last component is not followed.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn lstat(&self, path: &[u8]) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(
            self.open_with(path, OFlags::PATH | OFlags::NOFOLLOW)?,
        )?)
    }

    /// Splits `path` into its folder, resolved with symbolic links followed inside the tree, and
    /// its last name, not looked at. `None` as the name means the root itself. Slashes at the
    /// end and `.` components there do not count.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with) for the folder; `InvalidInput` when the last component
    /// is `..`.
    pub fn parent_of<'p>(&self, path: &'p [u8]) -> io::Result<(Dir, Option<&'p [u8]>)> {
        match split_last(path)? {
            None => Ok((self.top()?, None)),
            Some((parent, name)) => Ok((self.open_dir(parent)?, Some(name))),
        }
    }

    /// Makes the folder `path` and every missing one above it, with `mode` and the server's
    /// owner; existing folders and symbolic links to folders are followed inside the tree.
    /// A dangling symbolic link in the way is an error, as for `mkdir -p`.
    ///
    /// # Errors
    /// `NotADirectory` when something else is in the way; otherwise as
    /// [`open_with`](Self::open_with).
    pub fn create_dirs(&self, path: &[u8], mode: u32) -> io::Result<Dir> {
        match self.open_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        // Some prefix exists (the root at least). Each step extends the resolved prefix by one
        // component, always asking from the root, so that links and `..` mean what they mean to
        // the kernel.
        let mut end = 0;
        let mut dir = self.top()?;
        while end < path.len() {
            let start = end + path[end..].iter().take_while(|&&b| b == b'/').count();
            end = start + path[start..].iter().take_while(|&&b| b != b'/').count();
            let name = &path[start..end];
            if name.is_empty() || name == b"." {
                continue;
            }
            dir = match self.open_dir(&path[..end]) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match dir.create_dir(name, mode) {
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                            // Only a dangling link exists and yet cannot be opened.
                            return Err(Errno::NOTDIR.into());
                        }
                        made => made?,
                    }
                }
                found => found?,
            };
        }
        Ok(dir)
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Cuts the last component off a path: `None` for the root.
fn split_last(path: &[u8]) -> io::Result<Option<(&[u8], &[u8])>> {
    let mut rest = path;
    loop {
        while let [head @ .., b'/'] = rest {
            rest = head;
        }
        let start = rest.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        match &rest[start..] {
            b"" => return Ok(None),
            b"." => rest = &rest[..start],
            b".." => return Err(Errno::INVAL.into()),
            name => {
                let parent: &[u8] = if start == 0 { b"." } else { &rest[..start] };
                return Ok(Some((parent, name)));
            }
        }
    }
}

/// An open folder inside a tree. Every name it takes is a single component, and no call follows
/// a symbolic link by that name.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

impl Dir {
    /// Takes an open folder (not an `O_PATH` one).
    #[must_use]
    pub const fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Opens the folder `name`.
    ///
    /// # Errors
    /// `NotADirectory` also when `name` is a symbolic link to a folder.
    pub fn open_dir(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self {
            fd: rustix::fs::openat(&self.fd, single(name)?, DIR_FLAGS, Mode::empty())?,
        })
    }

    /// Opens the regular file `name` for reading. Never waits on a pipe.
    ///
    /// # Errors
    /// `ELOOP` when `name` is a symbolic link.
    pub fn open_file(&self, name: &[u8]) -> io::Result<File> {
        let flags =
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(File::from(rustix::fs::openat(
            &self.fd,
            single(name)?,
            flags,
            Mode::empty(),
        )?))
    }

    /// Makes the folder `name` and opens it.
    ///
    /// # Errors
    /// `AlreadyExists` when anything has that name.
    pub fn create_dir(&self, name: &[u8], mode: u32) -> io::Result<Self> {
        let mode = permissions(mode);
        rustix::fs::mkdirat(&self.fd, single(name)?, mode)?;
        let made = self.open_dir(name)?;
        rustix::fs::fchmod(&made.fd, mode)?;
        Ok(made)
    }

    /// Makes the empty regular file `name` and opens it for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` when anything has that name, a dangling symbolic link included.
    pub fn create_file(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let made = rustix::fs::openat(&self.fd, single(name)?, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::fchmod(&made, permissions(mode))?;
        Ok(File::from(made))
    }

    /// Makes the symbolic link `name` with any bytes as target; they are not looked at.
    ///
    /// # Errors
    /// `AlreadyExists` when anything has that name; `NotFound` for an empty target.
    pub fn create_symlink(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.fd, single(name)?)?)
    }

    /// Makes `name` a further name of `of_name` in the folder `of`. A symbolic link is linked
    /// itself, not what it points to.
    ///
    /// # Errors
    /// `AlreadyExists` when anything has that name; `TooManyLinks` when the file has as many
    /// names as the filesystem allows (65,000 on ext4).
    pub fn create_hard_link(&self, name: &[u8], of: &Self, of_name: &[u8]) -> io::Result<()> {
        let (of_name, name) = (single(of_name)?, single(name)?);
        Ok(rustix::fs::linkat(
            &of.fd,
            of_name,
            &self.fd,
            name,
            AtFlags::empty(),
        )?)
    }

    /// Makes the named pipe `name`.
    ///
    /// # Errors
    /// `AlreadyExists` when anything has that name.
    pub fn create_fifo(&self, name: &[u8], mode: u32) -> io::Result<()> {
        self.create_node(name, FileType::Fifo, mode)
    }

    /// Makes the socket `name`, which nobody listens on.
    ///
    /// # Errors
    /// `AlreadyExists` when anything has that name.
    pub fn create_socket(&self, name: &[u8], mode: u32) -> io::Result<()> {
        self.create_node(name, FileType::Socket, mode)
    }

    /// Makes the whiteout `name`: the character device 0:0 that tells overlayfs that a name of
    /// the layers below is gone.
    ///
    /// # Errors
    /// `AlreadyExists` when anything has that name.
    pub fn create_whiteout(&self, name: &[u8]) -> io::Result<()> {
        self.create_node(name, FileType::CharacterDevice, 0)
    }

    fn create_node(&self, name: &[u8], kind: FileType, mode: u32) -> io::Result<()> {
        let mode = permissions(mode);
        rustix::fs::mknodat(&self.fd, single(name)?, kind, mode, 0)?;
        if !mode.is_empty() {
            self.set_mode(name, mode.bits())?;
        }
        Ok(())
    }

    /// Facts about `name` itself.
    ///
    /// # Errors
    /// `NotFound` when there is no such name.
    pub fn stat(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(rustix::fs::statat(
            &self.fd,
            single(name)?,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// The target of the symbolic link `name`.
    ///
    /// # Errors
    /// `InvalidInput` when `name` is not a symbolic link.
    pub fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.fd, single(name)?, Vec::new())?.into_bytes())
    }

    /// Gives `name` an owner, as plain numbers. Clears setuid, setgid and file capabilities: set
    /// those afterwards.
    ///
    /// # Errors
    /// `PermissionDenied` without the privilege.
    pub fn set_owner(&self, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (
            rustix::fs::Uid::from_raw(uid),
            rustix::fs::Gid::from_raw(gid),
        );
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::chownat(
            &self.fd,
            single(name)?,
            Some(uid),
            Some(gid),
            flags,
        )?)
    }

    /// Sets the permission bits of `name`, setuid, setgid and sticky included. Symbolic links
    /// have none and are left alone.
    ///
    /// # Errors
    /// `NotFound` when there is no such name.
    pub fn set_mode(&self, name: &[u8], mode: u32) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entry = rustix::fs::openat(&self.fd, single(name)?, flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&entry)?.st_mode) == FileType::Symlink {
            return Ok(());
        }
        // An O_PATH descriptor takes no fchmod; its entry in /proc leads to exactly this inode.
        let path = format!("/proc/self/fd/{}", entry.as_raw_fd());
        Ok(rustix::fs::chmodat(
            CWD,
            path,
            permissions(mode),
            AtFlags::empty(),
        )?)
    }

    /// Sets access and modification time of `name`.
    ///
    /// # Errors
    /// `NotFound` when there is no such name.
    pub fn set_times(&self, name: &[u8], times: &Timestamps) -> io::Result<()> {
        Ok(rustix::fs::utimensat(
            &self.fd,
            single(name)?,
            times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Sets the extended attribute `key` of `name`, replacing an earlier value.
    ///
    /// # Errors
    /// `InvalidInput` for a key of overlayfs ([`is_overlay_xattr`]), which would let whoever wrote
    /// the tree hide or reveal files of other layers; `Unsupported` when the filesystem has no
    /// such attribute for this kind of file.
    pub fn set_xattr(&self, name: &[u8], key: &[u8], value: &[u8]) -> io::Result<()> {
        if is_overlay_xattr(key) {
            return Err(Errno::INVAL.into());
        }
        let path = attributes::proc_path(self.fd.as_fd(), single(name)?);
        Ok(rustix::fs::lsetxattr(
            path,
            key,
            value,
            XattrFlags::empty(),
        )?)
    }

    /// Every extended attribute of `name`.
    ///
    /// # Errors
    /// `NotFound` when there is no such name.
    pub fn xattrs(&self, name: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let path = attributes::proc_path(self.fd.as_fd(), single(name)?);
        Ok(attributes::xattrs(&path, usize::MAX)?)
    }

    /// Renames `name` to `new_name` in the folder `to`, replacing a file there.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`, `IsADirectory` or `NotADirectory` when what is there cannot be
    /// replaced.
    pub fn rename(&self, name: &[u8], to: &Self, new_name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::renameat(
            &self.fd,
            single(name)?,
            &to.fd,
            single(new_name)?,
        )?)
    }

    /// Removes `name`, which is not a folder.
    ///
    /// # Errors
    /// `IsADirectory` for a folder.
    pub fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            &self.fd,
            single(name)?,
            AtFlags::empty(),
        )?)
    }

    /// Removes `name` with everything in it, whatever it is: any depth, any names, any number
    /// of entries, with one descriptor. Nothing by that name is fine.
    ///
    /// # Errors
    /// What the kernel says of the first entry that cannot be removed.
    pub fn remove_all(&self, name: &[u8]) -> io::Result<()> {
        Ok(remove::remove_all(self.fd.as_fd(), single(name)?)?)
    }

    /// The names in this folder, in no order, without `.` and `..`.
    ///
    /// # Errors
    /// What the kernel says while reading.
    pub fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        // A descriptor of its own: reading moves the position.
        let fd = rustix::fs::openat(&self.fd, c".", DIR_FLAGS, Mode::empty())?;
        crate::cursor::read_dir(&fd, |name, _| {
            names.push(name.to_bytes().to_vec());
            Ok(())
        })?;
        Ok(names)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether overlayfs (mounted by a user namespace) reads meaning into this extended attribute.
/// `user.overlay.overlay.*` is not meant: that is how overlayfs stores attributes of an overlay
/// *inside* the guest.
#[must_use]
pub fn is_overlay_xattr(key: &[u8]) -> bool {
    let mine = |prefix: &[u8], nested: &[u8]| key.starts_with(prefix) && !key.starts_with(nested);
    mine(b"user.overlay.", b"user.overlay.overlay.")
        || mine(b"trusted.overlay.", b"trusted.overlay.overlay.")
}

const fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o7777)
}

/// Lets a name through that is one component of a path.
fn single(name: &[u8]) -> Result<&[u8], Errno> {
    match name {
        b"" | b"." | b".." => Err(Errno::INVAL),
        name if name.contains(&b'/') || name.contains(&0) => Err(Errno::INVAL),
        name => Ok(name),
    }
}
