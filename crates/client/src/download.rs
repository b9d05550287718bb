//! Bytes that come in piece by piece.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, BufWriter};

use crate::call::{Call, Sent};
use crate::{Client, Error};

/// How much is written to disk at a time.
const WRITE_BYTES: usize = 1024 * 1024;

/// A file that comes in piece by piece.
#[derive(Debug)]
pub struct Download {
    response: Response,
    sent: Sent,
    idle_timeout: Duration,
}

impl Download {
    pub(crate) fn new(client: &Client, call: &Call, response: Response) -> Self {
        Self {
            response,
            sent: client.sent(call),
            idle_timeout: client.idle_timeout(),
        }
    }

    /// Bytes to come, if the server said.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Whether what comes is compressed with gzip.
    #[must_use]
    pub fn is_gzip(&self) -> bool {
        let coding = self.response.headers().get(CONTENT_ENCODING);
        coding.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"))
    }

    /// The next piece; `None` when the file is complete.
    ///
    /// # Errors
    /// [`Error::Transport`] when the connection breaks before the end, [`Error::TimedOut`] after a
    /// silence of [`Config::idle_timeout`](crate::Config::idle_timeout).
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match tokio::time::timeout(self.idle_timeout, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|source| self.sent.clone().broke(source)),
            Err(_) => Err(self.sent.clone().timed_out(self.idle_timeout)),
        }
    }

    /// All that is to come, in memory.
    ///
    /// # Errors
    /// As [`Download::next`].
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// Writes all that is to come to a file of this machine, and returns its size. It appears under
    /// its name when it is whole; until then it is beside it, as a hidden file that ends with `.part`.
    /// What is there already and is no plain file (a link, a device, a pipe) is written to instead of
    /// being replaced.
    ///
    /// # Errors
    /// As [`Download::next`]; [`Error::Save`] when the file cannot be written.
    pub async fn save(mut self, to: &Path) -> Result<u64, Error> {
        let unwritable = |source| Error::Save {
            path: to.to_owned(),
            source,
        };
        let is_other = tokio::fs::symlink_metadata(to)
            .await
            .is_ok_and(|there| !there.is_file());
        let (file, part) = if is_other {
            (File::create(to).await.map_err(unwritable)?, None)
        } else {
            let (file, part) = Part::beside(to).await.map_err(unwritable)?;
            (file, Some(part))
        };
        let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
        let mut size = 0;
        while let Some(piece) = self.next().await? {
            file.write_all(&piece).await.map_err(unwritable)?;
            size += piece.len() as u64;
        }
        file.flush().await.map_err(unwritable)?;
        drop(file);
        if let Some(part) = part {
            part.becomes(to).map_err(unwritable)?;
        }
        Ok(size)
    }
}

/// A file that is not whole. It goes when nothing becomes of it.
struct Part {
    path: PathBuf,
    is_whole: bool,
}

impl Part {
    /// Of its own: another download to the same place, and whoever else may write there, has no
    /// part in it.
    async fn beside(path: &Path) -> std::io::Result<(File, Self)> {
        // Without the file's name, behind which there may be no room for more.
        let name = format!(".contree-{}.part", uuid::Uuid::new_v4().simple());
        path.file_name().ok_or(ErrorKind::IsADirectory)?;
        let path = path.with_file_name(name);
        let file = File::create_new(&path).await?;
        Ok((
            file,
            Self {
                path,
                is_whole: false,
            },
        ))
    }

    fn becomes(mut self, path: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.path, path)?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_whole {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
