//! Ctrl-C, counted. The first one asks nicely, the second one means it; what that is, is up to
//! the command.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use tokio::sync::watch;

/// How many listen now.
static LISTENING: AtomicUsize = AtomicUsize::new(0);

/// How many listen to Ctrl-C now: the interactive shell leaves it to the command where that does.
pub(crate) fn listening() -> usize {
    LISTENING.load(Ordering::Relaxed)
}

/// The Ctrl-C of this process, from the moment it is made.
#[derive(Debug)]
pub(crate) struct Interrupts {
    count: watch::Receiver<u32>,
    seen: u32,
}

impl Interrupts {
    /// Starts counting. From here on Ctrl-C no longer ends the process by itself.
    pub(crate) fn listen() -> Self {
        let (sender, count) = watch::channel(0);
        let mut next = Box::pin(tokio::signal::ctrl_c());
        // It is listened to from the first time that it is asked for, which is now; the task below
        // may have to wait for its turn.
        let mut heard = next.as_mut().now_or_never();
        LISTENING.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            loop {
                let is_heard = match heard.take() {
                    Some(heard) => heard.is_ok(),
                    None => tokio::select! {
                        heard = next.as_mut() => heard.is_ok(),
                        () = sender.closed() => false,
                    },
                };
                if !is_heard {
                    return;
                }
                sender.send_modify(|count| *count += 1);
                next = Box::pin(tokio::signal::ctrl_c());
            }
        });
        Self { count, seen: 0 }
    }

    /// Waits for the next one that was not waited for yet; tells which one it is, from 1.
    pub(crate) async fn next(&mut self) -> u32 {
        let seen = self.seen;
        match self.count.wait_for(|count| *count > seen).await {
            Ok(_) => {
                self.seen += 1;
                self.seen
            }
            // Signals cannot be had: none will come.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        LISTENING.fetch_sub(1, Ordering::Relaxed);
    }
}
