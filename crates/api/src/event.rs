//! The event log of an operation, the source of every result.
//!
//! Order of a run: `init`, `network` (when it has one), `spawn`, then `stdin`/`stdout`/`stderr`
//! chunks, `truncated`, `exit`, `shutdown`, and last `completion`. Ids start at 0 and only grow;
//! all events but `completion` carry the spid they belong to, service events spid 0.
//! An import's log has `init`, its progress as `stderr` lines of spid 0, and `completion`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ImageId;
use crate::operation::OperationStatus;
use crate::stream::Encoding;

/// One event. `type` and `data` are those of [`EventData`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Strictly increasing within the operation, stable across reads.
    pub id: u64,
    /// UTC, nine fractional digits.
    pub ts: String,
    /// The process it belongs to; absent on `completion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spid: Option<u32>,
    /// What happened.
    #[serde(flatten)]
    pub data: EventData,
}

/// What happened, by type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum EventData {
    /// The sandbox is up.
    Init(Init),
    /// The network is set up.
    Network(Network),
    /// A process was started.
    Spawn(Spawn),
    /// Bytes written to a process.
    Stdin(Chunk),
    /// Bytes a process wrote.
    Stdout(Chunk),
    /// Bytes a process wrote to its error output.
    Stderr(Chunk),
    /// A stream went over its cap; sent at its end.
    Truncated(Truncated),
    /// A process ended.
    Exit(Exit),
    /// The log is full; stream events are no longer recorded.
    SizeCap(SizeCap),
    /// The sandbox winds down.
    Shutdown(Shutdown),
    /// The operation ended.
    Completion(Completion),
}

impl EventData {
    /// All names on the wire.
    pub const TYPE_NAMES: [&str; 11] = [
        "init",
        "spawn",
        "stdin",
        "stdout",
        "stderr",
        "exit",
        "truncated",
        "size_cap",
        "network",
        "shutdown",
        "completion",
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Network(_) => "network",
            Self::Spawn(_) => "spawn",
            Self::Stdin(_) => "stdin",
            Self::Stdout(_) => "stdout",
            Self::Stderr(_) => "stderr",
            Self::Truncated(_) => "truncated",
            Self::Exit(_) => "exit",
            Self::SizeCap(_) => "size_cap",
            Self::Shutdown(_) => "shutdown",
            Self::Completion(_) => "completion",
        }
    }
}

/// Payload of `init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventDataInit))]
pub struct Init {
    /// UTC, nine fractional digits.
    #[cfg_attr(feature = "openapi", schema(format = DateTime, example = "2026-06-08T20:00:00.000000000Z"))]
    pub started_at: String,
    /// Internal runtime directory.
    pub runtime_path: String,
    /// Always false.
    pub verbose: bool,
    /// Pid of the sandbox's init, 1.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub init_pid: i32,
    /// Hostname inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub hostname: Option<String>,
    /// Kernel release and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub kernel: Option<String>,
    /// Such as `x86_64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "x86_64"))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub machine: Option<String>,
    /// Unique for this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub boot_id: Option<String>,
}

/// Payload of `network`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventDataNetwork))]
pub struct Network {
    /// Counters at the start.
    pub interfaces: Vec<Interface>,
    /// What was configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub configured: Option<NetworkConfig>,
    /// Why counters could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub error: Option<String>,
}

/// What was configured for a sandbox's network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = NetworkConfiguration))]
pub struct NetworkConfig {
    /// Address with prefix length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "10.0.0.5/24", nullable = false))]
    pub ip4: Option<String>,
    /// Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "10.0.0.1"))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub ip4_gw: Option<String>,
    /// IPv6 address with prefix length; not set by this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub ip6: Option<String>,
    /// IPv6 gateway; not set by this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub ip6_gw: Option<String>,
    /// Hardware address of the gateway; not set by this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub gw_mac: Option<String>,
    /// First resolver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub nameserver: Option<String>,
}

/// Counters of one interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = NetworkInterface))]
pub struct Interface {
    /// Such as `eth0`.
    #[cfg_attr(feature = "openapi", schema(example = "eth0"))]
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Receive errors.
    pub rx_errs: u64,
    /// Receive drops.
    pub rx_drop: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Send errors.
    pub tx_errs: u64,
    /// Send drops.
    pub tx_drop: u64,
}

/// Payload of `spawn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventDataSpawn))]
pub struct Spawn {
    /// Pid inside the sandbox.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub pid: i32,
    /// Executable as started.
    #[cfg_attr(feature = "openapi", schema(example = "/bin/sh"))]
    pub command: String,
    /// Its arguments.
    #[cfg_attr(feature = "openapi", schema(example = json!(["-c", "echo hi"])))]
    pub args: Vec<String>,
    /// Whether through a shell.
    pub shell: bool,
    /// Working directory.
    pub cwd: String,
    /// User.
    #[cfg_attr(feature = "openapi", schema(format = Int64))]
    pub uid: u32,
    /// Group.
    #[cfg_attr(feature = "openapi", schema(format = Int64))]
    pub gid: u32,
    /// Seconds until SIGKILL.
    pub timeout: u32,
    /// Cap per stream in bytes.
    pub truncate_at: u64,
    /// Environment, secrets masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub env: Option<BTreeMap<String, String>>,
}

/// Payload of `stdin`, `stdout` and `stderr`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventDataStream))]
pub struct Chunk {
    /// The bytes, encoded.
    #[cfg_attr(feature = "openapi", schema(example = "hello world\n"))]
    pub value: String,
    /// How.
    pub encoding: Encoding,
    /// Always false.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = false))]
    pub truncated: bool,
}

/// A stream of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// Input.
    Stdin,
    /// Output.
    Stdout,
    /// Error output.
    Stderr,
}

/// Payload of `truncated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventDataTruncated))]
pub struct Truncated {
    /// Which stream.
    pub stream: StreamName,
    /// Bytes recorded.
    pub bytes_emitted: u64,
    /// Bytes consumed but not recorded.
    pub bytes_dropped: u64,
}

/// Payload of `exit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventDataExit))]
pub struct Exit {
    /// Pid inside the sandbox.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub pid: i32,
    /// 0 to 255; −1 when killed.
    pub code: i32,
    /// The signal; −1 for a normal exit.
    pub signal: i32,
    /// Whether there is a core dump.
    #[serde(default)]
    pub core_dump: bool,
    /// Whether the timeout ended it.
    pub timed_out: bool,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// What it used.
    pub resources: ExitResources,
}

/// Resource usage in an `exit` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventResources))]
pub struct ExitResources {
    /// Microseconds in user space.
    pub user_time_us: i64,
    /// Microseconds in the kernel.
    pub sys_time_us: i64,
    /// Peak resident memory in KiB.
    pub max_rss_kb: i64,
    /// Shared memory.
    pub shared_memory: i64,
    /// Unshared memory.
    pub unshared_memory: i64,
    /// Swaps.
    pub swaps: i64,
    /// Page faults without I/O.
    pub minor_faults: i64,
    /// Page faults with I/O.
    pub major_faults: i64,
    /// Voluntary context switches.
    pub voluntary_ctx_switches: i64,
    /// Involuntary context switches.
    pub involuntary_ctx_switches: i64,
    /// Block input operations.
    pub block_input_ops: i64,
    /// Block output operations.
    pub block_output_ops: i64,
    /// IPC messages sent.
    pub ipc_msgs_sent: i64,
    /// IPC messages received.
    pub ipc_msgs_received: i64,
    /// Signals received.
    pub signals_received: i64,
}

/// Payload of `size_cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventDataSizeCap))]
pub struct SizeCap {
    /// The cap in bytes.
    #[cfg_attr(feature = "openapi", schema(example = 104_857_600))]
    pub limit_bytes: u64,
    /// Size of the log when it was reached.
    pub file_size: u64,
}

/// Why a sandbox winds down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ShutdownReason {
    /// The command ended by itself.
    JobComplete,
    /// The timeout fired.
    Timeout,
    /// The command could not be started.
    SpawnFailed,
    /// A signal ended it.
    Signal,
}

/// Payload of `shutdown`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventDataShutdown))]
pub struct Shutdown {
    /// UTC, nine fractional digits.
    #[cfg_attr(feature = "openapi", schema(format = DateTime, example = "2026-06-08T20:01:34.567890123Z"))]
    pub stopped_at: String,
    /// Why.
    pub reason: ShutdownReason,
}

/// Payload of `completion`, always the last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventDataCompletion))]
pub struct Completion {
    /// One of the terminal three.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::terminal_status))]
    pub status: OperationStatus,
    /// The image of a success; null for disposable runs.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub result_image_uuid: Option<ImageId>,
    /// Why it failed or was cancelled.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub error: Option<String>,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// Bytes of the new layer; 0 when none.
    #[serde(default)]
    pub image_size_bytes: u64,
}

/// Endings of variable names whose values are masked in `spawn.env`.
pub const SECRET_SUFFIXES: [&str; 6] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "API_KEY",
    "CREDENTIALS",
    "AUTHORIZATION",
];

/// Whether a variable of this name holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wire form is a contract with clients that parse strictly; keep it to the letter.
    #[test]
    fn golden_frames() {
        let exit = Event {
            id: 7,
            ts: "2026-06-08T20:00:00.123456789Z".into(),
            spid: Some(1),
            data: EventData::Exit(Exit {
                pid: 2,
                code: 0,
                signal: -1,
                core_dump: false,
                timed_out: false,
                duration_ms: 12,
                resources: ExitResources::default(),
            }),
        };
        let text = serde_json::to_string(&exit).unwrap();
        assert!(
            text.starts_with(
                r#"{"id":7,"ts":"2026-06-08T20:00:00.123456789Z","spid":1,"type":"exit","data":{"pid":2,"code":0,"signal":-1,"core_dump":false,"timed_out":false,"duration_ms":12,"resources":{"user_time_us":0,"#
            ),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), exit);

        let completion = Event {
            id: 9,
            ts: "2026-06-08T20:00:00.123456789Z".into(),
            spid: None,
            data: EventData::Completion(Completion {
                status: OperationStatus::Failed,
                result_image_uuid: None,
                error: Some("spawn failed: no such file".into()),
                duration_ms: 3,
                image_size_bytes: 0,
            }),
        };
        assert_eq!(
            serde_json::to_string(&completion).unwrap(),
            r#"{"id":9,"ts":"2026-06-08T20:00:00.123456789Z","type":"completion","data":{"status":"FAILED","result_image_uuid":null,"error":"spawn failed: no such file","duration_ms":3,"image_size_bytes":0}}"#
        );
    }

    #[test]
    fn secrets() {
        assert!(is_secret_name("github_token"));
        assert!(is_secret_name("OPENAI_API_KEY"));
        assert!(!is_secret_name("TOKENS"));
        assert!(!is_secret_name("PATH"));
    }
}
