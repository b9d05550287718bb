//! The words on the wire, and nothing else: typed ids, requests, responses, events, errors and
//! limits of the ConTree HTTP API (`/v1`). No I/O happens here; server, client and command line
//! all speak through these types, so that they cannot drift apart.
//!
//! Field names, defaults and limits follow the published contract. Where the contract leaves a
//! field out, serde's `skip_serializing_if` says so at the field.

#![forbid(unsafe_code)]

pub mod admin;
pub mod error;
pub mod event;
pub mod file;
pub mod ids;
pub mod image;
pub mod inspect;
pub mod instance;
pub mod limits;
pub mod operation;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod stream;
pub mod tag;
pub mod time;
pub mod whoami;

pub use error::{ErrorBody, ErrorKind};
pub use ids::{FileId, ImageId, LayerId, OperationId, ProjectId, TokenId};
pub use stream::{Encoding, StreamRepr};
pub use tag::Tag;
pub use time::Timestamp;
