//! One task per sandbox, from its job to its end.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::control::Listener;
use super::error::Lost;
use super::launcher::Parent;
use super::sandbox::Shared;
use crate::limits::Group;
use crate::network::Lease;
use crate::protocol::sandbox::Notice;
use crate::sys::pidfd::{self, End};

/// How long init may take to kill, reap and report the rest before it is killed itself.
///
/// A healthy one takes milliseconds of processor time, which may be scarce: it shares the sandbox's
/// own limits. When it is killed, what its processes used is not known. So this is only for an init
/// that is broken, or that is still copying attached files and hears of nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it may take until the kernel tells how a lost init ended, and the launcher's end is
/// seen if that was why.
const INQUEST: Duration = Duration::from_millis(500);

/// How long what is left of a control group may take to go away.
const GROUP_PATIENCE: Duration = Duration::from_secs(10);

/// What the task owns.
#[derive(Debug)]
pub(super) struct Supervised {
    pub(super) shared: Arc<Shared>,
    pub(super) listener: Listener,
    pub(super) pidfd: AsyncFd<OwnedFd>,
    pub(super) parent: Parent,
    pub(super) group: Group,
    pub(super) lease: Lease,
    /// What init said that makes it end before its time.
    pub(super) last_words: Option<Lost>,
    pub(super) gone: watch::Sender<bool>,
}

impl Supervised {
    /// Until the sandbox is gone and its control group removed.
    pub(super) async fn run(mut self) {
        self.listen().await;
        let oom_killed = self.group.oom_kills() > 0;
        let lost = if self.shared.is_in_use() && !oom_killed {
            Some(self.inquire().await)
        } else {
            None
        };
        let Self {
            shared,
            group,
            lease,
            gone,
            ..
        } = self;
        shared.finish(oom_killed, lost);
        // Before anybody hears of it, so that who counts finds its ids free.
        drop(lease);
        gone.send_replace(true);
        remove_group(group).await;
    }

    /// Passes on what init says until it is dead, and what it had said by then.
    async fn listen(&mut self) {
        let mut listener = std::mem::take(&mut self.listener);
        let mut listening = true;
        let patience = tokio::time::sleep(Duration::MAX);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                biased;
                heard = listener.next(&self.shared.control), if listening => match heard {
                    Ok(Some(notice)) => {
                        self.pass_on(notice);
                        if self.shared.is_ending() {
                            patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                        }
                    }
                    // Its end closes the socket a moment before it is dead.
                    Ok(None) => listening = false,
                    Err(error) => {
                        tracing::warn!(%error, "a sandbox's init said nonsense; killing it");
                        listening = false;
                        self.last_words = Some(Lost::Nonsense(error.to_string()));
                        self.kill_init();
                    }
                },
                _ = self.pidfd.readable() => break,
                () = self.shared.killed.notified() => {
                    patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                }
                () = &mut patience => {
                    self.kill_init();
                    patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                }
            }
        }
        if listening {
            match listener.rest(&self.shared.control) {
                Ok(notices) => {
                    for notice in notices {
                        self.pass_on(notice);
                    }
                }
                Err(error) => tracing::warn!(%error, "a sandbox's init said nonsense, then died"),
            }
        }
    }

    fn pass_on(&mut self, notice: Notice) {
        if let Notice::Failed(failure) = &notice {
            self.last_words = Some(Lost::Failed(failure.clone()));
        }
        self.shared.heard(notice, || self.group.oom_kills() > 0);
    }

    /// Finds out why init is dead when nobody wanted that.
    async fn inquire(&mut self) -> Lost {
        let since = tokio::time::Instant::now();
        let lost = loop {
            if let Some(lost) = self.last_words.take() {
                break lost;
            }
            let is_time_up = since.elapsed() > INQUEST;
            match pidfd::end(self.pidfd.get_ref()) {
                _ if !self.parent.is_alive() => break Lost::Launcher,
                Err(_) => break Lost::Unknown,
                Ok(None) if is_time_up => break Lost::Unknown,
                Ok(Some(End::Code(code))) => break Lost::Code(code),
                // This is also what the end of the launcher looks like from here.
                Ok(Some(End::Signal(signal))) if signal != libc::SIGKILL || is_time_up => {
                    break Lost::Signal(signal);
                }
                Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        tracing::warn!(error = %crate::probe::chain(&lost), "a sandbox died before its time");
        lost
    }

    /// The kernel then kills all that is in its pid namespace.
    fn kill_init(&self) {
        // Fails only when it is dead.
        let _ = pidfd_send_signal(self.pidfd.get_ref(), Signal::KILL);
    }
}

/// Removes a control group. The last of its processes may still be on its way out.
pub(super) async fn remove_group(group: Group) {
    let since = std::time::Instant::now();
    let mut pause = Duration::from_micros(500);
    loop {
        match group.try_remove() {
            Ok(true) => return,
            Ok(false) if since.elapsed() < GROUP_PATIENCE => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            Ok(false) => {
                tracing::warn!(?group, "a control group is still in use");
                return;
            }
            Err(error) => {
                tracing::warn!(error = %crate::probe::chain(&error), "a control group stays");
                return;
            }
        }
    }
}
