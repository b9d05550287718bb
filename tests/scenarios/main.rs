//! Scenarios a user would recognise, each against a server of its own.

#![forbid(unsafe_code)]

mod branches;
mod builds;
mod command_line;
mod copies;
mod crashes;
mod crowds;
mod detached;
mod environments;
mod errors;
mod events;
mod feed;
mod files;
mod images;
mod inspect;
mod instances;
mod operations;
mod operations_list;
mod projects;
mod raw;
mod registries;
mod runs;
mod sdk;
mod sdk_page;
mod seed_page;
mod stopping;
mod subprocesses;
mod terminal;
mod transport;
