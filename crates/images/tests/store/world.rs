//! A store in a folder of its own, and layers made of a list of entries.

use std::fs::File;
use std::io::Write;
use std::ops::Deref;
use std::path::Path;

use contree_api::LayerId;
use contree_images::{Dir, RootDir, Staged, Store};
use proptest::prelude::*;
use rustix::fs::{Timespec, Timestamps, XattrFlags};
use tempfile::TempDir;

/// A store that is gone with its folder.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
}

impl Deref for World {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(crate) fn world() -> World {
    // Not in /tmp, which may be a tmpfs without extended attributes for users.
    let folder = tempfile::Builder::new()
        .prefix("contree-store-")
        .tempdir_in("/var/tmp")
        .unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    World { store, folder }
}

impl World {
    /// A layer of these entries.
    pub(crate) fn layer(&self, entries: &[Entry]) -> LayerId {
        let staged = self.store.stage().unwrap();
        for entry in entries {
            entry.make(&staged);
        }
        let layer = LayerId::new();
        staged.commit(layer).unwrap();
        layer
    }

    /// A layer that `fill` makes.
    pub(crate) fn layer_with(&self, fill: impl FnOnce(&RootDir)) -> LayerId {
        let staged = self.store.stage().unwrap();
        fill(staged.tree());
        let layer = LayerId::new();
        staged.commit(layer).unwrap();
        layer
    }

    /// A layer's folder on the host.
    pub(crate) fn path(&self, layer: LayerId) -> std::path::PathBuf {
        self.store.root().join(contree_images::layout::layer(layer))
    }
}

/// Something in a layer. Missing folders above it are made.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: i64,
    pub(crate) xattr: Option<(String, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Vec<u8>),
    Folder,
    Opaque,
    Whiteout,
    Symlink(String),
    HardLink(String),
    Fifo,
    Socket,
}

pub(crate) fn entry(path: &str, kind: Kind) -> Entry {
    let mode = if matches!(kind, Kind::Folder | Kind::Opaque) {
        0o755
    } else {
        0o644
    };
    let path = path.to_owned();
    Entry {
        path,
        kind,
        mode,
        owner: (0, 0),
        mtime: 1_700_000_000,
        xattr: None,
    }
}

pub(crate) fn file(path: &str, content: &str) -> Entry {
    entry(path, Kind::File(content.into()))
}

pub(crate) fn folder(path: &str) -> Entry {
    entry(path, Kind::Folder)
}

pub(crate) fn opaque(path: &str) -> Entry {
    entry(path, Kind::Opaque)
}

pub(crate) fn whiteout(path: &str) -> Entry {
    entry(path, Kind::Whiteout)
}

pub(crate) fn symlink(path: &str, target: &str) -> Entry {
    entry(path, Kind::Symlink(target.to_owned()))
}

impl Entry {
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = (uid, gid);
        self
    }

    fn make(&self, staged: &Staged) {
        let tree = staged.tree();
        let (parent, name) = match self.path.rsplit_once('/') {
            Some((parent, name)) => (parent, name.as_bytes()),
            None => ("", self.path.as_bytes()),
        };
        // What is in the way stays, and the entry is left out: random layers run into that.
        let Ok(parent) = tree.create_dirs(parent.as_bytes(), 0o755) else {
            return;
        };
        let exists = parent.stat(name).is_ok();
        match &self.kind {
            Kind::Folder | Kind::Opaque => {
                let made = if exists {
                    parent.open_dir(name)
                } else {
                    parent.create_dir(name, 0)
                };
                let Ok(made) = made else { return };
                if self.kind == Kind::Opaque {
                    let flags = XattrFlags::empty();
                    rustix::fs::fsetxattr(&made, "user.overlay.opaque", b"y", flags).unwrap();
                }
            }
            _ if exists => return,
            Kind::File(content) => {
                parent
                    .create_file(name, 0)
                    .unwrap()
                    .write_all(content)
                    .unwrap();
            }
            Kind::Whiteout => return parent.create_whiteout(name).unwrap(),
            Kind::Symlink(target) => parent.create_symlink(name, target.as_bytes()).unwrap(),
            Kind::HardLink(target) => {
                let Ok((of, Some(of_name))) = tree.parent_of(target.as_bytes()) else {
                    return;
                };
                let _ = parent.create_hard_link(name, &of, of_name);
                return;
            }
            Kind::Fifo => parent.create_fifo(name, 0o600).unwrap(),
            Kind::Socket => parent.create_socket(name, 0o600).unwrap(),
        }
        self.attributes(&parent, name);
    }

    fn attributes(&self, parent: &Dir, name: &[u8]) {
        let facts = parent.stat(name).unwrap();
        if self.owner != (0, 0) || facts.st_uid == 0 {
            parent.set_owner(name, self.owner.0, self.owner.1).unwrap();
        }
        parent.set_mode(name, self.mode).unwrap();
        if let Some((key, value)) = &self.xattr {
            // Only files and folders can have what users set.
            if matches!(self.kind, Kind::File(_) | Kind::Folder | Kind::Opaque) {
                parent.set_xattr(name, key.as_bytes(), value).unwrap();
            }
        }
        let time = Timespec {
            tv_sec: self.mtime,
            tv_nsec: 5,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        parent.set_times(name, &times).unwrap();
    }
}

/// Paths of few names, so that random entries meet.
pub(crate) fn a_path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["[ab]", Just("tmp".to_owned())], 1..4)
        .prop_map(|names| names.join("/"))
}

/// Anything that a layer can have.
pub(crate) fn an_entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        4 => "[a-z]{0,8}".prop_map(|content| Kind::File(content.into_bytes())),
        2 => Just(Kind::Folder),
        2 => Just(Kind::Opaque),
        4 => Just(Kind::Whiteout),
        1 => a_path().prop_map(Kind::Symlink),
        2 => a_path().prop_map(Kind::HardLink),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
    ];
    let mode = prop_oneof![
        Just(0o644),
        Just(0o755),
        Just(0o4711),
        Just(0o2770),
        Just(0o1777)
    ];
    let xattr = proptest::option::of(Just(("user.mine".to_owned(), b"value".to_vec())));
    (a_path(), kind, mode, 0..3_u32, 0..2_000_000_000_i64, xattr).prop_map(
        |(path, kind, mode, owner, mtime, xattr)| Entry {
            path,
            kind,
            mode,
            owner: (owner, owner * 1000),
            mtime,
            xattr,
        },
    )
}

/// Waits until a folder on the host is empty: what is removed in the background has no other
/// sign of its end.
pub(crate) fn until_empty(folder: &Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while std::fs::read_dir(folder).unwrap().next().is_some() {
        assert!(
            std::time::Instant::now() < deadline,
            "{} is not emptied",
            folder.display()
        );
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// The content of a file that a view opened.
pub(crate) fn read(mut file: File) -> Vec<u8> {
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut content).unwrap();
    content
}
