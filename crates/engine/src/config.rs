//! What an engine is told at its start. Nothing here is read from the environment; the server
//! fills it in from its own settings.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use contree_api::limits;

use crate::identity::jwt::Verifier;

/// Everything an [`Engine`](crate::Engine) needs to start.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Folder of the database, the layer store, the event logs and `admin.token`; made when
    /// missing. One engine at a time may have it open.
    pub data_dir: PathBuf,
    /// The `contree-sandbox` executable.
    pub sandbox_binary: PathBuf,
    /// What SUCCESS promises; default [`Durability::Durable`].
    pub durability: Durability,
    /// Registries that may be plain HTTP, loopback or private; default none.
    pub allow_registries: Vec<HostPort>,
    /// Bounds per project and per request.
    pub limits: EngineLimits,
    /// Network of the sandboxes.
    pub network: NetworkConfig,
    /// What one sandbox may use unless the request says otherwise.
    pub sandbox: SandboxLimits,
    /// What is removed by itself.
    pub retention: Retention,
    /// Runs, imports and uploads are refused when the data folder's disk has fewer free bytes;
    /// default 512 MiB.
    pub min_free_bytes: u64,
    /// Event streams that one token may have open in a project; default 4096.
    pub max_streams: usize,
    /// Price of a CPU second, for `resources.cost`; default 0.
    pub cpu_price: f64,
    /// Who else may sign tokens; default nobody.
    pub jwt: Option<Verifier>,
}

impl EngineConfig {
    /// A configuration with every default.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, sandbox_binary: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            sandbox_binary: sandbox_binary.into(),
            durability: Durability::default(),
            allow_registries: Vec::new(),
            limits: EngineLimits::default(),
            network: NetworkConfig::default(),
            sandbox: SandboxLimits::default(),
            retention: Retention::default(),
            min_free_bytes: 512 * 1024 * 1024,
            max_streams: 4096,
            cpu_price: 0.0,
            jwt: None,
        }
    }
}

/// What SUCCESS promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The image survives a power loss: finishing runs share one `syncfs` before the record.
    #[default]
    Durable,
    /// The image survives a crash of the server, not a power loss.
    Relaxed,
}

/// A text that is neither `durable` nor `relaxed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("durability is \"durable\" or \"relaxed\"")]
pub struct InvalidDurability;

impl FromStr for Durability {
    type Err = InvalidDurability;

    fn from_str(text: &str) -> Result<Self, InvalidDurability> {
        match text {
            "durable" => Ok(Self::Durable),
            "relaxed" => Ok(Self::Relaxed),
            _ => Err(InvalidDurability),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Durable => "durable",
            Self::Relaxed => "relaxed",
        })
    }
}

/// `HOST`, `HOST:PORT` or `[V6]:PORT` of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or address, without brackets, lower case.
    pub host: String,
    /// None: any port.
    pub port: Option<u16>,
}

/// A text that is no `HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST or HOST:PORT, such as registry.local:5000")]
pub struct InvalidHostPort;

impl FromStr for HostPort {
    type Err = InvalidHostPort;

    fn from_str(text: &str) -> Result<Self, InvalidHostPort> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or(InvalidHostPort)?;
            host.parse::<std::net::Ipv6Addr>()
                .map_err(|_| InvalidHostPort)?;
            match rest {
                "" => (host, None),
                rest => (host, Some(rest.strip_prefix(':').ok_or(InvalidHostPort)?)),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'_');
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(InvalidHostPort);
        }
        let port = match port {
            None => None,
            Some(port) => Some(port.parse().map_err(|_| InvalidHostPort)?),
        };
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (false, None) => f.write_str(&self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
        }
    }
}

/// Bounds per project and per request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLimits {
    /// Timeout of runs that name none, in seconds; default 600.
    pub instance_default_timeout: u32,
    /// Longest timeout of a run, in seconds; default 3600.
    pub instance_max_timeout: u32,
    /// Runs of one project at the same time; more wait as PENDING; default 64.
    pub instance_max_concurrency: usize,
    /// Most bytes one run may write; default 12 GiB.
    pub instance_max_layer_bytes: u64,
    /// Waiting operations of all projects together; more are refused; default 10,000.
    pub queue_max: usize,
    /// Imports of one project at the same time; default 5.
    pub images_import_max_concurrency: usize,
    /// Timeout of imports that name none, in seconds; default 300.
    pub images_import_default_timeout: u32,
    /// Longest timeout of an import, in seconds; default 3600.
    pub images_import_max_timeout: u32,
    /// Most bytes an import may unpack; default 64 GiB.
    pub images_import_max_bytes: u64,
    /// Most entries an import may unpack; default 4,000,000.
    pub images_import_max_entries: u64,
    /// Size of an event log at which stream events stop being recorded; default 100 MiB.
    pub event_log_cap: u64,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            instance_default_timeout: limits::DEFAULT_INSTANCE_TIMEOUT,
            instance_max_timeout: limits::MAX_INSTANCE_TIMEOUT,
            instance_max_concurrency: 64,
            instance_max_layer_bytes: limits::DEFAULT_MAX_LAYER_BYTES,
            queue_max: 10_000,
            images_import_max_concurrency: 5,
            images_import_default_timeout: limits::DEFAULT_IMPORT_TIMEOUT,
            images_import_max_timeout: limits::MAX_IMPORT_TIMEOUT,
            images_import_max_bytes: 64 * 1024 * 1024 * 1024,
            images_import_max_entries: 4_000_000,
            event_log_cap: limits::EVENT_LOG_CAP,
        }
    }
}

/// Network of the sandboxes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The sandboxes' own subnet, such as `10.200.0.0/16`; default chosen by the host slot.
    pub subnet: Option<String>,
    /// Address ranges in CIDR form that are reachable although they are private; default none.
    pub allow: Vec<String>,
    /// Resolvers the sandboxes use; default (empty) those of the host.
    pub resolvers: Vec<IpAddr>,
    /// Ready-made networks kept in stock; default chosen by the sandbox.
    pub pool: Option<usize>,
}

/// What one sandbox may use. None: not limited.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SandboxLimits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// CPUs' worth of time.
    pub cpus: Option<f64>,
}

/// What is removed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Images without a tag are removed when older than this; default none: kept for ever.
    pub untagged_images: Option<Duration>,
    /// Uploaded files are removed this long after their last use; default 180 days, never less.
    pub files: Duration,
}

/// Uploaded files are kept at least this long after their last use.
pub const MIN_FILE_RETENTION: Duration = Duration::from_secs(180 * 24 * 60 * 60);

impl Default for Retention {
    fn default() -> Self {
        Self {
            untagged_images: None,
            files: MIN_FILE_RETENTION,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("Registry.Local:5000", "registry.local", Some(5000)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]:5000", "::1", Some(5000)),
            ("[::1]", "::1", None),
        ] {
            let parsed: HostPort = text.parse().unwrap();
            assert_eq!((parsed.host.as_str(), parsed.port), (host, port), "{text}");
            assert_eq!(parsed.to_string().parse::<HostPort>().unwrap(), parsed);
        }
        for bad in [
            "",
            ":5000",
            "host:",
            "host:99999",
            "a/b",
            "[::1",
            "[::1]5",
            "http://x",
            "[x]:1",
        ] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }
}
