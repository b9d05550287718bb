//! The Rust SDK: the raw API, retries, event streams, uploads.
