//! `contree completions`

use clap::Args;

use crate::args::Globals;
use crate::complete::{Shell, registration};
use crate::context::fallback_output;
use crate::failure::Failure;

/// Print what a shell needs to complete contree's command lines
///
/// Besides commands and options, tags, sessions, branches, operations, profiles and paths inside
/// the current image are completed, as they are at that moment. Put the line for your shell into
/// its start file:
///
///   bash         ~/.bashrc                    source <(contree completions bash)
///   zsh          ~/.zshrc, after compinit     source <(contree completions zsh)
///   fish         ~/.config/fish/config.fish   contree completions fish | source
///   elvish       ~/.config/elvish/rc.elv      eval (contree completions elvish | slurp)
///   powershell   $PROFILE                     contree completions powershell | Out-String | Invoke-Expression
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  source <(contree completions bash)            in this shell, from now on
  contree completions zsh > ~/.zfunc/_contree   for a folder of $fpath"
)]
pub(crate) struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

pub(crate) fn completions(globals: &Globals, args: &CompletionsArgs) -> Result<u8, Failure> {
    // The name it was called by, found by the shell again; a path holds in other folders too.
    let called = std::env::args().next().unwrap_or_default();
    let program = if called.contains(std::path::MAIN_SEPARATOR) {
        let path = std::path::absolute(&called).ok();
        path.and_then(|path| path.to_str().map(ToOwned::to_owned))
            .unwrap_or(called)
    } else {
        "contree".to_owned()
    };
    let script = registration(args.shell, &program);
    fallback_output(globals).bytes(script.as_bytes())?;
    Ok(0)
}
