//! Bounds on what a request may ask for, and the defaults of what it leaves out.

/// Run timeout when the request names none, in seconds.
pub const DEFAULT_INSTANCE_TIMEOUT: u32 = 600;
/// Longest run timeout, in seconds.
pub const MAX_INSTANCE_TIMEOUT: u32 = 3_600;
/// Import timeout when the request names none, in seconds.
pub const DEFAULT_IMPORT_TIMEOUT: u32 = 300;
/// Longest import timeout, in seconds.
pub const MAX_IMPORT_TIMEOUT: u32 = 3_600;
/// Bytes of each stream kept when the request does not say.
pub const DEFAULT_TRUNCATE_OUTPUT_AT: u64 = 1_048_576;
/// Most bytes of each stream that can be kept.
pub const MAX_TRUNCATE_OUTPUT_AT: u64 = 10_485_760;
/// Largest layer a run may write when the request does not say, in bytes.
pub const DEFAULT_MAX_LAYER_BYTES: u64 = 12_884_901_888;
/// Hostname inside a sandbox when the request names none.
pub const DEFAULT_HOSTNAME: &str = "linuxkit";
/// `PATH` when neither request nor image set one.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Items in a list answer when the request does not say.
pub const DEFAULT_PAGE: u32 = 100;
/// Most items in a list answer.
pub const MAX_PAGE: u32 = 1_000;
/// Size of an operation's event log at which stream events stop being recorded, in bytes.
pub const EVENT_LOG_CAP: u64 = 104_857_600;
/// Most bytes of command, arguments and environment together.
pub const MAX_EXEC_BYTES: usize = 2 * 1024 * 1024;
/// Most attached files of one run.
pub const MAX_ATTACHED_FILES: usize = 10_000;
/// Most trees that one run puts in place.
pub const MAX_COPIES: usize = 64;
/// Most paths of one image that are put in place together.
pub const MAX_COPY_PATHS: usize = 1_000;
