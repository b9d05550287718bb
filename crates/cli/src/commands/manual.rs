//! `contree manual`
//!
//! One page per command, from the same words as `--help`: `contree.1`, `contree-run.1`,
//! `contree-session-branch.1`. Options of every command stand in `contree.1` alone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::{CommandLine, Globals, without_globals};
use crate::context::fallback_output;
use crate::failure::{Doing as _, Failure};

/// Write the manual pages of all commands into a folder
///
/// The folder is made when it is missing. `man` finds pages in the folder man1 of each folder of
/// its path, of which ~/.local/share/man is one on most systems.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree manual ~/.local/share/man/man1     for you; then: man contree-run
  contree manual /usr/local/share/man/man1   for all users of the machine
  contree manual pages && man -l pages/contree.1")]
pub(crate) struct ManualArgs {
    /// Folder to write to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn manual(globals: &Globals, args: &ManualArgs) -> Result<u8, Failure> {
    let folder = &args.folder;
    let failed = || format!("could not write manual pages to {}", folder.display());
    std::fs::create_dir_all(folder).doing(failed)?;
    let mut root = CommandLine::command();
    root.build();
    let count = write(&root, &root, folder).doing(failed)?;
    fallback_output(globals).note(&format!("Wrote {count} pages to {}", folder.display()));
    Ok(0)
}

/// Writes the page of a command and those below it; their number.
fn write(root: &Command, command: &Command, folder: &Path) -> std::io::Result<usize> {
    let name = command.get_display_name().unwrap_or("contree").to_owned();
    let page = String::from_utf8_lossy(&page(root, command)?).into_owned();
    std::fs::write(folder.join(format!("{name}.1")), plain(&page))?;
    let mut count = 1;
    for below in command.get_subcommands() {
        count += write(root, below, folder)?;
    }
    Ok(count)
}

/// The page in the characters that every formatter reads.
fn plain(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    for c in page.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let _ = write!(out, "\\[u{:04X}]", u32::from(c));
        }
    }
    out
}

fn page(root: &Command, command: &Command) -> std::io::Result<Vec<u8>> {
    let is_root = command.get_name() == root.get_name();
    let shown = if is_root {
        command.clone()
    } else {
        without_globals(command.clone())
    };
    let has_options = shown
        .get_arguments()
        .any(|argument| !argument.is_hide_set());
    let has_commands = shown.has_subcommands();
    let examples = shown.get_after_help().map(ToString::to_string);
    let version = format!("contree {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(shown).source(version).manual("contree");

    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if has_options {
        man.render_options_section(&mut page)?;
    }
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    if let Some(examples) = examples {
        rest.control("SH", ["EXAMPLES"]);
        // As they stand in the help, columns and all.
        rest.control("nf", []);
        for line in examples.lines().filter(|line| *line != "Examples:") {
            rest.text([roman(line)]);
        }
        rest.control("fi", []);
    }
    if !is_root {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([roman("contree(1), which has the options of every command")]);
    }
    rest.to_writer(&mut page)?;
    Ok(page)
}
