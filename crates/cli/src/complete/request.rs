//! One Tab: the program is called by a shell's script (see [`shells`](super::shells)) and prints
//! what may stand at the cursor. Whatever goes wrong is silent: the line is being typed.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, CompletionCandidate};

use super::{Candidate, places, shells};
use crate::args::{CommandLine, Globals};
use crate::context::Context;
use crate::home::variable;
use crate::session::{Place, session_key_at};

/// Set by the scripts, to the name of the shell.
pub(super) const VARIABLE: &str = "CONTREE_COMPLETE";
/// Set by the scripts, to the process id of the shell.
const SHELL_PID: &str = "CONTREE_SHELL_PID";
/// Set by the script of zsh, to its terminal: a completion there has no standard input.
const SHELL_TTY: &str = "CONTREE_SHELL_TTY";

/// What is being typed, for the sources: the library that calls them has no place for it.
static TYPED: Mutex<Typed> = Mutex::new(Typed {
    words: Vec::new(),
    globals: None,
});

struct Typed {
    /// Before the one that is being typed.
    words: Vec<OsString>,
    /// The options of the interactive shell, which hold where none are typed.
    globals: Option<Globals>,
}

/// Answers a shell; false when none has asked.
pub(crate) fn answer() -> bool {
    if variable(VARIABLE).is_none() {
        return false;
    }
    let folder = std::env::current_dir().ok();
    let completion = CompleteEnv::with_factory(places::command)
        .var(VARIABLE)
        .bin("contree")
        .shells(Shells(&shells::ALL));
    completion
        .try_complete(std::env::args_os(), folder.as_deref())
        .unwrap_or(true)
}

/// What may stand in place of the last word, typed in the interactive shell.
pub(crate) fn arguments(globals: &Globals, words: Vec<OsString>) -> Vec<Candidate> {
    typed().globals = Some(globals.clone());
    let folder = std::env::current_dir().ok();
    let found = complete(&mut places::command(), words, folder.as_deref());
    let found = found.unwrap_or_default().into_iter();
    found
        .filter_map(|candidate| {
            let about = candidate.get_help().map(ToString::to_string);
            Some(Candidate {
                value: candidate.get_value().to_str()?.to_owned(),
                about: about.unwrap_or_default(),
            })
        })
        .collect()
}

fn typed() -> std::sync::MutexGuard<'static, Typed> {
    TYPED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers what stands before the word that is being typed.
pub(super) fn note(words: &[OsString]) {
    let before = words.len().saturating_sub(1);
    typed().words = words[..before].to_vec();
}

/// What may stand in place of the last word.
pub(super) fn complete(
    command: &mut clap::Command,
    mut words: Vec<OsString>,
    folder: Option<&Path>,
) -> std::io::Result<Vec<CompletionCandidate>> {
    if words.is_empty() {
        words.push(OsString::new());
    }
    note(&words);
    let last = words.len() - 1;
    let is_empty = words[last].is_empty();
    let mut found = clap_complete::engine::complete(command, words, last, folder)?;
    // Options are many, and in the way until they are asked for.
    found.retain(|candidate| {
        let value = candidate.get_value();
        !is_empty || !value.as_encoded_bytes().starts_with(b"-")
    });
    Ok(found)
}

/// What stands before the word that is being typed, as far as it can be read.
pub(super) fn read() -> Option<clap::ArgMatches> {
    CommandLine::command()
        .ignore_errors(true)
        .try_get_matches_from(&typed().words)
        .ok()
}

/// The settings that hold for what is typed; none when they cannot be read.
pub(super) fn context() -> Option<Context> {
    let mut globals = read()
        .and_then(|matches| Globals::from_arg_matches(&matches).ok())
        .unwrap_or_default();
    if let Some(around) = &typed().globals {
        globals = globals.or(around);
    }
    // Whatever the typed command would print, this does not.
    globals.output = None;
    globals.log_level = None;
    let mut context = Context::new(globals).ok()?;
    if let Some(shell) = variable(SHELL_PID).and_then(|pid| pid.parse().ok()) {
        let chosen = context.globals.session.take();
        let name = context.store_name();
        let key = session_key_at(&name, chosen.as_deref(), || {
            Place::of_shell(shell, variable(SHELL_TTY))
        });
        context.globals.session = Some(key);
    }
    Some(context)
}
