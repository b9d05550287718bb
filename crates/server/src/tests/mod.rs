//! Tests of the crate as a whole: settings from all their sources, routes through the router,
//! connections over real sockets, and a server from start to signal.

mod config;
mod connections;
mod routes;
