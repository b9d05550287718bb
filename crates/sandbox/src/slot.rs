//! Which of the servers on this machine we are.
//!
//! Several servers may run on one machine; each takes a *slot*, a small number that keeps apart
//! everything they make in the kernel's global name spaces:
//!
//! | what | in slot N |
//! | --- | --- |
//! | uids and gids on the host | sandbox I owns the 65,536 ids from (N+1)·2^27 + I·2^16, I < 2,048 |
//! | subnet | 10.(200+N).0.0/16 unless configured |
//! | nftables table | `contree_N` |
//! | network interfaces | `ctN-…` |
//! | control groups | `contree/N/<sandbox>` |
//!
//! A slot is held by an exclusive `flock` on `slot-N.lock`, which the kernel lets go of when the
//! server dies, however it dies. The file's content tells whether what the slot names may still
//! exist: it is non-empty from the moment the slot is taken until [`Slot::release`] has been
//! called after everything was removed. So a file that is non-empty but not locked belongs to a
//! server that was killed, and whoever starts next cleans up after it ([`Slot::abandoned`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Where the locks are, unless told otherwise.
pub const RUN_DIR: &str = "/run/contree";

/// Slots on one machine.
///
/// Bounded by the uids: slot 29 ends at 31·2^27 − 1, the last multiple of 2^27 below 2^32.
pub const SLOTS: u32 = 30;

/// Ids of one sandbox.
pub const IDS_PER_SANDBOX: u32 = 1 << 16;

/// Sandboxes that one slot has ids for.
pub const SANDBOXES_PER_SLOT: u32 = 2_048;

/// A slot that we hold.
#[derive(Debug)]
pub struct Slot {
    number: u32,
    lock: File,
}

/// Why a slot could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The folder of the locks cannot be made.
    #[error("make folder {path}")]
    MakeFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A lock file cannot be used.
    #[error("open lock {path}")]
    OpenLock {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The mark in the lock file cannot be written.
    #[error("mark slot {number} as used")]
    Mark {
        /// The slot.
        number: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Every slot belongs to a living server, or is about to be cleaned.
    #[error("all {SLOTS} slots of this machine are taken, or were left by servers that died")]
    NoneFree,
}

impl Slot {
    /// Takes the first slot that is free and clean, among those whose locks are in `dir`, which
    /// is made when missing.
    ///
    /// Call [`Slot::abandoned`] before, and clean what it returns: slots with something left in
    /// them are passed over.
    pub fn take(dir: &Path) -> Result<Self, SlotError> {
        make_folder(dir)?;
        for number in 0..SLOTS {
            if let Some(mut slot) = Self::try_lock(dir, number)?
                && !slot.is_marked()?
            {
                slot.mark()?;
                return Ok(slot);
            }
        }
        Err(SlotError::NoneFree)
    }

    /// Locks and returns every slot that a dead server left without cleaning up.
    ///
    /// Call [`Slot::release`] on each when nothing of it is left.
    pub fn abandoned(dir: &Path) -> Result<Vec<Self>, SlotError> {
        make_folder(dir)?;
        let mut found = Vec::new();
        for number in 0..SLOTS {
            if !lock_path(dir, number).exists() {
                continue;
            }
            if let Some(mut slot) = Self::try_lock(dir, number)?
                && slot.is_marked()?
            {
                found.push(slot);
            }
        }
        Ok(found)
    }

    /// Its number, from 0 to [`SLOTS`] − 1.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// First host uid and gid of the slot's sandbox `index`, below [`SANDBOXES_PER_SLOT`].
    #[must_use]
    pub const fn id_base(&self, index: u32) -> u32 {
        (self.number + 1) * (IDS_PER_SANDBOX * SANDBOXES_PER_SLOT)
            + (index % SANDBOXES_PER_SLOT) * IDS_PER_SANDBOX
    }

    /// Second octet of the slot's own subnet `10.X.0.0/16`.
    #[must_use]
    pub const fn subnet_octet(&self) -> u8 {
        // SLOTS is 30, so this is at most 229.
        200 + self.number as u8
    }

    /// Name of the slot's nftables table.
    #[must_use]
    pub fn table(&self) -> String {
        format!("contree_{}", self.number)
    }

    /// How the names of the slot's network interfaces begin.
    #[must_use]
    pub fn interface_prefix(&self) -> String {
        format!("ct{}-", self.number)
    }

    /// The slot's control group, relative to a hierarchy's root.
    #[must_use]
    pub fn control_group(&self) -> String {
        format!("contree/{}", self.number)
    }

    /// Gives the slot back; nothing that it names exists any more.
    pub fn release(self) -> Result<(), SlotError> {
        self.lock.set_len(0).map_err(|source| SlotError::Mark {
            number: self.number,
            source,
        })
    }

    fn try_lock(dir: &Path, number: u32) -> Result<Option<Self>, SlotError> {
        let path = lock_path(dir, number);
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| SlotError::OpenLock {
                path: path.clone(),
                source,
            })?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { number, lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(SlotError::OpenLock {
                path,
                source: errno.into(),
            }),
        }
    }

    fn is_marked(&mut self) -> Result<bool, SlotError> {
        let mut byte = [0_u8; 1];
        let read = self
            .lock
            .rewind()
            .and_then(|()| self.lock.read(&mut byte))
            .map_err(|source| SlotError::Mark {
                number: self.number,
                source,
            })?;
        Ok(read > 0)
    }

    fn mark(&mut self) -> Result<(), SlotError> {
        self.lock
            .set_len(0)
            .and_then(|()| self.lock.rewind())
            .and_then(|()| writeln!(self.lock, "{}", std::process::id()))
            .map_err(|source| SlotError::Mark {
                number: self.number,
                source,
            })
    }
}

fn lock_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("slot-{number}.lock"))
}

fn make_folder(dir: &Path) -> Result<(), SlotError> {
    fs::create_dir_all(dir).map_err(|source| SlotError::MakeFolder {
        path: dir.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_slot_is_not_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = Slot::take(dir.path()).unwrap();
        let second = Slot::take(dir.path()).unwrap();
        assert_eq!((first.number(), second.number()), (0, 1));
        assert!(
            Slot::abandoned(dir.path()).unwrap().is_empty(),
            "both are in use"
        );
        first.release().unwrap();
        assert_eq!(Slot::take(dir.path()).unwrap().number(), 0);
    }

    #[test]
    fn a_slot_dropped_without_release_is_abandoned() {
        let dir = tempfile::tempdir().unwrap();
        drop(Slot::take(dir.path()).unwrap());
        let left = Slot::abandoned(dir.path()).unwrap();
        assert_eq!(left.iter().map(Slot::number).collect::<Vec<_>>(), [0]);
        assert_eq!(
            Slot::take(dir.path()).unwrap().number(),
            1,
            "it is held while being cleaned"
        );
        for slot in left {
            slot.release().unwrap();
        }
        let numbers: Vec<_> = Slot::abandoned(dir.path())
            .unwrap()
            .iter()
            .map(Slot::number)
            .collect();
        assert_eq!(numbers, [1], "slot 1 was dropped just now, slot 0 is clean");
        drop(Slot::take(dir.path()).unwrap());
        let next = Slot::take(dir.path()).unwrap();
        assert_eq!(next.number(), 2, "0 and 1 are free, but not clean");
    }

    #[test]
    fn id_ranges_do_not_overlap_or_overflow() {
        let dir = tempfile::tempdir().unwrap();
        let slots: Vec<_> = (0..SLOTS)
            .map(|_| Slot::take(dir.path()).unwrap())
            .collect();
        assert!(matches!(Slot::take(dir.path()), Err(SlotError::NoneFree)));
        let mut next = 1 << 27;
        for slot in &slots {
            assert_eq!(slot.id_base(0), next);
            let last = slot.id_base(SANDBOXES_PER_SLOT - 1);
            next = last.checked_add(IDS_PER_SANDBOX).expect("within 32 bits");
        }
        // 2^32 − 1 means "no id"; the ranges stop well before it.
        assert_eq!(next, 31 << 27);
    }
}
