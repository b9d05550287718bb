//! Saying whether a folder is what it was, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Everything below a folder, by path: type, mode, owner, time of change and a digest of the
/// content. Two equal maps are two equal folders.
#[must_use]
pub fn tree_digests(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut digests = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder can be listed") {
            let path = entry.expect("a folder can be listed").path();
            let meta = fs::symlink_metadata(&path).expect("an entry can be looked at");
            let content = if meta.is_symlink() {
                let target = fs::read_link(&path).expect("a link can be read");
                Sha256::digest(target.as_os_str().as_bytes())
            } else if meta.is_file() {
                Sha256::digest(fs::read(&path).expect("a file can be read"))
            } else {
                if meta.is_dir() {
                    folders.push(path.clone());
                }
                Sha256::digest(b"")
            };
            let about = format!(
                "{:o} {}:{} {}.{} {content:x?}",
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.mtime(),
                meta.mtime_nsec()
            );
            let name = path.strip_prefix(folder).expect("it is below the folder");
            digests.insert(name.to_path_buf(), about);
        }
    }
    digests
}
