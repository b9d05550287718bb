//! The line editor: what Tab offers, and when Enter ends the line.
//!
//! Tab asks the sources of [`complete`](crate::complete), which never take long and never complain:
//! programs of the image and builtins where a command begins, paths of the image elsewhere, and
//! behind `contree` whatever its arguments are. Enter begins another row while a quote, a
//! backslash or a heredoc is open.

use clap::ValueEnum as _;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Behavior, ColorMode, CompletionType, Config, Helper};

use super::builtin::{BUILTINS, EDITORS, FORMAT_OPTIONS, TOPICS};
use super::line::{Line, Place, Word};
use super::prompt::has_colors;
use crate::args::Globals;
use crate::complete::{self, Candidate, Entries};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Format;
use crate::session::MAX_LINES;

/// How lines are edited.
pub(super) fn config() -> Result<Config, Failure> {
    let config = Config::builder()
        .max_history_size(MAX_LINES)
        .and_then(|config| config.history_ignore_dups(true))
        .map_err(|error| Failure::new("could not set up the line editor").because(&error))?;
    Ok(config
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .color_mode(if has_colors() {
            ColorMode::Enabled
        } else {
            ColorMode::Disabled
        })
        // The prompt belongs to the terminal, also when our output goes into a file.
        .behavior(Behavior::PreferTerm)
        .build())
}

/// What helps with the line that is typed.
#[derive(Debug)]
pub(super) struct Assistant {
    /// The options that hold for the shell now.
    pub(super) globals: Globals,
}

impl Helper for Assistant {}
impl Highlighter for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, typed: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match Line::read(typed.input()).open {
            None => ValidationResult::Valid(None),
            Some(_) => ValidationResult::Incomplete,
        })
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (typed, before) = Line::typed(&line[..cursor]);
        let found = self.candidates(&typed, &before).into_iter();
        let shown = typed.text.rfind('/').map_or(0, |slash| slash + 1);
        let pairs = found.map(|Candidate { value, .. }| Pair {
            display: value.get(shown..).unwrap_or(&value).to_owned(),
            replacement: written(&value, typed.quote),
        });
        Ok((typed.start, pairs.collect()))
    }
}

impl Assistant {
    fn candidates(&self, typed: &Word, before: &[Word]) -> Vec<Candidate> {
        // What the sandbox's shell would make of it is not known here.
        if typed.expands {
            return Vec::new();
        }
        let text = typed.text.as_str();
        let Some(command) = before.first().filter(|_| typed.place == Place::Argument) else {
            return if typed.place == Place::Redirection {
                self.paths(Entries::All, text)
            } else {
                self.commands(text)
            };
        };
        match (command.text.as_str(), before.len()) {
            ("contree", _) => self.arguments(text, before),
            ("cd", _) => self.paths(Entries::Folders, text),
            ("help", 1) => among(TOPICS.iter().copied(), text),
            ("help" | "history" | "pwd" | "clear" | "exit" | "quit", _) => Vec::new(),
            (option, 1) if FORMAT_OPTIONS.contains(&option) => {
                let formats = Format::value_variants().iter();
                let names: Vec<_> = formats.filter_map(Format::to_possible_value).collect();
                among(
                    names.iter().map(clap::builder::PossibleValue::get_name),
                    text,
                )
            }
            ("timeout", 1) => Vec::new(),
            ("timeout", 2) => self.commands(text),
            // Options of programs are theirs.
            _ if text.starts_with('-') => Vec::new(),
            _ => self.paths(Entries::All, text),
        }
    }

    fn commands(&self, text: &str) -> Vec<Candidate> {
        let own = BUILTINS.iter().chain(&EDITORS).copied();
        let mut found = among(own, text);
        if text.starts_with('-') {
            found.extend(among(FORMAT_OPTIONS.iter().copied(), text));
        } else if !text.is_empty() {
            // All of them would be more than anybody reads.
            found.extend(self.ask(async |context| complete::programs(context, text).await));
        }
        found.sort_by(|a, b| a.value.cmp(&b.value));
        found.dedup_by(|a, b| a.value == b.value);
        found
    }

    fn paths(&self, entries: Entries, text: &str) -> Vec<Candidate> {
        self.ask(async |context| complete::paths(context, entries, text).await)
    }

    /// Of a command of ours.
    fn arguments(&self, text: &str, before: &[Word]) -> Vec<Candidate> {
        let words = before.iter().map(|word| word.text.as_str()).chain([text]);
        complete::arguments(&self.globals, words.map(Into::into).collect())
    }

    fn ask(&self, source: impl AsyncFnOnce(&Context) -> Vec<Candidate>) -> Vec<Candidate> {
        let Ok(context) = Context::new(self.globals.clone()) else {
            return Vec::new();
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else {
            return Vec::new();
        };
        let found = runtime.block_on(source(&context));
        // What did not answer in time is not waited for.
        runtime.shutdown_background();
        found
    }
}

fn among<'a>(words: impl Iterator<Item = &'a str>, typed: &str) -> Vec<Candidate> {
    words
        .filter(|word| word.starts_with(typed))
        .map(|word| Candidate {
            value: word.to_owned(),
            about: String::new(),
        })
        .collect()
}

/// A word as it stands in the line, and a space behind it where it is finished.
fn written(value: &str, quote: Option<char>) -> String {
    let is_finished = !value.ends_with(['/', '=', ':']);
    let mut out = String::with_capacity(value.len() + 2);
    out.extend(quote);
    for c in value.chars() {
        match quote {
            Some('\'') if c == '\'' => out.push_str("'\\'"),
            Some('"') if "\"\\$`".contains(c) => out.push('\\'),
            None if " \t'\"\\$`&|;<>()[]{}*?!#~".contains(c) => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    if is_finished {
        out.extend(quote);
        out.push(' ');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_so_that_they_are_read_back() {
        for value in ["/etc/passwd", "a b", "it's", "\"$x\"", "a*[b]", "tag:x"] {
            for quote in [None, Some('\''), Some('"')] {
                let text = written(value, quote);
                let line = Line::read(&text);
                assert_eq!(line.open, None, "{text}");
                assert_eq!(line.words[0].text, value, "{text}");
                assert!(!line.words[0].expands, "{text}");
                assert!(text.ends_with(' '));
            }
        }
        assert_eq!(written("/etc/", None), "/etc/");
        assert_eq!(written("a b/", Some('\'')), "'a b/");
    }

    #[test]
    fn builtins_are_offered_where_a_command_begins() {
        let assistant = Assistant {
            globals: Globals::default(),
        };
        let offered = |line: &str| {
            let (typed, before) = Line::typed(line);
            let found = assistant.candidates(&typed, &before).into_iter();
            found.map(|found| found.value).collect::<Vec<_>>()
        };
        assert!(offered("").contains(&"contree".to_owned()));
        assert_eq!(offered("-o js"), ["json", "json-pretty"]);
        assert_eq!(offered("help tim"), ["timeout"]);
        assert!(offered("echo $HO").is_empty());
    }
}
