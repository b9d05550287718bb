//! Files for a run: sent several at once, and only what the server does not have.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use contree_api::FileId;
use contree_api::instance::AttachedFile;
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::{Client, Error};

/// Uploads at a time.
const AT_ONCE: usize = 8;
/// What is not larger is sent without asking first: that takes no longer than the question.
const SMALL_BYTES: u64 = 64 * 1024;

/// A file that is put into a run's sandbox before its command starts.
///
/// ```
/// use contree_client::Upload;
///
/// let script = Upload::bytes("#!/bin/sh\necho hello\n").mode(0o755);
/// let config = Upload::path("app/config.toml").owner(1000, 1000);
/// ```
#[derive(Debug, Clone)]
pub struct Upload {
    source: Source,
    uid: u32,
    gid: u32,
    mode: Option<u32>,
}

#[derive(Debug, Clone)]
enum Source {
    Path(PathBuf),
    Bytes(Bytes),
    Uploaded(FileId),
}

impl Upload {
    const fn new(source: Source) -> Self {
        Self {
            source,
            uid: 0,
            gid: 0,
            mode: None,
        }
    }

    /// A file of this machine. Its permissions are kept unless [`Upload::mode`] says otherwise.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::Path(path.into()))
    }

    /// Bytes from memory, with the permissions 0644 unless [`Upload::mode`] says otherwise.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(Source::Bytes(bytes.into()))
    }

    /// A file that the server has, with the permissions 0644 unless [`Upload::mode`] says otherwise.
    #[must_use]
    pub const fn uploaded(file: FileId) -> Self {
        Self::new(Source::Uploaded(file))
    }

    /// Its permissions, such as `0o755`.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Its owner and group. Default root, 0 and 0.
    #[must_use]
    pub const fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.uid = uid;
        self.gid = gid;
        self
    }

    async fn send(&self, client: &Client) -> Result<AttachedFile, Error> {
        let mut mode = self.mode;
        let uuid = match &self.source {
            Source::Uploaded(file) => *file,
            Source::Bytes(bytes) if bytes.len() as u64 <= SMALL_BYTES => {
                client.upload_bytes(bytes.clone()).await?.uuid
            }
            Source::Bytes(bytes) => client.ensure_bytes(bytes.clone()).await?.file.uuid,
            Source::Path(path) => {
                let unreadable = |source| Error::File {
                    path: path.clone(),
                    source,
                };
                let metadata = tokio::fs::metadata(path).await.map_err(unreadable)?;
                mode = mode.or_else(|| permissions(&metadata));
                if metadata.is_file() && metadata.len() <= SMALL_BYTES {
                    let bytes = tokio::fs::read(path).await.map_err(unreadable)?;
                    client.upload_bytes(bytes.into()).await?.uuid
                } else {
                    client.ensure_file(path, |_| ()).await?.file.uuid
                }
            }
        };
        Ok(AttachedFile {
            uuid,
            uid: self.uid,
            gid: self.gid,
            mode: mode.map(|mode| format!("{mode:04o}")),
        })
    }
}

#[cfg(unix)]
fn permissions(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;

    Some(metadata.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn permissions(_: &std::fs::Metadata) -> Option<u32> {
    None
}

impl From<&Path> for Upload {
    fn from(path: &Path) -> Self {
        Self::path(path)
    }
}

impl From<PathBuf> for Upload {
    fn from(path: PathBuf) -> Self {
        Self::path(path)
    }
}

impl From<Bytes> for Upload {
    fn from(bytes: Bytes) -> Self {
        Self::bytes(bytes)
    }
}

impl From<Vec<u8>> for Upload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl From<FileId> for Upload {
    fn from(file: FileId) -> Self {
        Self::uploaded(file)
    }
}

/// Sends what has to be sent, and answers in the order given. The first failure ends it.
pub(crate) async fn send_all(
    client: &Client,
    uploads: Vec<(String, Upload)>,
) -> Result<Vec<(String, AttachedFile)>, Error> {
    futures_util::stream::iter(uploads)
        .map(|(to, upload)| async move { Ok((to, upload.send(client).await?)) })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}
