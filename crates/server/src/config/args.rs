//! The settings as they are written down: one struct that both the command line (with the
//! environment) and the file fill, so that the two cannot offer different things.
//!
//! Every field is optional here; [`Settings`](super::Settings) has the defaults. The text in
//! `[default: …]` is what `--help` shows; a test feeds it back in and compares.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::values::{Amount, ByteSize, Cidr, Host, OrNone, Span};

/// When an acknowledged result survives what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A result is answered only after it would survive a power loss.
    Durable,
    /// A result survives a crash of the server, but the last seconds may be lost with the power.
    Relaxed,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

/// Settings of `contree serve`. Later sources win: the file, the environment, the flags.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeArgs {
    /// TOML file with settings; its keys are the flags below, with `_` for `-` [default: none]
    #[arg(
        long,
        env = "CONTREE_CONFIG",
        value_name = "FILE",
        hide_env_values = true
    )]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Address to accept requests on; port 0 takes a free one [default: 127.0.0.1:9450]
    #[arg(
        long,
        env = "CONTREE_LISTEN",
        value_name = "HOST:PORT",
        hide_env_values = true
    )]
    pub listen: Option<Host>,

    /// Folder that holds everything: database, images, event logs, admin token
    /// [default: /var/lib/contree]
    #[arg(
        long,
        env = "CONTREE_DATA_DIR",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub data_dir: Option<PathBuf>,

    /// The `contree-sandbox` program [default: beside this program]
    #[arg(
        long,
        env = "CONTREE_SANDBOX_BINARY",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub sandbox_binary: Option<PathBuf>,

    /// Whether results wait for the disk: `durable` survives a power loss, `relaxed` only a crash
    /// of the server [default: durable]
    #[arg(
        long,
        env = "CONTREE_DURABILITY",
        value_name = "MODE",
        hide_env_values = true
    )]
    pub durability: Option<Durability>,

    /// Registry that may be imported from although it is on a private or loopback address, or
    /// speaks plain HTTP on loopback; may be repeated [default: none]
    #[arg(
        long,
        env = "CONTREE_ALLOW_REGISTRY",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub allow_registry: Option<Vec<Host>>,

    /// Address range that sandboxes may reach although it is private; may be repeated
    /// [default: none]
    #[arg(
        long,
        env = "CONTREE_ALLOW_EGRESS",
        value_name = "CIDR",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub allow_egress: Option<Vec<Cidr>>,

    /// Name server for sandboxes; may be repeated [default: those of this machine]
    #[arg(
        long,
        env = "CONTREE_RESOLVER",
        value_name = "ADDRESS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub resolver: Option<Vec<Ipv4Addr>>,

    /// Addresses for the sandboxes, a range from /8 to /29 that nothing else uses
    /// [default: a free one of 10.200.0.0/16 to 10.229.0.0/16]
    #[arg(
        long,
        env = "CONTREE_SANDBOX_SUBNET",
        value_name = "CIDR",
        hide_env_values = true
    )]
    pub sandbox_subnet: Option<Cidr>,

    /// Ready-made networks kept in stock, so that a run need not wait for one [default: chosen for
    /// this machine]
    #[arg(
        long,
        env = "CONTREE_NETWORK_POOL",
        value_name = "COUNT",
        hide_env_values = true
    )]
    pub network_pool: Option<usize>,

    /// Memory of a sandbox, or `none` [default: three quarters of this machine's]
    #[arg(
        long,
        env = "CONTREE_SANDBOX_MEMORY",
        value_name = "BYTES",
        hide_env_values = true
    )]
    pub sandbox_memory: Option<OrNone<ByteSize>>,

    /// Processes and threads in a sandbox, or `none` [default: 4096]
    #[arg(
        long,
        env = "CONTREE_SANDBOX_PIDS",
        value_name = "COUNT",
        hide_env_values = true
    )]
    pub sandbox_pids: Option<OrNone<u64>>,

    /// CPUs of a sandbox, fractions allowed, or `none` [default: none]
    #[arg(
        long,
        env = "CONTREE_SANDBOX_CPUS",
        value_name = "COUNT",
        hide_env_values = true
    )]
    pub sandbox_cpus: Option<OrNone<Amount>>,

    /// Timeout of runs that name none [default: 10m]
    #[arg(
        long,
        env = "CONTREE_INSTANCE_DEFAULT_TIMEOUT",
        value_name = "TIME",
        hide_env_values = true
    )]
    pub instance_default_timeout: Option<Span>,

    /// Longest timeout that a run may ask for [default: 1h]
    #[arg(
        long,
        env = "CONTREE_INSTANCE_MAX_TIMEOUT",
        value_name = "TIME",
        hide_env_values = true
    )]
    pub instance_max_timeout: Option<Span>,

    /// Runs of one project at the same time; more wait as PENDING [default: 64]
    #[arg(
        long,
        env = "CONTREE_INSTANCE_MAX_CONCURRENCY",
        value_name = "COUNT",
        hide_env_values = true
    )]
    pub instance_max_concurrency: Option<usize>,

    /// Most that one run may write [default: 12GiB]
    #[arg(
        long,
        env = "CONTREE_INSTANCE_MAX_LAYER_BYTES",
        value_name = "BYTES",
        hide_env_values = true
    )]
    pub instance_max_layer_bytes: Option<ByteSize>,

    /// Operations of all projects that may wait; more are refused with 429 [default: 10000]
    #[arg(
        long,
        env = "CONTREE_QUEUE_MAX",
        value_name = "COUNT",
        hide_env_values = true
    )]
    pub queue_max: Option<usize>,

    /// Imports of one project at the same time [default: 5]
    #[arg(
        long,
        env = "CONTREE_IMAGES_IMPORT_MAX_CONCURRENCY",
        value_name = "COUNT",
        hide_env_values = true
    )]
    pub images_import_max_concurrency: Option<usize>,

    /// Timeout of imports that name none [default: 5m]
    #[arg(
        long,
        env = "CONTREE_IMAGES_IMPORT_DEFAULT_TIMEOUT",
        value_name = "TIME",
        hide_env_values = true
    )]
    pub images_import_default_timeout: Option<Span>,

    /// Longest timeout that an import may ask for [default: 1h]
    #[arg(
        long,
        env = "CONTREE_IMAGES_IMPORT_MAX_TIMEOUT",
        value_name = "TIME",
        hide_env_values = true
    )]
    pub images_import_max_timeout: Option<Span>,

    /// Most bytes that an import may unpack [default: 64GiB]
    #[arg(
        long,
        env = "CONTREE_IMAGES_IMPORT_MAX_BYTES",
        value_name = "BYTES",
        hide_env_values = true
    )]
    pub images_import_max_bytes: Option<ByteSize>,

    /// Most files and folders that an import may unpack [default: 4000000]
    #[arg(
        long,
        env = "CONTREE_IMAGES_IMPORT_MAX_ENTRIES",
        value_name = "COUNT",
        hide_env_values = true
    )]
    pub images_import_max_entries: Option<u64>,

    /// Size of an operation's event log at which output is no longer recorded [default: 100MiB]
    #[arg(
        long,
        env = "CONTREE_EVENT_LOG_CAP",
        value_name = "BYTES",
        hide_env_values = true
    )]
    pub event_log_cap: Option<ByteSize>,

    /// Largest JSON body of a request; the input of a run travels in one [default: 64MiB]
    #[arg(
        long,
        env = "CONTREE_MAX_REQUEST_BYTES",
        value_name = "BYTES",
        hide_env_values = true
    )]
    pub max_request_bytes: Option<ByteSize>,

    /// Largest uploaded file [default: 16GiB]
    #[arg(
        long,
        env = "CONTREE_MAX_UPLOAD_BYTES",
        value_name = "BYTES",
        hide_env_values = true
    )]
    pub max_upload_bytes: Option<ByteSize>,

    /// Connections at the same time; more wait to be accepted [default: 8192]
    #[arg(
        long,
        env = "CONTREE_MAX_CONNECTIONS",
        value_name = "COUNT",
        hide_env_values = true
    )]
    pub max_connections: Option<usize>,

    /// Age at which images without a tag are removed, or `none` [default: none]
    #[arg(
        long,
        env = "CONTREE_RETENTION",
        value_name = "TIME",
        hide_env_values = true
    )]
    pub retention: Option<OrNone<Span>>,

    /// How long uploaded files are kept after their last use, at least 180d [default: 180d]
    #[arg(
        long,
        env = "CONTREE_FILE_RETENTION",
        value_name = "TIME",
        hide_env_values = true
    )]
    pub file_retention: Option<Span>,

    /// Free bytes on the data folder's disk under which runs, imports and uploads are refused
    /// [default: 512MiB]
    #[arg(
        long,
        env = "CONTREE_MIN_FREE",
        value_name = "BYTES",
        hide_env_values = true
    )]
    pub min_free: Option<ByteSize>,

    /// File with a public key (PEM, RSA or Ed25519) whose holder may sign tokens; may be repeated
    /// [default: none]
    #[arg(
        long,
        env = "CONTREE_JWT_KEY",
        value_name = "FILE",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub jwt_key: Option<Vec<PathBuf>>,

    /// Issuer (claim `iss`) of signed tokens; goes with `jwt_key` [default: none]
    #[arg(
        long,
        env = "CONTREE_JWT_ISSUER",
        value_name = "TEXT",
        hide_env_values = true
    )]
    pub jwt_issuer: Option<String>,

    /// Audience (claim `aud`) that signed tokens must name; goes with `jwt_key` [default: none]
    #[arg(
        long,
        env = "CONTREE_JWT_AUDIENCE",
        value_name = "TEXT",
        hide_env_values = true
    )]
    pub jwt_audience: Option<String>,

    /// Price of a CPU second, reported as the cost of a run [default: 0]
    #[arg(
        long,
        env = "CONTREE_CPU_PRICE",
        value_name = "NUMBER",
        hide_env_values = true
    )]
    pub cpu_price: Option<Amount>,

    /// How long running operations may go on after SIGTERM before they are stopped [default: 5s]
    #[arg(
        long,
        env = "CONTREE_DRAIN_TIMEOUT",
        value_name = "TIME",
        hide_env_values = true
    )]
    pub drain_timeout: Option<Span>,

    /// How log lines look on standard error: `text` or `json` [default: text]
    #[arg(
        long,
        env = "CONTREE_LOG_FORMAT",
        value_name = "FORMAT",
        hide_env_values = true
    )]
    pub log_format: Option<LogFormat>,

    /// What is logged, such as `warn` or `info,contree_engine=debug` [default: info]
    #[arg(
        long,
        env = "CONTREE_LOG_FILTER",
        value_name = "FILTER",
        hide_env_values = true
    )]
    pub log_filter: Option<String>,
}

impl ServeArgs {
    /// Fills what is not set here from `other`.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            config: self.config.or(other.config),
            listen: self.listen.or(other.listen),
            data_dir: self.data_dir.or(other.data_dir),
            sandbox_binary: self.sandbox_binary.or(other.sandbox_binary),
            durability: self.durability.or(other.durability),
            allow_registry: self.allow_registry.or(other.allow_registry),
            allow_egress: self.allow_egress.or(other.allow_egress),
            resolver: self.resolver.or(other.resolver),
            sandbox_subnet: self.sandbox_subnet.or(other.sandbox_subnet),
            network_pool: self.network_pool.or(other.network_pool),
            sandbox_memory: self.sandbox_memory.or(other.sandbox_memory),
            sandbox_pids: self.sandbox_pids.or(other.sandbox_pids),
            sandbox_cpus: self.sandbox_cpus.or(other.sandbox_cpus),
            instance_default_timeout: self
                .instance_default_timeout
                .or(other.instance_default_timeout),
            instance_max_timeout: self.instance_max_timeout.or(other.instance_max_timeout),
            instance_max_concurrency: self
                .instance_max_concurrency
                .or(other.instance_max_concurrency),
            instance_max_layer_bytes: self
                .instance_max_layer_bytes
                .or(other.instance_max_layer_bytes),
            queue_max: self.queue_max.or(other.queue_max),
            images_import_max_concurrency: self
                .images_import_max_concurrency
                .or(other.images_import_max_concurrency),
            images_import_default_timeout: self
                .images_import_default_timeout
                .or(other.images_import_default_timeout),
            images_import_max_timeout: self
                .images_import_max_timeout
                .or(other.images_import_max_timeout),
            images_import_max_bytes: self
                .images_import_max_bytes
                .or(other.images_import_max_bytes),
            images_import_max_entries: self
                .images_import_max_entries
                .or(other.images_import_max_entries),
            event_log_cap: self.event_log_cap.or(other.event_log_cap),
            max_request_bytes: self.max_request_bytes.or(other.max_request_bytes),
            max_upload_bytes: self.max_upload_bytes.or(other.max_upload_bytes),
            max_connections: self.max_connections.or(other.max_connections),
            retention: self.retention.or(other.retention),
            file_retention: self.file_retention.or(other.file_retention),
            min_free: self.min_free.or(other.min_free),
            jwt_key: self.jwt_key.or(other.jwt_key),
            jwt_issuer: self.jwt_issuer.or(other.jwt_issuer),
            jwt_audience: self.jwt_audience.or(other.jwt_audience),
            cpu_price: self.cpu_price.or(other.cpu_price),
            drain_timeout: self.drain_timeout.or(other.drain_timeout),
            log_format: self.log_format.or(other.log_format),
            log_filter: self.log_filter.or(other.log_filter),
        }
    }
}
