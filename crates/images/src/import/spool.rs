//! A layer on its way from the registry to the unpacker: a nameless file that one side appends to
//! and the other reads behind it.
//!
//! So unpacking does not wait for the download, and the download does not wait for the disk work
//! of unpacking; a connection that breaks is resumed where the file ends, without the reader
//! noticing. What is read has not been verified yet (its digest is known only at the end), which
//! is fine because nothing becomes visible before every layer is whole and right: the last bytes
//! are handed out only together with the verdict.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The file and how far it is.
#[derive(Debug)]
pub(super) struct Spool {
    /// Unlinked, or never named: gone when the last user is.
    file: File,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy)]
struct State {
    written: u64,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Complete,
    Broken,
}

/// What a reader gets when the download failed; the reason is with the download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the layer did not arrive")]
pub(super) struct Broken;

impl AsFd for Spool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Spool {
    pub(super) fn new(file: File) -> Self {
        let state = State {
            written: 0,
            end: End::NotYet,
        };
        Self {
            file,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends; only ever called by the one download.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let at = self.state().written;
        self.file.write_all_at(bytes, at)?;
        self.state().written = at + bytes.len() as u64;
        self.changed.notify_all();
        Ok(())
    }

    /// Everything has arrived and is what it should be.
    pub(super) fn complete(&self) {
        self.finish(End::Complete);
    }

    /// Nothing more will come. Does nothing to a complete one.
    pub(super) fn fail(&self) {
        self.finish(End::Broken);
    }

    fn finish(&self, end: End) {
        let mut state = self.state();
        if state.end == End::NotYet {
            state.end = end;
        }
        self.changed.notify_all();
    }

    /// Waits for the verdict.
    pub(super) fn wait(&self) -> Result<(), Broken> {
        let mut state = self.state();
        while state.end == End::NotYet {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.end == End::Complete {
            Ok(())
        } else {
            Err(Broken)
        }
    }

    /// A reader from the beginning, which waits for what is still to come.
    pub(super) fn reader(self: &Arc<Self>) -> SpoolReader {
        SpoolReader {
            spool: Arc::clone(self),
            at: 0,
        }
    }
}

/// Reads behind the download; see [`Spool`].
#[derive(Debug)]
pub(super) struct SpoolReader {
    spool: Arc<Spool>,
    at: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = {
            let mut state = self.spool.state();
            while state.written == self.at && state.end == End::NotYet {
                state = self
                    .spool
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.end == End::Broken {
                return Err(io::Error::other(Broken));
            }
            state.written - self.at
        };
        let length = usize::try_from(available).map_or(buffer.len(), |most| most.min(buffer.len()));
        let read = self.spool.file.read_at(&mut buffer[..length], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_follows_the_writer() {
        let spool = Arc::new(Spool::new(tempfile::tempfile().unwrap()));
        let mut reader = spool.reader();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        for piece in [&b"one "[..], b"two ", b"three"] {
            spool.append(piece).unwrap();
        }
        spool.complete();
        spool.fail();
        assert_eq!(reading.join().unwrap().unwrap(), b"one two three");
        assert_eq!(spool.wait(), Ok(()));
    }

    #[test]
    fn a_failed_download_fails_its_reader() {
        let spool = Arc::new(Spool::new(tempfile::tempfile().unwrap()));
        spool.append(b"half").unwrap();
        let mut reader = spool.reader();
        let waiting = Arc::clone(&spool);
        let verdict = std::thread::spawn(move || waiting.wait());
        spool.fail();
        assert_eq!(verdict.join().unwrap(), Err(Broken));
        let error = reader.read(&mut [0; 8]).unwrap_err();
        assert!(error.get_ref().unwrap().is::<Broken>());
    }
}
