//! The lock on a data folder: `DATA_DIR/lock`, held by the one process that has the records open,
//! a server or an administrator's command.
//!
//! The file also tells who holds it: a server writes its URL there once it listens. What the file
//! says counts only while it is locked, so a server that was killed leaves nothing misleading
//! behind.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::engine::StartError;

/// Longest URL that is read.
const LONGEST_URL: usize = 4_096;

/// A data folder held by this process; let go when dropped.
#[derive(Debug)]
pub(crate) struct DataLock(File);

impl DataLock {
    /// Takes the folder.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::DataDir {
            path: data_dir.to_owned(),
            source,
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path(data_dir))
            .map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(StartError::InUse {
                    path: data_dir.to_owned(),
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).map_err(failed)?;
        Ok(Self(file))
    }

    /// Says where the server that holds the folder is reached.
    pub(crate) fn tell(&self, url: &str) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.write_all_at(url.as_bytes(), 0)
    }
}

/// Where the server that holds the folder said that it is reached; none as long as it has not.
pub(crate) fn told(data_dir: &Path) -> io::Result<Option<String>> {
    let mut text = vec![0; LONGEST_URL];
    let length = File::open(path(data_dir))?.read_at(&mut text, 0)?;
    text.truncate(length);
    Ok(String::from_utf8(text).ok().filter(|url| !url.is_empty()))
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("lock")
}
