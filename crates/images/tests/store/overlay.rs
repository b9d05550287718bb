//! overlayfs as the judge: mounts chains and writes down everything a guest could see.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CString;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use contree_api::LayerId;
use contree_images::Upper;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use crate::world::World;

/// Mounts of this thread are seen by nobody else from now on.
#[expect(
    deprecated,
    reason = "a mount namespace of a thread's own endangers no memory"
)]
pub(crate) fn private_mounts() {
    rustix::thread::unshare(UnshareFlags::NEWNS).unwrap();
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).unwrap();
}

/// A mounted chain.
pub(crate) struct Mounted {
    pub(crate) at: PathBuf,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.at, UnmountFlags::empty()).unwrap();
    }
}

/// Mounts the chain as sandboxes do, with an upper to write to if given.
pub(crate) fn mount(world: &World, chain: &[LayerId], upper: Option<&Upper>) -> Mounted {
    mount_names(world, &world.lower_names(chain), upper)
}

/// Mounts what is in the chain alone, without the places that sandboxes mount over.
pub(crate) fn mount_content(world: &World, chain: &[LayerId]) -> Mounted {
    // overlayfs wants two layers at least.
    let empty = world.layer(&[]);
    let mut names = world.lower_names(&[chain, &[empty]].concat());
    names.pop();
    mount_names(world, &names, None)
}

fn mount_names(world: &World, lowers: &[String], upper: Option<&Upper>) -> Mounted {
    let at = world
        .folder
        .path()
        .join(format!("mounted-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&at).unwrap();
    let root = world.root().display();
    let lowers: Vec<_> = lowers.iter().map(|name| format!("{root}/{name}")).collect();
    let mut options = format!("userxattr,lowerdir={}", lowers.join(":"));
    if let Some(upper) = upper {
        let (upper, work) = (upper.upper_name(), upper.work_name());
        options.push_str(&format!(",upperdir={root}/{upper},workdir={root}/{work}"));
    }
    let options = CString::new(options).unwrap();
    rustix::mount::mount("overlay", &at, "overlay", MountFlags::empty(), &*options).unwrap();
    Mounted { at }
}

/// Everything about an entry that a guest can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, i64),
    /// A file's bytes, a link's target.
    pub(crate) content: Vec<u8>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first path of the same file.
    pub(crate) same_as: PathBuf,
}

/// What there is to see below a folder, by path relative to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) entries: BTreeMap<PathBuf, Seen>,
    /// Names that reading a folder shows although there is nothing by that name.
    pub(crate) ghosts: BTreeSet<PathBuf>,
}

pub(crate) fn look(root: &Path) -> Sight {
    let mut sight = Sight::default();
    let mut files: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let full = root.join(&path);
        let Ok(facts) = std::fs::symlink_metadata(&full) else {
            sight.ghosts.insert(path);
            continue;
        };
        let kind = facts.file_type();
        if kind.is_dir() {
            let mut below: Vec<_> = std::fs::read_dir(&full)
                .unwrap()
                .map(|e| path.join(e.unwrap().file_name()))
                .collect();
            // The last is taken first: so the first name of a file is the same everywhere.
            below.sort_by(|a, b| b.cmp(a));
            pending.extend(below);
        }
        let content = if kind.is_file() {
            std::fs::read(&full).unwrap()
        } else if kind.is_symlink() {
            std::fs::read_link(&full)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes()
        } else {
            assert!(
                kind.is_dir() || kind.is_fifo() || kind.is_socket(),
                "{full:?}: {kind:?}"
            );
            Vec::new()
        };
        let same_as = if kind.is_dir() {
            path.clone()
        } else {
            files
                .entry((facts.dev(), facts.ino()))
                .or_insert_with(|| path.clone())
                .clone()
        };
        let seen = Seen {
            mode: facts.mode(),
            uid: facts.uid(),
            gid: facts.gid(),
            mtime: (facts.mtime(), facts.mtime_nsec()),
            content,
            xattrs: xattrs(&full),
            same_as,
        };
        sight.entries.insert(path, seen);
    }
    sight
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let mut found: Vec<_> = names[..length]
        .split(|&b| b == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            value.truncate(length);
            (name.to_vec(), value)
        })
        .collect();
    found.sort();
    found
}
