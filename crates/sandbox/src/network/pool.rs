//! Ready namespaces, so that no sandbox waits for one to be made.
//!
//! ```text
//!              ┌──────────── thread `network` ────────────┐
//! launcher ──► │ namespaces → cable → addresses → routes  │ ──► ready, with network ──┐
//!              │                                          │ ──► ready, loopback ──────┤
//!  free        └──────────────────────────────────────────┘                           ▼
//!  indices ◄──────────────── dropped, with the sandbox ◄─────────────────────────── Lease
//! ```
//!
//! One thread with a runtime of its own makes them one at a time, whenever either queue has room,
//! so a burst finds the pool full and the work of refilling never sits on a worker of the server.
//! Taking one is taking an item off a queue.
//!
//! A namespace serves one sandbox and is never used again. When its [`Lease`] is dropped the
//! kernel takes the namespace apart on its own time, and the cable with it; the index goes to the
//! *end* of the line of free ones, so that it comes back only after some two thousand others, when
//! the address's last connections are long forgotten. Should the old cable still be there by
//! then, its index goes to the end once more.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, watch};

use super::netlink::{FarEnd, InterfaceCounters, LOOPBACK, Netlink, NetlinkError};
use super::plan::AddressPlan;
use super::uplink::ipv4_settings;
use crate::host::launcher::{Launcher, LauncherError, Namespaces};

/// The sandbox's end of the cable.
pub(super) const INTERFACE: &str = "eth0";
/// How long to wait before trying again to make what could not be made.
const RETRY: Duration = Duration::from_millis(200);

/// Namespaces for one sandbox, its ids, and its place in the network.
///
/// Drop it when every process of the sandbox is gone: that frees the ids and the address.
#[derive(Debug)]
pub struct Lease {
    /// The user namespace, which owns the other.
    pub user: OwnedFd,
    /// The network namespace, loopback up, the rest as `info` says.
    pub network: OwnedFd,
    /// The host's id of the sandbox's root.
    pub id_base: u32,
    /// How it reaches the outside; `None` when it has loopback only.
    pub info: Option<NetworkInfo>,
    // Last, so that the descriptors are closed before the index is free.
    _place: Place,
}

/// A sandbox's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInfo {
    /// Its interface, seen from inside.
    pub interface: String,
    /// The other end of the cable, seen from outside.
    pub host_interface: String,
    /// Its only address.
    pub address: Ipv4Addr,
    /// Where it sends everything.
    pub gateway: Ipv4Addr,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// The name servers it asks.
    pub resolvers: Vec<Ipv4Addr>,
    /// What had gone through its interfaces when all of this was set up.
    pub counters: Vec<InterfaceCounters>,
}

/// An index in use; free again when dropped.
#[derive(Debug)]
struct Place {
    index: u32,
    free: mpsc::UnboundedSender<u32>,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Fails when the pool is gone, and nobody wants it.
        let _ = self.free.send(self.index);
    }
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The launcher could not make namespaces.
    #[error("make namespaces")]
    Namespaces(#[source] LauncherError),
    /// The cable between a namespace and the host could not be laid.
    #[error("connect a network namespace")]
    Connect(#[source] NetlinkError),
    /// A setting of the host's end could not be made.
    #[error("set up {interface}")]
    Settings {
        /// The interface.
        interface: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The pool was shut down.
    #[error("the network is shut down")]
    Stopped,
}

/// What is made, or when and why it could not be.
type Made = Result<Lease, (Instant, LeaseError)>;

/// The taking side of one queue.
#[derive(Debug)]
pub(super) struct Ready {
    queue: Mutex<mpsc::Receiver<Made>>,
    closed: watch::Sender<bool>,
}

impl Ready {
    fn new(queue: mpsc::Receiver<Made>) -> Self {
        Self {
            queue: Mutex::new(queue),
            closed: watch::Sender::new(false),
        }
    }

    /// The next lease. Waits while none is ready, which includes while all indices are in use.
    pub(super) async fn take(&self) -> Result<Lease, LeaseError> {
        let asked = Instant::now();
        let mut closed = self.closed.subscribe();
        let mut queue = self.queue.lock().await;
        loop {
            let made = tokio::select! {
                made = queue.recv() => made,
                _ = closed.wait_for(|closed| *closed) => None,
            };
            match made {
                Some(Ok(lease)) => return Ok(lease),
                // Left over from before: what was wrong then may be right again.
                Some(Err((when, _))) if when < asked => {}
                Some(Err((_, error))) => return Err(error),
                None => return Err(LeaseError::Stopped),
            }
        }
    }

    /// Lets nothing more in, sends away who waits, and drops what is ready.
    pub(super) async fn close(&self) {
        self.closed.send_replace(true);
        let mut queue = self.queue.lock().await;
        queue.close();
        while queue.try_recv().is_ok() {}
    }
}

/// What leases are made from.
pub(super) struct Maker {
    pub(super) plan: AddressPlan,
    pub(super) launcher: Launcher,
    pub(super) host: Netlink,
    pub(super) mtu: u32,
    pub(super) resolvers: Vec<Ipv4Addr>,
    pub(super) ipv6: bool,
}

/// The making side.
pub(super) struct Pool {
    maker: Maker,
    free: mpsc::UnboundedReceiver<u32>,
    freed: mpsc::UnboundedSender<u32>,
    networked: Option<mpsc::Sender<Made>>,
    loopback: mpsc::Sender<Made>,
}

/// Room in one of the queues, and which it is.
enum Wanted {
    Networked(mpsc::OwnedPermit<Made>),
    Loopback(mpsc::OwnedPermit<Made>),
}

impl Pool {
    /// A pool that keeps `networked` and `loopback` leases ready; `None` for no network at all.
    pub(super) fn new(
        maker: Maker,
        networked: Option<usize>,
        loopback: usize,
    ) -> (Self, Option<Ready>, Ready) {
        let (freed, free) = mpsc::unbounded_channel();
        for index in 0..maker.plan.capacity() {
            // The receiver is in this function.
            let _ = freed.send(index);
        }
        let (networked, networked_ready) = match networked {
            Some(size) => {
                let (sender, receiver) = mpsc::channel(size.max(1));
                (Some(sender), Some(Ready::new(receiver)))
            }
            None => (None, None),
        };
        let (loopback, loopback_ready) = mpsc::channel(loopback.max(1));
        let pool = Self {
            maker,
            free,
            freed,
            networked,
            loopback,
        };
        (pool, networked_ready, Ready::new(loopback_ready))
    }

    /// Fills the queues until both are closed.
    pub(super) async fn run(mut self) {
        while let Some(wanted) = self.wanted().await {
            let with_network = matches!(wanted, Wanted::Networked(_));
            let Some(made) = self.make(with_network).await else {
                return;
            };
            let failed = made.is_err();
            match wanted {
                Wanted::Networked(permit) | Wanted::Loopback(permit) => drop(permit.send(made)),
            }
            if failed {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Waits for room; `None` when nobody can take any more.
    async fn wanted(&self) -> Option<Wanted> {
        let networked = async {
            match &self.networked {
                Some(queue) => queue
                    .clone()
                    .reserve_owned()
                    .await
                    .ok()
                    .map(Wanted::Networked),
                None => None,
            }
        };
        let loopback = async {
            self.loopback
                .clone()
                .reserve_owned()
                .await
                .ok()
                .map(Wanted::Loopback)
        };
        tokio::select! {
            Some(wanted) = networked => Some(wanted),
            Some(wanted) = loopback => Some(wanted),
            else => None,
        }
    }

    /// Makes one lease on the next free index; `None` when the pool ends meanwhile.
    async fn make(&mut self, with_network: bool) -> Option<Made> {
        loop {
            let index = tokio::select! {
                index = self.free.recv() => index?,
                () = closed(self.networked.as_ref(), &self.loopback) => return None,
            };
            let place = Place {
                index,
                free: self.freed.clone(),
            };
            match self.maker.make(place, with_network).await {
                Ok(lease) => return Some(Ok(lease)),
                Err(LeaseError::Connect(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                    tracing::debug!(index, "the last sandbox's interface is still there");
                    // With a full house every index could be like this; do not spin on them.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(error) => return Some(Err((Instant::now(), error))),
            }
        }
    }
}

async fn closed(networked: Option<&mpsc::Sender<Made>>, loopback: &mpsc::Sender<Made>) {
    if let Some(queue) = networked {
        queue.closed().await;
    }
    loopback.closed().await;
}

impl Maker {
    async fn make(&self, place: Place, with_network: bool) -> Result<Lease, LeaseError> {
        let id_base = self.plan.uid_base(place.index);
        let Namespaces { user, network } = self
            .launcher
            .namespaces(id_base)
            .await
            .map_err(LeaseError::Namespaces)?;
        let info = if with_network {
            Some(self.connect(place.index, &network).await?)
        } else {
            None
        };
        Ok(Lease {
            user,
            network,
            id_base,
            info,
            _place: place,
        })
    }

    /// Lays the cable and addresses both ends.
    async fn connect(&self, index: u32, network: &OwnedFd) -> Result<NetworkInfo, LeaseError> {
        let name = self.plan.interface(index);
        let gateway = self.plan.gateway();
        let address = self.plan.address(index);
        let connect = LeaseError::Connect;

        let far = FarEnd {
            name: INTERFACE,
            namespace: network.as_fd(),
        };
        self.host
            .add_cable(&name, far, self.mtu)
            .await
            .map_err(connect)?;
        self.settings(&name)
            .map_err(|source| LeaseError::Settings {
                interface: name.clone(),
                source,
            })?;
        let near = self.host.index_of(&name).map_err(connect)?;
        self.host.set_up(near).await.map_err(connect)?;
        self.host
            .add_address(near, gateway)
            .await
            .map_err(connect)?;
        self.host
            .add_neighbour_route(near, address)
            .await
            .map_err(connect)?;

        let prepare = if self.ipv6 { without_ipv6 } else { || Ok(()) };
        let inside = Netlink::open_inside(network.as_fd(), prepare).map_err(connect)?;
        let far = inside.index_of(INTERFACE).map_err(connect)?;
        inside.set_up(LOOPBACK).await.map_err(connect)?;
        inside.set_up(far).await.map_err(connect)?;
        inside.add_address(far, address).await.map_err(connect)?;
        inside
            .add_neighbour_route(far, gateway)
            .await
            .map_err(connect)?;
        inside
            .add_default_route(far, gateway)
            .await
            .map_err(connect)?;

        let counters = inside.counters().await.map_err(connect)?;

        Ok(NetworkInfo {
            interface: INTERFACE.to_owned(),
            host_interface: name,
            address,
            gateway,
            mtu: self.mtu,
            resolvers: self.resolvers.clone(),
            counters,
        })
    }

    /// Settings of the host's end, while it is still down.
    fn settings(&self, name: &str) -> io::Result<()> {
        let ipv4 = ipv4_settings(name);
        // Packets that come in here are passed on: see `uplink`.
        std::fs::write(ipv4.join("forwarding"), "1")?;
        // Answer questions for this interface's own address only, not for all of the host's.
        std::fs::write(ipv4.join("arp_ignore"), "1")?;
        if self.ipv6 {
            let disable = Path::new("/proc/sys/net/ipv6/conf")
                .join(name)
                .join("disable_ipv6");
            std::fs::write(disable, "1")?;
        }
        Ok(())
    }
}

/// Run inside a sandbox's namespace: IPv6 off on what is there and what comes.
fn without_ipv6() -> io::Result<()> {
    for which in ["all", "default"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1")?;
    }
    Ok(())
}
