//! The layer store on disk.
//!
//! ```text
//! ROOT/                           mode 0700: layers hold guests' setuid files under plain ids
//! ├── format                      "contree-store 1\n"
//! ├── lock                        flock(2)ed, exclusive, by the server that uses the store
//! ├── layers/
//! │   ├── skeleton/               the lowest layer of every run: empty mount points
//! │   └── <LayerId, 32 hex>/      an overlay upper as a run left it, or a merge, or an import
//! ├── uppers/
//! │   └── <OperationId, 32 hex>/  a run in progress
//! │       ├── upper/              becomes layers/<id> by rename(2) when it is committed
//! │       └── work/               overlayfs's own
//! ├── files/
//! │   └── <2 hex>/<FileId, 32 hex>    an upload's content, mode 0600; the 2 are its first hex
//! ├── staging/
//! │   └── <unique>/               an import, merge or upload in progress
//! │       ├── tree/               becomes layers/<id> by rename(2)
//! │       └── scratch/            whatever else it needs: downloaded blobs, copies
//! └── trash/
//!     └── <unique>                to be removed
//! ```
//!
//! # A layer
//! The folder of a layer is the root folder of the image as that layer sees it. Owners are plain
//! ids (root is 0); sandboxes see them through an idmapped mount. What a layer hides of the
//! layers below is written as overlayfs (mounted with `userxattr`) writes it:
//!
//! - a **whiteout**, a character device 0:0, says that the name is gone;
//! - a folder with the extended attribute `user.overlay.opaque` = `y` shows nothing of the
//!   folders below it with the same name.
//!
//! All other `user.overlay.*` attributes are overlayfs's notes to itself and mean nothing once
//! the layer lies below others. Guests cannot set any of them: overlayfs stores a guest's own
//! `user.overlay.x` as `user.overlay.overlay.x`; imports refuse them. A layer's own root folder
//! is never opaque. Redirects and metadata-only copies do not exist: `userxattr` forbids both.
//!
//! A layer is immutable from the rename that makes it until the rename into `trash/` that ends
//! it. Merged layers share the inodes of files with the layers they were made from.
//!
//! # Locking
//! One server uses a store at a time: `lock` is held from [`Store::open`](crate::Store::open)
//! until the last clone of the store is dropped, and the kernel lets go of it when the process
//! dies. Inside the server nothing is locked: every path below belongs to one owner at a time
//! (an operation to its run, a staging folder to its import), and ids are never used twice.
//! Whoever removes a layer has made sure that no run, merge or view uses it; a view that does
//! still sees what it has open.
//!
//! # Crashes
//! Only complete things have a name in `layers/` and `files/`, because they get it by a rename,
//! the last step. So after a crash of the server everything in `uppers/`, `staging/` and `trash/`
//! is left over; opening the store moves the first two into the third and empties that in the
//! background. After a power failure a rename may have reached the disk before the data: who
//! promises durability calls [`Store::sync`](crate::Store::sync) between the rename and telling
//! anybody (including the database) of the layer. A layer that no record names is harmless and
//! found with [`Store::layer_ids`](crate::Store::layer_ids).

use contree_api::{FileId, LayerId, OperationId};
use uuid::Uuid;

/// Content of the `format` file.
pub(crate) const FORMAT: &str = "contree-store 1\n";
pub(crate) const FORMAT_FILE: &str = "format";
pub(crate) const LOCK_FILE: &str = "lock";
pub(crate) const LAYERS: &str = "layers";
pub(crate) const UPPERS: &str = "uppers";
pub(crate) const FILES: &str = "files";
pub(crate) const STAGING: &str = "staging";
pub(crate) const TRASH: &str = "trash";

/// The skeleton layer, relative to the store's root.
pub const SKELETON: &str = "layers/skeleton";

/// In an upper's folder: what the run wrote.
pub(crate) const UPPER: &str = "upper";
/// In an upper's folder: overlayfs's own.
pub(crate) const WORK: &str = "work";
/// In a staging folder: what becomes a layer.
pub(crate) const TREE: &str = "tree";
/// In a staging folder: everything else.
pub(crate) const SCRATCH: &str = "scratch";

/// Marks an opaque folder, with the value `y`.
pub(crate) const OPAQUE_XATTR: &str = "user.overlay.opaque";

/// An id as a file name: 32 lower-case hex digits.
pub(crate) fn hex(id: Uuid) -> String {
    id.simple().to_string()
}

/// A layer's folder, relative to the store's root.
#[must_use]
pub fn layer(id: LayerId) -> String {
    format!("{LAYERS}/{}", hex(id.uuid()))
}

/// The folder of a run in progress, relative to the store's root.
pub(crate) fn upper(run: OperationId) -> String {
    format!("{UPPERS}/{}", hex(run.uuid()))
}

/// The folder that holds an upload, relative to the store's root.
pub(crate) fn file_folder(id: FileId) -> String {
    let name = hex(id.uuid());
    format!("{FILES}/{}", &name[..2])
}

/// An upload's content, relative to the store's root.
#[must_use]
pub fn file(id: FileId) -> String {
    let name = hex(id.uuid());
    format!("{FILES}/{}/{name}", &name[..2])
}

/// The id that a file name of [`hex`]'s form stands for.
pub(crate) fn id_of(name: &[u8]) -> Option<Uuid> {
    let name = std::str::from_utf8(name).ok()?;
    let id = Uuid::try_parse(name).ok()?;
    (hex(id) == name).then_some(id)
}
