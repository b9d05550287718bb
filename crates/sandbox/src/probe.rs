//! What this machine offers: the facts behind `contree doctor`.
//!
//! First what can be read off (`facts`), then what has to be tried (`trial`): whether the
//! packet filter loads, and whether a sandbox starts.

mod facts;
mod trial;

use std::path::PathBuf;

/// How much of something there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// All of it.
    Ok,
    /// It works, with something less than it should have.
    Limited,
    /// It does not work.
    Missing,
}

/// One fact about this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, e.g. `memory limit`.
    pub name: &'static str,
    /// How much of it there is.
    pub state: State,
    /// What was found, as a lower-case fragment.
    pub detail: String,
    /// What to do about it; empty when [`State::Ok`].
    pub next_step: String,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            detail: detail.into(),
            next_step: String::new(),
        }
    }

    /// Something is less than it should be.
    #[must_use]
    pub fn limited(
        name: &'static str,
        detail: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self {
            name,
            state: State::Limited,
            detail: detail.into(),
            next_step: next_step.into(),
        }
    }

    /// Something does not work.
    #[must_use]
    pub fn missing(
        name: &'static str,
        detail: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self {
            name,
            state: State::Missing,
            detail: detail.into(),
            next_step: next_step.into(),
        }
    }

    /// Says it once in the log, as loud as it is bad.
    pub(crate) fn log(&self) {
        let Self {
            name,
            state,
            detail,
            next_step,
        } = self;
        match state {
            State::Ok => tracing::info!("{name}: {detail}"),
            State::Limited | State::Missing => tracing::warn!("{name}: {detail}; {next_step}"),
        }
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Where the server keeps, or will keep, its data.
    pub data_dir: PathBuf,
    /// The `contree-sandbox` program.
    pub launcher: PathBuf,
}

/// Looks at this machine, and tries what only trying can tell.
pub async fn machine(subject: &Subject) -> Vec<Finding> {
    let mut findings = facts::all(&subject.data_dir);
    findings.extend(trial::all(subject).await);
    findings
}
