//! The entries of a folder of an image.

use contree_api::inspect::FileItem;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::Refused;
use super::owners::Owners;
use super::resolve::Entry;
use crate::stack::{Name, Stack, is_whiteout};

/// Entries, whiteouts included, that a listing takes. The contract has no pages, so a listing is
/// one answer and this is what bounds its memory (some 60 MB).
pub(super) const LIMIT: usize = 250_000;

/// What the folder where the stack stands shows, by name.
pub(super) fn items(stack: &Stack, owners: &Owners) -> Result<Vec<FileItem>, Refused> {
    let names = stack
        .names(usize::MAX, LIMIT)?
        .ok_or(Refused::TooManyEntries)?;
    let mut items = Vec::with_capacity(names.len());
    for name in names {
        // The topmost layer decides what a name is, and with what owner and mode; what is
        // below matters only to who goes into a folder.
        let Name { name, layer } = name;
        let facts = rustix::fs::statat(stack.part(layer), &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if is_whiteout(&facts) {
            continue;
        }
        let entry = Entry {
            name,
            layer,
            facts: Box::new(facts),
        };
        let target = link_target(stack, &entry)?;
        items.push(item(entry.name.to_bytes(), &entry.facts, target, owners));
    }
    Ok(items)
}

/// The target of a symbolic link, nothing for anything else.
pub(super) fn link_target(stack: &Stack, entry: &Entry) -> Result<Vec<u8>, Errno> {
    if FileType::from_raw_mode(entry.facts.st_mode) != FileType::Symlink {
        return Ok(Vec::new());
    }
    let target = rustix::fs::readlinkat(stack.part(entry.layer), &entry.name, Vec::new())?;
    Ok(target.into_bytes())
}

/// One entry as the contract shows it.
pub(super) fn item(name: &[u8], facts: &Stat, link: Vec<u8>, owners: &Owners) -> FileItem {
    let kind = FileType::from_raw_mode(facts.st_mode);
    let is_dir = kind == FileType::Directory;
    FileItem {
        size: facts.st_size,
        path: lossy(name),
        owner: owners.user(facts.st_uid),
        group: owners.group(facts.st_gid),
        mode: facts.st_mode,
        mtime: facts.st_mtime,
        // Folders of several layers have no true number of links; overlayfs says 1 as well.
        nlink: if is_dir { 1 } else { links(facts) },
        uid: facts.st_uid,
        gid: facts.st_gid,
        is_dir,
        is_regular: kind == FileType::RegularFile,
        is_symlink: kind == FileType::Symlink,
        is_socket: kind == FileType::Socket,
        is_fifo: kind == FileType::Fifo,
        symlink_to: lossy(&link),
    }
}

#[cfg_attr(
    target_arch = "x86_64",
    expect(clippy::useless_conversion, reason = "32 bits on other machines")
)]
fn links(facts: &Stat) -> u64 {
    facts.st_nlink.into()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
