//! Looking into an image without running it.

use serde::{Deserialize, Serialize};

/// An owner: a name when the image's `/etc/passwd` or `/etc/group` has one, else the number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Owner {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the contract's shape")]
pub struct FileItem {
    /// Bytes.
    pub size: i64,
    /// Name in the listed folder.
    pub path: String,
    /// User.
    pub owner: Owner,
    /// Group.
    pub group: Owner,
    /// Full `st_mode`.
    pub mode: u32,
    /// Last change, Unix seconds.
    pub mtime: i64,
    /// Hard links.
    pub nlink: u64,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// A folder.
    pub is_dir: bool,
    /// A regular file.
    pub is_regular: bool,
    /// A symbolic link.
    pub is_symlink: bool,
    /// A socket.
    pub is_socket: bool,
    /// A named pipe.
    pub is_fifo: bool,
    /// Target of a symbolic link, else empty.
    pub symlink_to: String,
}

/// `GET /inspect/{image}/list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryList {
    /// The folder that was listed.
    pub path: String,
    /// Its entries, by name.
    pub files: Vec<FileItem>,
}
