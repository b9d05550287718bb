//! Ctrl-C, counted. The first one asks nicely, the second one means it; what that is, is up to
//! the command.

use tokio::sync::watch;

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
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                sender.send_modify(|count| *count += 1);
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
