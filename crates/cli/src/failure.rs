//! What a command reports when it cannot do its work: what failed, why, and what to do next.
//!
//! Exit codes: 1 for everything a command can meet, 2 for a command line that cannot be read
//! (clap's own), 141 when the reader of our output went away, else the exit code of what ran in
//! the sandbox.

use std::error::Error as _;
use std::fmt;

use contree_client::Error as ClientError;

/// The exit code when nobody reads standard output any more: 128 + SIGPIPE.
pub(crate) const BROKEN_PIPE: u8 = 141;

/// The end of a command that did not work out.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    why: Vec<String>,
    next: Option<String>,
    code: u8,
    is_silent: bool,
    is_interrupt: bool,
}

impl Failure {
    /// With one sentence about what failed.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: Vec::new(),
            next: None,
            code: 1,
            is_silent: false,
            is_interrupt: false,
        }
    }

    /// The end that Ctrl-C put to a command.
    pub(crate) fn interrupted() -> Self {
        Self {
            is_interrupt: true,
            ..Self::new("User interrupted")
        }
    }

    /// An exit code without a word, for what has been said already.
    pub(crate) fn silent(code: u8) -> Self {
        Self {
            is_silent: true,
            code,
            ..Self::new("")
        }
    }

    /// Adds a cause and all of its own.
    pub(crate) fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            let is_news = !self
                .why
                .iter()
                .chain([&self.what])
                .any(|said| said.contains(&text));
            if is_news {
                self.why.push(text);
            }
            cause = error.source();
        }
        self
    }

    /// Says what to do next. The first advice is kept: it comes from closest to the fault.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next.get_or_insert_with(|| next.into());
        self
    }

    /// Says what to do next, whatever was said before.
    pub(crate) fn advise(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Puts a sentence before, and makes the former one a cause.
    pub(crate) fn while_doing(mut self, what: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.what, what.into());
        if !cause.is_empty() {
            self.why.insert(0, cause);
        }
        self
    }

    pub(crate) const fn code(&self) -> u8 {
        self.code
    }

    pub(crate) const fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Whether Ctrl-C was the reason.
    pub(crate) const fn is_interrupt(&self) -> bool {
        self.is_interrupt
    }

    /// The advice, if there is any.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// One line: what failed and why.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for why in &self.why {
            write!(f, ": {why}")?;
        }
        Ok(())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::from_client(&error)
    }
}

impl Failure {
    /// What a call to the server came to.
    pub(crate) fn from_client(error: &ClientError) -> Self {
        let status = error.status();
        let is_connect = matches!(error, ClientError::Connect { .. });
        let failure = match status {
            Some(status @ 500..) => Self::new(format!("{error} (HTTP {status})")),
            _ => Self::new(error.to_string()),
        };
        // The layers of an HTTP library between say nothing to a user; the lowest one does.
        let mut root = error.source();
        while let Some(below) = root.and_then(std::error::Error::source) {
            root = Some(below);
        }
        let failure = match root {
            Some(root) => failure.because(root),
            None => failure,
        };
        match status {
            Some(401) => failure.next("contree auth   (save a valid token)"),
            Some(403) => failure.next("contree auth   (save a token that has this permission)"),
            Some(429 | 500..) => failure.next("try again later"),
            _ if is_connect => failure
                .next("contree serve   (start a server), or choose another one with --profile"),
            _ => failure,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::silent(BROKEN_PIPE);
        }
        Self::new("input or output failed").because(&error)
    }
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// Turns any error into a [`Failure`] with `what` first.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> Doing<T> for Result<T, ClientError> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::from(error).while_doing(what()))
    }
}

impl<T> Doing<T> for Result<T, std::io::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what()).because(&error))
    }
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what()).because(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_the_first_advice() {
        let cause = std::io::Error::other("disk on fire");
        let failure = Failure::new("could not save")
            .because(&cause)
            .next("buy a disk")
            .next("give up")
            .while_doing("contree auth");
        assert_eq!(
            failure.to_string(),
            "contree auth: could not save: disk on fire"
        );
        assert_eq!(failure.advice(), Some("buy a disk"));
    }

    #[test]
    fn nobody_reading_is_not_an_error_to_talk_about() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert_eq!(failure.code(), 141);
    }
}
