//! Scenarios a user would recognise, each against a server of its own.

#![forbid(unsafe_code)]

mod branches;
mod command_line;
mod crashes;
mod crowds;
mod environments;
mod errors;
mod files;
mod images;
mod operations_list;
mod raw;
mod projects;
mod registries;
mod seed_page;
mod stopping;
mod transport;
