//! The HTTP face: auth, routes, event streams, configuration.
//!
//! A request comes in at `connection`, takes its route in `routes` with the help of what is
//! shared in `http`, and goes on to the engine. [`config`] says how a server is set up,
//! [`serve()`] runs one from its start to its end, and [`doctor`] says whether it can.

#![forbid(unsafe_code)]

mod app;
/// Administering a data folder that no server has open.
pub mod admin {
    pub use contree_engine::{ADMIN_TOKEN, Offline, OfflineError};
}
pub mod config;
mod connection;
pub mod doctor;
mod http;
mod log;
mod openapi;
mod routes;
mod serve;
#[cfg(test)]
mod tests;

pub use config::{ServeArgs, Settings};
pub use doctor::{DoctorArgs, DoctorReport, doctor_report};
pub use serve::{ServeError, serve};
