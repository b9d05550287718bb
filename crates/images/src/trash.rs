//! Removes what was thrown away, in a thread of its own, so that nobody waits for it.
//!
//! Throwing away is a rename into `trash/`, after which the thread is woken. It removes
//! everything there and waits again; many things thrown away meanwhile are one waking. When the
//! store is dropped the thread ends after the entry it is at; the next opening goes on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustix::fs::Mode;
use rustix::io::Errno;

use crate::root_dir::DIR_FLAGS;
use crate::{cursor, layout, remove};

#[derive(Debug)]
pub(crate) struct Trash {
    /// One slot: a waking that nobody has seen yet stands for all others.
    wake: SyncSender<()>,
    stopped: Arc<AtomicBool>,
}

impl Trash {
    /// Starts the thread, which at once removes what is there.
    pub(crate) fn start(root: &OwnedFd) -> io::Result<Self> {
        let trash = rustix::fs::openat(root, layout::TRASH, DIR_FLAGS, Mode::empty())?;
        let (wake, woken) = sync_channel(1);
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        thread::Builder::new()
            .name("store-trash".to_owned())
            .spawn(move || run(&trash, &woken, &seen))?;
        let this = Self { wake, stopped };
        this.empty();
        Ok(this)
    }

    /// Has everything in the trash removed.
    pub(crate) fn empty(&self) {
        // Full means that a waking is already under way, and nothing else can go wrong before
        // the store is dropped.
        let _ = self.wake.try_send(());
    }
}

impl Drop for Trash {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn run(trash: &OwnedFd, woken: &Receiver<()>, stopped: &AtomicBool) {
    while woken.recv().is_ok() {
        if let Err(error) = remove_content(trash, stopped) {
            tracing::error!(error = %io::Error::from(error), "cannot read the store's trash");
        }
        if stopped.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn remove_content(trash: &OwnedFd, stopped: &AtomicBool) -> Result<(), Errno> {
    rustix::fs::seek(trash, rustix::fs::SeekFrom::Start(0))?;
    let mut names = Vec::new();
    cursor::read_dir(trash, |name, _| {
        names.push(name.to_owned());
        Ok(())
    })?;
    for name in names {
        if stopped.load(Ordering::Relaxed) {
            break;
        }
        if let Err(error) = remove::remove_all(trash.as_fd(), name.to_bytes()) {
            // It stays, and is tried again at the next waking.
            let error = io::Error::from(error);
            tracing::warn!(%error, ?name, "cannot remove an entry of the store's trash");
        }
    }
    Ok(())
}
