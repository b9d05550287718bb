//! The lines typed before. They are in the session database, in the table that contree-cli uses
//! too; each is there as soon as it is entered. A session has a history of its own.

use rustyline::history::{DefaultHistory, History as _};
use rustyline::{Config, Editor};

use super::editor::Assistant;
use crate::failure::Failure;
use crate::session::Store;

/// The line editor with all its parts.
pub(super) type LineEditor = Editor<Assistant, DefaultHistory>;

/// Gives the editor the lines of the session.
pub(super) async fn load(
    editor: &mut LineEditor,
    config: &Config,
    store: &mut Store,
) -> Result<(), Failure> {
    let lines = store.shell_lines().await?;
    let history = editor.history_mut();
    *history = DefaultHistory::with_config(config);
    for line in lines {
        history.add_owned(line).map_err(failed)?;
    }
    Ok(())
}

/// Keeps a line, unless it is the last one again.
pub(super) async fn keep(
    editor: &mut LineEditor,
    store: &mut Store,
    line: &str,
) -> Result<(), Failure> {
    if editor.add_history_entry(line).map_err(failed)? {
        store.add_shell_line(line).await?;
    }
    Ok(())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn failed(error: rustyline::error::ReadlineError) -> Failure {
    Failure::new("could not keep the line").because(&error)
}
