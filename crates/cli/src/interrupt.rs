//! Ctrl-C, counted. The first one asks nicely, the second one means it; what that is, is up to
//! the command. Where a command does not listen, [`end_unless_heard`] ends the process.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::watch;

#[cfg(unix)]
use crate::failure::Failure;
use crate::output::Output;

/// How many listen now.
static LISTENING: AtomicUsize = AtomicUsize::new(0);

/// When somebody who listened last heard one.
static HEARD: Mutex<Option<Instant>> = Mutex::new(None);

/// How much later than a listener the thread of [`end_unless_heard`] may hear the same Ctrl-C. The
/// listener may have done what it asks for by then, and not listen any more.
const LATE: Duration = Duration::from_secs(1);

fn was_just_heard() -> bool {
    let heard = *HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    heard.is_some_and(|heard| heard.elapsed() < LATE)
}

/// How many listen to Ctrl-C now: the interactive shell leaves it to the command where that does.
pub(crate) fn listening() -> usize {
    LISTENING.load(Ordering::Relaxed)
}

/// Whether nobody has told yet that the process was interrupted. A command that stops listening
/// because it has heard, and the thread below, may both be about to.
pub(crate) fn first_to_tell() -> bool {
    static TOLD: AtomicBool = AtomicBool::new(false);
    !TOLD.swap(true, Ordering::Relaxed)
}

/// Ends the process at a Ctrl-C that nobody listens to, from a thread of its own: whatever the
/// command is waiting for, it ends at once, and with the word and the exit code that scripts know.
/// Where this cannot be had, the signal ends it.
#[cfg(unix)]
pub(crate) fn end_unless_heard(output: Output) {
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let Ok(runtime) = runtime else { return };
    // Before anything is asked of a server, not when the thread has its first turn.
    let entered = runtime.enter();
    let signals = signal(SignalKind::interrupt());
    drop(entered);
    let Ok(mut signals) = signals else { return };
    // A password may be being typed, unseen, when it ends.
    let terminal = tcgetattr(std::io::stdin()).ok();
    let wait = async move {
        while signals.recv().await.is_some() {
            if listening() > 0 || was_just_heard() {
                continue;
            }
            if let Some(terminal) = &terminal {
                // It is as it was, or not ours any more.
                let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, terminal);
            }
            let failure = Failure::interrupted();
            if first_to_tell() {
                output.failure(&failure);
            }
            std::process::exit(i32::from(failure.code()));
        }
    };
    std::thread::spawn(move || runtime.block_on(wait));
}

/// Elsewhere the system ends it.
#[cfg(not(unix))]
pub(crate) fn end_unless_heard(_: Output) {}

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
                *HEARD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
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
