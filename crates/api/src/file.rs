//! Uploaded files.

use serde::{Deserialize, Serialize};

use crate::{FileId, Timestamp};

/// Answer to an upload: `POST /files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileResponse {
    /// The file's id; the same content in the same project has the same id.
    pub uuid: FileId,
    /// SHA-256 of the content, 64 lower-case hex digits.
    #[cfg_attr(
        feature = "openapi",
        schema(
            pattern = "^[0-9a-f]{64}$",
            example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
    )]
    pub sha256: String,
    /// Size in bytes.
    #[cfg_attr(feature = "openapi", schema(example = 1024))]
    pub size: i64,
}

/// One uploaded file: `GET /files/{sha256}` and the items of `GET /files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct File {
    /// The file's id.
    pub uuid: FileId,
    /// SHA-256 of the content, 64 lower-case hex digits.
    #[cfg_attr(
        feature = "openapi",
        schema(
            pattern = "^[0-9a-f]{64}$",
            example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
    )]
    pub sha256: String,
    /// Size in bytes.
    #[cfg_attr(feature = "openapi", schema(example = 1024))]
    pub size: i64,
    /// First upload in this project.
    pub created_at: Timestamp,
    /// Latest upload of the same content.
    pub updated_at: Timestamp,
}

/// `GET /files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FilesListResponse))]
pub struct FileList {
    /// Newest first.
    pub files: Vec<File>,
}
