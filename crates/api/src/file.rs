//! Uploaded files.

use serde::{Deserialize, Serialize};

use crate::{FileId, Timestamp};

/// Answer to an upload: `POST /files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileResponse {
    /// The file's id; the same content in the same project has the same id.
    pub uuid: FileId,
    /// SHA-256 of the content, 64 lower-case hex digits.
    pub sha256: String,
    /// Size in bytes.
    pub size: i64,
}

/// One uploaded file: `GET /files/{sha256}` and the items of `GET /files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The file's id.
    pub uuid: FileId,
    /// SHA-256 of the content, 64 lower-case hex digits.
    pub sha256: String,
    /// Size in bytes.
    pub size: i64,
    /// First upload in this project.
    pub created_at: Timestamp,
    /// Latest upload of the same content.
    pub updated_at: Timestamp,
}

/// `GET /files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// Newest first.
    pub files: Vec<File>,
}
