//! The sandboxes' network, seen from namespaces of the pool.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;

use contree_sandbox::network::{Ipv4Cidr, Lease, LeaseError, Network, NetworkInfo, clean};
use contree_sandbox::probe::State;

use crate::world::{
    Guest, MACHINE, PATIENCE, PRIVATE, PUBLIC, RESOLVER, World, fetch, resolve, serve_names,
    serve_pages, start,
};

/// Runs a test on a machine of its own.
pub(crate) fn on_a_machine<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let world = World::enter();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test(world));
}

async fn networked(network: &Network) -> (Lease, NetworkInfo) {
    let lease = network.lease(true).await.expect("a lease");
    let info = lease.info.clone().expect("a network");
    (lease, info)
}

fn range(text: &str) -> Ipv4Cidr {
    text.parse().expect("a range")
}

#[test]
fn privileged_the_outside_is_reached_in_the_machines_name() {
    on_a_machine(|_world| async {
        let network = start(0, |_| {}).await;
        let (lease, info) = networked(&network).await;
        assert_eq!(lease.fetch(PUBLIC, 80).unwrap(), format!("hello {MACHINE}"));
        assert_eq!(info.mtu, 1400);
        let counted: Vec<_> = info.counters.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(counted, ["lo", "eth0"]);
        let mtu = lease.run(|| {
            std::process::Command::new("ip")
                .args(["link", "show", "eth0"])
                .output()
        });
        assert!(String::from_utf8_lossy(&mtu.unwrap().stdout).contains("mtu 1400"));
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_a_private_resolver_answers_on_port_53_only() {
    on_a_machine(|_world| async {
        let network = start(0, |_| {}).await;
        let (lease, info) = networked(&network).await;
        assert_eq!(info.resolvers, [RESOLVER]);
        assert_eq!(lease.run(|| resolve(RESOLVER)).unwrap(), PUBLIC);
        let over_tcp = lease.run(|| std::net::TcpStream::connect((RESOLVER, 53)));
        assert!(over_tcp.is_ok(), "{over_tcp:?}");
        lease.fetches_nothing(RESOLVER, 80);
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_private_ranges_are_refused_at_once() {
    on_a_machine(|world| async move {
        let network = start(0, |_| {}).await;
        let (lease, _) = networked(&network).await;
        for address in PRIVATE {
            assert!(
                world.machine().fetch(address, 80).is_ok(),
                "{address} is there"
            );
            let error = lease.fetch(address, 80).unwrap_err();
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::ConnectionRefused,
                "{address}: {error}"
            );
        }
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_the_machine_itself_is_out_of_reach() {
    on_a_machine(|world| async move {
        let public = Ipv4Addr::new(198, 51, 100, 77);
        world.machine().ip(&format!("addr add {public}/32 dev lo"));
        let network = start(0, |_| {}).await;
        let (lease, info) = networked(&network).await;
        serve_pages((Ipv4Addr::UNSPECIFIED, 8080));
        for address in [MACHINE, public, info.gateway, Ipv4Addr::LOCALHOST] {
            assert!(fetch(address, 8080).is_ok(), "{address} is there");
            lease.fetches_nothing(address, 8080);
        }
        // The machine's router is not the outside either.
        let router = Ipv4Addr::new(192, 0, 2, 1);
        assert!(fetch(router, 80).is_ok());
        lease.fetches_nothing(router, 80);
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_a_resolver_on_the_machine_answers_on_port_53_only() {
    on_a_machine(|_world| async {
        serve_names(MACHINE);
        serve_pages((MACHINE, 80));
        let network = start(0, |config| config.resolvers = vec![MACHINE]).await;
        let (lease, _) = networked(&network).await;
        assert_eq!(lease.run(|| resolve(MACHINE)).unwrap(), PUBLIC);
        lease.fetches_nothing(MACHINE, 80);
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_sandboxes_do_not_meet() {
    on_a_machine(|_world| async {
        // Even when an operator allows the range they are in.
        let allow = |config: &mut contree_sandbox::network::NetworkConfig| {
            config.allow = vec![range("10.0.0.0/8")];
        };
        let network = start(0, allow).await;
        let other_server = start(1, allow).await;
        let (lease, _) = networked(&network).await;
        let (neighbour, near) = networked(&network).await;
        let (stranger, far) = networked(&other_server).await;
        assert_ne!(near.address, far.address);
        for (other, info) in [(&neighbour, near), (&stranger, far)] {
            other.run(|| serve_pages((Ipv4Addr::UNSPECIFIED, 8080)));
            assert!(other.fetch(info.address, 8080).is_ok());
            lease.fetches_nothing(info.address, 8080);
        }
        network.shutdown().await.unwrap();
        other_server.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_allowed_ranges_pass() {
    on_a_machine(|_world| async {
        let network = start(0, |config| config.allow = vec![range("10.9.0.0/16")]).await;
        let (lease, _) = networked(&network).await;
        assert!(lease.fetch(Ipv4Addr::new(10, 9, 9, 9), 80).is_ok());
        lease.fetches_nothing(Ipv4Addr::new(172, 16, 3, 3), 80);
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_nobody_calls_in() {
    on_a_machine(|world| async move {
        world.internet().ip("route add 10.200.0.0/16 via 192.0.2.2");
        let network = start(0, |_| {}).await;
        let (lease, info) = networked(&network).await;
        lease.run(|| serve_pages((Ipv4Addr::UNSPECIFIED, 8080)));
        assert!(lease.fetch(info.address, 8080).is_ok(), "it is there");
        world.internet().fetches_nothing(info.address, 8080);
        world.machine().fetches_nothing(info.address, 8080);
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_borrowed_sender_addresses_are_dropped() {
    on_a_machine(|world| async move {
        let network = start(0, |_| {}).await;
        let (lease, own) = networked(&network).await;
        let (_neighbour, near) = networked(&network).await;
        let listener = world
            .internet()
            .run(|| UdpSocket::bind((PUBLIC, 7000)))
            .expect("bind on the internet");
        let send = |from: Ipv4Addr, text: &str| {
            let socket = UdpSocket::bind((from, 0)).expect("bind");
            // The kernel may refuse at once, which is as good.
            let _ = socket.send_to(text.as_bytes(), (PUBLIC, 7000));
        };
        lease.run(|| {
            for address in [
                near.address,
                near.gateway,
                MACHINE,
                Ipv4Addr::new(203, 0, 113, 5),
            ] {
                let add = ["addr", "add", &format!("{address}/32"), "dev", "eth0"];
                let added = std::process::Command::new("ip").args(add).status().unwrap();
                assert!(added.success());
                send(address, "borrowed");
            }
            send(own.address, "own");
        });
        listener.set_read_timeout(Some(PATIENCE)).unwrap();
        // Packets of one interface stay in order: had one of the first come through, it would be
        // here first.
        let mut buffer = [0; 16];
        let (length, from) = listener.recv_from(&mut buffer).expect("the last one");
        assert_eq!(&buffer[..length], b"own");
        assert_eq!(from.ip(), MACHINE);
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_address_translation_of_others_is_no_way_around() {
    on_a_machine(|world| async move {
        // As docker does for a published port: a public address leads to a private one.
        let published = Ipv4Addr::new(203, 0, 113, 40);
        let script = format!(
            "table ip publish {{ chain pre {{ type nat hook prerouting priority dstnat; \
             ip daddr {published} dnat to 10.9.9.9; }}; chain out {{ type nat hook output \
             priority -100; ip daddr {published} dnat to 10.9.9.9; }}; }}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        world
            .machine()
            .command("nft", &format!("-f {}", file.path().display()));
        let network = start(0, |_| {}).await;
        let (lease, _) = networked(&network).await;
        assert!(
            world.machine().fetch(published, 80).is_ok(),
            "the translation works"
        );
        lease.fetches_nothing(published, 80);
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_ipv6_leads_nowhere() {
    on_a_machine(|world| async move {
        world
            .machine()
            .ip("addr add 2001:db8::2/64 dev uplink nodad");
        let network = start(0, |_| {}).await;
        let (lease, info) = networked(&network).await;
        let none = lease.run(|| ip_output("-6 addr show"));
        assert_eq!(none, "");
        let host_end = ip_output(&format!("-6 addr show dev {}", info.host_interface));
        assert_eq!(host_end, "");
        // Its root switches it on again, and knows the machine's link-layer address.
        let link = ip_output(&format!("-o link show dev {}", info.host_interface));
        let mut words = link
            .split_whitespace()
            .skip_while(|word| *word != "link/ether");
        let mac = words.nth(1).expect("a link-layer address");
        let listener = UdpSocket::bind("[::]:7000").expect("bind");
        listener.set_nonblocking(true).unwrap();
        let sent = lease.run(|| {
            for which in ["all", "eth0"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "0")
                    .unwrap();
            }
            ip_output("addr add fd00::5/64 dev eth0 nodad");
            ip_output("-6 route add default dev eth0");
            ip_output(&format!("-6 neigh add 2001:db8::2 lladdr {mac} dev eth0"));
            let socket = UdpSocket::bind("[fd00::5]:0").unwrap();
            socket.send_to(b"hello", "[2001:db8::2]:7000")
        });
        assert!(sent.is_ok(), "it left the sandbox: {sent:?}");
        // Packets stay in order on the cable: what came after it has been there and back.
        assert!(lease.fetch(PUBLIC, 80).is_ok());
        let received = listener.recv(&mut [0; 16]);
        assert_eq!(received.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        network.shutdown().await.unwrap();
    });
}

fn ip_output(arguments: &str) -> String {
    let done = std::process::Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .expect("ip");
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn privileged_loopback_leases_have_nothing_else() {
    on_a_machine(|_world| async {
        let network = start(0, |_| {}).await;
        let lease = network.lease(false).await.expect("a lease");
        assert_eq!(lease.info, None);
        lease.run(|| serve_pages((Ipv4Addr::LOCALHOST, 8080)));
        assert!(lease.fetch(Ipv4Addr::LOCALHOST, 8080).is_ok());
        lease.fetches_nothing(PUBLIC, 80);
        assert!(lease.run(|| resolve(RESOLVER)).is_err());
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_leases_are_new_each_time_and_places_come_back() {
    on_a_machine(|_world| async {
        // Room for five sandboxes, fewer than what is asked for and what the pool wants ready.
        let network = start(3, |config| {
            config.subnet = Some(range("10.77.0.0/29"));
            config.pool = 3;
        })
        .await;
        for round in 0..20 {
            let with_network = round % 3 != 0;
            let lease = network.lease(with_network).await.expect("a lease");
            assert_eq!(lease.info.is_some(), with_network);
            // An address can be added once: no lease finds the one that another has left.
            let marked = lease.run(|| {
                Command::new("ip")
                    .args(["address", "add", "192.0.2.1/32", "dev", "lo"])
                    .status()
            });
            assert!(marked.unwrap().success());
            if round % 5 == 0 && with_network {
                assert!(lease.fetch(PUBLIC, 80).is_ok());
            }
        }
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_who_waits_is_sent_away_at_shutdown() {
    on_a_machine(|_world| async {
        let network = start(3, |config| config.subnet = Some(range("10.77.0.0/29"))).await;
        let mut held = Vec::new();
        // The other places are ready for sandboxes without network.
        for _ in 0..3 {
            held.push(network.lease(true).await.expect("a lease"));
        }
        let network = std::sync::Arc::new(network);
        let waiting = tokio::spawn({
            let network = std::sync::Arc::clone(&network);
            async move { network.lease(true).await }
        });
        network.shutdown().await.unwrap();
        assert!(matches!(waiting.await.unwrap(), Err(LeaseError::Stopped)));
        assert!(matches!(
            network.lease(false).await,
            Err(LeaseError::Stopped)
        ));
        // What is still in use is cut off rather than left unfiltered.
        held[0].fetches_nothing(PUBLIC, 80);
    });
}

#[test]
fn privileged_what_a_dead_server_left_is_removed() {
    on_a_machine(|_world| async {
        let network = start(5, |_| {}).await;
        let (lease, info) = networked(&network).await;
        drop(network);
        let tables = || {
            let done = std::process::Command::new("nft")
                .args(["list", "tables"])
                .output()
                .unwrap();
            String::from_utf8(done.stdout).unwrap()
        };
        assert!(tables().contains("contree_5"));
        clean(5).await.unwrap();
        assert!(!tables().contains("contree_5"));
        assert_eq!(
            ip_output(&format!("link show dev {}", info.host_interface)),
            ""
        );
        lease.fetches_nothing(PUBLIC, 80);
        clean(5).await.expect("nothing left to clean is fine");
    });
}

#[test]
fn privileged_a_subnet_in_use_is_refused() {
    on_a_machine(|_world| async {
        let subnet = |config: &mut contree_sandbox::network::NetworkConfig| {
            config.subnet = Some(range("10.77.0.0/24"));
        };
        let network = start(0, subnet).await;
        let _lease = networked(&network).await;
        let launcher = contree_sandbox::host::launcher::Launcher::new(
            std::path::Path::new(crate::world::LAUNCHER),
            None,
        );
        let mut config = contree_sandbox::network::NetworkConfig::default();
        subnet(&mut config);
        let error = Network::start(&config, 1, launcher).await.unwrap_err();
        assert!(
            error.to_string().contains("in use by another server"),
            "{error}"
        );
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_findings_tell_how_it_is_set_up() {
    on_a_machine(|world| async move {
        let network = start(0, |_| {}).await;
        let report = network.report();
        assert!(
            report.iter().all(|finding| finding.state == State::Ok),
            "{report:?}"
        );
        assert!(
            report.iter().any(|finding| finding.name == "forwarding"
                && finding.detail.contains("switched on now for uplink")),
            "{report:?}"
        );
        network.shutdown().await.unwrap();
        world.machine().ip("route del default");
        world.machine().ip("route add 10.0.0.0/8 via 192.0.2.1");
        let network = start(0, |_| {}).await;
        let names: Vec<_> = network
            .report()
            .iter()
            .filter(|f| f.state == State::Limited)
            .map(|f| f.name)
            .collect();
        assert_eq!(names, ["sandbox addresses", "way out"]);
        network.shutdown().await.unwrap();
    });
}

/// Run by the next test, in a process whose `PATH` has no `nft`.
#[test]
#[ignore = "run by privileged_without_nft_there_is_loopback_only"]
fn privileged_without_nft_inner() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let network = start(7, |_| {}).await;
        let lease = network.lease(true).await.expect("a lease");
        assert_eq!(lease.info, None);
        lease.run(|| serve_pages((Ipv4Addr::LOCALHOST, 8080)));
        assert!(lease.fetch(Ipv4Addr::LOCALHOST, 8080).is_ok());
        let missing: Vec<_> = network
            .report()
            .iter()
            .filter(|finding| finding.state == State::Missing)
            .collect();
        let [finding] = missing.as_slice() else {
            panic!("{missing:?}")
        };
        assert_eq!(
            finding.detail,
            "start nft: No such file or directory (os error 2); sandboxes have loopback only"
        );
        assert_eq!(
            finding.next_step,
            "install nftables (apt-get install nftables)"
        );
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_without_nft_there_is_loopback_only() {
    let _world = World::enter();
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "network::privileged_without_nft_inner",
            "--ignored",
            "--nocapture",
        ])
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(
        String::from_utf8_lossy(&done.stdout).contains("1 passed"),
        "{done:?}"
    );
}

#[test]
fn privileged_listeners_inside_do_not_block_the_port_outside() {
    on_a_machine(|_world| async {
        let network = start(0, |_| {}).await;
        let (lease, _) = networked(&network).await;
        let _inside = lease
            .run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)))
            .unwrap();
        assert!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).is_ok());
        network.shutdown().await.unwrap();
    });
}

#[test]
fn privileged_a_firewall_in_the_way_is_pointed_out() {
    on_a_machine(|world| async move {
        let nft = |arguments: &str| world.machine().command("nft", arguments);
        nft("add table ip filter");
        nft("add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
        nft("add chain ip filter DOCKER-USER");
        nft("add rule ip filter FORWARD jump DOCKER-USER");
        let network = start(0, |_| {}).await;
        let mut report = network.report().iter();
        let finding = report
            .find(|finding| finding.name == "other firewalls")
            .expect("a finding");
        assert_eq!(finding.state, State::Limited);
        let (lease, _) = networked(&network).await;
        lease.fetches_nothing(PUBLIC, 80);
        // What it advises helps.
        let advice = finding
            .next_step
            .strip_prefix("let them pass: ")
            .expect("advice");
        for command in advice.split("; ") {
            let (program, arguments) = command.split_once(' ').expect("a command");
            world.machine().command(program, arguments);
        }
        assert!(lease.fetch(PUBLIC, 80).is_ok());
        network.shutdown().await.unwrap();
    });
}
