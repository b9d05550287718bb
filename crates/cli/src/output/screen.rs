//! What the terminal went through since the line editor had it, so that no output of a command can
//! spoil the prompt: whether the cursor stands within a row, and whether there were escape codes
//! that hide the cursor, colour what follows or change to another screen.
//!
//! Only the interactive shell looks at it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use super::live::Stream;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    is_watched: bool,
    is_within_row: bool,
    has_escapes: bool,
    is_alternate: bool,
}

static SEEN: Mutex<Seen> = Mutex::new(Seen {
    is_watched: false,
    is_within_row: false,
    has_escapes: false,
    is_alternate: false,
});

/// Colours and character sets off, cursor on, no scrolling within a part, ordinary keys, no mouse,
/// no marks around what is pasted.
const ORDINARY: &str = "\x1b[0m\x1b(B\x0f\x1b[?25h\x1b[?7h\x1b7\x1b[r\x1b8\x1b[?1l\x1b>\
                        \x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l";
/// From the alternate screen back to the ordinary one, the cursor where it was.
const ORDINARY_SCREEN: &str = "\x1b[?1049l";

/// Begins to look.
pub(crate) fn watch() {
    SEEN.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_watched = true;
}

/// Takes note of what was written, if a terminal shows it.
pub(super) fn note(stream: Stream, bytes: &[u8]) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_terminal = || match stream {
        Stream::Stdout => std::io::stdout().is_terminal(),
        Stream::Stderr => std::io::stderr().is_terminal(),
    };
    if seen.is_watched && is_terminal() {
        seen.take(bytes);
    }
}

/// Makes the terminal as the line editor expects it.
pub(crate) fn settle() {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let remedy = seen.remedy();
    *seen = Seen {
        is_watched: seen.is_watched,
        ..Seen::default()
    };
    drop(seen);
    if !remedy.is_empty() {
        // A terminal that is gone needs nothing any more.
        let _ = std::io::stderr().write_all(remedy.as_bytes());
    }
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.is_within_row = *last != b'\n';
        if !bytes.contains(&0x1b) {
            self.has_escapes |= bytes.contains(&0x0e);
            return;
        }
        self.has_escapes = true;
        for mode in ["1049", "1047", "47"] {
            let last = |end: char| {
                let code = format!("\x1b[?{mode}{end}");
                bytes
                    .windows(code.len())
                    .rposition(|window| window == code.as_bytes())
            };
            match (last('h'), last('l')) {
                (None, None) => {}
                (entered, left) => self.is_alternate = entered > left,
            }
        }
    }

    fn remedy(self) -> String {
        let mut remedy = String::new();
        if self.is_alternate {
            remedy.push_str(ORDINARY_SCREEN);
        }
        if self.has_escapes {
            remedy.push_str(ORDINARY);
        }
        if self.is_within_row {
            remedy.push('\n');
        }
        remedy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(chunks: &[&str]) -> Seen {
        let mut seen = Seen::default();
        for chunk in chunks {
            seen.take(chunk.as_bytes());
        }
        seen
    }

    #[test]
    fn only_what_was_spoilt_is_mended() {
        assert_eq!(after(&["a\n", "b\n"]).remedy(), "");
        assert_eq!(after(&["a\n", "b"]).remedy(), "\n");
        let coloured = after(&["\x1b[31mred\n"]).remedy();
        assert!(coloured.starts_with("\x1b[0m") && !coloured.ends_with('\n'));
        assert!(!coloured.contains("1049"));
    }

    #[test]
    fn the_screen_that_is_shown() {
        assert!(after(&["\x1b[?1049h", "text"]).is_alternate);
        assert!(!after(&["\x1b[?1049h", "text\x1b[?1049l"]).is_alternate);
        assert!(after(&["\x1b[?1049l\x1b[?1049h"]).is_alternate);
    }
}
