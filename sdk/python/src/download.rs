//! Files of an image, into memory and onto the local disk.
//!
//! A download that breaks off in the middle is begun anew, as often as the client's settings say.

use std::path::Path;

use contree_client::api::ImageId;
use contree_client::{Contree, Download, Error, RetryPolicy};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, BufWriter};

use crate::errors::Failure;

/// How much is written to disk at a time.
const CHUNK: usize = 1024 * 1024;

/// What can be downloaded of an image.
pub(crate) struct Remote {
    contree: Contree,
    image: ImageId,
    path: String,
    form: Form,
}

enum Form {
    /// A file as it is.
    File,
    /// A file or folder as a tar archive.
    Archive,
    /// The same, compressed where the server can.
    ArchiveGzip,
}

impl Remote {
    pub(crate) const fn file(contree: Contree, image: ImageId, path: String) -> Self {
        Self {
            contree,
            image,
            path,
            form: Form::File,
        }
    }

    pub(crate) const fn archive(
        contree: Contree,
        image: ImageId,
        path: String,
        gzip: bool,
    ) -> Self {
        let form = if gzip {
            Form::ArchiveGzip
        } else {
            Form::Archive
        };
        Self {
            contree,
            image,
            path,
            form,
        }
    }

    async fn open(&self) -> Result<Download, Error> {
        let client = self.contree.client();
        match self.form {
            Form::File => client.download(self.image, &self.path).await,
            Form::Archive => client.archive(self.image, &self.path).await,
            Form::ArchiveGzip => client.archive_gzip(self.image, &self.path).await,
        }
    }

    pub(crate) async fn bytes(&self, retry: &RetryPolicy) -> Result<Vec<u8>, Failure> {
        let mut failures = 0;
        loop {
            let mut download = self.open().await?;
            let size = download.size().and_then(|size| usize::try_from(size).ok());
            let mut bytes = Vec::with_capacity(size.unwrap_or_default().min(CHUNK));
            loop {
                match download.next().await {
                    Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                    Ok(None) => return Ok(bytes),
                    Err(error) => break pause(retry, &mut failures, error).await?,
                }
            }
        }
    }

    /// Returns how many bytes it has. A file that is not whole is removed.
    pub(crate) async fn save(&self, retry: &RetryPolicy, path: &Path) -> Result<u64, Failure> {
        let mut failures = 0;
        loop {
            // Nothing is made before the server has said that the file is there.
            let download = self.open().await?;
            match write(download, path).await {
                Ok(size) => return Ok(size),
                Err(failure) => {
                    if tokio::fs::symlink_metadata(path)
                        .await
                        .is_ok_and(|found| found.is_file())
                    {
                        let _ = tokio::fs::remove_file(path).await;
                    }
                    match failure {
                        Failure::Client(error) => pause(retry, &mut failures, error).await?,
                        failure => return Err(failure),
                    }
                }
            }
        }
    }
}

async fn write(mut download: Download, path: &Path) -> Result<u64, Failure> {
    let unwritable = |source| Failure::file(path, source);
    let file = File::create(path).await.map_err(unwritable)?;
    let mut file = BufWriter::with_capacity(CHUNK, file);
    let mut size = 0;
    while let Some(chunk) = download.next().await? {
        file.write_all(&chunk).await.map_err(unwritable)?;
        size += chunk.len() as u64;
    }
    file.flush().await.map_err(unwritable)?;
    Ok(size)
}

/// Waits before another attempt; a failure that is final comes back.
async fn pause(retry: &RetryPolicy, failures: &mut u32, error: Error) -> Result<(), Failure> {
    *failures += 1;
    let heals = matches!(error, Error::Transport { .. } | Error::TimedOut { .. });
    if !heals || *failures >= retry.max_attempts {
        return Err(error.into());
    }
    tokio::time::sleep(retry.delay(*failures)).await;
    Ok(())
}
