//! Which source belongs to which argument. The table is only read when a shell asks, so that no
//! other start pays for it; what it does not name is completed from the argument's own values or
//! hint, or not at all.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::{CommandFactory as _, ValueHint};
use clap_complete::CompletionCandidate;
use clap_complete::engine::{ArgValueCompleter, ValueCompleter};

use super::{Candidate, Entries, Wanted};
use crate::args::CommandLine;

/// What an argument takes.
#[derive(Debug, Clone, Copy)]
enum Takes {
    Image,
    Tag,
    Session,
    Branch,
    Profile,
    Operation(Wanted),
    /// A path inside the image.
    Path(Entries),
    /// A program inside the image, then its arguments.
    Program,
    /// A stage of the Dockerfile that the line names.
    Stage,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A path of this machine.
    Local(ValueHint),
}

use Takes::{Branch, Image, Local, OneOf, Operation, Path, Profile, Program, Session, Stage, Tag};

/// The command, the argument's id, what it takes. The first ones are options of every command.
const PLACES: &[(&str, &str, Takes)] = &[
    ("", "profile", Profile),
    ("", "session", Session),
    ("", "config", Local(ValueHint::FilePath)),
    ("auth switch", "name", Profile),
    ("auth remove", "name", Profile),
    ("use", "image", Image),
    ("run", "use_image", Image),
    ("run", "cwd", Path(Entries::Folders)),
    ("run", "file", Local(ValueHint::AnyPath)),
    ("run", "command", Program),
    ("build", "context", Local(ValueHint::DirPath)),
    ("build", "dockerfile", Local(ValueHint::FilePath)),
    ("build", "tag", Tag),
    ("build", "target", Stage),
    ("images list", "prefix", Tag),
    ("images import", "references", Local(ValueHint::FilePath)),
    ("tag", "args", Image),
    ("session use", "key", Session),
    ("session branch", "name", Branch),
    ("session branch", "from", Branch),
    ("session checkout", "name", Branch),
    ("session show", "key", Session),
    ("session show", "kind", OneOf(&STEP_KINDS)),
    ("session wait", "operations", Operation(Wanted::All)),
    ("session delete", "keys", Session),
    ("ls", "path", Path(Entries::All)),
    ("cat", "path", Path(Entries::All)),
    ("grep", "paths", Path(Entries::All)),
    ("cp", "path", Path(Entries::All)),
    ("cp", "dest", Local(ValueHint::AnyPath)),
    ("export", "path", Path(Entries::All)),
    ("export", "file", Local(ValueHint::AnyPath)),
    ("cd", "path", Path(Entries::Folders)),
    ("file edit", "path", Path(Entries::All)),
    ("file cp", "source", Local(ValueHint::FilePath)),
    ("file cp", "destination", Path(Entries::All)),
    ("ps", "status", OneOf(&STATUSES)),
    ("ps", "kind", OneOf(&OPERATION_KINDS)),
    ("operation list", "status", OneOf(&STATUSES)),
    ("operation list", "kind", OneOf(&OPERATION_KINDS)),
    ("show", "operations", Operation(Wanted::All)),
    ("operation show", "operations", Operation(Wanted::All)),
    ("operation events", "operations", Operation(Wanted::All)),
    ("operation wait", "operations", Operation(Wanted::Active)),
    ("operation cancel", "operations", Operation(Wanted::Active)),
    ("kill", "operations", Operation(Wanted::Active)),
    ("skill install", "specs", OneOf(&SKILL_KINDS)),
    ("skill remove", "specs", OneOf(&SKILL_KINDS)),
    ("skill upgrade", "specs", OneOf(&SKILL_KINDS)),
    ("admin publish", "image", Image),
    ("admin publish", "tag", Tag),
    ("admin unpublish", "tag", Tag),
];

const STEP_KINDS: [&str; 7] = [
    "use",
    "run",
    "run-detached",
    "run-disposable",
    "cd",
    "file",
    "session use",
];
/// Each in the home of its user.
const SKILL_KINDS: [&str; 7] = [
    "codex:~",
    "claude:~",
    "opencode:~",
    "amp:~",
    "cline:~",
    "claude-subagent:~",
    "claude-agent:~",
];
const STATUSES: [&str; 6] = [
    "PENDING",
    "ASSIGNED",
    "EXECUTING",
    "SUCCESS",
    "FAILED",
    "CANCELLED",
];
const OPERATION_KINDS: [&str; 2] = ["instance", "image_import"];

/// The command line with a source at each place of the table.
pub(super) fn command() -> clap::Command {
    let mut root = one_name_each(CommandLine::command());
    for (path, argument, takes) in PLACES {
        let names: Vec<&str> = path.split_whitespace().collect();
        root = attached(root, &names, argument, *takes);
    }
    root
}

/// Offers each command by its name, and by another one only to who types that.
fn one_name_each(command: clap::Command) -> clap::Command {
    // The library takes names that live on; the process ends with its answer.
    let lasting = |alias: &str| -> &'static str { alias.to_owned().leak() };
    let aliases: Vec<&'static str> = command.get_all_aliases().map(lasting).collect();
    command
        .visible_alias(None)
        .aliases(aliases)
        .mut_subcommands(one_name_each)
}

fn attached(
    command: clap::Command,
    path: &[&str],
    argument: &'static str,
    takes: Takes,
) -> clap::Command {
    match path {
        [] => {
            // An argument that went away is found by the test below, not by who presses Tab.
            if !command
                .get_arguments()
                .any(|known| known.get_id() == argument)
            {
                return command;
            }
            command.mut_arg(argument, |known| match takes {
                Local(hint) => known.value_hint(hint),
                _ => known.add(ArgValueCompleter::new(takes)),
            })
        }
        [first, rest @ ..] => {
            if command.find_subcommand(first).is_none() {
                return command;
            }
            command.mut_subcommand(first, |below| attached(below, rest, argument, takes))
        }
    }
}

impl ValueCompleter for Takes {
    fn complete(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        self.complete_at(0, typed)
    }

    fn complete_at(&self, index: usize, typed: &OsStr) -> Vec<CompletionCandidate> {
        // Tags, keys and ids are text; a path that is none cannot be asked for.
        let found = typed.to_str().and_then(|typed| self.found(index, typed));
        let found = found.unwrap_or_default().into_iter();
        found
            .map(|Candidate { value, about }| {
                let about = (!about.is_empty()).then(|| about.into());
                CompletionCandidate::new(value).help(about)
            })
            .collect()
    }
}

impl Takes {
    fn found(self, index: usize, typed: &str) -> Option<Vec<Candidate>> {
        let context = &super::request::context()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        let found = runtime.block_on(async {
            match self {
                Image => super::images(context, typed).await,
                Tag => super::tags(context, typed).await,
                Session => super::sessions(context, typed).await,
                Branch => super::branches(context, typed).await,
                Profile => super::profiles(context, typed),
                Operation(wanted) => super::operations(context, wanted, typed).await,
                Program if index == 0 => super::programs(context, typed).await,
                Program => super::paths(context, Entries::All, typed).await,
                Path(entries) => super::paths(context, entries, typed).await,
                Stage => super::matching(stages(), typed),
                OneOf(words) => {
                    let words = words.iter().map(|word| Candidate::new(*word, ""));
                    super::matching(words.collect(), typed)
                }
                Local(_) => Vec::new(),
            }
        });
        // The database may be waited for, which nobody does any more.
        runtime.shutdown_background();
        Some(found)
    }
}

/// The names that a Dockerfile gives its stages, read line by line: it is still being written.
fn stages() -> Vec<Candidate> {
    let matches = super::request::read();
    let build = matches.as_ref().and_then(|m| m.subcommand_matches("build"));
    let named = |id: &str| {
        let path = build.and_then(|build| build.try_get_one::<PathBuf>(id).ok().flatten());
        path.cloned()
    };
    let file = named("dockerfile").unwrap_or_else(|| {
        let folder = named("context").unwrap_or_else(|| PathBuf::from("."));
        folder.join("Dockerfile")
    });
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let name = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [from, .., r#as, name]
                if from.eq_ignore_ascii_case("from") && r#as.eq_ignore_ascii_case("as") =>
            {
                Some(Candidate::new(name, ""))
            }
            _ => None,
        }
    };
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_there() {
        let root = CommandLine::command();
        for (path, argument, _) in PLACES {
            let command = path.split_whitespace().try_fold(&root, |command, name| {
                command
                    .get_subcommands()
                    .find(|below| below.get_name() == name)
            });
            let command = command.unwrap_or_else(|| panic!("there is no command {path}"));
            assert!(
                command
                    .get_arguments()
                    .any(|known| known.get_id() == argument),
                "{path} has no argument {argument}"
            );
        }
        command().debug_assert();
    }
}
