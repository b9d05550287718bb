//! Settings: where they come from, and what they become.
//!
//! Three sources, each stronger than the one before: a TOML file (`--config` or
//! `CONTREE_CONFIG`), the environment (`CONTREE_*`), the flags. All three are read into
//! [`ServeArgs`]; [`Settings`] is what the server then works with, every default filled in and
//! every value checked. A wrong value is an error that names its source and key, never a guess.

mod args;
mod file;
pub mod values;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contree_engine::{EngineConfig, HostPort, MIN_FILE_RETENTION, PublicKey, Verifier};
use tracing_subscriber::EnvFilter;

pub use args::{Durability, LogFormat, ServeArgs};
pub use file::FileError;
use values::{Amount, ByteSize, Span};

/// Where requests are accepted when nothing else is said.
const DEFAULT_LISTEN: (&str, u16) = ("127.0.0.1", 9450);
const DEFAULT_DATA_DIR: &str = "/var/lib/contree";
const SANDBOX_PROGRAM: &str = "contree-sandbox";
/// Enough for compilers and package managers, and a wall for fork bombs.
const DEFAULT_SANDBOX_PIDS: u64 = 4096;
const DEFAULT_MAX_REQUEST: u64 = 64 << 20;
const DEFAULT_MAX_UPLOAD: u64 = 16 << 30;
const DEFAULT_MAX_CONNECTIONS: usize = 8192;
const DEFAULT_DRAIN: Duration = Duration::from_secs(5);
const DEFAULT_LOG_FILTER: &str = "info";

/// What the server works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Largest JSON body, in bytes.
    pub max_request_bytes: u64,
    /// Largest upload, in bytes.
    pub max_upload_bytes: u64,
    /// Connections at the same time.
    pub max_connections: usize,
    /// How long running operations may go on after the signal to stop.
    pub drain_timeout: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log_filter: String,
    /// What the engine is told.
    pub engine: EngineConfig,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or says something wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// A value is out of bounds, or does not go with another one.
    #[error("setting {key} ({}): {problem}", sources(key))]
    Value {
        /// Name of the setting as in the file.
        key: &'static str,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// No sandbox program was named, and there is none beside this program.
    #[error("no {SANDBOX_PROGRAM} program at {path}; name it with --sandbox-binary")]
    SandboxBinary {
        /// Where it was looked for.
        path: PathBuf,
        /// Why it cannot be used.
        #[source]
        source: io::Error,
    },
}

fn sources(key: &str) -> String {
    format!(
        "--{}, CONTREE_{}",
        key.replace('_', "-"),
        key.to_ascii_uppercase()
    )
}

impl Settings {
    /// Reads the file that `args` names, if any, puts `args` over it and fills in the defaults.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn resolve(args: ServeArgs) -> Result<Self, ConfigError> {
        let args = with_file(args)?;
        let listen = match args.listen.clone() {
            Some(listen) => listen.0,
            None => HostPort {
                host: DEFAULT_LISTEN.0.to_owned(),
                port: Some(DEFAULT_LISTEN.1),
            },
        };
        let log_filter = args
            .log_filter
            .clone()
            .unwrap_or_else(|| DEFAULT_LOG_FILTER.to_owned());
        if let Err(error) = EnvFilter::try_new(&log_filter) {
            return Err(value("log_filter", error.to_string()));
        }
        let max_connections = at_least_one(
            "max_connections",
            args.max_connections,
            DEFAULT_MAX_CONNECTIONS,
        )?;
        let mut engine = engine(&args)?;
        // No token takes them all.
        engine.max_streams = max_connections.div_ceil(2);
        Ok(Self {
            host: listen.host,
            port: listen.port.ok_or_else(|| {
                value(
                    "listen",
                    "expected HOST:PORT such as 127.0.0.1:9450; the port is missing",
                )
            })?,
            max_request_bytes: bytes(args.max_request_bytes, DEFAULT_MAX_REQUEST),
            max_upload_bytes: bytes(args.max_upload_bytes, DEFAULT_MAX_UPLOAD),
            max_connections,
            drain_timeout: args.drain_timeout.map_or(DEFAULT_DRAIN, Span::duration),
            log_format: args.log_format.unwrap_or(LogFormat::Text),
            log_filter,
            engine,
        })
    }
}

fn engine(args: &ServeArgs) -> Result<EngineConfig, ConfigError> {
    let sandbox_binary = sandbox_path(args.sandbox_binary.as_deref())?;
    check_program(&sandbox_binary)?;
    let mut config = EngineConfig::new(data_dir(args)?, sandbox_binary);
    if let Some(durability) = args.durability {
        config.durability = match durability {
            Durability::Durable => contree_engine::Durability::Durable,
            Durability::Relaxed => contree_engine::Durability::Relaxed,
        };
    }
    let allow_registry = args.allow_registry.iter().flatten();
    config.allow_registries = allow_registry.map(|host| host.0.clone()).collect();
    limits(args, &mut config)?;
    network(args, &mut config)?;
    sandbox(args, &mut config)?;
    if let Some(retention) = args.retention {
        config.retention.untagged_images = retention.get().map(Span::duration);
    }
    if let Some(span) = args.file_retention {
        if span.duration() < MIN_FILE_RETENTION {
            return Err(value(
                "file_retention",
                format!("expected at least 180d, got {span}"),
            ));
        }
        config.retention.files = span.duration();
    }
    config.jwt = signed_tokens(args)?;
    config.min_free_bytes = bytes(args.min_free, config.min_free_bytes);
    if let Some(Amount(price)) = args.cpu_price {
        config.cpu_price = price;
    }
    Ok(config)
}

/// Who else may sign tokens: keys, issuer and audience go together.
fn signed_tokens(args: &ServeArgs) -> Result<Option<Verifier>, ConfigError> {
    let paths = args.jwt_key.as_deref().unwrap_or_default();
    if paths.is_empty() {
        return match (&args.jwt_issuer, &args.jwt_audience) {
            (None, None) => Ok(None),
            _ => Err(value(
                "jwt_key",
                "expected a key, as there is jwt_issuer or jwt_audience",
            )),
        };
    }
    let text = |key, set: &Option<String>| {
        let set = set.as_deref().filter(|text| !text.is_empty());
        set.map(str::to_owned)
            .ok_or_else(|| value(key, "expected a text, as there is jwt_key"))
    };
    let issuer = text("jwt_issuer", &args.jwt_issuer)?;
    let audience = text("jwt_audience", &args.jwt_audience)?;
    let keys = paths
        .iter()
        .map(|path| {
            let problem =
                |problem: String| value("jwt_key", format!("{}: {problem}", path.display()));
            let pem = std::fs::read_to_string(path)
                .map_err(|error| problem(format!("could not read it: {error}")))?;
            PublicKey::from_pem(&pem).map_err(|error| problem(error.to_string()))
        })
        .collect::<Result<_, _>>()?;
    Ok(Some(Verifier::new(keys, &issuer, &audience)))
}

fn limits(args: &ServeArgs, config: &mut EngineConfig) -> Result<(), ConfigError> {
    let limits = &mut config.limits;
    limits.instance_max_timeout = seconds(
        "instance_max_timeout",
        args.instance_max_timeout,
        limits.instance_max_timeout,
    )?;
    limits.instance_default_timeout = default_timeout(
        ("instance_default_timeout", "instance_max_timeout"),
        args.instance_default_timeout,
        limits.instance_default_timeout,
        limits.instance_max_timeout,
    )?;
    limits.instance_max_concurrency = at_least_one(
        "instance_max_concurrency",
        args.instance_max_concurrency,
        limits.instance_max_concurrency,
    )?;
    limits.instance_max_layer_bytes = bytes(
        args.instance_max_layer_bytes,
        limits.instance_max_layer_bytes,
    );
    limits.queue_max = at_least_one("queue_max", args.queue_max, limits.queue_max)?;
    limits.images_import_max_concurrency = at_least_one(
        "images_import_max_concurrency",
        args.images_import_max_concurrency,
        limits.images_import_max_concurrency,
    )?;
    limits.images_import_max_timeout = seconds(
        "images_import_max_timeout",
        args.images_import_max_timeout,
        limits.images_import_max_timeout,
    )?;
    limits.images_import_default_timeout = default_timeout(
        ("images_import_default_timeout", "images_import_max_timeout"),
        args.images_import_default_timeout,
        limits.images_import_default_timeout,
        limits.images_import_max_timeout,
    )?;
    limits.images_import_max_bytes =
        bytes(args.images_import_max_bytes, limits.images_import_max_bytes);
    if let Some(entries) = args.images_import_max_entries {
        limits.images_import_max_entries = entries;
    }
    limits.event_log_cap = bytes(args.event_log_cap, limits.event_log_cap);
    Ok(())
}

fn network(args: &ServeArgs, config: &mut EngineConfig) -> Result<(), ConfigError> {
    if let Some(subnet) = args.sandbox_subnet {
        if !(8..=29).contains(&subnet.prefix) {
            return Err(value(
                "sandbox_subnet",
                format!("expected a range from /8 to /29 such as 10.200.0.0/16, got {subnet}"),
            ));
        }
        config.network.subnet = Some(subnet.to_string());
    }
    config.network.allow = args
        .allow_egress
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    config.network.resolvers = args
        .resolver
        .iter()
        .flatten()
        .map(|address| (*address).into())
        .collect();
    config.network.pool = args.network_pool;
    Ok(())
}

fn sandbox(args: &ServeArgs, config: &mut EngineConfig) -> Result<(), ConfigError> {
    let sandbox = &mut config.sandbox;
    sandbox.memory_bytes = match args.sandbox_memory {
        Some(memory) => memory.get().map(|bytes| bytes.0),
        None => Some(machine_memory() / 4 * 3),
    };
    sandbox.pids = match args.sandbox_pids {
        Some(pids) => pids.get(),
        None => Some(DEFAULT_SANDBOX_PIDS),
    };
    sandbox.cpus = args
        .sandbox_cpus
        .and_then(|cpus| cpus.get().map(|cpus| cpus.0));
    if sandbox.memory_bytes.is_some_and(|bytes| bytes < 16 << 20) {
        return Err(value("sandbox_memory", "expected none or at least 16MiB"));
    }
    if sandbox.pids.is_some_and(|pids| pids < 16) {
        return Err(value("sandbox_pids", "expected none or at least 16"));
    }
    if sandbox.cpus.is_some_and(|cpus| cpus < 0.01) {
        return Err(value("sandbox_cpus", "expected none or at least 0.01"));
    }
    Ok(())
}

fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    // The kernel's word size; not u64 everywhere.
    #[expect(
        clippy::useless_conversion,
        reason = "c_ulong is 32 bits wide on some machines"
    )]
    let total = u64::from(info.totalram);
    total * u64::from(info.mem_unit)
}

/// Puts `args` over the file that they name, if any.
pub(crate) fn with_file(args: ServeArgs) -> Result<ServeArgs, ConfigError> {
    match &args.config {
        Some(path) => {
            let file = file::read(path)?;
            Ok(args.or(file))
        }
        None => Ok(args),
    }
}

/// The data folder, as an absolute path.
pub(crate) fn data_dir(args: &ServeArgs) -> Result<PathBuf, ConfigError> {
    let named = args
        .data_dir
        .as_deref()
        .unwrap_or(Path::new(DEFAULT_DATA_DIR));
    std::path::absolute(named).map_err(|_| value("data_dir", "expected the name of a folder"))
}

/// The sandbox program that is named, else the one beside this program; it need not be there.
pub(crate) fn sandbox_path(named: Option<&Path>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = named {
        return std::path::absolute(path)
            .map_err(|_| value("sandbox_binary", "expected the name of a program"));
    }
    let own = std::env::current_exe().map_err(|source| ConfigError::SandboxBinary {
        path: SANDBOX_PROGRAM.into(),
        source,
    })?;
    Ok(own.with_file_name(SANDBOX_PROGRAM))
}

fn check_program(path: &Path) -> Result<(), ConfigError> {
    let unusable = |source| ConfigError::SandboxBinary {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(unusable)?.is_file() {
        return Ok(());
    }
    Err(unusable(io::Error::other("it is no regular file")))
}

fn value(key: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        key,
        problem: problem.into(),
    }
}

fn bytes(set: Option<ByteSize>, default: u64) -> u64 {
    set.map_or(default, |size| size.0)
}

fn at_least_one(
    key: &'static str,
    set: Option<usize>,
    default: usize,
) -> Result<usize, ConfigError> {
    match set.unwrap_or(default) {
        0 => Err(value(key, "expected at least 1")),
        count => Ok(count),
    }
}

fn seconds(key: &'static str, set: Option<Span>, default: u32) -> Result<u32, ConfigError> {
    match set.map_or(default, |span| span.0) {
        0 => Err(value(key, "expected at least 1s")),
        seconds => Ok(seconds),
    }
}

/// A default timeout within its maximum. A maximum that is set lower than the built-in default
/// lowers it; one that contradicts a default that is set is an error.
fn default_timeout(
    (key, max_key): (&'static str, &str),
    set: Option<Span>,
    default: u32,
    max: u32,
) -> Result<u32, ConfigError> {
    match set {
        Some(span) if span.0 > max => Err(value(
            key,
            format!("{span} is over {max_key}, which is {}", Span(max)),
        )),
        Some(_) => seconds(key, set, default),
        None => Ok(default.min(max)),
    }
}
