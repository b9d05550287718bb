//! Stopping before the disk is full: an import that fails is better than a server that does.

use std::io;
use std::os::fd::AsFd;

use super::progress::Size;

/// Free disk is looked at each time this many bytes were written.
const CHECK_EVERY: u64 = 64 << 20;

/// Looks at the free disk from time to time.
#[derive(Debug)]
pub(super) struct DiskWatch {
    reserved: u64,
    unchecked: u64,
}

/// No more room.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Nearly.
    #[error("the server's disk is full: less than {} would remain", Size(*reserved))]
    Full {
        /// What must remain.
        reserved: u64,
    },
    /// The kernel would not say.
    #[error("the server's free disk is unknown")]
    Unknown {
        /// Why.
        source: io::Error,
    },
}

impl DiskWatch {
    /// Keeps `reserved` bytes free. The first look is at the first write.
    pub(super) const fn new(reserved: u64) -> Self {
        Self {
            reserved,
            unchecked: CHECK_EVERY,
        }
    }

    /// `bytes` are about to be used on the disk that `on` is on.
    pub(super) fn use_up(&mut self, on: impl AsFd, bytes: u64) -> Result<(), DiskError> {
        self.unchecked = self.unchecked.saturating_add(bytes);
        if self.unchecked < CHECK_EVERY {
            return Ok(());
        }
        self.unchecked = 0;
        let disk = rustix::fs::fstatvfs(on).map_err(|error| DiskError::Unknown {
            source: error.into(),
        })?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < self.reserved {
            return Err(DiskError::Full {
                reserved: self.reserved,
            });
        }
        Ok(())
    }
}
