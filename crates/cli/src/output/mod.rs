//! Everything that is printed goes through here.
//!
//! Results go to standard output: rows in one of eight formats, or bytes as they are. What is
//! said about the work (notes, warnings, errors, progress) goes to standard error. Colours,
//! padding and progress are for terminals only; `NO_COLOR` turns colours off, `FORCE_COLOR`
//! treats both streams as terminals, and a terminal that is `dumb` gets neither colours nor
//! progress. When nobody reads standard output any more the command ends quietly with exit code
//! 141.

mod format;
pub(crate) mod live;
pub(crate) mod progress;
pub(crate) mod row;
pub(crate) mod screen;
mod table;
pub(crate) mod tree;

use std::io::{IsTerminal as _, Write as _};

use crate::failure::Failure;
use crate::home::variable;

pub(crate) use format::{Rows, json_line};
pub(crate) use row::Row;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// A table, or what the command prints by itself.
    #[default]
    Default,
    /// Columns; aligned and coloured on a terminal, two spaces between them otherwise.
    Table,
    /// One JSON object per line.
    Json,
    /// One indented JSON array.
    JsonPretty,
    /// `key: value` blocks with `---` between them.
    Plain,
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
    /// One `[[results]]` table per row.
    Toml,
}

/// What is said on standard error: this and what is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, clap::ValueEnum)]
pub(crate) enum LogLevel {
    /// Also every request.
    Debug,
    /// Also notes.
    #[default]
    Info,
    /// Warnings and errors.
    Warning,
    /// Errors.
    Error,
    /// Errors.
    Critical,
}

/// Columns that tables put first and last, and leave out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Columns {
    /// In this order, before all others.
    pub(crate) head: &'static [&'static str],
    /// In this order, after all others.
    pub(crate) tail: &'static [&'static str],
    /// Beside those at the head, what a narrow terminal still shows; none: everything.
    pub(crate) keep: &'static [&'static str],
    /// Only in formats that are not tables.
    pub(crate) hidden: &'static [&'static str],
}

/// Where and how things are printed.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "facts about two streams")]
pub(crate) struct Output {
    format: Format,
    level: LogLevel,
    stdout_terminal: bool,
    stderr_terminal: bool,
    colors: bool,
    is_dumb: bool,
}

impl Output {
    /// Looks at both streams and the environment.
    pub(crate) fn new(format: Format, level: LogLevel) -> Self {
        let forced = variable("FORCE_COLOR").is_some();
        let is_dumb = !forced && variable("TERM").is_some_and(|name| name == "dumb");
        Self {
            format,
            level,
            is_dumb,
            stdout_terminal: forced || std::io::stdout().is_terminal(),
            stderr_terminal: forced || std::io::stderr().is_terminal(),
            colors: variable("NO_COLOR").is_none() && !is_dumb,
        }
    }

    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Whether a person looks at standard output.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.stdout_terminal
    }

    /// Columns of the terminal; `COLUMNS` beats it, and 80 where there is none.
    #[expect(
        clippy::unused_self,
        reason = "what is printed goes through here, and so its room"
    )]
    pub(crate) fn width(&self) -> usize {
        table::terminal_width()
    }

    /// Whether the command prints in its own way.
    pub(crate) fn is_default(&self) -> bool {
        self.format == Format::Default
    }

    /// Rows, to be pushed one by one and finished.
    pub(crate) fn rows(&self, columns: Columns) -> Rows {
        Rows::new(self.clone(), columns)
    }

    /// One row.
    pub(crate) fn row(&self, columns: Columns, row: Row) -> Result<(), Failure> {
        let mut rows = self.rows(columns);
        rows.push(row)?;
        rows.finish()
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let write = || {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        };
        let mut written = Ok(());
        progress::suspended(|| written = write());
        screen::note(live::Stream::Stdout, bytes);
        written.map_err(unwritten)
    }

    /// Text and a line end.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Says what happened.
    pub(crate) fn note(&self, text: &str) {
        if self.level <= LogLevel::Info {
            self.say(text);
        }
    }

    /// Says what may be wrong.
    pub(crate) fn warn(&self, text: &str) {
        if self.level <= LogLevel::Warning {
            self.say(&format!(
                "{} {text}",
                self.paint_error(Style::Warning, "warning:")
            ));
        }
    }

    /// Says what failed, why, and what to do next.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        self.say(&format!(
            "{} {failure}",
            self.paint_error(Style::Error, "error:")
        ));
        if let Some(next) = failure.advice() {
            self.say(&format!(
                "{} {next}",
                self.paint_error(Style::Quiet, " next:")
            ));
        }
    }

    /// Help, the version, or what is wrong with a command line; the exit code.
    #[expect(clippy::unused_self, reason = "what is printed goes through here")]
    pub(crate) fn usage(&self, error: &clap::Error) -> Result<u8, Failure> {
        match error.print() {
            Err(error_of_stream) if !error.use_stderr() => Err(unwritten(error_of_stream)),
            // Nobody to tell when it fails.
            _ => Ok(u8::try_from(error.exit_code()).unwrap_or(2)),
        }
    }

    /// Bytes on standard error as they are.
    pub(crate) fn error_bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stderr = std::io::stderr().lock();
        stderr.write_all(bytes)?;
        screen::note(live::Stream::Stderr, bytes);
        Ok(stderr.flush()?)
    }

    /// A line on standard error, above any progress that is shown.
    fn say(&self, text: &str) {
        progress::suspended(|| {
            // Nobody to tell when this fails.
            let _ = std::io::stderr().write_all(format!("{}\n", harmless(text)).as_bytes());
        });
        screen::note(live::Stream::Stderr, b"\n");
    }

    /// Colours for standard output.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if self.stdout_terminal && self.colors {
            style.wrap(text)
        } else {
            text.to_owned()
        }
    }

    /// Colours for standard error.
    pub(crate) fn paint_error(&self, style: Style, text: &str) -> String {
        if self.stderr_terminal && self.colors {
            style.wrap(text)
        } else {
            text.to_owned()
        }
    }

    /// Whether progress can be drawn.
    pub(crate) const fn draws_progress(&self) -> bool {
        self.stderr_terminal
            && !self.is_dumb
            && matches!(self.level, LogLevel::Debug | LogLevel::Info)
    }
}

/// What a command comes to whose output cannot be written.
fn unwritten(error: std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Failure::silent(crate::failure::BROKEN_PIPE);
    }
    Failure::new("could not write to standard output").because(&error)
}

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Header,
    Name,
    Value,
    Good,
    Warning,
    Error,
    Active,
    Quiet,
    Path,
    Match,
}

impl Style {
    fn wrap(self, text: &str) -> String {
        let code = match self {
            Self::Header => "1",
            Self::Name => "36",
            Self::Value => "0",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Error => "31",
            Self::Active => "34",
            Self::Quiet => "90",
            Self::Path => "35",
            Self::Match => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Text from elsewhere with control characters made visible, so that it cannot drive the
/// terminal. Our own colours and line ends pass.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_color = c == '\x1b' && chars.peek() == Some(&'[') && {
            let rest: String = chars.clone().skip(1).take(4).collect();
            let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            digits.starts_with('m')
        };
        if is_color || c == '\n' || c == '\t' || !c.is_control() {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_not_driven_by_others() {
        assert_eq!(
            harmless("a\x1b]0;title\x07b\tc\n"),
            "a\\u{1b}]0;title\\u{7}b\tc\n"
        );
        assert_eq!(
            harmless("\x1b[31merror:\x1b[0m x"),
            "\x1b[31merror:\x1b[0m x"
        );
        assert_eq!(harmless("\x1b[2J"), "\\u{1b}[2J");
        assert_eq!(harmless("\u{9b}2J"), "\\u{9b}2J");
    }
}
