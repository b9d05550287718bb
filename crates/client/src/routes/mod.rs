//! The routes, one method of [`Client`](crate::Client) each, by resource.

pub mod admin;
pub mod files;
pub mod images;
pub mod inspect;
pub mod instances;
pub mod operations;
pub mod subprocesses;
pub mod whoami;
