//! The life of a server: start, accept, drain, end.
//!
//! 1. Settings are resolved and the address is bound; a wrong setting or a taken port fails here,
//!    before anything in the data folder is touched.
//! 2. The engine starts: it recovers what an earlier server left.
//! 3. The address is written down in the data folder, for commands that are given the folder;
//!    `listening on http://HOST:PORT` goes to standard output, the only line that ever does:
//!    whoever started the server may read the port from it, and may send requests from then on.
//! 4. At SIGTERM, SIGINT or SIGHUP no connection is accepted any more, and each open one ends
//!    after the answer it is at. The engine drains: running operations may end until the drain
//!    timeout, then they are stopped. Event streams see that through to the `completion` event,
//!    then they end too. A second signal skips the waiting.
//! 5. What is still open after [`LAST_ANSWERS`] is cut, and the process ends with status 0.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use contree_engine::{Engine, FirstStart};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{self, App, Bounds};
use crate::config::{ConfigError, ServeArgs, Settings};
use crate::{connection, log};

/// Connections that wait in the kernel's queue until they are accepted. A client that starts a
/// thousand runs at once opens a thousand; what finds no room in the queue is dropped, and tried
/// again by the client's kernel only after a second. The system's own bound, somaxconn, holds too.
const BACKLOG: u32 = 4096;
/// How long answers may go on after the engine has drained. Connections without a request end at
/// once; this is for clients that are slow to read or to send, or were never going to.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How long the runtime waits for work on blocking threads at the very end.
const LAST_THREADS: Duration = Duration::from_secs(1);

/// Why the server did not start, or ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The runtime cannot be started.
    #[error("could not start the server's threads")]
    Runtime(#[source] io::Error),
    /// The handlers for signals cannot be installed.
    #[error("could not prepare for signals")]
    Signals(#[source] io::Error),
    /// The address cannot be used.
    #[error("could not listen on {address}")]
    Listen {
        /// As configured.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The engine did not start.
    #[error("could not start the engine")]
    Engine(#[from] contree_engine::StartError),
    /// The address cannot be written down in the data folder.
    #[error("could not write the address down in the data folder")]
    Note(#[source] io::Error),
    /// Standard output cannot be written to.
    #[error("could not announce the address on standard output")]
    Announce(#[source] io::Error),
}

/// Runs the server until a signal ends it. Builds a runtime of its own: not to be called from
/// within one.
///
/// # Errors
/// See [`ServeError`].
pub fn serve(args: ServeArgs) -> Result<(), ServeError> {
    let settings = Settings::resolve(args)?;
    log::start(&settings);
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let ended = runtime.block_on(async {
        let signals = Signals::install().map_err(ServeError::Signals)?;
        run(settings, signals, announce).await
    });
    runtime.shutdown_timeout(LAST_THREADS);
    ended
}

pub(crate) async fn run(
    settings: Settings,
    mut signals: Signals,
    listening: impl FnOnce(SocketAddr, Option<&FirstStart>) -> io::Result<()>,
) -> Result<(), ServeError> {
    let (listener, address) = listen(&settings).await?;
    let (engine, first_start) = Engine::start(settings.engine).await?;
    for finding in engine.findings() {
        tracing::warn!("{finding}");
    }
    let closing = CancellationToken::new();
    let stopping = CancellationToken::new();
    let router = app::router(App {
        engine: engine.clone(),
        bounds: Bounds {
            request: settings.max_request_bytes,
            upload: settings.max_upload_bytes,
        },
        stopping: stopping.clone(),
    });
    let accepting = tokio::spawn(connection::accept(
        listener,
        router,
        settings.max_connections,
        closing.clone(),
    ));
    let announced = engine
        .listens_at(&format!("http://{}", reached_at(address)))
        .map_err(ServeError::Note)
        .and_then(|()| listening(address, first_start.as_ref()).map_err(ServeError::Announce));
    drop(first_start);
    if announced.is_ok() {
        let signal = signals.next().await;
        tracing::info!(signal, "draining");
    }
    closing.cancel();
    let drained = async {
        engine.drain(settings.drain_timeout).await;
        stopping.cancel();
        if let Ok(connections) = accepting.await
            && tokio::time::timeout(LAST_ANSWERS, connections.wait())
                .await
                .is_err()
        {
            tracing::info!(
                connections = connections.len(),
                "cutting what is still open"
            );
        }
    };
    tokio::select! {
        () = drained => {}
        signal = signals.next() => {
            tracing::warn!(signal, "stopping without waiting any longer");
            stopping.cancel();
            engine.drain(Duration::ZERO).await;
        }
    }
    announced
}

async fn listen(settings: &Settings) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen {
        address: contree_engine::HostPort {
            host: settings.host.clone(),
            port: Some(settings.port),
        }
        .to_string(),
        source,
    };
    let listener = bind(&settings.host, settings.port).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Listens at the first address of the host that can be used.
async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = None;
    for address in lookup_host((host, port)).await? {
        match bind_to(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
}

fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // So that a server can be started again at once where one has just ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Where programs on this machine reach a server that listens at `address`, which may stand for
/// every address.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let mut reached = address;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => reached.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => reached.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    reached
}

/// Says where the server is, and after the very first start how to get in.
fn announce(address: SocketAddr, first_start: Option<&FirstStart>) -> io::Result<()> {
    if let Some(first) = first_start {
        let path = first.token_path.display();
        // Whoever cannot read this can still read the file.
        let _ = writeln!(
            io::stderr(),
            "First start: made the project \"{project}\" and a token with every permission, kept in \
             {path}.\nTo use it on this machine:\n    \
             contree auth --type jwt --url http://{address} --token \"$(cat {path})\"",
            project = first.project,
        );
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on http://{address}")?;
    stdout.flush()
}

/// The signals that end a server.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

/// Lets the server hold as many connections, pipes and logs as the system permits: the usual soft
/// limit of 1,024 descriptors is there for programs that use select(2).
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "could not raise the limit of open descriptors");
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::net::TcpStream;

    use super::*;

    /// Nobody accepts, so what is not in the queue would never be connected.
    #[tokio::test]
    async fn hundreds_of_connections_at_once_find_room() {
        let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let many = somaxconn.trim().parse().unwrap_or(0).min(500);
        let listener = bind("localhost", 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connecting = join_all((0..many).map(|_| TcpStream::connect(address)));
        let connected = tokio::time::timeout(Duration::from_secs(60), connecting)
            .await
            .expect("each is connected");
        assert!(connected.iter().all(Result::is_ok));
    }
}
