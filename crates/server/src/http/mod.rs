//! What all routes share: who calls, what they ask, how answers and refusals look.

pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod encoding;
pub(crate) mod error;
pub(crate) mod gzip;
mod objects;
pub(crate) mod produced;
pub(crate) mod query;
pub(crate) mod ranges;
pub(crate) mod sse;

pub(crate) use body::{Ids, read_json};
pub(crate) use caller::{Administrator, Caller};
pub(crate) use error::ApiError;
pub(crate) use query::Query;
