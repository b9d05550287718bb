//! `contree build`: an image from a Dockerfile and a folder.
//!
//! What is read, each module pure and tested by itself:
//!
//! | module | reads |
//! | --- | --- |
//! | [`dockerfile`] | the Dockerfile: stages of instructions |
//! | [`expand`] | variables: which are in scope, and words that name them |
//! | [`pattern`] | wildcards of sources and expansions |
//! | [`ignore`] | .dockerignore |
//! | [`context`] | the folder: what a source names, its digest, a tar of it |
//! | [`chmod`] | `--chmod` |
//! | [`archive`] | local archives that `ADD` unpacks |
//! | [`remote`] | URLs that `ADD` fetches |
//!
//! What carries it out:
//!
//! | module | does |
//! | --- | --- |
//! | [`job`] | a build: which stages are needed, each a future, its instructions in order |
//! | [`state`] | where a stage is: its image, variables, folder, user |
//! | [`from`], [`run`], [`place`] | `FROM`; `RUN`; `COPY` and `ADD` |
//! | [`users`] | names of users and groups, as an image has them |
//! | [`cache`] | what was built before |
//! | [`operations`] | operations of the server: started, followed, cancelled |
//! | [`progress`] | what is shown of it all |

pub(crate) mod archive;
mod cache;
pub(crate) mod chmod;
pub(crate) mod context;
pub(crate) mod dockerfile;
pub(crate) mod expand;
mod from;
pub(crate) mod ignore;
mod job;
mod operations;
pub(crate) mod pattern;
mod place;
pub(crate) mod progress;
pub(crate) mod remote;
mod run;
mod state;
mod users;

pub(crate) use job::{Ground, Plan, build};
