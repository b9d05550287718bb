//! The sandboxes' network: outbound only, and only to the outside.
//!
//! Each sandbox has a network namespace of its own, joined to the host's by a veth pair (a
//! *cable*). Cables are routed, not bridged: each has one address at either end, so sandboxes
//! share no segment on which they could see or impersonate each other.
//!
//! ```text
//! sandbox: eth0 10.200.0.5/32 ──── cable ──── host: ct0-3, 10.200.0.1/32 on every cable
//!          default via 10.200.0.1                   10.200.0.5 dev ct0-3
//!                                                   ── filter, masquerade ── uplink
//! ```
//!
//! * [`plan`](AddressPlan): who gets which name, address and ids.
//! * `filter`: what may pass, one nftables table for all sandboxes of the server, loaded at start.
//! * `uplink`: the machine around: way out, packet size, forwarding. `firewall`: who else filters.
//! * `pool`: ready namespaces. `netlink`: interfaces, addresses, routes. `resolver`: names.
//!
//! **IPv6 is off** in sandboxes: switched off in their namespaces and on the host's end of each
//! cable, and dropped by the filter whatever a sandbox's root switches on again. NAT66 with a
//! filter of equal strength would be possible; half of one would be a hole.
//!
//! **Out of sight** of the filter: an address that a provider translates to this machine from
//! outside (an elastic address) is the internet's as far as can be told here, and so are public
//! neighbours on the uplink's own segment.
//!
//! **Fixed at start**: uplink, packet size and resolvers. A machine that changes its way out needs
//! the server restarted.
//!
//! **Without nftables** (or without the right to use it) no cable is laid at all: every sandbox
//! gets loopback only, and [`Network::report`] says so. There is no unfiltered mode.

mod config;
mod filter;
pub(crate) mod firewall;
mod netlink;
mod plan;
mod pool;
mod resolver;
mod uplink;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Mutex;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use config::{CidrError, Ipv4Cidr, NetworkConfig};
pub use filter::FilterError;
pub use netlink::{InterfaceCounters, NetlinkError};
pub use plan::{AddressPlan, PlanError};
pub use pool::{Lease, LeaseError, NetworkInfo};
pub use resolver::{hosts, resolv_conf};
pub use uplink::SurroundingsError;

use crate::host::launcher::Launcher;
use crate::probe::Finding;
use filter::Policy;
use netlink::Netlink;
use pool::{Maker, Pool, Ready};
use resolver::Resolvers;

/// The network of one server's sandboxes.
#[derive(Debug)]
pub struct Network {
    slot: u32,
    /// `None` when only loopback is to be had.
    networked: Option<Ready>,
    loopback: Ready,
    findings: Vec<Finding>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Why there is no network, not even loopback.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The configured subnet, or the slot, does not work.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A configured resolver that no sandbox could reach.
    #[error("resolver {address} is on this machine's loopback, which sandboxes cannot reach")]
    Resolver {
        /// The address.
        address: Ipv4Addr,
    },
    /// The machine's network could not be looked at, or is at odds with the configuration.
    #[error(transparent)]
    Surroundings(#[from] SurroundingsError),
    /// No thread or runtime for the network.
    #[error("start the network's thread")]
    Thread(#[source] std::io::Error),
    /// The thread ended at once.
    #[error("the network's thread died")]
    Died,
    /// Interfaces that a dead server left could not be removed.
    #[error("remove what a dead server left of slot {slot}")]
    CleanLinks {
        /// Its slot.
        slot: u32,
        /// Why.
        #[source]
        source: NetlinkError,
    },
    /// A dead server's table could not be removed.
    #[error("remove the packet filter of slot {slot}")]
    CleanFilter {
        /// Its slot.
        slot: u32,
        /// Why.
        #[source]
        source: FilterError,
    },
}

/// What the network's thread says when it is set up.
struct Started {
    networked: Option<Ready>,
    loopback: Ready,
    findings: Vec<Finding>,
}

impl Network {
    /// Sets up the network of `slot` and begins to fill the pool.
    ///
    /// `launcher` should be one of the pool's own: namespaces take a millisecond each, and the
    /// one that starts sandboxes would make them wait for it.
    pub async fn start(
        config: &NetworkConfig,
        slot: u32,
        launcher: Launcher,
    ) -> Result<Self, NetworkError> {
        let plan = AddressPlan::new(slot, config.subnet)?;
        let unusable = |address: &&Ipv4Addr| address.is_loopback() || address.is_unspecified();
        if let Some(&address) = config.resolvers.iter().find(unusable) {
            return Err(NetworkError::Resolver { address });
        }
        let config = config.clone();
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || run_thread(&config, plan, launcher, tell))
            .map_err(NetworkError::Thread)?;
        let Started {
            networked,
            loopback,
            findings,
        } = told.await.map_err(|_| NetworkError::Died)??;
        Ok(Self {
            slot,
            networked,
            loopback,
            findings,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// What could not be set up here, and what was.
    #[must_use]
    pub fn report(&self) -> &[Finding] {
        &self.findings
    }

    /// Namespaces for one sandbox, `with_network` or with loopback only.
    ///
    /// Waits while none is ready. Where no network is to be had, which [`report`](Self::report)
    /// tells, every lease has loopback only.
    pub async fn lease(&self, with_network: bool) -> Result<Lease, LeaseError> {
        match &self.networked {
            Some(networked) if with_network => networked.take().await,
            _ => self.loopback.take().await,
        }
    }

    /// Ends refilling, drops what is ready, cuts the cables of leases still in use, and only then
    /// removes the packet filter.
    pub async fn shutdown(&self) -> Result<(), NetworkError> {
        if let Some(networked) = &self.networked {
            networked.close().await;
        }
        self.loopback.close().await;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .take();
        if let Some(thread) = thread {
            // It ends by itself now that both queues are closed.
            tokio::task::spawn_blocking(move || thread.join())
                .await
                .map_err(|_| NetworkError::Died)?
                .map_err(|_| NetworkError::Died)?;
        }
        clean(self.slot).await
    }
}

/// Removes the interfaces and the packet filter of a slot, as a server that died left them.
pub async fn clean(slot: u32) -> Result<(), NetworkError> {
    let links = |source| NetworkError::CleanLinks { slot, source };
    let prefix = AddressPlan::new(slot, None)?.interface_prefix();
    let netlink = Netlink::open().map_err(links)?;
    for interface in netlink.interfaces().await.map_err(links)? {
        if !interface.name.starts_with(&prefix) || !uplink::is_sandbox_interface(&interface.name) {
            continue;
        }
        match netlink.delete(interface.index).await {
            Ok(()) => {}
            // It was on its way out already.
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(links(error)),
        }
    }
    match filter::unload(slot).await {
        // Without nft there is no table either.
        Ok(()) | Err(FilterError::Start { .. }) => Ok(()),
        Err(source) => Err(NetworkError::CleanFilter { slot, source }),
    }
}

/// Loads a packet filter for sandboxes that do not exist, and removes it.
pub(crate) async fn try_filter() -> Result<(), FilterError> {
    let policy = Policy {
        plan: AddressPlan::trial(),
        resolvers: vec![Ipv4Addr::new(192, 0, 2, 53)],
        allow: Vec::new(),
        routers: Vec::new(),
    };
    filter::load(&policy).await?;
    filter::unload(policy.plan.slot()).await
}

/// The network's thread: sets up, tells, and makes leases until nobody wants any.
fn run_thread(
    config: &NetworkConfig,
    plan: AddressPlan,
    launcher: Launcher,
    tell: oneshot::Sender<Result<Started, NetworkError>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = tell.send(Err(NetworkError::Thread(error)));
            return;
        }
    };
    runtime.block_on(async {
        match set_up(config, plan, launcher).await {
            Ok((pool, started)) => {
                if tell.send(Ok(started)).is_ok() {
                    pool.run().await;
                }
            }
            // Who asked has given up when this fails.
            Err(error) => drop(tell.send(Err(error))),
        }
    });
}

async fn set_up(
    config: &NetworkConfig,
    plan: AddressPlan,
    launcher: Launcher,
) -> Result<(Pool, Started), NetworkError> {
    let resolvers = Resolvers::find(config, Path::new("/"));
    let mut findings = vec![resolvers.finding];
    let host = Netlink::open().map_err(SurroundingsError::Netlink)?;
    let mut policy = Policy {
        plan,
        resolvers: resolvers.servers,
        allow: config.allow.clone(),
        routers: Vec::new(),
    };
    let around = uplink::survey(&host, &policy).await?;
    policy.routers = around.routers;
    findings.extend(around.findings);
    let filtered = match filter::load(&policy).await {
        Ok(()) => {
            findings.push(uplink::enable_forwarding(&around.uplinks));
            findings.push(firewall::look(&plan).await);
            true
        }
        Err(error) => {
            findings.push(no_filter("sandbox network", &error));
            false
        }
    };
    for finding in &findings {
        finding.log();
    }
    let maker = Maker {
        plan,
        launcher,
        host,
        mtu: around.mtu,
        resolvers: policy.resolvers,
        ipv6: Path::new("/proc/sys/net/ipv6").exists(),
    };
    let (pool, networked, loopback) = Pool::new(
        maker,
        filtered.then_some(config.pool),
        (config.pool / 4).max(2),
    );
    Ok((
        pool,
        Started {
            networked,
            loopback,
            findings,
        },
    ))
}

/// What it means that there is no packet filter.
pub(crate) fn no_filter(name: &'static str, error: &FilterError) -> Finding {
    let next_step = match error {
        FilterError::Start { .. } => "install nftables (apt-get install nftables)",
        _ => "run the server as root on a kernel with nf_tables, nft_masq, nft_fib and nft_ct",
    };
    Finding::missing(
        name,
        format!(
            "{}; sandboxes have loopback only",
            crate::probe::chain(error)
        ),
        next_step,
    )
}
