//! What a person at a terminal meets: questions, progress, Ctrl-C and the interactive shell.
//!
//! [`Terminal`] tells how such a test is written.

mod interrupts;
mod progress;
mod published_shell;
mod questions;
mod shell;
mod shell_completion;
mod shell_input;
mod tree;

use contree_e2e::terminal::cursor_row;
use contree_e2e::{Contree, Key, Terminal};

/// A shell at its first prompt.
fn shell(contree: &Contree) -> Terminal {
    let terminal = contree.terminal(&["shell"]);
    terminal.cursor_row_is("(main) / $");
    terminal
}

/// Types a line and waits until the line editor shows it, so that what is waited for next is not
/// what was there before; then presses Enter.
#[track_caller]
fn enter(terminal: &mut Terminal, line: &str) {
    types(terminal, line);
    terminal.press(Key::Enter);
}

/// Types a part of a line and waits until the line editor shows it.
#[track_caller]
fn types(terminal: &mut Terminal, text: &str) {
    terminal.hides_typing(true);
    terminal.type_text(text);
    let end: Vec<char> = text.trim_end().chars().rev().take(8).collect();
    let end: String = end.into_iter().rev().collect();
    terminal.wait_for(&format!("{text:?} as typed"), |screen| {
        cursor_row(screen).ends_with(&end)
    });
}
