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

pub(crate) mod archive;
pub(crate) mod chmod;
pub(crate) mod context;
pub(crate) mod dockerfile;
pub(crate) mod expand;
pub(crate) mod ignore;
pub(crate) mod pattern;
pub(crate) mod remote;
