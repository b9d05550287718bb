//! The Rust SDK of ConTree: sandboxes with images that branch.
//!
//! A [`Contree`] is a server and a token. An [`Image`] of it is run from ([`RunBuilder`]), which
//! gives an [`Outcome`] with output, exit code and a new image; or a handle ([`Run`]) that streams
//! output, takes input, signals, and starts further processes in the same sandbox. A [`Session`] is a
//! line of images, each made from the one before.
//!
//! ```
//! # contree_e2e::Example::run(async |example| {
//! # let (url, token) = (example.url(), example.token());
//! use std::time::Duration;
//!
//! use contree_client::{Contree, Upload};
//!
//! let contree = Contree::connect(url, token)?;
//! let outcome = contree
//!     .image("tag:debian")
//!     .run("sh /work/hello.sh > /work/out; cat /work/out")
//!     .file("/work/hello.sh", Upload::bytes("echo \"hello $NAME\"\n"))
//!     .env("NAME", "world")
//!     .timeout(Duration::from_secs(60))
//!     .await?;
//! assert_eq!(outcome.exit_code, Some(0));
//! assert_eq!(outcome.stdout.text(), "hello world\n");
//!
//! // What it changed is a new image.
//! let image = outcome.image.expect("a run that is not disposable has one");
//! assert_eq!(image.read("/work/out").await?, "hello world\n");
//! # Ok(()) });
//! ```
//!
//! Nothing here asks again and again: all waits of a [`Contree`] hear of the ends of their runs over
//! one stream, thousands of them if need be, and outlive a server that starts again. Requests are sent
//! again where that cannot do harm ([`RetryPolicy`]), files are sent when the server does not have
//! them, and event streams go on where they broke ([`Follow`]).
//!
//! Below the objects is [`Client`], with one method per route ([`routes`]), and the words on the
//! wire ([`api`]). For programs without async there is [`blocking`].
//!
//! The library reads no files that it is not given, and prints nothing. Of the environment it reads
//! the proxies (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), never for a server on this
//! machine's loopback; for `https` it trusts the system's certificates.
//!
//! The types in [`api`] are those of the server of the same version; theirs is the only place where
//! fields are added without `#[non_exhaustive]`.

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
