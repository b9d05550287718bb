//! One `syncfs` for everybody who waits for one.
//!
//! A `syncfs` writes out everything that was written before it started, so runs that finish at
//! about the same time can share it. A thread of its own takes *all* callers that are waiting,
//! syncs once, answers them, and looks again: who calls while a sync is under way is served by
//! the next one, never by the one that had already started and might have missed its data. So
//! nobody waits for more than two syncs, however many call.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustix::io::Errno;
use tokio::sync::oneshot;

/// A failed sync has no error that could be cloned for every waiter; its number can be.
type Outcome = Result<(), i32>;

/// The shared sync; see the [module](self).
#[derive(Debug)]
pub(crate) struct SharedSync {
    /// The thread ends when this is dropped.
    waiters: Sender<oneshot::Sender<Outcome>>,
}

impl SharedSync {
    /// Syncs the filesystem that `root` is on. The descriptor is kept, because the kernel
    /// reports a failed write-out once to each one that was open when it failed.
    pub(crate) fn of_filesystem(root: OwnedFd) -> io::Result<Self> {
        Self::start(move || Ok(rustix::fs::syncfs(&root)?))
    }

    fn start(sync: impl FnMut() -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (waiters, waiting) = channel();
        thread::Builder::new()
            .name("store-sync".to_owned())
            .spawn(move || run(&waiting, sync))?;
        Ok(Self { waiters })
    }

    /// Returns when a sync that started after this call has ended.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        let (sender, outcome) = oneshot::channel();
        let gone = || io::Error::other("the thread that syncs has ended");
        self.waiters.send(sender).map_err(|_| gone())?;
        outcome
            .await
            .map_err(|_| gone())?
            .map_err(io::Error::from_raw_os_error)
    }
}

fn run(waiting: &Receiver<oneshot::Sender<Outcome>>, mut sync: impl FnMut() -> io::Result<()>) {
    while let Ok(first) = waiting.recv() {
        let mut served = vec![first];
        served.extend(waiting.try_iter());
        let outcome =
            sync().map_err(|error| error.raw_os_error().unwrap_or(Errno::IO.raw_os_error()));
        for waiter in served {
            // Who stopped waiting needs no answer.
            let _ = waiter.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};

    use super::*;

    /// A sync that tells when it starts and ends when told to.
    struct Stepped {
        started: mpsc::Receiver<()>,
        go_on: mpsc::Sender<io::Result<()>>,
        shared: Arc<SharedSync>,
    }

    fn stepped() -> Stepped {
        let (start, started) = mpsc::channel();
        let (go_on, released) = mpsc::channel();
        let shared = SharedSync::start(move || {
            start.send(()).unwrap();
            released.recv().unwrap()
        });
        Stepped {
            started,
            go_on,
            shared: Arc::new(shared.unwrap()),
        }
    }

    /// Polls the call once, so that it is registered.
    fn begin(
        shared: &Arc<SharedSync>,
    ) -> std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
        let shared = Arc::clone(shared);
        let mut call: std::pin::Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(async move { shared.sync().await });
        assert!(is_pending(&mut call));
        call
    }

    fn is_pending<T>(call: &mut std::pin::Pin<Box<dyn Future<Output = T> + Send>>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        call.as_mut().poll(&mut context).is_pending()
    }

    #[tokio::test]
    async fn late_callers_get_the_next_sync_and_share_it() {
        let Stepped {
            started,
            go_on,
            shared,
        } = stepped();
        let first = begin(&shared);
        started.recv().unwrap();
        let mut late: Vec<_> = (0..10).map(|_| begin(&shared)).collect();
        go_on.send(Ok(())).unwrap();
        first.await.unwrap();
        started.recv().unwrap();
        assert!(
            late.iter_mut().all(is_pending),
            "served by a sync that started before the call"
        );
        go_on.send(Ok(())).unwrap();
        for call in late {
            call.await.unwrap();
        }
        assert!(
            started.try_recv().is_err(),
            "ten callers took more than one sync"
        );
    }

    #[tokio::test]
    async fn a_failure_reaches_everyone_it_served_and_nobody_else() {
        let Stepped {
            started,
            go_on,
            shared,
        } = stepped();
        let first = begin(&shared);
        started.recv().unwrap();
        let (second, third) = (begin(&shared), begin(&shared));
        go_on.send(Ok(())).unwrap();
        first.await.unwrap();
        go_on.send(Err(io::Error::from_raw_os_error(28))).unwrap();
        assert_eq!(second.await.unwrap_err().raw_os_error(), Some(28));
        assert_eq!(third.await.unwrap_err().raw_os_error(), Some(28));
        let fourth = begin(&shared);
        go_on.send(Ok(())).unwrap();
        fourth.await.unwrap();
    }

    #[tokio::test]
    async fn many_threads() {
        let syncs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&syncs);
        let shared = SharedSync::start(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        let shared = Arc::new(shared.unwrap());
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { shared.sync().await })
            })
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert!((1..=200).contains(&syncs.load(Ordering::SeqCst)));
    }
}
