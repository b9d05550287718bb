//! Making what a stream says.
//!
//! | entry | what is there | becomes |
//! | --- | --- | --- |
//! | folder | a folder, or a link that leads to one | that folder, with the entry's owner, mode and times |
//! | folder | anything else | an error |
//! | anything else | a folder | an error |
//! | anything else | a file, a link, a pipe | the entry: what is there is removed, never written through |
//! | hard link | | another name of what lies at the other path by then, or an error |
//! | device | | nothing, and a note of it |
//!
//! Paths below the target may lead through symbolic links, those of the tree among them, and end
//! wherever these lead inside the sandbox: systems whose `/bin` is a link to `usr/bin` need that.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawMode, Stat, Uid, XattrFlags, chmodat, chownat, fchmod,
    fchown, fsetxattr, ftruncate, futimens, linkat, mkdirat, mknodat, openat, statat, symlinkat,
    unlinkat, utimensat,
};
use rustix::io::Errno;

use super::folders::{Folder, Folders, times};
use super::stream::{EntryKind, Frame, StreamError, Target, TreeEntry, TreeReader, What};
use crate::protocol::FailureSource;
use crate::rootfs::split_path;
use crate::slot::IDS_PER_SANDBOX;

/// Devices that were left out and are remembered, for hard links to them.
const MAX_LEFT_OUT: usize = 10_000;

/// Longest path that the kernel takes, without its NUL.
const MAX_PATH: usize = 4_095;

/// What went wrong, as it is told.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Where in the sandbox, when it was somewhere.
    path: Option<Vec<u8>>,
    why: String,
}

impl Trouble {
    pub(super) fn new(what: &str, error: Errno) -> Self {
        Self {
            path: None,
            why: format!("{what}: {}", FailureSource(error.raw_os_error())),
        }
    }

    fn at(path: &[u8], why: impl Into<String>) -> Self {
        Self {
            path: Some(path.to_vec()),
            why: why.into(),
        }
    }

    fn kernel(path: &[u8], error: Errno) -> Self {
        let why = match error {
            Errno::DQUOT | Errno::NOSPC => "there is no room left".to_owned(),
            error => FailureSource(error.raw_os_error()).to_string(),
        };
        Self::at(path, why)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "/{}: ", shown(path))?;
        }
        f.write_str(&self.why)
    }
}

impl From<StreamError> for Trouble {
    fn from(error: StreamError) -> Self {
        Self {
            path: None,
            why: error.to_string(),
        }
    }
}

/// Makes what a stream says, below one root.
#[derive(Debug)]
pub(super) struct Putter<F> {
    folders: Folders,
    /// Where the tree at hand goes.
    place: Place,
    /// The file whose content comes.
    file: Option<Open>,
    /// Paths of devices.
    left_out: HashSet<Vec<u8>>,
    /// Tells what is worth a note.
    note: F,
}

/// Where a tree goes.
#[derive(Debug, Default)]
struct Place {
    /// The folder, from the root, without slashes at its ends.
    base: Vec<u8>,
    /// The name of the one file.
    name: Option<Vec<u8>>,
    /// Whether the folder takes the attributes of the tree's own.
    takes_attributes: bool,
    /// Of folders that have no entry.
    owner: (u32, u32),
}

/// A file that is being written.
#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    path: Vec<u8>,
    entry: TreeEntry<'static>,
    /// End of what was written.
    end: u64,
    size: u64,
    /// Whether its owner is not the one that it got.
    foreign: bool,
}

impl<F: FnMut(&str)> Putter<F> {
    /// Below the folder `root`.
    pub(super) fn new(root: OwnedFd, note: F) -> Self {
        Self {
            folders: Folders::new(root),
            place: Place::default(),
            file: None,
            left_out: HashSet::new(),
            note,
        }
    }

    /// Until the stream ends.
    pub(super) fn follow<R: Read>(&mut self, stream: &mut TreeReader<R>) -> Result<(), Trouble> {
        loop {
            match stream.next()? {
                Frame::Data { offset, length } => self.data(stream, offset, length)?,
                Frame::Target(target) => {
                    self.finish()?;
                    self.target(target)?;
                }
                Frame::Entry(entry) => {
                    self.finish_file()?;
                    self.entry(entry)?;
                }
                Frame::Failed(why) => {
                    self.finish()?;
                    return Err(Trouble {
                        path: None,
                        why: shown(&why),
                    });
                }
                Frame::End => return self.finish(),
            }
        }
    }

    /// Ends the tree at hand.
    fn finish(&mut self) -> Result<(), Trouble> {
        self.finish_file()?;
        self.folders
            .leave_all()
            .map_err(|error| Trouble::kernel(&self.place.base, error))
    }

    fn target(&mut self, target: Target) -> Result<(), Trouble> {
        let path = relative(&target.to);
        let names_folder = target.to.ends_with(b"/");
        self.left_out.clear();
        self.place = Place {
            base: path.clone(),
            name: None,
            takes_attributes: false,
            owner: (target.uid, target.gid),
        };
        if let What::File(name) = target.what {
            let is_folder = names_folder || self.folders.existing(non_empty(&path)).is_ok();
            match split_path(&path) {
                Some((folder, last)) if !is_folder => {
                    self.place.base = folder.to_vec();
                    self.place.name = Some(last.to_vec());
                }
                _ => self.place.name = Some(name),
            }
            return Ok(());
        }
        let (_, made) = self
            .folders
            .open(&path, self.place.owner)
            .map_err(|error| no_folder(&path, error))?;
        self.place.takes_attributes = made && !names_folder;
        Ok(())
    }

    fn entry(&mut self, mut entry: TreeEntry<'static>) -> Result<(), Trouble> {
        let below = match &self.place.name {
            Some(name) => name.clone(),
            None => std::mem::take(&mut entry.path).into_owned(),
        };
        let path = join(&self.place.base, &below);
        let name = below.rsplit(|byte| *byte == b'/').next();
        let bad = below
            .split(|byte| *byte == b'/')
            .any(|part| matches!(part, b"" | b"." | b".."));
        if bad && !below.is_empty() || path.len() > MAX_PATH {
            return Err(Trouble::at(&path, "this is no path that can be made"));
        }
        if entry.uid >= IDS_PER_SANDBOX || entry.gid >= IDS_PER_SANDBOX {
            return Err(Trouble::at(&path, "a sandbox has no such owner or group"));
        }
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return self.own_folder(&entry, &path);
        };
        if entry.kind == EntryKind::Device {
            (self.note)(&format!("/{}: a device, which is left out", shown(&path)));
            if self.left_out.len() < MAX_LEFT_OUT {
                self.left_out.insert(below);
            }
            return Ok(());
        }
        let (folder, _) = self
            .folders
            .open(parent_of(&path, name), self.place.owner)
            .map_err(|error| no_folder(&path, error))?;
        let failed = |error| match error {
            Errno::ISDIR => Trouble::at(&path, "there is a folder, which only a folder can join"),
            error => Trouble::kernel(&path, error),
        };
        match &entry.kind {
            EntryKind::File(size) => {
                let fd = in_place(folder, name, || {
                    let flags = OFlags::WRONLY
                        | OFlags::CREATE
                        | OFlags::EXCL
                        | OFlags::NOFOLLOW
                        | OFlags::CLOEXEC;
                    openat(&folder.fd, name, flags, Mode::from_raw_mode(0o600))
                });
                let fd = fd.map_err(failed)?;
                let (size, foreign) = (*size, is_foreign(&entry, folder));
                self.file = Some(Open {
                    fd,
                    path,
                    entry,
                    end: 0,
                    size,
                    foreign,
                });
                Ok(())
            }
            EntryKind::Folder => {
                let fd = self.make_folder(&path, name)?;
                describe_folder(&entry, fd.as_fd()).map_err(failed)?;
                let times = times(entry.mtime);
                self.folders
                    .enter(&path, fd, times)
                    .map_err(|error| Trouble::kernel(&path, error))
            }
            EntryKind::Symlink(to) => {
                let to = OsStr::from_bytes(to);
                in_place(folder, name, || symlinkat(to, &folder.fd, name))
                    .and_then(|()| describe_named(&entry, folder, name, false))
                    .map_err(failed)
            }
            EntryKind::Fifo => in_place(folder, name, || {
                mknodat(
                    &folder.fd,
                    name,
                    FileType::Fifo,
                    Mode::from_raw_mode(0o600),
                    0,
                )
            })
            .and_then(|()| describe_named(&entry, folder, name, true))
            .map_err(failed),
            EntryKind::HardLink(to) => {
                if self.left_out.contains(&**to) {
                    self.left_out.insert(below);
                    return Ok(());
                }
                self.hard_link(&path, name, to)
            }
            EntryKind::Device => Ok(()),
        }
    }

    /// The entry of the folder that the tree goes into.
    fn own_folder(&mut self, entry: &TreeEntry<'_>, path: &[u8]) -> Result<(), Trouble> {
        if !self.place.takes_attributes || entry.kind != EntryKind::Folder {
            return Ok(());
        }
        let failed = |error| Trouble::kernel(path, error);
        let fd = self.folders.existing(non_empty(path)).map_err(failed)?;
        describe_folder(entry, fd.as_fd()).map_err(failed)?;
        let times = times(entry.mtime);
        self.folders.enter(path, fd, times).map_err(failed)
    }

    /// Makes the folder `name` in the one opened last, or finds it.
    fn make_folder(&mut self, path: &[u8], name: &[u8]) -> Result<OwnedFd, Trouble> {
        let (folder, _) = self
            .folders
            .open(parent_of(path, name), self.place.owner)
            .map_err(|error| no_folder(path, error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match mkdirat(&folder.fd, name, Mode::RWXU) {
            Ok(()) => openat(&folder.fd, name, flags, Mode::empty())
                .map_err(|error| Trouble::kernel(path, error)),
            Err(Errno::EXIST) => self.folders.existing(path).map_err(|error| match error {
                Errno::NOTDIR | Errno::NOENT | Errno::LOOP => Trouble::at(
                    path,
                    "there is something else than a folder, which a folder cannot replace",
                ),
                error => Trouble::kernel(path, error),
            }),
            Err(error) => Err(Trouble::kernel(path, error)),
        }
    }

    fn hard_link(&mut self, path: &[u8], name: &[u8], to: &[u8]) -> Result<(), Trouble> {
        let missing = |why: &str| {
            let why = format!("the file that it is a hard link to, {}, {why}", shown(to));
            Trouble::at(path, why)
        };
        let target = join(&self.place.base, to);
        let Some((to_folder, to_name)) = split_path(&target) else {
            return Err(missing("is none"));
        };
        let other = self
            .folders
            .existing(non_empty(to_folder))
            .map_err(|_| missing("is not there"))?;
        let there = statat(&other, to_name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|_| missing("is not there"))?;
        if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
            return Err(missing("is a folder"));
        }
        let (folder, _) = self
            .folders
            .open(parent_of(path, name), self.place.owner)
            .map_err(|error| no_folder(path, error))?;
        // Removing what is in the way would remove the file itself when they are the same.
        let same = |facts: &Stat| (facts.st_dev, facts.st_ino) == (there.st_dev, there.st_ino);
        if statat(&folder.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|facts| same(&facts)) {
            return Ok(());
        }
        in_place(folder, name, || {
            linkat(&other, to_name, &folder.fd, name, AtFlags::empty())
        })
        .map_err(|error| match error {
            Errno::ISDIR => Trouble::at(path, "there is a folder, which only a folder can join"),
            error => Trouble::kernel(path, error),
        })
    }

    fn data<R: Read>(
        &mut self,
        stream: &mut TreeReader<R>,
        mut offset: u64,
        length: u32,
    ) -> Result<(), Trouble> {
        let Some(file) = &mut self.file else {
            return Err(Trouble {
                path: None,
                why: "the stream has content without a file".to_owned(),
            });
        };
        stream.data(length, |mut piece| {
            while !piece.is_empty() {
                let written =
                    rustix::io::retry_on_intr(|| rustix::io::pwrite(&file.fd, piece, offset))
                        .map_err(|error| Trouble::kernel(&file.path, error))?;
                offset += written as u64;
                piece = &piece[written..];
            }
            Ok::<_, Trouble>(())
        })?;
        file.end = file.end.max(offset);
        Ok(())
    }

    /// Gives the file at hand what its content would take away again.
    fn finish_file(&mut self) -> Result<(), Trouble> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let Open {
            fd,
            path,
            entry,
            end,
            size,
            foreign,
        } = file;
        let describe = || {
            if end < size {
                ftruncate(&fd, size)?;
            }
            if foreign {
                fchown(
                    &fd,
                    Some(Uid::from_raw(entry.uid)),
                    Some(Gid::from_raw(entry.gid)),
                )?;
            }
            fchmod(&fd, mode(&entry))?;
            set_xattrs(fd.as_fd(), &entry)?;
            futimens(&fd, &times(entry.mtime))
        };
        describe().map_err(|error| Trouble::kernel(&path, error))
    }
}

/// Makes something by a name; what has the name already and is no folder is removed first.
fn in_place<T>(
    folder: &Folder,
    name: &[u8],
    mut make: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    match make() {
        Err(Errno::EXIST) => {
            unlinkat(&folder.fd, name, AtFlags::empty())?;
            make()
        }
        made => made,
    }
}

/// Gives a folder all but its times.
fn describe_folder(entry: &TreeEntry<'_>, folder: BorrowedFd<'_>) -> Result<(), Errno> {
    fchown(
        folder,
        Some(Uid::from_raw(entry.uid)),
        Some(Gid::from_raw(entry.gid)),
    )?;
    fchmod(folder, mode(entry))?;
    set_xattrs(folder, entry)
}

/// Gives a link or a pipe, which cannot be opened for that, its attributes.
fn describe_named(
    entry: &TreeEntry<'_>,
    folder: &Folder,
    name: &[u8],
    with_mode: bool,
) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    chownat(&folder.fd, name, Some(uid), Some(gid), nofollow)?;
    if with_mode {
        // Not a link: it was made just now, and nothing else runs here.
        chmodat(&folder.fd, name, mode(entry), AtFlags::empty())?;
    }
    utimensat(&folder.fd, name, &times(entry.mtime), nofollow)
}

fn set_xattrs(fd: BorrowedFd<'_>, entry: &TreeEntry<'_>) -> Result<(), Errno> {
    for (name, value) in entry.xattrs.iter() {
        fsetxattr(fd, &name[..], value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Whether an entry's owner is not the one that it gets when it is made.
const fn is_foreign(entry: &TreeEntry<'_>, folder: &Folder) -> bool {
    entry.uid != 0 || entry.gid != 0 || folder.setgid
}

const fn mode(entry: &TreeEntry<'_>) -> Mode {
    Mode::from_raw_mode((entry.mode & 0o7777) as RawMode)
}

fn no_folder(path: &[u8], error: Errno) -> Trouble {
    match error {
        Errno::NOTDIR | Errno::EXIST | Errno::LOOP => Trouble::at(
            path,
            "what should be its folder is a file, or a link to nowhere",
        ),
        error => Trouble::kernel(path, error),
    }
}

/// Without slashes at its ends, and without those that mean nothing.
fn relative(path: &[u8]) -> Vec<u8> {
    let parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."));
    parts.collect::<Vec<_>>().join(&b'/')
}

fn join(base: &[u8], below: &[u8]) -> Vec<u8> {
    match (base, below) {
        ([], path) | (path, []) => path.to_vec(),
        (base, below) => [base, below].join(&b'/'),
    }
}

fn parent_of<'p>(path: &'p [u8], name: &[u8]) -> &'p [u8] {
    let parent = &path[..path.len() - name.len()];
    parent.strip_suffix(b"/").unwrap_or(parent)
}

const fn non_empty(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

/// A stranger's bytes as one line.
fn shown(bytes: &[u8]) -> String {
    let mut line = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;

    use rustix::process::{getegid, geteuid};

    use super::*;
    use crate::trees::stream::TreeWriter;

    /// What the tests' trees are made of.
    enum Piece {
        To(&'static str),
        File(&'static str, &'static str),
        Is(&'static str, EntryKind<'static>),
        Data(&'static [u8], u64),
    }
    use Piece::{Data, File, Is, To};

    fn text(text: &str) -> std::borrow::Cow<'static, [u8]> {
        text.as_bytes().to_vec().into()
    }

    /// Puts it below `root`; what was noted, or what went wrong.
    fn put(root: &Path, pieces: &[Piece]) -> Result<Vec<String>, String> {
        let ids = (geteuid().as_raw(), getegid().as_raw());
        let target = |to: &str, what| Target {
            to: to.as_bytes().to_vec(),
            what,
            uid: ids.0,
            gid: ids.1,
        };
        let entry = |path: &str, kind: &EntryKind<'static>| TreeEntry {
            path: text(path),
            mode: if *kind == EntryKind::Folder {
                0o750
            } else {
                0o640
            },
            kind: kind.clone(),
            uid: ids.0,
            gid: ids.1,
            mtime: (1_000_000_000, 5),
            xattrs: Vec::new().into(),
        };
        let mut bytes = Vec::new();
        let mut writer = TreeWriter::new(&mut bytes);
        for piece in pieces {
            match piece {
                To(to) => writer.target(&target(to, What::Entries)),
                File(to, name) => writer.target(&target(to, What::File(name.as_bytes().into()))),
                Is(path, kind) => writer.entry(&entry(path, kind)),
                Data(bytes, at) => writer.data(*at, bytes),
            }
            .unwrap();
        }
        writer.end().unwrap();
        let root = fs::File::open(root).unwrap().into();
        let mut notes = Vec::new();
        let put = Putter::new(root, |note: &str| notes.push(note.to_owned()))
            .follow(&mut TreeReader::new(&bytes[..]));
        put.map_err(|trouble| trouble.to_string())?;
        Ok(notes)
    }

    fn link(to: &str) -> EntryKind<'static> {
        EntryKind::Symlink(text(to))
    }

    #[test]
    fn a_tree_is_made_with_its_times() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let pieces = [
            To("/srv/app"),
            Is("", EntryKind::Folder),
            Is("a", EntryKind::Folder),
            Is("a/deep", EntryKind::Folder),
            Is("a/deep/file", EntryKind::File(5)),
            Data(b"he", 0),
            Data(b"llo", 2),
            Is("a/holes", EntryKind::File(1 << 20)),
            Data(b"x", 4096),
            Is("b", link("a/deep")),
            Is("c", EntryKind::HardLink(text("a/deep/file"))),
            // Back in a folder that was left.
            Is("a/deep/late", EntryKind::Fifo),
        ];
        assert_eq!(put(root, &pieces), Ok(Vec::new()));
        let app = root.join("srv/app");
        assert_eq!(fs::read(app.join("c")).unwrap(), b"hello");
        assert_eq!(fs::read_link(app.join("b")).unwrap(), Path::new("a/deep"));
        let facts = |path: &str| fs::symlink_metadata(app.join(path)).unwrap();
        assert_eq!(facts("c").ino(), facts("a/deep/file").ino());
        assert_eq!(facts("a/holes").len(), 1 << 20);
        assert!(facts("a/holes").blocks() < 64, "the holes stay");
        for path in ["", "a", "a/deep", "a/deep/file", "a/deep/late", "b"] {
            let facts = facts(path);
            assert_eq!(
                (facts.mtime(), facts.mtime_nsec()),
                (1_000_000_000, 5),
                "{path}"
            );
            if !facts.is_symlink() {
                let mode = if facts.is_dir() { 0o750 } else { 0o640 };
                assert_eq!(facts.mode() & 0o7777, mode, "{path}");
            }
        }
    }

    #[test]
    fn one_file_goes_into_a_folder_or_becomes_the_path() {
        for (to, place) in [
            ("/there", "there/name"),
            ("/there/", "there/name"),
            ("/link", "there/name"),
            ("/missing", "missing"),
            ("/missing/", "missing/name"),
            ("/there/new/x", "there/new/x"),
            ("/file", "file"),
            ("/", "name"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path();
            fs::create_dir(root.join("there")).unwrap();
            fs::write(root.join("file"), "old").unwrap();
            symlink("there", root.join("link")).unwrap();
            let pieces = [File(to, "name"), Is("", EntryKind::File(1)), Data(b"1", 0)];
            assert_eq!(put(root, &pieces), Ok(Vec::new()), "{to}");
            assert_eq!(fs::read(root.join(place)).unwrap(), b"1", "{to}");
        }
    }

    #[test]
    fn folders_join_and_files_replace() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("/usr/bin/kept", root.join("usr/bin/link")).unwrap();
        fs::write(root.join("usr/bin/kept"), "kept").unwrap();
        fs::write(root.join("usr/bin/old"), "old").unwrap();
        fs::hard_link(root.join("usr/bin/old"), root.join("twin")).unwrap();
        let pieces = [
            To("/"),
            Is("bin", EntryKind::Folder),
            Is("bin/old", EntryKind::File(3)),
            Data(b"new", 0),
            Is("bin/link", EntryKind::File(1)),
            Data(b"n", 0),
            Is("bin/kept", EntryKind::HardLink(text("usr/bin/kept"))),
        ];
        assert_eq!(put(root, &pieces), Ok(Vec::new()));
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        assert!(fs::symlink_metadata(root.join("bin")).unwrap().is_symlink());
        assert_eq!(read("usr/bin/old"), "new");
        assert_eq!(read("twin"), "old", "nothing is written through");
        assert_eq!(read("usr/bin/link"), "n");
        assert_eq!(read("usr/bin/kept"), "kept");
    }

    #[test]
    fn what_cannot_be_is_said() {
        let cases: [(&[Piece], &str); 10] = [
            (
                &[To("/"), Is("folder", EntryKind::File(0))],
                "/folder: there is a folder",
            ),
            (
                &[To("/"), Is("folder", link("x"))],
                "/folder: there is a folder",
            ),
            (
                &[To("/"), Is("file", EntryKind::Folder)],
                "/file: there is something else",
            ),
            (
                &[To("/"), Is("file/x", EntryKind::File(0))],
                "/file/x: what should be its folder",
            ),
            (
                &[To("/file"), Is("x", EntryKind::File(0))],
                "/file: what should be its folder",
            ),
            (
                &[To("/"), Is("nowhere/x", EntryKind::File(0))],
                "/nowhere/x: what should be",
            ),
            (
                &[To("/a"), Is("x", EntryKind::HardLink(text("y")))],
                "/a/x: the file that it is a hard link to, y, is not there",
            ),
            (
                &[To("/"), Is("x", EntryKind::HardLink(text("folder")))],
                "/x: the file that it is a hard link to, folder, is a folder",
            ),
            (
                &[To("/"), Is("../x", EntryKind::File(0))],
                "/../x: this is no path",
            ),
            (&[Data(b"x", 0)], "the stream has content without a file"),
        ];
        for (pieces, why) in cases {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("folder")).unwrap();
            fs::write(dir.path().join("file"), "").unwrap();
            symlink("gone", dir.path().join("nowhere")).unwrap();
            let trouble = put(dir.path(), pieces).unwrap_err();
            assert!(trouble.starts_with(why), "{trouble}");
        }
    }

    #[test]
    fn links_of_a_tree_lead_nowhere_outside_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        let there = link(outside.to_str().unwrap());
        for way in [there, link("../outside"), link("/proc/self/cwd")] {
            let pieces = [
                To("/a"),
                Is("way", way.clone()),
                Is("way/file", EntryKind::File(0)),
            ];
            assert!(put(&root, &pieces).is_err(), "{way:?}");
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        }
    }

    #[test]
    fn devices_are_left_out_and_so_are_their_other_names() {
        let dir = tempfile::tempdir().unwrap();
        let pieces = [
            To("/dev"),
            Is("sda", EntryKind::Device),
            Is("disk", EntryKind::HardLink(text("sda"))),
            Is("file", EntryKind::File(0)),
        ];
        let notes = put(dir.path(), &pieces).unwrap();
        assert_eq!(notes, ["/dev/sda: a device, which is left out"]);
        let names = fs::read_dir(dir.path().join("dev")).unwrap();
        assert_eq!(names.count(), 1);
    }

    #[test]
    fn many_folders_inside_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut pieces = vec![To("/")];
        let mut path = String::new();
        for _ in 0..200 {
            path.push_str(if path.is_empty() { "d" } else { "/d" });
            pieces.push(Is(String::leak(path.clone()), EntryKind::Folder));
        }
        pieces.push(Is("d/d/last", EntryKind::File(0)));
        assert_eq!(put(dir.path(), &pieces), Ok(Vec::new()));
        let mut at = dir.path().to_owned();
        for depth in 0..200 {
            at.push("d");
            assert_eq!(fs::metadata(&at).unwrap().mtime(), 1_000_000_000, "{depth}");
        }
    }
}
