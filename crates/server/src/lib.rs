//! The HTTP face: auth, routes, event streams, configuration.
//!
//! A request comes in at [`connection`], takes its route in [`routes`] with the help of what is
//! shared in [`http`], and goes on to the engine. [`config`] says how a server is set up,
//! [`serve()`](serve) runs one from its start to its end.

#![forbid(unsafe_code)]

mod app;
pub mod config;
mod connection;
mod http;
mod log;
mod routes;
mod serve;
#[cfg(test)]
mod tests;

pub use config::{ServeArgs, Settings};
pub use serve::{ServeError, serve};
