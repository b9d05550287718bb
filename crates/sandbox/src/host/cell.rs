//! Sandboxes without a job.
//!
//! A *cell* is all of a sandbox that does not depend on what will run in it: namespaces, network,
//! control group, and an init that has attached its mounts and waits for orders. A few are kept
//! ready, so that a run pays only for what is its own: the overlay, the pivot and the exec. A
//! cell is used once.
//!
//! Measured with `examples/latency.rs` on two processors (release, static launcher, Debian
//! image, `/bin/true`), as processor time, since the machine was busy: 4 ms a run, 0.5 of it in
//! user space. Of that a network namespace takes 11 %, its cable and settings 13 %, starting and
//! linking `true` itself 12 %, the overlay 3 % on a tmpfs (and up to 27 % on some ext4, see
//! [`crate::rootfs`]), control groups 5 %, the seccomp filter 2 %. All but the overlay, `true`
//! and the teardown is spent before a job comes. An idle cell has 200 KiB of memory of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SocketType;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::control::{Control, Listener};
use super::error::SpawnError;
use super::launcher::{Launcher, LauncherError, Parent};
use crate::limits::{ControlGroups, Group};
use crate::network::{Lease, Network};
use crate::protocol::sandbox::Notice;
use crate::protocol::transport::pair;
use crate::sys::fds;

/// A sandbox that waits for a job.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) control: Arc<Control>,
    pub(super) listener: Listener,
    pub(super) pidfd: AsyncFd<OwnedFd>,
    pub(super) parent: Parent,
    pub(super) group: Group,
    pub(super) lease: Lease,
}

/// What cells are made from.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) launcher: Launcher,
    pub(super) network: Network,
    pub(super) groups: ControlGroups,
    pub(super) next: AtomicU64,
}

impl Maker {
    /// Makes one. Nothing has begun in it when the launcher dies meanwhile, so it is asked for
    /// once more, of the next launcher.
    pub(super) async fn make(&self, network: bool) -> Result<Cell, SpawnError> {
        let lease = self.lease(network).await?;
        match self.make_in(lease).await {
            Err(SpawnError::Launcher(LauncherError::Died)) => {
                let lease = self.lease(network).await?;
                self.make_in(lease).await
            }
            made => made,
        }
    }

    /// Waits for namespaces and ids. May be given up.
    async fn lease(&self, network: bool) -> Result<Lease, SpawnError> {
        self.network.lease(network).await.map_err(SpawnError::Lease)
    }

    /// Makes one in the namespaces of `lease`. Not to be given up half-way: the control group
    /// would stay.
    async fn make_in(&self, lease: Lease) -> Result<Cell, SpawnError> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let group = self.groups.create(&name).map_err(SpawnError::Limits)?;
        let Born {
            control,
            listener,
            pidfd,
            parent,
        } = match self.clone_init(&lease, &group).await {
            Ok(made) => made,
            Err(error) => {
                super::remove_group(group).await;
                return Err(error);
            }
        };
        Ok(Cell {
            control,
            listener,
            pidfd,
            parent,
            group,
            lease,
        })
    }

    async fn clone_init(&self, lease: &Lease, group: &Group) -> Result<Born, SpawnError> {
        let doors = group.doors().map_err(SpawnError::Limits)?;
        let (ours, theirs) = pair(SocketType::STREAM).map_err(SpawnError::Pipes)?;
        let control = Arc::new(Control::new(ours).map_err(SpawnError::Pipes)?);
        let mut listener = Listener::default();
        let (id_base, user, network) = (lease.id_base, &lease.user, &lease.network);
        let asking = self
            .launcher
            .sandbox(id_base, theirs, user, network, &doors);
        tokio::pin!(asking);
        // Whether init is ready, and which it is, become known in either order.
        let (pidfd, parent) = tokio::select! {
            biased;
            answer = &mut asking => {
                let answer = answer.map_err(SpawnError::Launcher)?;
                ready(listener.next(&control).await)?;
                answer
            }
            first = listener.next(&control) => match ready(first) {
                // Who was to tell which it is may have been killed after it was cloned.
                Ok(()) => match tokio::time::timeout(TELL_TIMEOUT, asking).await {
                    Ok(answer) => answer.map_err(SpawnError::Launcher)?,
                    Err(_) => return Err(SpawnError::Launcher(LauncherError::Killed)),
                },
                // Which of the launcher's steps failed is told at the same time.
                Err(error) => match tokio::time::timeout(LAST_WORDS, asking).await {
                    Ok(Err(failed)) => return Err(SpawnError::Launcher(failed)),
                    Ok(Ok(_)) | Err(_) => return Err(error),
                },
            },
        };
        let pidfd = fds::watch(pidfd, Interest::READABLE).map_err(SpawnError::Pipes)?;
        Ok(Born {
            control,
            listener,
            pidfd,
            parent,
        })
    }
}

/// An init that is ready.
struct Born {
    control: Arc<Control>,
    listener: Listener,
    pidfd: AsyncFd<OwnedFd>,
    parent: Parent,
}

/// Whether the first that was heard of an init is that it is ready.
fn ready(heard: io::Result<Option<Notice>>) -> Result<(), SpawnError> {
    match heard {
        Ok(Some(Notice::Ready)) => Ok(()),
        Ok(Some(Notice::Failed(failure))) => Err(SpawnError::Setup(failure)),
        Ok(Some(_) | None) | Err(_) => Err(SpawnError::Launcher(LauncherError::Killed)),
    }
}

impl Cell {
    /// Whether its init lives, and what that is a child of.
    fn is_alive(&self) -> bool {
        let mut watched = [PollFd::new(self.pidfd.get_ref(), PollFlags::IN)];
        self.parent.is_alive() && matches!(poll(&mut watched, Some(&Timespec::default())), Ok(0))
    }

    /// Ends it without a job. Its ids are free only once it is gone.
    pub(super) async fn discard(self) {
        let Self {
            control,
            pidfd,
            group,
            lease,
            ..
        } = self;
        control.hang_up();
        // Fails only when the runtime ends, and then nobody counts.
        let _ = pidfd.readable().await;
        drop(lease);
        super::remove_group(group).await;
    }
}

/// Ready cells of one kind.
#[derive(Debug)]
pub(super) struct ReadyCells {
    queue: Mutex<mpsc::Receiver<Cell>>,
    maker: Arc<Maker>,
    network: bool,
}

impl ReadyCells {
    /// Keeps `count` ready. Where making one fails the reason is left to be found by a
    /// [`take`](Self::take), which then makes its own.
    pub(super) fn keep(maker: Arc<Maker>, network: bool, count: usize) -> Self {
        let (sender, queue) = mpsc::channel(count.max(1));
        let ready = Self {
            queue: Mutex::new(queue),
            maker: Arc::clone(&maker),
            network,
        };
        tokio::spawn(async move {
            while let Ok(place) = sender.reserve().await {
                let lease = tokio::select! {
                    lease = maker.lease(network) => lease,
                    () = sender.closed() => return,
                };
                let made = match lease {
                    Ok(lease) => maker.make_in(lease).await,
                    Err(error) => Err(error),
                };
                match made {
                    Ok(cell) => place.send(cell),
                    Err(error) => {
                        drop(place);
                        let error = crate::probe::chain(&error);
                        tracing::warn!(error, "cannot make a sandbox ready");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        });
        ready
    }

    /// A living cell: a ready one, or one made now. May be given up.
    pub(super) async fn take(&self) -> Result<Cell, SpawnError> {
        loop {
            let ready = self.queue.lock().await.try_recv();
            match ready {
                Ok(cell) if cell.is_alive() => return Ok(cell),
                Ok(dead) => drop(tokio::spawn(dead.discard())),
                Err(mpsc::error::TryRecvError::Empty) => return self.make().await,
                Err(mpsc::error::TryRecvError::Disconnected) => return Err(SpawnError::Stopped),
            }
        }
    }

    /// Makes one in a task, which outlives who waits for it.
    async fn make(&self) -> Result<Cell, SpawnError> {
        let (maker, network) = (Arc::clone(&self.maker), self.network);
        let (made, cell) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(Ok(unwanted)) = made.send(maker.make(network).await) {
                unwanted.discard().await;
            }
        });
        cell.await.map_err(|_| SpawnError::Stopped)?
    }

    /// Ends those that are ready and makes no more.
    pub(super) async fn close(&self) {
        let mut queue = self.queue.lock().await;
        queue.close();
        while let Some(cell) = queue.recv().await {
            cell.discard().await;
        }
    }
}

/// How long the launcher's word on what went wrong may take after its end was seen.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(200);

/// How long the word on which process an init is may take after it has said that it is ready:
/// microseconds; this is for a machine on its knees.
const TELL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// How long to wait after a cell could not be made.
const RETRY: std::time::Duration = std::time::Duration::from_millis(200);
