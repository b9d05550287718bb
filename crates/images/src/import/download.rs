//! Fetching one layer into its [`Spool`], digest and size checked on the way.

use std::sync::Arc;

use super::digest::Hasher;
use super::disk::{DiskError, DiskWatch};
use super::manifest::Descriptor;
use super::progress::Meter;
use super::registry::{Attempts, RegistryError, Session};
use super::spool::Spool;

/// Bytes that are hashed and written in one go, away from the async threads.
const BATCH: usize = 512 << 10;
/// How often a layer that does make progress may break off all the same. A registry could
/// otherwise hand out a byte per connection.
const MAX_RESUMES: u32 = 100;

/// Why a layer did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// By the registry's doing.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The disk is nearly full.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// By the disk's.
    #[error("a downloaded layer could not be written to disk")]
    Write {
        /// Why.
        source: std::io::Error,
    },
}

/// What is known of the layer so far. Travels to the blocking threads and back.
struct Received {
    hasher: Hasher,
    batch: Vec<u8>,
    done: u64,
    disk: DiskWatch,
}

/// Fetches `layer`, resuming where a connection breaks. After an error, or when this is dropped,
/// somebody has to break the spool, or its reader waits for ever.
pub(super) async fn fetch(
    session: &Session,
    layer: &Descriptor,
    spool: &Arc<Spool>,
    meter: &Meter,
) -> Result<(), DownloadError> {
    let mut received = Received {
        hasher: Hasher::like(&layer.digest),
        batch: Vec::new(),
        done: 0,
        disk: DiskWatch::new(session.limits().reserved_bytes),
    };
    let mut attempts = Attempts::new(session.limits());
    let mut resumes = 0;
    meter.at(0);
    while received.done < layer.size {
        let before = received.done;
        let broke = pull(session, layer, spool, meter, &mut received).await?;
        if received.done >= layer.size {
            break;
        }
        resumes += 1;
        if received.done > before {
            attempts = Attempts::new(session.limits());
        }
        if resumes > MAX_RESUMES || !attempts.next(None).await {
            let (host, what) = (session.host(), format!("layer {}", layer.digest));
            return Err(match broke {
                Some(source) if received.done == 0 => RegistryError::Connect { host, source },
                _ => RegistryError::Truncated {
                    host,
                    what,
                    expected: layer.size,
                    received: received.done,
                },
            }
            .into());
        }
    }
    let actual = received.hasher.finish();
    if actual != layer.digest {
        let (host, what) = (session.host(), format!("layer {}", layer.digest));
        let expected = layer.digest.clone();
        return Err(RegistryError::Digest {
            host,
            what,
            expected,
            actual,
        }
        .into());
    }
    spool.complete();
    Ok(())
}

/// One connection's worth. The error that ended it, if one did, is given back as a value: it is
/// not the last word.
async fn pull(
    session: &Session,
    layer: &Descriptor,
    spool: &Arc<Spool>,
    meter: &Meter,
    received: &mut Received,
) -> Result<Option<reqwest::Error>, DownloadError> {
    let mut part = session.blob(layer, received.done).await?;
    // A registry without ranges begins again at the start.
    let mut skip = received.done - part.offset;
    loop {
        let chunk = match part.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                flush(spool, received).await?;
                meter.at(received.done);
                return Ok(None);
            }
            Err(error) => {
                flush(spool, received).await?;
                return Ok(Some(error));
            }
        };
        let skipped = usize::try_from(skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
        skip -= skipped as u64;
        received.batch.extend_from_slice(&chunk[skipped..]);
        let actual = received.done + received.batch.len() as u64;
        if actual > layer.size {
            let (host, what) = (session.host(), format!("layer {}", layer.digest));
            return Err(RegistryError::Size {
                host,
                what,
                expected: layer.size,
                actual,
            }
            .into());
        }
        if received.batch.len() >= BATCH {
            flush(spool, received).await?;
            meter.at(received.done);
        }
    }
}

/// Hashes and writes what has been gathered.
async fn flush(spool: &Arc<Spool>, received: &mut Received) -> Result<(), DownloadError> {
    if received.batch.is_empty() {
        return Ok(());
    }
    received.disk.use_up(spool, received.batch.len() as u64)?;
    let batch = std::mem::take(&mut received.batch);
    let mut hasher = std::mem::replace(&mut received.hasher, Hasher::sha256());
    let spool = Arc::clone(spool);
    let work = tokio::task::spawn_blocking(move || {
        hasher.update(&batch);
        spool.append(&batch).map(|()| (hasher, batch))
    });
    let written = match work.await {
        Ok(written) => written,
        Err(stopped) => Err(std::io::Error::other(stopped)),
    };
    let (hasher, mut batch) = written.map_err(|source| DownloadError::Write { source })?;
    received.hasher = hasher;
    received.done += batch.len() as u64;
    batch.clear();
    received.batch = batch;
    Ok(())
}
