//! Joins records, images and sandbox: operations from request to committed image.
//!
//! | module | what it does |
//! | --- | --- |
//! | `engine` | start, end, and what all parts share |
//! | `identity` | who asks: tokens, permissions, whoami, whose streams are open |
//! | `admin` | projects, tokens, the public namespace; also without an engine |
//! | `lock` | who has the data folder |
//! | `operation` | accepting, whose turn it is, ending, showing, the feed of changes |
//! | `run` | one run: plan, sandbox, supervision, commit |
//! | `import_job` | one import |
//! | `events` | the event log, its readers, results folded from it |
//! | `layers` | what a run stands on, and keeping that short |
//! | `images`, `inspect`, `files`, `processes` | the rest of what callers ask for |
//! | `recover`, `gc` | order after a crash, and over time |
//!
//! The server uses this crate alone; [`Engine`] has all it calls.

#![forbid(unsafe_code)]

mod admin;
mod config;
mod engine;
mod error;
mod events;
mod files;
mod gc;
mod identity;
mod images;
mod import_job;
mod inspect;
mod layers;
mod lock;
mod operation;
mod processes;
mod recover;
mod remembered;
mod run;
mod settings;
mod validate;

pub use admin::{Administrator, Offline, OfflineError};
pub use config::{
    Durability, EngineConfig, EngineLimits, HostPort, InvalidDurability, InvalidHostPort,
    MIN_FILE_RETENTION, NetworkConfig, Retention, SandboxLimits,
};
pub use engine::{Activity, Engine, FirstStart, StartError};
pub use error::{Error, ErrorKind};
pub use events::{EventLine, EventQuery, EventStream};
pub use files::Upload;
pub use gc::{SweepError, Swept};
pub use identity::jwt::{InvalidKey, PublicKey, Verifier};
pub use identity::{ADMIN_TOKEN, Identity, OfToken};
pub use inspect::{GREP_TIME, ImageArchive, ImageFile};
pub use operation::{OperationFeed, OperationLine};

/// What lists can be narrowed by.
pub use contree_records::{ImageFilter, ImageKind, OperationFilter, Page};
/// What this machine offers to sandboxes, for `contree doctor`.
pub use contree_sandbox::probe;
