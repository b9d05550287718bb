//! The Rust SDK of the ConTree HTTP API.
//!
//! [`Client`] has one method per route, in [`routes`] by resource, and nothing on top of them but
//! what every caller needs: retries ([`retry`]), event streams that survive a dropped connection
//! ([`events`]) and uploads that send a file only when the server does not have it
//! ([`routes::files`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), contree_client::Error> {
//! use contree_client::{Client, Config};
//!
//! let client = Client::new(Config::new("http://127.0.0.1:9450", "token"))?;
//! let image = client.find_image(&"ubuntu:latest".parse().expect("a tag")).await?;
//! # Ok(()) }
//! ```
//!
//! The library reads no environment and no files it is not given, and prints nothing.

#![forbid(unsafe_code)]

pub mod blocking;
mod call;
mod config;
mod contree;
mod download;
pub mod error;
pub mod events;
pub mod feed;
mod frames;
mod http;
mod image;
mod list;
mod operation;
pub mod retry;
pub mod routes;
mod run;
mod session;
pub mod sse;
mod stream;
mod wait;

pub use config::Config;
pub use contree::Contree;
pub use contree_api as api;
pub use download::Download;
pub use error::Error;
pub use events::{EventFrame, EventStream, Follow};
pub use feed::OperationFeed;
pub use http::Client;
pub use image::{Image, ImageName, Import, ImportBuilder};
pub use list::List;
pub use operation::Operation;
pub use retry::{OnRetry, RetryPolicy, Retrying};
pub use routes::files::{FileFilter, UploadStep, Uploaded};
pub use routes::images::ImageFilter;
pub use routes::operations::OperationFilter;
pub use run::{Captured, Chunk, ExecBuilder, Outcome, Output, Process, Run, RunBuilder, Upload};
pub use session::Session;
