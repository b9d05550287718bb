//! What files contained when they were last read.
//!
//! A file whose state is the same contains the same: size, times, and which file it is. Not so when
//! it was changed just now, for a second change within one tick of the clock would not show; such
//! a file is read again the next time.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::failure::{Doing as _, Failure};

/// No clock of a filesystem is coarser.
const TICK: Duration = Duration::from_secs(2);
/// So many files are remembered.
const MAX_FILES: usize = 200_000;
const CHUNK_BYTES: usize = 256 * 1024;

/// Digests of files, by their paths and states. The caller keeps it between builds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hashes {
    known: BTreeMap<String, (Stamp, String)>,
}

/// The state of a file: device, inode, size, and the times of its content and itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::build) struct Stamp(u64, u64, u64, i64, i64, i64, i64);

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self(
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        )
    }

    pub(super) const fn size(&self) -> u64 {
        self.2
    }

    /// Whether a change would change it.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let Some(past) = now.ok().and_then(|now| now.checked_sub(TICK)) else {
            return false;
        };
        let newest = self.3.max(self.5);
        u64::try_from(newest).is_ok_and(|newest| newest < past.as_secs())
    }
}

impl Hashes {
    /// The sha256 of a file in that state, in hexadecimal.
    pub(in crate::build) fn sha256(
        &mut self,
        path: &Path,
        stamp: &Stamp,
    ) -> Result<String, Failure> {
        let key = path.to_string_lossy();
        if let Some((known, sha256)) = self.known.get(&*key)
            && known == stamp
        {
            return Ok(sha256.clone());
        }
        let mut hash = Sha256::new();
        read(path, stamp, |chunk| {
            hash.update(chunk);
            Ok(())
        })?;
        let sha256 = hex(&hash.finalize());
        if stamp.is_settled() {
            if self.known.len() >= MAX_FILES {
                self.known.clear();
            }
            self.known
                .insert(key.into_owned(), (stamp.clone(), sha256.clone()));
        }
        Ok(sha256)
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Opens a file that must still be in the state.
pub(in crate::build) fn open(path: &Path, stamp: &Stamp) -> Result<File, Failure> {
    let failed = || format!("could not read {}", path.display());
    // Neither a link that has taken its place, nor a pipe that would wait for its other end.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.doing(failed)?;
    check(&file, path, stamp)?;
    Ok(file)
}

fn check(file: &File, path: &Path, stamp: &Stamp) -> Result<(), Failure> {
    let metadata = file
        .metadata()
        .doing(|| format!("could not read {}", path.display()))?;
    if Stamp::of(&metadata) == *stamp {
        return Ok(());
    }
    Err(
        Failure::new(format!("{} changed while it was read", path.display()))
            .next("start the build again when nothing writes to the context"),
    )
}

/// All of a file in that state, piece by piece.
fn read(
    path: &Path,
    stamp: &Stamp,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    let failed = || format!("could not read {}", path.display());
    let mut file = open(path, stamp)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut rest = stamp.size();
    while rest > 0 {
        let wanted = usize::try_from(rest).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let size = match file.read(&mut chunk[..wanted]) {
            Ok(0) => break,
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).doing(failed),
        };
        take(&chunk[..size]).doing(failed)?;
        rest -= size as u64;
    }
    check(&file, path, stamp)?;
    if rest > 0 {
        return Err(Failure::new(format!(
            "{} is shorter than it says",
            path.display()
        )));
    }
    Ok(())
}

/// Writes all of a file in that state, never more or less than its size.
pub(super) fn copy(path: &Path, stamp: &Stamp, out: &mut dyn Write) -> Result<(), Failure> {
    read(path, stamp, |chunk| out.write_all(chunk))
}
