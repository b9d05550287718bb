//! What stands before the line that is typed: where the session is, and how the last command ended.

use crate::commands::run::Ending;
use crate::failure::Failure;
use crate::home::variable;
use crate::output::{Output, Style, harmless};
use crate::session::Store;

/// How the last command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Status {
    /// With exit code 0, or there was none.
    #[default]
    Good,
    Code(u8),
    TimedOut(u8),
    Cancelled,
}

impl Status {
    pub(super) const fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Good,
            code => Self::Code(code),
        }
    }

    pub(super) const fn of_ending(ending: Ending) -> Self {
        match ending {
            Ending::Exited(code) => Self::of_code(code),
            Ending::TimedOut(code) => Self::TimedOut(code),
            Ending::Cancelled(_) => Self::Cancelled,
        }
    }

    pub(super) const fn of_failure(failure: &Failure) -> Self {
        if failure.is_interrupt() {
            Self::Cancelled
        } else {
            Self::of_code(failure.code())
        }
    }

    /// The exit code, for whoever ends now.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Code(code) | Self::TimedOut(code) => code,
            Self::Cancelled => 1,
        }
    }

    fn shown(self) -> Option<String> {
        match self {
            Self::Good => None,
            Self::Code(code) => Some(format!("[{code}] ")),
            Self::TimedOut(_) => Some("[timed out] ".to_owned()),
            Self::Cancelled => Some("[cancelled] ".to_owned()),
        }
    }
}

/// Where the session is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) session: String,
    pub(super) image: String,
    pub(super) branch: String,
    /// Steps to here.
    pub(super) depth: usize,
    pub(super) cwd: String,
}

impl Place {
    /// Looks it up; a session that has not begun has neither image nor branch.
    pub(super) async fn look(store: &mut Store) -> Result<Self, Failure> {
        let mut place = Self {
            session: store.key().to_owned(),
            cwd: cwd(store).await?,
            ..Self::default()
        };
        if let Some(session) = store.session().await? {
            place.depth = store.depth().await?;
            place.image = session.current_image;
            place.branch = session.active_branch;
        }
        Ok(place)
    }

    /// The line above the prompt.
    pub(super) fn tell(&self, output: &Output) {
        let quiet = |text: &str| output.paint_error(Style::Quiet, text);
        let image = if self.image.is_empty() {
            "none, `contree use IMAGE` chooses one".to_owned()
        } else {
            output.paint_error(Style::Good, &self.image)
        };
        output.note(&format!(
            "{}{} {} {}{image}",
            quiet("session: "),
            output.paint_error(Style::Warning, &self.session),
            output.paint_error(Style::Name, &format!("[{}]", self.depth)),
            quiet("image: "),
        ));
    }

    /// The prompt, plain and coloured.
    pub(super) fn prompt(&self, status: Status) -> (String, String) {
        let branch = if self.branch.is_empty() {
            String::new()
        } else {
            format!("({}) ", plain(&self.branch))
        };
        let cwd = plain(&self.cwd);
        let status = status.shown().unwrap_or_default();
        (
            format!("{branch}{cwd} {status}$ "),
            format!("\x1b[35m{branch}\x1b[0m\x1b[1;34m{cwd}\x1b[0m \x1b[31m{status}\x1b[0m$ "),
        )
    }
}

/// The folder that commands start in. The root when none was chosen, so that `ls`, `cd` and what
/// runs mean the same by a relative path.
pub(super) async fn cwd(store: &mut Store) -> Result<String, Failure> {
    let chosen = store.cwd().await?.filter(|cwd| !cwd.is_empty());
    Ok(chosen.unwrap_or_else(|| "/".to_owned()))
}

/// Whether the prompt may have colours.
pub(super) fn has_colors() -> bool {
    variable("NO_COLOR").is_none()
}

/// On one row, and nothing that drives the terminal.
fn plain(text: &str) -> String {
    harmless(text).replace(['\n', '\t', '\x1b'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_say_where_and_how_it_went() {
        let place = Place {
            branch: "main".to_owned(),
            cwd: "/srv".to_owned(),
            ..Place::default()
        };
        assert_eq!(place.prompt(Status::Good).0, "(main) /srv $ ");
        assert_eq!(place.prompt(Status::Code(2)).0, "(main) /srv [2] $ ");
        let timed_out = Status::of_ending(Ending::TimedOut(255));
        assert_eq!(place.prompt(timed_out).0, "(main) /srv [timed out] $ ");
        let (_, coloured) = place.prompt(Status::Cancelled);
        assert!(coloured.contains("\x1b[31m[cancelled] \x1b[0m"));
        let hostile = Place {
            cwd: "/a\x1b[2J\n".to_owned(),
            ..Place::default()
        };
        assert!(!hostile.prompt(Status::Good).0.contains(['\x1b', '\n']));
    }
}
