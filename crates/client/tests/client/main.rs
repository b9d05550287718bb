//! The client against small servers that misbehave in every way that real ones and the networks
//! before them do.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod fake;
mod objects;
mod requests;
