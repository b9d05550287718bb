//! `contree shell`

use clap::Args;

/// Work in the session at a prompt
///
/// Each line runs in the sandbox, through its sh, in the session's folder and with its variables,
/// and the session moves on to the image that it leaves. The server's own timeout holds; the line
/// `timeout 30s COMMAND` sets another. Lines that begin with `contree` are commands of contree, and
/// cd, pwd, ls, cat, history, help, clear and exit are the shell's; `help` explains them.
///
/// The prompt shows the branch, the folder, and how the last command ended when that was not with
/// exit code 0. Tab completes, Ctrl-R searches the session's history, Ctrl-C interrupts the command
/// and not the shell. When the input is not a terminal its lines are run one after the other, and
/// the exit code is that of the last one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree shell                         in the current session
  contree -S work shell                 in another one
  contree shell < setup.txt             line after line, as a script
Within:
  (main) / $ cd /srv
  (main) /srv $ make 2>&1 | tail
  (main) /srv [2] $ contree session rollback
  (main) /srv $ timeout 5m ./train")]
pub(crate) struct ShellArgs {}
