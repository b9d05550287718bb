//! Variables.
use std::collections::BTreeMap;

use super::dockerfile::{ArgDefault, Copy, GlobalArgs};
use crate::failure::Failure;

/// What `TARGETPLATFORM` and its like say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    /// `linux`.
    pub(crate) os: String,
    /// `amd64`, `arm64`.
    pub(crate) arch: String,
    /// `v7` of `linux/arm/v7`; mostly empty.
    pub(crate) variant: String,
}

/// What is known before the first stage: `--build-arg`s, the platform, the `ARG`s before `FROM`.
#[derive(Debug, Clone)]
pub(crate) struct Globals {
    given: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
    escape: char,
}

/// The variables of a stage, at one of its lines.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    args: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    escape: char,
}

impl Globals {
    /// `given`: what `--build-arg` says.
    pub(crate) fn new(
        given: BTreeMap<String, String>,
        platform: &Platform,
        escape: char,
        declared: &[GlobalArgs],
    ) -> Result<Self, Failure> {
        let _ = (platform, declared);
        Ok(Self {
            given,
            values: BTreeMap::new(),
            escape,
        })
    }

    /// Expands a word of `FROM`: the image, `--platform`.
    pub(crate) fn expand(&self, text: &str) -> Result<String, Failure> {
        Ok(text.to_owned())
    }

    /// The variables at the first line of a stage whose image has the environment `env`.
    pub(crate) fn stage(&self, env: BTreeMap<String, String>) -> Scope {
        Scope {
            args: self.values.clone(),
            env,
            escape: self.escape,
        }
    }
}

impl Scope {
    /// Expands one word: `WORKDIR`, `USER`, …
    pub(crate) fn expand(&self, text: &str) -> Result<String, Failure> {
        Ok(text.to_owned())
    }

    /// `ARG`.
    pub(crate) fn declare(
        &mut self,
        globals: &Globals,
        args: &[ArgDefault],
    ) -> Result<(), Failure> {
        let _ = (globals.given.len(), args, self.escape);
        Ok(())
    }

    /// `ENV`; the names and values that it set, in their order.
    pub(crate) fn set_env(
        &mut self,
        pairs: &[(String, String)],
    ) -> Result<Vec<(String, String)>, Failure> {
        Ok(pairs.to_vec())
    }

    /// The `ENV` variables, the image's included.
    pub(crate) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The environment of a `RUN`: arguments, and `ENV` over them. (Predefined proxies included.)
    pub(crate) fn run_env(&self) -> BTreeMap<String, String> {
        let mut all = self.args.clone();
        all.extend(self.env.clone());
        all
    }

    /// `COPY` or `ADD` with its variables expanded, heredocs included.
    pub(crate) fn expand_copy(&self, copy: &Copy) -> Result<Copy, Failure> {
        Ok(copy.clone())
    }
}
