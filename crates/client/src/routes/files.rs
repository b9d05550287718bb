//! Uploads: streamed from disk, and only when the server does not have the content.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contree_api::file::{File, FileList, FileResponse};
use futures_util::{Stream, TryStreamExt as _};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::call::{Call, encode};
use crate::http::MAX_ANSWER_BYTES;
use crate::{Client, Error};

/// How much is read from disk at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadStep {
    /// The file is being hashed.
    Hashing {
        /// Bytes hashed.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The server does not have it; it is being sent.
    Sending {
        /// Bytes handed to the connection.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uploaded {
    /// The file on the server.
    pub file: FileResponse,
    /// Whether the server had it before, so that nothing was sent.
    pub existed: bool,
}

impl Uploaded {
    fn found(file: File) -> Self {
        Self {
            file: FileResponse {
                uuid: file.uuid,
                sha256: file.sha256,
                size: file.size,
            },
            existed: true,
        }
    }
}

/// Which uploaded files a list has. Left out: all of the project, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileFilter {
    /// At most so many, 1 to 1000; the server's default is 100.
    pub limit: Option<u32>,
    /// So many are skipped.
    pub offset: Option<u32>,
    /// Uploaded at or after this moment (any form that the API takes).
    pub since: Option<String>,
    /// Uploaded before this moment.
    pub until: Option<String>,
}

impl Client {
    /// `GET /files`: one page.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_files(&self, filter: &FileFilter) -> Result<Vec<File>, Error> {
        let call = Call::get("/files")
            .query_some("limit", filter.limit)
            .query_some("offset", filter.offset)
            .query_some("since", filter.since.as_deref())
            .query_some("until", filter.until.as_deref());
        self.json::<FileList>(&call).await.map(|list| list.files)
    }

    /// `GET /files/{sha256}`: the file with this content, if the project has it.
    ///
    /// # Errors
    /// [`Error`], but not for 404.
    pub async fn find_file(&self, sha256: &str) -> Result<Option<File>, Error> {
        match self
            .json(&Call::get(format!("/files/{}", encode(sha256, false))))
            .await
        {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `HEAD /files/{sha256}`: whether the project has a file with this content.
    ///
    /// # Errors
    /// [`Error`], but not for 404.
    pub async fn has_file(&self, sha256: &str) -> Result<bool, Error> {
        self.is_there(&Call::head(format!("/files/{}", encode(sha256, false))))
            .await
    }

    /// `POST /files` with bytes from memory.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn upload_bytes(&self, bytes: bytes::Bytes) -> Result<FileResponse, Error> {
        // The same content gives the same file, so an upload may be sent twice.
        let call = Call::post("/files").repeatable();
        let total = bytes.len() as u64;
        self.again(&call, || async {
            // In pieces, so that it is seen to move.
            let mut rest = bytes.clone();
            let pieces = std::iter::from_fn(move || {
                let size = rest.len().min(CHUNK_BYTES);
                (size > 0).then(|| Ok::<_, std::io::Error>(rest.split_to(size)))
            });
            let pieces = futures_util::stream::iter(pieces);
            self.send_upload(&call, Some(total), pieces).await
        })
        .await
    }

    /// Makes sure that the server has these bytes: hashes them, asks, and sends them only when they
    /// are not there.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn ensure_bytes(&self, bytes: bytes::Bytes) -> Result<Uploaded, Error> {
        let hashed = bytes.clone();
        let sha256 = tokio::task::spawn_blocking(move || hex(&Sha256::digest(&hashed)))
            .await
            .map_err(|source| Error::Setup {
                source: source.into(),
            })?;
        if let Some(file) = self.find_file(&sha256).await? {
            return Ok(Uploaded::found(file));
        }
        Ok(Uploaded {
            file: self.upload_bytes(bytes).await?,
            existed: false,
        })
    }

    /// `POST /files` with bytes as they come, which can be sent only once. Their end or an error of
    /// theirs ends the upload; nothing is kept of one that broke off.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn upload_stream<S, E>(&self, bytes: S) -> Result<FileResponse, Error>
    where
        S: Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let call = Call::post("/files");
        self.send_upload(&call, None, bytes).await
    }

    /// Makes sure that the server has the file at `path`: hashes it, asks, and sends it only when
    /// it is not there. `progress` is called every few hundred kilobytes.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read or changes meanwhile, else any [`Error`].
    pub async fn ensure_file(
        &self,
        path: &Path,
        progress: impl Fn(UploadStep) + Clone + Send + Sync + 'static,
    ) -> Result<Uploaded, Error> {
        let unreadable = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        let (sha256, total) = hash_file(path, &progress).await.map_err(unreadable)?;
        if let Some(file) = self.find_file(&sha256).await? {
            return Ok(Uploaded::found(file));
        }
        let call = Call::post("/files").repeatable();
        let file: FileResponse = self
            .again(&call, || async {
                let source = tokio::fs::File::open(path).await.map_err(unreadable)?;
                let (mut done, progress) = (0, progress.clone());
                let stream = ReaderStream::with_capacity(source.take(total), CHUNK_BYTES)
                    .inspect_ok(move |chunk| {
                        done += chunk.len() as u64;
                        progress(UploadStep::Sending { done, total });
                    });
                self.send_upload(&call, Some(total), stream).await
            })
            .await?;
        if file.sha256.eq_ignore_ascii_case(&sha256) {
            Ok(Uploaded {
                file,
                existed: false,
            })
        } else {
            Err(unreadable(std::io::Error::other(
                "the file changed while it was being sent",
            )))
        }
    }

    /// Sends a body whose size has no bound in time: it fails only when for
    /// [`Config::idle_timeout`](crate::Config::idle_timeout) nothing moves.
    async fn send_upload<S, E>(
        &self,
        call: &Call,
        size: Option<u64>,
        bytes: S,
    ) -> Result<FileResponse, Error>
    where
        S: Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        /// How long it may still take when the time is over: it may have been this process that
        /// stood still, and not the server.
        const GRACE: Duration = Duration::from_secs(1);

        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let bytes = bytes.inspect_ok(move |chunk| {
            counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        });
        let mut request = self
            .request(call)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(reqwest::Body::wrap_stream(bytes));
        if let Some(size) = size {
            request = request.header(CONTENT_LENGTH, size);
        }
        let after = self.idle_timeout();
        let mut answer = std::pin::pin!(async {
            let response = request
                .send()
                .await
                .map_err(|error| self.failed(call, error))?;
            let response = self.checked(call, response).await?;
            let body = self.read_body(call, response, MAX_ANSWER_BYTES).await?;
            serde_json::from_slice(&body).map_err(|error| call.answer(&error))
        });
        'moving: loop {
            let before = sent.load(Ordering::Relaxed);
            for patience in [after, GRACE] {
                if let Ok(answer) = tokio::time::timeout(patience, &mut answer).await {
                    return answer;
                }
                if sent.load(Ordering::Relaxed) > before {
                    continue 'moving;
                }
            }
            return Err(self.sent(call).timed_out(after));
        }
    }
}

async fn hash_file(
    path: &Path,
    progress: &(impl Fn(UploadStep) + Send + Sync),
) -> std::io::Result<(String, u64)> {
    let mut file = tokio::fs::File::open(path).await?;
    file.set_max_buf_size(CHUNK_BYTES);
    let total = file.metadata().await?.len();
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut done = 0;
    loop {
        let size = file.read(&mut buffer).await?;
        if size == 0 {
            break;
        }
        hash.update(&buffer[..size]);
        done += size as u64;
        progress(UploadStep::Hashing {
            done,
            total: total.max(done),
        });
    }
    let digest = hash.finalize();
    Ok((hex(&digest), done))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
