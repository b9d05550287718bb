//! Interfaces, addresses and routes: the only file that knows rtnetlink.
//!
//! A netlink socket belongs for ever to the network namespace of the thread that opened it.
//! [`Netlink::open`] uses the calling thread's; [`Netlink::open_inside`] sends a short-lived
//! thread into another namespace to open it there, so that no thread ever has to find its way
//! back, and none of tokio's is ever anywhere but home.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{
    InfoData, InfoVeth, LinkAttribute, LinkExtentMask, LinkMessage,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType,
};
use rtnetlink::{LinkUnspec, LinkVeth, RouteMessageBuilder};
use rustix::net::{AddressFamily as SocketFamily, SocketFlags, SocketType, netdevice, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::config::Ipv4Cidr;

/// Loopback's index in every namespace.
pub(super) const LOOPBACK: u32 = 1;

/// A connection to the kernel's routing tables of one network namespace.
#[derive(Debug)]
pub(super) struct Netlink {
    handle: rtnetlink::Handle,
    connection: tokio::task::JoinHandle<()>,
    /// Any socket of the namespace, for turning names into indices.
    socket: OwnedFd,
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A change or question that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
pub struct NetlinkError {
    step: &'static str,
    #[source]
    source: io::Error,
}

impl NetlinkError {
    /// Whether what was to be changed is not there.
    pub(super) fn is_gone(&self) -> bool {
        self.source.raw_os_error() == Some(libc::ENODEV)
    }

    /// What the kernel said.
    pub(super) fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Names the step that an error came from.
trait At<T> {
    fn at(self, step: &'static str) -> Result<T, NetlinkError>;
}

impl<T> At<T> for Result<T, rtnetlink::Error> {
    fn at(self, step: &'static str) -> Result<T, NetlinkError> {
        self.map_err(|error| {
            let source = match error {
                rtnetlink::Error::NetlinkError(message) => message.to_io(),
                other => io::Error::other(other),
            };
            NetlinkError { step, source }
        })
    }
}

impl<T> At<T> for Result<T, io::Error> {
    fn at(self, step: &'static str) -> Result<T, NetlinkError> {
        self.map_err(|source| NetlinkError { step, source })
    }
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) mtu: u32,
}

/// What went through an interface so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InterfaceCounters {
    /// Such as `eth0`.
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Bad packets received.
    pub rx_errors: u64,
    /// Packets received and dropped.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets dropped instead of being sent.
    pub tx_dropped: u64,
}

/// Where packets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) to: Ipv4Cidr,
    pub(super) interface: Option<u32>,
    pub(super) router: Option<Ipv4Addr>,
}

/// The far end of a cable.
pub(super) struct FarEnd<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: BorrowedFd<'a>,
}

impl Netlink {
    /// A connection in the calling thread's network namespace, driven by the current runtime.
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().at("open a netlink socket")?;
        let socket = socket_with(
            SocketFamily::INET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(io::Error::from)
        .at("open a socket")?;
        Ok(Self {
            handle,
            connection: tokio::spawn(connection),
            socket,
        })
    }

    /// A connection in `namespace`, after `prepare` was run there, driven by the current runtime.
    pub(super) fn open_inside(
        namespace: BorrowedFd<'_>,
        prepare: fn() -> io::Result<()>,
    ) -> Result<Self, NetlinkError> {
        let runtime = tokio::runtime::Handle::current();
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
                        .map_err(io::Error::from)
                        .at("enter the network namespace")?;
                    prepare().at("prepare the network namespace")?;
                    let _driven_by = runtime.enter();
                    Self::open()
                })
                .join()
                .unwrap_or_else(|_| {
                    Err(io::Error::other("the thread panicked")).at("enter the network namespace")
                })
        })
    }

    /// Index of the interface called `name`.
    pub(super) fn index_of(&self, name: &str) -> Result<u32, NetlinkError> {
        netdevice::name_to_index(self.socket.as_fd(), name)
            .map_err(io::Error::from)
            .at("look up an interface")
    }

    /// Lays a cable from here, as `name`, to `far`. Both ends are down.
    pub(super) async fn add_cable(
        &self,
        name: &str,
        far: FarEnd<'_>,
        mtu: u32,
    ) -> Result<(), NetlinkError> {
        // The far end is born where it belongs: moving it later costs an RCU grace period.
        let far: LinkMessage = LinkUnspec::new_with_name(far.name)
            .append_extra_attribute(LinkAttribute::Mtu(mtu))
            .append_extra_attribute(LinkAttribute::NetNsFd(far.namespace.as_raw_fd()))
            .build();
        let near = LinkVeth::new(name, "")
            .append_extra_attribute(LinkAttribute::Mtu(mtu))
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .build();
        self.handle
            .link()
            .add(near)
            .execute()
            .await
            .at("lay a veth pair")
    }

    /// Switches an interface on.
    pub(super) async fn set_up(&self, index: u32) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.handle
            .link()
            .change(message)
            .execute()
            .await
            .at("switch an interface on")
    }

    /// Gives an interface an address of its own, with no network around it.
    pub(super) async fn add_address(
        &self,
        index: u32,
        address: Ipv4Addr,
    ) -> Result<(), NetlinkError> {
        let request = self.handle.address().add(index, IpAddr::V4(address), 32);
        request.execute().await.at("add an address")
    }

    /// Says that `address` is at the other end of the cable.
    pub(super) async fn add_neighbour_route(
        &self,
        index: u32,
        address: Ipv4Addr,
    ) -> Result<(), NetlinkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .scope(RouteScope::Link)
            .output_interface(index)
            .build();
        self.handle
            .route()
            .add(route)
            .execute()
            .await
            .at("add the route to the other end")
    }

    /// Sends everything without a better route to `router`.
    pub(super) async fn add_default_route(
        &self,
        index: u32,
        router: Ipv4Addr,
    ) -> Result<(), NetlinkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(router)
            .output_interface(index)
            .build();
        self.handle
            .route()
            .add(route)
            .execute()
            .await
            .at("add the default route")
    }

    /// Removes an interface; the other end of its cable goes too.
    pub(super) async fn delete(&self, index: u32) -> Result<(), NetlinkError> {
        self.handle
            .link()
            .del(index)
            .execute()
            .await
            .at("remove an interface")
    }

    /// All interfaces.
    pub(super) async fn interfaces(&self) -> Result<Vec<Interface>, NetlinkError> {
        let links = self.handle.link().get().set_filter_mask(
            AddressFamily::Unspec,
            // Leaves out the statistics, most of the answer's bytes.
            vec![LinkExtentMask::SkipStats],
        );
        links
            .execute()
            .map_ok(|link| {
                let mut interface = Interface {
                    index: link.header.index,
                    name: String::new(),
                    mtu: 0,
                };
                for attribute in link.attributes {
                    match attribute {
                        LinkAttribute::IfName(name) => interface.name = name,
                        LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
                        _ => {}
                    }
                }
                interface
            })
            .try_collect()
            .await
            .at("list the interfaces")
    }

    /// What went through each interface so far, in the order of their indices.
    pub(super) async fn counters(&self) -> Result<Vec<InterfaceCounters>, NetlinkError> {
        self.handle
            .link()
            .get()
            .execute()
            .map_ok(|link| {
                let mut counters = InterfaceCounters::default();
                for attribute in link.attributes {
                    match attribute {
                        LinkAttribute::IfName(name) => counters.name = name,
                        LinkAttribute::Stats64(stats) => {
                            counters.rx_bytes = stats.rx_bytes;
                            counters.rx_packets = stats.rx_packets;
                            counters.rx_errors = stats.rx_errors;
                            counters.rx_dropped = stats.rx_dropped;
                            counters.tx_bytes = stats.tx_bytes;
                            counters.tx_packets = stats.tx_packets;
                            counters.tx_errors = stats.tx_errors;
                            counters.tx_dropped = stats.tx_dropped;
                        }
                        _ => {}
                    }
                }
                counters
            })
            .try_collect()
            .await
            .at("read the interfaces' counters")
    }

    /// The routes of the main table.
    pub(super) async fn routes(&self) -> Result<Vec<Route>, NetlinkError> {
        let question = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let main = u32::from(rtnetlink::packet_route::route::RouteHeader::RT_TABLE_MAIN);
        let found: Vec<RouteMessage> = self
            .handle
            .route()
            .get(question)
            .execute()
            .try_collect()
            .await
            .at("list the routes")?;
        Ok(found
            .iter()
            .filter(|message| table_of(message) == main && is_unicast(message))
            .map(to_route)
            .collect())
    }

    /// The route that a packet from here to `address` takes; `None` when there is none.
    pub(super) async fn route_to(&self, address: Ipv4Addr) -> Result<Option<Route>, NetlinkError> {
        let question = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .build();
        let routes = self.handle.route();
        let answers = routes.get(question).execute();
        let answer = std::pin::pin!(answers).next().await;
        match answer {
            Some(Ok(message)) => Ok(is_unicast(&message).then(|| to_route(&message))),
            None => Ok(None),
            Some(Err(error)) => match Err(error).at("look up a route") {
                Err(error) if is_no_route(&error) => Ok(None),
                other => other,
            },
        }
    }
}

fn is_no_route(error: &NetlinkError) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::PermissionDenied // a `prohibit` route
            | io::ErrorKind::InvalidInput // a `blackhole` route
    )
}

fn is_unicast(message: &RouteMessage) -> bool {
    message.header.kind == RouteType::Unicast
}

fn table_of(message: &RouteMessage) -> u32 {
    // The header has one byte for it; larger numbers are in an attribute.
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        })
        .unwrap_or_else(|| u32::from(message.header.table))
}

fn to_route(message: &RouteMessage) -> Route {
    let mut to = Ipv4Addr::UNSPECIFIED;
    let mut route = Route {
        to: Ipv4Cidr::ALL,
        interface: None,
        router: None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => to = *address,
            RouteAttribute::Oif(index) => route.interface = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => route.router = Some(*address),
            // Several equal ways: the first stands for all.
            RouteAttribute::MultiPath(hops) => {
                for hop in hops.iter().take(1) {
                    route.interface = Some(hop.interface_index);
                    route.router = hop.attributes.iter().find_map(|attribute| match attribute {
                        RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(*address),
                        _ => None,
                    });
                }
            }
            _ => {}
        }
    }
    if let Some(range) = Ipv4Cidr::containing(to, message.header.destination_prefix_length) {
        route.to = range;
    }
    route
}
