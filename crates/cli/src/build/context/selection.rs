//! What an instruction takes of the context: its digest, and an archive of it.
//!
//! The digest is of paths, kinds, modes, targets of links and contents; not of times and owners,
//! which another checkout of the same files has others of. The archive has the files' times,
//! belongs to root throughout, and is the same for the same files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::hashes::{Hashes, Stamp, copy, hex};
use crate::build::archive::{self, Archive};
use crate::build::chmod::Chmod;
use crate::failure::{Doing as _, Failure};

/// As much of a name or target as a header has room for.
const NAME_BYTES: usize = 100;
const BLOCK_BYTES: u64 = 512;

/// Files and folders of the context that an instruction takes.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// By their paths in the archive; a folder comes before what is in it.
    entries: BTreeMap<PathBuf, Entry>,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    /// Where it is on this machine.
    path: PathBuf,
    kind: Kind,
    mode: u32,
    modified: i64,
    stamp: Stamp,
    /// Whether a source names it, other than a folder that it is in.
    is_source: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link(PathBuf),
}

/// What becomes of a selection on its way into the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The name of the only file, instead of its own.
    pub(crate) name: Option<OsString>,
    /// Modes, instead of the files' own.
    pub(crate) chmod: Option<Chmod>,
}

impl Selection {
    /// Puts in something; of two files in one place the later one stays.
    pub(super) fn add(
        &mut self,
        name: PathBuf,
        path: PathBuf,
        metadata: &Metadata,
        target: Option<PathBuf>,
    ) -> Result<(), Failure> {
        let kind = match target {
            Some(target) => Kind::Link(target),
            None if metadata.is_dir() => Kind::Folder,
            None if metadata.is_file() => Kind::File,
            None => {
                self.warnings.push(format!(
                    "{} is no file, folder or link, and is not copied",
                    path.display()
                ));
                return Ok(());
            }
        };
        let entry = Entry {
            path,
            kind,
            mode: metadata.mode() & 0o7777,
            modified: metadata.mtime(),
            stamp: Stamp::of(metadata),
            is_source: false,
        };
        match self.entries.entry(name) {
            Place::Vacant(place) => drop(place.insert(entry)),
            Place::Occupied(mut place) => {
                if (place.get().kind == Kind::Folder) != (entry.kind == Kind::Folder) {
                    return Err(Failure::new(format!(
                        "{} and {} would be in one place, and one of them is a folder",
                        place.get().path.display(),
                        entry.path.display()
                    )));
                }
                place.insert(entry);
            }
        }
        Ok(())
    }

    /// Remembers that a source names this entry.
    pub(super) fn note_source(&mut self, name: &Path) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.is_source = true;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing in it, as of an empty folder.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The name of the file that it is, if it is one: a destination that is no folder renames it.
    pub(crate) fn single_file(&self) -> Option<&OsStr> {
        let (name, entry) = self.entries.first_key_value()?;
        (self.entries.len() == 1 && entry.is_source).then_some(name.as_os_str())
    }

    /// What was left out and why.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The digest of all that is in it.
    pub(crate) fn digest(&self, hashes: &mut Hashes) -> Result<String, Failure> {
        let mut hash = Sha256::new();
        let mut piece = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        for (name, entry) in &self.entries {
            piece(name.as_os_str().as_bytes());
            piece(&entry.mode.to_be_bytes());
            match &entry.kind {
                Kind::Folder => piece(b"folder"),
                Kind::Link(target) => {
                    piece(b"link");
                    piece(target.as_os_str().as_bytes());
                }
                Kind::File => {
                    piece(b"file");
                    piece(hashes.sha256(&entry.path, &entry.stamp)?.as_bytes());
                }
            }
        }
        Ok(hex(&hash.finalize()))
    }

    /// Takes the archives out that `ADD` unpacks: of files that sources name, not of those in
    /// folders.
    pub(crate) fn take_archives(&mut self) -> Result<Vec<Archive>, Failure> {
        let mut archives = Vec::new();
        for (name, entry) in &self.entries {
            if entry.is_source
                && entry.kind == Kind::File
                && let Some(coding) = archive::coding(&entry.path, &entry.stamp)?
            {
                archives.push(Archive::new(
                    name.clone(),
                    entry.path.clone(),
                    entry.stamp.clone(),
                    coding,
                ));
            }
        }
        for archive in &archives {
            self.entries.remove(&archive.name);
        }
        Ok(archives)
    }

    /// Writes an archive of it.
    pub(crate) fn write_tar(
        &self,
        out: &mut dyn Write,
        placement: &Placement,
    ) -> Result<(), Failure> {
        let failed = || "could not write an archive of the context".to_owned();
        for (name, entry) in &self.entries {
            let name = placement.name.as_deref().unwrap_or(name.as_os_str());
            let mut header = entry.header(placement.chmod.as_ref());
            let mut name = name.as_bytes().to_vec();
            if entry.kind == Kind::Folder {
                name.push(b'/');
            }
            if let Kind::Link(target) = &entry.kind {
                let target = target.as_os_str().as_bytes();
                long(out, tar::EntryType::GNULongLink, target).doing(failed)?;
                put(&mut header.as_old_mut().linkname, target);
            }
            long(out, tar::EntryType::GNULongName, &name).doing(failed)?;
            put(&mut header.as_old_mut().name, &name);
            header.set_cksum();
            out.write_all(header.as_bytes()).doing(failed)?;
            if entry.kind == Kind::File {
                copy(&entry.path, &entry.stamp, out)?;
                pad(out, entry.stamp.size()).doing(failed)?;
            }
        }
        out.write_all(&[0; 2 * BLOCK_BYTES as usize])
            .and_then(|()| out.flush())
            .doing(failed)
    }
}

impl Entry {
    fn header(&self, chmod: Option<&Chmod>) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(match self.kind {
            Kind::Folder => tar::EntryType::Directory,
            Kind::File => tar::EntryType::Regular,
            Kind::Link(_) => tar::EntryType::Symlink,
        });
        header.set_size(match self.kind {
            Kind::File => self.stamp.size(),
            Kind::Folder | Kind::Link(_) => 0,
        });
        let mode = match chmod {
            Some(chmod) if !matches!(self.kind, Kind::Link(_)) => {
                chmod.apply(self.mode, self.kind == Kind::Folder)
            }
            _ => self.mode,
        };
        header.set_mode(mode);
        header.set_mtime(u64::try_from(self.modified).unwrap_or(0));
        header.set_uid(0);
        header.set_gid(0);
        header
    }
}

/// An entry that has the name or target of the next one, when it is long; the GNU way, which takes
/// any bytes.
fn long(out: &mut dyn Write, kind: tar::EntryType, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() <= NAME_BYTES {
        return Ok(());
    }
    let mut header = tar::Header::new_gnu();
    let size = bytes.len() as u64 + 1;
    put(&mut header.as_old_mut().name, b"././@LongLink");
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    out.write_all(bytes)?;
    out.write_all(&[0])?;
    pad(out, size)
}

/// As much as there is room for.
fn put(field: &mut [u8; NAME_BYTES], bytes: &[u8]) {
    let size = bytes.len().min(NAME_BYTES);
    field[..size].copy_from_slice(&bytes[..size]);
}

/// Zeros up to the next block.
fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let rest = usize::try_from(size.next_multiple_of(BLOCK_BYTES) - size).unwrap_or_default();
    out.write_all(&[0; BLOCK_BYTES as usize][..rest])
}
