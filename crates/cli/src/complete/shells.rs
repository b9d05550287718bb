//! What shells need to complete `contree`: a script that they read once, and the form of an answer.
//!
//! The script calls the program again at every Tab, with `CONTREE_COMPLETE=SHELL` and, after `--`,
//! what is typed. `CONTREE_SHELL_PID` is the shell itself, and `CONTREE_SHELL_TTY` its terminal where
//! its standard input does not tell: the key of a session is made from both, and behind a
//! substitution they are not our parent and not our own.

use std::ffi::OsString;
use std::io::{Result, Write};
use std::path::Path;

use clap_complete::CompletionCandidate;
use clap_complete::env::{Elvish, EnvCompleter, Powershell};

use super::request::{VARIABLE, complete};
use super::words::Line;

/// Shells that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

/// How each of them is spoken to.
pub(super) const ALL: [&dyn EnvCompleter; 5] =
    [&BASH, &ZSH, &FISH, &Others(Elvish), &Others(Powershell)];

impl Shell {
    const fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Self::Bash => &BASH,
            Self::Zsh => &ZSH,
            Self::Fish => &FISH,
            Self::Elvish => &Others(Elvish),
            Self::Powershell => &Others(Powershell),
        }
    }
}

/// The script that a shell reads; `program` is how it calls us.
pub(crate) fn registration(shell: Shell, program: &str) -> String {
    let mut script = Vec::new();
    shell
        .completer()
        .write_registration(VARIABLE, "contree", "contree", program, &mut script)
        .expect("memory can be written to");
    String::from_utf8_lossy(&script).trim_start().to_owned()
}

const BASH_SCRIPT: &str = r#"_contree() {
    local word
    COMPREPLY=()
    # Not through standard input: that tells which terminal this is.
    while IFS= read -r -u 3 word; do
        COMPREPLY+=("$word")
    done 3< <(VARIABLE=bash CONTREE_SHELL_PID=$$ \
        PROGRAM -- "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    # More is to be typed after these.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o nosort -F _contree contree 2>/dev/null || complete -F _contree contree
"#;

const ZSH_SCRIPT: &str = r#"#compdef contree
_contree() {
    local -a done open
    local line
    while IFS= read -r line; do
        case $line in
            +*) open+=("${line#+}") ;;
            *) done+=("${line#-}") ;;
        esac
    done < <(VARIABLE=zsh CONTREE_SHELL_PID=$$ CONTREE_SHELL_TTY=$TTY \
        PROGRAM -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)
    # More is to be typed after these.
    (( $#open )) && _describe -V 'contree' open -S ''
    (( $#done )) && _describe -V 'contree' done
    (( $#open + $#done ))
}
if [[ $funcstack[1] == _contree ]]; then
    _contree "$@"
else
    compdef _contree contree
fi
"#;

const FISH_SCRIPT: &str = r#"function __contree_complete
    set -lx VARIABLE fish
    set -lx CONTREE_SHELL_PID $fish_pid
    PROGRAM -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command contree --keep-order --no-files --arguments '(__contree_complete)'
"#;

/// A path in single quotes where it needs them.
fn quoted(program: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if program.chars().all(is_plain) {
        program.to_owned()
    } else {
        format!("'{}'", program.replace('\'', r"'\''"))
    }
}

fn about(candidate: &CompletionCandidate) -> String {
    let help = candidate.get_help().map(ToString::to_string);
    let line = help.as_deref().and_then(|help| help.lines().next());
    let line = line.unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).collect()
}

/// A shell that is spoken to in words of ours.
struct Own {
    name: &'static str,
    script: &'static str,
    /// Writes what may stand at the cursor; takes the arguments of the script's call.
    answer: Answer,
}

type Answer = fn(&mut clap::Command, Vec<OsString>, Option<&Path>, &mut dyn Write) -> Result<()>;

const BASH: Own = Own {
    name: "bash",
    script: BASH_SCRIPT,
    answer: answer_bash,
};

const ZSH: Own = Own {
    name: "zsh",
    script: ZSH_SCRIPT,
    answer: answer_zsh,
};

const FISH: Own = Own {
    name: "fish",
    script: FISH_SCRIPT,
    answer: answer_fish,
};

impl EnvCompleter for Own {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is(&self, name: &str) -> bool {
        name == self.name
    }

    fn write_registration(
        &self,
        variable: &str,
        _: &str,
        _: &str,
        program: &str,
        out: &mut dyn Write,
    ) -> Result<()> {
        let script = self
            .script
            .replace("VARIABLE", variable)
            .replace("PROGRAM", &quoted(program));
        out.write_all(script.as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        args: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn Write,
    ) -> Result<()> {
        (self.answer)(command, args, folder, out)
    }
}

/// `args`: the line up to the cursor, and the characters that readline cuts words at.
fn answer_bash(
    command: &mut clap::Command,
    args: Vec<OsString>,
    folder: Option<&Path>,
    out: &mut dyn Write,
) -> Result<()> {
    let text = |index: usize| args.get(index).map(|arg| arg.to_string_lossy());
    let line = Line::read(&text(0).unwrap_or_default(), &text(1).unwrap_or_default());
    let words = line.words.iter().map(OsString::from).collect();
    for candidate in complete(command, words, folder)? {
        let value = candidate.get_value().to_string_lossy();
        writeln!(out, "{}", line.rest_of(&value))?;
    }
    Ok(())
}

/// `VALUE:ABOUT` as `_describe` reads it, after `+` where more is to be typed and `-` elsewhere.
fn answer_zsh(
    command: &mut clap::Command,
    args: Vec<OsString>,
    folder: Option<&Path>,
    out: &mut dyn Write,
) -> Result<()> {
    for candidate in complete(command, args, folder)? {
        let value = candidate.get_value().to_string_lossy();
        let is_open = value.ends_with(['/', '=', ':']);
        let sign = if is_open { '+' } else { '-' };
        let value = value.replace('\\', r"\\").replace(':', r"\:");
        let about = about(&candidate).replace('\\', r"\\");
        let colon = if about.is_empty() { "" } else { ":" };
        writeln!(out, "{sign}{value}{colon}{about}")?;
    }
    Ok(())
}

/// `VALUE`, a tab and `ABOUT`.
fn answer_fish(
    command: &mut clap::Command,
    args: Vec<OsString>,
    folder: Option<&Path>,
    out: &mut dyn Write,
) -> Result<()> {
    for candidate in complete(command, args, folder)? {
        let value = candidate.get_value().to_string_lossy();
        writeln!(out, "{value}\t{}", about(&candidate))?;
    }
    Ok(())
}

/// A shell that the library speaks to. It types itself, so it is our parent.
struct Others<S>(S);

impl<S: EnvCompleter> EnvCompleter for Others<S> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn is(&self, name: &str) -> bool {
        self.0.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        bin: &str,
        program: &str,
        out: &mut dyn Write,
    ) -> Result<()> {
        self.0.write_registration(variable, name, bin, program, out)
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        args: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn Write,
    ) -> Result<()> {
        super::request::note(&args);
        self.0.write_complete(command, args, folder, out)
    }
}
