//! Joins records, images and sandbox: operations from request to committed image.

#![forbid(unsafe_code)]

mod config;
mod engine;
mod error;
mod events;
mod files;
mod filter;
mod identity;
mod images;
mod operations;
mod processes;

pub use config::{
    Durability, EngineConfig, EngineLimits, HostPort, InvalidDurability, InvalidHostPort,
    MIN_FILE_RETENTION, NetworkConfig, Retention, SandboxLimits,
};
pub use engine::{Activity, Engine, FirstStart, StartError};
pub use error::{Error, ErrorKind};
pub use events::{EventLine, EventQuery, EventStream};
pub use files::Upload;
pub use filter::{FileFilter, ImageFilter, ImageKind, OperationFilter};
pub use identity::Identity;
pub use images::ImageFile;

/// What this machine offers to sandboxes, for `contree doctor`.
pub use contree_sandbox::probe;

impl Error {
    /// Said by calls whose engine part is still being filled in.
    fn not_yet() -> Self {
        Self::new(ErrorKind::NotImplemented, "not available in this build")
    }
}
