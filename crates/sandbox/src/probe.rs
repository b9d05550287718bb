//! What this machine offers: the facts behind `contree doctor`.

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
}
