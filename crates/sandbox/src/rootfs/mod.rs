//! The filesystem that a sandbox sees.
//!
//! Three steps, by who may take them:
//!
//! 1. [`Mounts::prepare`], with the host's privilege: a mount of the layer store that shows ids
//!    as the sandbox's user namespace counts them, and a tmpfs with the device nodes, which
//!    nobody in a user namespace can make.
//! 2. [`attach()`], in the sandbox's own namespaces and before the job is known: these two, proc
//!    with what is hidden in it, and devpts are mounted on the launcher's stage.
//! 3. [`assemble`], when the job is known: the overlay, with the rest moved into it, becomes the
//!    root; the stage, and with it the store, is detached.
//!
//! One store mount for all layers: overlay's lower folders are named relative to it, so the cost
//! of a start does not grow with the number of layers, and names stay short (mount data is one
//! page, about 90 layers).
//!
//! The overlay is mounted inside the user namespace, where the kernel wants `userxattr`, and with
//! `volatile`: without it every unmount would sync the whole host filesystem, and every fsync of
//! a guest would reach the disk. What has to survive is synced when a layer is committed.
//!
//! What a mount costs is not the layers but the work folder, where overlayfs makes and deletes
//! about seven files to see what the filesystem can do. On ext4 **without a journal** every new
//! inode is searched for past all that were deleted in the last minutes (`recently_deleted` in
//! the kernel's profile): under load that was 29 % of all time, and runs took half as long with
//! the store on a tmpfs. With a journal there is no such search.
//!
//! Guest paths are never resolved outside the guest's root: before the pivot with
//! `RESOLVE_IN_ROOT`, after it because there is nothing else, and never through magic links.

mod attach;
mod attachments;
mod devices;
mod overlay;
mod paths;
mod supply;

pub(crate) use attach::{Mounts, ProcPaths, attach, place};
pub(crate) use attachments::put as put_file;
pub(crate) use overlay::{Assembled, assemble};
pub(crate) use paths::{make_folders, open_in_root, split as split_path};
