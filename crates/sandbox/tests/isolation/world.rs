//! A machine with an internet, both in network namespaces of the test's own.
//!
//! The test's thread moves into the machine's namespace before it starts a runtime, so every
//! thread and process it starts, the pool's and the launcher included, lives on that machine.
//! There is no way from it to the real network: addresses can be as public as they like.
//!
//! ```text
//! internet                                       machine
//!   wan 192.0.2.1/24 ─────────────────────────── uplink 192.0.2.2/24, mtu 1400
//!   lo  PUBLIC, RESOLVER and everything private
//!   a web server on port 80 of all of them, a DNS server on port 53 of RESOLVER
//! ```

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use contree_sandbox::host::launcher::Launcher;
use contree_sandbox::network::{Lease, Network, NetworkConfig};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) const LAUNCHER: &str = env!("CARGO_BIN_EXE_contree-sandbox");

/// The machine's own address.
pub(crate) const MACHINE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// A server on the internet.
pub(crate) const PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// A resolver with a private address.
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 53, 0, 53);
/// What `example.test` resolves to.
pub(crate) const NAME: &str = "example.test";
/// Addresses beyond the uplink that would answer if they were let through.
pub(crate) const PRIVATE: [Ipv4Addr; 8] = [
    Ipv4Addr::new(10, 9, 9, 9),
    Ipv4Addr::new(172, 16, 3, 3),
    Ipv4Addr::new(192, 168, 5, 5),
    Ipv4Addr::new(100, 64, 1, 1),
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(198, 18, 0, 1),
    Ipv4Addr::new(192, 88, 99, 1),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// Longest wait for what must come, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long what must not come is waited for: much longer than it would take.
const IN_VAIN: Duration = Duration::from_secs(2);

/// The two namespaces; they and what is in them go when it is dropped.
pub(crate) struct World {
    machine: Namespace,
    internet: Namespace,
}

impl World {
    /// Makes both and moves the calling thread onto the machine.
    pub(crate) fn enter() -> Self {
        let world = Self {
            machine: Namespace::new(),
            internet: Namespace::new(),
        };
        let internet = world.internet.pid();
        world.machine.ip(&format!(
            "link add uplink mtu 1400 type veth peer name wan mtu 1400 netns {internet}"
        ));
        // New namespaces have the real machine's settings; this one begins as machines do.
        world
            .machine
            .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "0"))
            .expect("sysctl");
        world.machine.ip("addr add 192.0.2.2/24 dev uplink");
        world.machine.ip("link set uplink up");
        world.machine.ip("route add default via 192.0.2.1");
        world.internet.ip("addr add 192.0.2.1/24 dev wan");
        world.internet.ip("link set wan up");
        for address in PRIVATE.iter().chain(&[PUBLIC, RESOLVER]) {
            world.internet.ip(&format!("addr add {address}/32 dev lo"));
        }
        world.internet.run(|| {
            serve_pages((Ipv4Addr::UNSPECIFIED, 80));
            serve_names(RESOLVER);
        });
        world.machine.enter();
        world
    }

    /// The machine.
    pub(crate) fn machine(&self) -> &Namespace {
        &self.machine
    }

    /// The internet.
    pub(crate) fn internet(&self) -> &Namespace {
        &self.internet
    }
}

/// A network namespace, kept by a process that does nothing.
pub(crate) struct Namespace {
    keeper: Child,
    namespace: OwnedFd,
}

impl Namespace {
    fn new() -> Self {
        // `cat` says that it is there, so that its namespace is, and ends with its input, so
        // with this process at the latest.
        let mut keeper = Command::new("unshare")
            .args([
                "--net",
                "sh",
                "-c",
                "ip link set lo up && echo up && exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start unshare");
        let mut up = [0; 3];
        keeper
            .stdout
            .as_mut()
            .expect("stdout is piped")
            .read_exact(&mut up)
            .expect("a namespace");
        let path = format!("/proc/{}/ns/net", keeper.id());
        let namespace = std::fs::File::open(path)
            .expect("open the namespace")
            .into();
        Self { keeper, namespace }
    }

    fn pid(&self) -> u32 {
        self.keeper.id()
    }

    fn enter(&self) {
        enter(self.namespace.as_fd());
    }

    /// Runs `work` there.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(self.namespace.as_fd(), work)
    }

    /// Runs `ip` there.
    pub(crate) fn ip(&self, arguments: &str) {
        self.command("ip", arguments);
    }

    /// Runs a program there that must succeed.
    pub(crate) fn command(&self, program: &str, arguments: &str) {
        let done = Command::new("nsenter")
            .arg(format!("--net=/proc/{}/ns/net", self.pid()))
            .arg(program)
            .args(arguments.split_whitespace())
            .output()
            .expect("start nsenter");
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{program} {arguments}: {complaint}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It is gone already when either fails.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn enter(namespace: BorrowedFd<'_>) {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network)).expect("enter");
}

/// Runs `work` on a thread in `namespace`.
pub(crate) fn inside<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace);
            work()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A network whose resolver is the world's, in slot `slot`.
pub(crate) async fn start(slot: u32, change: impl FnOnce(&mut NetworkConfig)) -> Network {
    let mut config = NetworkConfig {
        resolvers: vec![RESOLVER],
        pool: 2,
        ..Default::default()
    };
    change(&mut config);
    let launcher = Launcher::new(Path::new(LAUNCHER), None);
    Network::start(&config, slot, launcher)
        .await
        .expect("start the network")
}

/// What a process in the lease's namespace can do.
pub(crate) trait Guest {
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T;

    /// The page that the web server there has for it, which names the client it sees.
    fn fetch(&self, address: Ipv4Addr, port: u16) -> io::Result<String> {
        self.run(|| fetch(address, port))
    }

    /// Holds it to getting no page from there.
    #[track_caller]
    fn fetches_nothing(&self, address: Ipv4Addr, port: u16) {
        let page = self.run(|| get(address, port, IN_VAIN));
        assert!(page.is_err(), "{address}: {page:?}");
    }
}

impl Guest for Lease {
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(self.network.as_fd(), work)
    }
}

impl Guest for Namespace {
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        Namespace::run(self, work)
    }
}

/// Gets the page at `address`.
pub(crate) fn fetch(address: Ipv4Addr, port: u16) -> io::Result<String> {
    get(address, port, PATIENCE)
}

fn get(address: Ipv4Addr, port: u16, patience: Duration) -> io::Result<String> {
    let mut stream =
        TcpStream::connect_timeout(&SocketAddr::new(IpAddr::V4(address), port), patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

/// Tells every caller who it is; in the calling thread's namespace, until the process ends.
pub(crate) fn serve_pages(address: (Ipv4Addr, u16)) {
    let listener = TcpListener::bind(address).expect("listen");
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            // A caller that hung up is no concern of ours.
            let _ = write!(stream, "hello {}", peer.ip());
        }
    });
}

/// Answers any question for an address with `PUBLIC`, over UDP and TCP.
pub(crate) fn serve_names(address: Ipv4Addr) {
    let socket = UdpSocket::bind((address, 53)).expect("bind");
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut question) {
            let _ = socket.send_to(&answer(&question[..length]), peer);
        }
    });
    let listener = TcpListener::bind((address, 53)).expect("listen");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut question = [0; 512];
            let Ok(length @ 3..) = stream.read(&mut question) else {
                continue;
            };
            let answer = answer(&question[2..length]);
            let _ = stream.write_all(&(answer.len() as u16).to_be_bytes());
            let _ = stream.write_all(&answer);
        }
    });
}

fn answer(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    // A response with one answer and no additional records: what follows the question is cut.
    let name_end = 12
        + question[12..]
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(0);
    answer.truncate(name_end + 5);
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    let asks_for_ipv4 = answer[name_end + 1..name_end + 3] == [0, 1];
    if asks_for_ipv4 {
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(&PUBLIC.octets());
    } else {
        answer[7] = 0;
    }
    answer
}

/// The question for `NAME`'s address.
pub(crate) fn question() -> Vec<u8> {
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in NAME.split('.') {
        question.push(label.len() as u8);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    question
}

/// Asks `server` over UDP; the answer ends with the address.
pub(crate) fn resolve(server: Ipv4Addr) -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect((server, 53))?;
    socket.send(&question())?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let octets: [u8; 4] = answer[length - 4..length].try_into().expect("four bytes");
    Ok(octets.into())
}
