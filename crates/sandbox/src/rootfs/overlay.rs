//! The overlay, and the step into it.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, mount, move_mount, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::attach::clone_tree;
use super::paths::open_in_root;
use super::supply;
use crate::job::Program;
use crate::protocol::sandbox::Begin;
use crate::protocol::{Failure, FailureSource, Step};
use crate::sys::mount::set_attributes;

/// Mount data is copied from one page; the kernel cuts it there without a word.
const MOUNT_DATA: usize = 4096;

/// What is left of the stage.
#[derive(Debug)]
pub(crate) struct Assembled {
    /// The layer store, when there are files to be taken from it; drop it before anything of the
    /// guest runs.
    pub(crate) store: Option<OwnedFd>,
    /// The sandbox's `/dev/null`.
    pub(crate) null: OwnedFd,
}

/// Puts the root together on the stage and makes it the root of this process and namespace.
///
/// Where only trees are put in place there is nothing but the image's own files: what a tree has
/// below `/dev` or `/proc` becomes part of the image too.
pub(crate) fn assemble(job: &Begin) -> Result<Assembled, Failure> {
    chdir("/layers").step("change to the layer store")?;
    let options = options(job)?;
    mount(
        "overlay",
        "/root",
        "overlay",
        MountFlags::NOATIME,
        options.as_c_str(),
    )
    .step("mount the overlay")?;
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, "/root", folder, Mode::empty()).step("open the new root")?;
    if job.process.program != Program::Trees {
        furnish(job, root.as_fd())?;
    }
    let null = openat(
        CWD,
        "/scratch/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .step("open /dev/null")?;
    let store = if job.files.is_empty() {
        None
    } else {
        Some(openat(CWD, ".", folder, Mode::empty()).step("open the layer store")?)
    };
    fchdir(&root).step("change to the new root")?;
    // Old and new root on one another, so that no folder of the guest is needed for the old one.
    pivot_root(".", ".").step("pivot to the new root")?;
    unmount(".", UnmountFlags::DETACH).step("detach the stage")?;
    chdir("/").step("change to /")?;
    Ok(Assembled { store, null })
}

/// Adds to the image's files what a command expects beside them.
fn furnish(job: &Begin, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = openat(CWD, "/newproc", folder, Mode::empty()).step("open the new /proc")?;
    move_into(proc, root, "proc")?;
    let devices = clone_tree("/scratch/dev", true).step("clone /dev")?;
    move_into(devices, root, "dev")?;
    let sys = clone_tree("/sys", true).step("clone /sys")?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    set_attributes(sys.as_fd(), true, attributes, None).step("make /sys read-only")?;
    move_into(sys, root, "sys")?;
    supply::mount_over(root, "resolv.conf", &job.resolv_conf)?;
    supply::mount_over(root, "hosts", &job.hosts)
}

fn options(job: &Begin) -> Result<CString, Failure> {
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr,volatile,index=off",
        job.lowers.join(":"),
        job.upper,
        job.work
    );
    if options.len() >= MOUNT_DATA {
        return Err(Failure {
            step: format!(
                "mount the overlay: {} layers need {} bytes of options, one page is the most",
                job.lowers.len(),
                options.len()
            ),
            source: FailureSource(libc::E2BIG),
        });
    }
    CString::new(options)
        .map_err(std::io::Error::other)
        .step("name the layers")
}

/// Attaches `mount` at a top folder of the guest's root.
fn move_into(mount: OwnedFd, root: BorrowedFd<'_>, name: &str) -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let target = open_in_root(root, name.as_bytes(), flags, Mode::empty());
    let target = target
        .map_err(|errno| Failure::new(format!("find the image's folder /{name}"), &errno.into()))?;
    move_mount(
        &mount,
        "",
        &target,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .map_err(|errno| Failure::new(format!("mount /{name}"), &errno.into()))
}
