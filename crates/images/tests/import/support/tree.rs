//! Two folders, compared in everything that matters.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use contree_images::import::Digest;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first path, in order, of the same inode.
    pub(crate) first_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File(u64, Digest),
    Folder,
    Symlink(String),
    Fifo,
    Device,
    Socket,
}

/// All entries below a folder, the folder itself as `.`.
pub(crate) fn facts(root: &Path) -> BTreeMap<String, Facts> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(path) = pending.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let kind = if kind.is_dir() {
            pending.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            Kind::Folder
        } else if kind.is_symlink() {
            Kind::Symlink(
                std::fs::read_link(&path)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned(),
            )
        } else if kind.is_fifo() {
            Kind::Fifo
        } else if kind.is_socket() {
            Kind::Socket
        } else if kind.is_char_device() || kind.is_block_device() {
            Kind::Device
        } else {
            Kind::File(meta.size(), Digest::of(&std::fs::read(&path).unwrap()))
        };
        let relative = path.strip_prefix(root).unwrap();
        let name = match relative.as_os_str().as_bytes() {
            b"" => ".".to_owned(),
            bytes => bytes.escape_ascii().to_string(),
        };
        let facts = Facts {
            kind,
            mode: meta.mode() & 0o7777,
            owner: (meta.uid(), meta.gid()),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            xattrs: xattrs(&path),
            first_name: format!("{}", meta.ino()),
        };
        found.insert(name, facts);
    }
    let mut first: HashMap<String, String> = HashMap::new();
    for (name, facts) in &mut found {
        facts.first_name = first
            .entry(facts.first_name.clone())
            .or_insert_with(|| name.clone())
            .clone();
    }
    found
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 65_536];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap();
    let mut found: Vec<_> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 65_536];
            let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
            (name.to_vec(), value[..length].to_vec())
        })
        .collect();
    found.sort();
    found
}

/// Fails with the first differences.
pub(crate) fn assert_same(ours: &BTreeMap<String, Facts>, theirs: &BTreeMap<String, Facts>) {
    let mut differences = Vec::new();
    for (name, facts) in theirs {
        match ours.get(name) {
            None => differences.push(format!("missing: {name}: {facts:?}")),
            Some(own) if own != facts => {
                differences.push(format!("{name}:\n  ours   {own:?}\n  theirs {facts:?}"));
            }
            Some(_) => {}
        }
    }
    differences.extend(
        ours.keys()
            .filter(|name| !theirs.contains_key(*name))
            .map(|name| format!("extra: {name}")),
    );
    let count = differences.len();
    differences.truncate(20);
    assert_eq!(count, 0, "{count} differences:\n{}", differences.join("\n"));
}
