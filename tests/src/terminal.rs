//! A program on a terminal, and what a person at it sees.
//!
//! The program gets a pseudo-terminal as its controlling terminal, so Ctrl-C that is typed reaches
//! whatever is in the foreground as a signal; what it prints goes through a terminal emulator
//! (crate `vt100`), so tests look at the screen and not at escape codes.
//!
//! ```ignore
//! let mut terminal = contree.terminal(&["shell"]);  // or Terminal::start(command)
//! terminal.shows("$ ");                             // waits, and shows the screen when in vain
//! terminal.type_text("echo hello");
//! terminal.press(Key::Enter);
//! terminal.wait_for("the echo", |screen| screen.contents().contains("hello"));
//! terminal.press(Key::Ctrl('d'));
//! assert_eq!(terminal.ended(), 0);
//! ```
//!
//! There are no fixed pauses: every wait is for a state, with [`PATIENCE`]. What is typed waits in
//! the terminal until the program reads it; when it matters that the program has switched the
//! echo off before, wait with [`Terminal::hides_typing`].

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::Pty;
use rustix::termios::LocalModes;

pub use vt100::{Cell, Color, Screen};

/// Longest wait for something to be seen.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest wait for the last output of a program that has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(5);
/// How often it is looked for when nothing tells that it changed.
const LOOK: Duration = Duration::from_millis(10);
/// Lines that are kept above the screen.
const SCROLLBACK: usize = 10_000;
/// Bytes of output that a failed wait shows as they came.
const SHOWN_BYTES: usize = 600;

/// A program and the terminal that it runs on. Hung up and killed when dropped.
pub struct Terminal {
    child: Child,
    pty: Arc<Pty>,
    seen: Arc<Seen>,
}

/// What came from the program so far.
struct Seen {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: vt100::Parser,
    /// The last bytes as they came, for messages.
    tail: VecDeque<u8>,
    /// Everything as it came.
    printed: Vec<u8>,
    /// Nothing more will come.
    is_over: bool,
}

/// A key, or several at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The end of a line.
    Enter,
    /// Completion.
    Tab,
    /// Removes the character before the cursor.
    Backspace,
    /// Leaves a mode.
    Escape,
    /// Arrow up: the line before in a history.
    Up,
    /// Arrow down.
    Down,
    /// Arrow to the left.
    Left,
    /// Arrow to the right.
    Right,
    /// To the start of the line.
    Home,
    /// To the end of the line.
    End,
    /// Ctrl and a letter, as in `Ctrl('c')`.
    Ctrl(char),
}

impl Key {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Enter => b"\r".to_vec(),
            Self::Tab => b"\t".to_vec(),
            Self::Backspace => b"\x7f".to_vec(),
            Self::Escape => b"\x1b".to_vec(),
            Self::Up => b"\x1b[A".to_vec(),
            Self::Down => b"\x1b[B".to_vec(),
            Self::Right => b"\x1b[C".to_vec(),
            Self::Left => b"\x1b[D".to_vec(),
            Self::Home => b"\x1b[H".to_vec(),
            Self::End => b"\x1b[F".to_vec(),
            Self::Ctrl(letter) => {
                assert!(letter.is_ascii_alphabetic(), "Ctrl goes with a letter");
                vec![letter.to_ascii_lowercase() as u8 - b'a' + 1]
            }
        }
    }
}

impl Terminal {
    /// Starts a program on a terminal of 30 rows and 100 columns.
    #[must_use]
    pub fn start(command: Command) -> Self {
        Self::sized(command, 30, 100)
    }

    /// Starts a program on a terminal of another size.
    #[must_use]
    pub fn sized(mut command: Command, rows: u16, columns: u16) -> Self {
        for name in ["NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"] {
            // What the test itself says stays.
            if !command.get_envs().any(|(given, _)| given == name) {
                command.env_remove(name);
            }
        }
        if !command.get_envs().any(|(given, _)| given == "TERM") {
            command.env("TERM", "xterm-256color");
        }
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        pty.resize(Size::new(rows, columns))
            .expect("the terminal takes a size");
        let child = pty_process::blocking::Command::from(command)
            .spawn(pts)
            .expect("the program starts");
        let seen = Arc::new(Seen {
            state: Mutex::new(State {
                parser: vt100::Parser::new(some(rows), some(columns), SCROLLBACK),
                tail: VecDeque::new(),
                printed: Vec::new(),
                is_over: false,
            }),
            changed: Condvar::new(),
        });
        let pty = Arc::new(pty);
        std::thread::spawn({
            let (pty, seen) = (Arc::clone(&pty), Arc::clone(&seen));
            move || seen.follow(&pty)
        });
        Self { child, pty, seen }
    }

    /// Types as it is; a line end must be in it, or [`Key::Enter`] pressed.
    pub fn type_text(&mut self, text: &str) {
        self.send(text.as_bytes());
    }

    /// Types a line and presses Enter.
    pub fn type_line(&mut self, line: &str) {
        self.send(format!("{line}\r").as_bytes());
    }

    /// Presses a key.
    pub fn press(&mut self, key: Key) {
        self.send(&key.bytes());
    }

    fn send(&mut self, bytes: &[u8]) {
        (&*self.pty)
            .write_all(bytes)
            .expect("what is typed is taken");
    }

    /// Waits until the screen looks as it should.
    ///
    /// # Panics
    /// With a picture of the screen, when it does not come to that.
    #[track_caller]
    pub fn wait_for(&self, what: &str, looks_right: impl Fn(&Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.seen.lock();
        while !looks_right(state.parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let shown = state.shown();
                drop(state);
                panic!("the terminal never showed {what}\n{shown}");
            }
            state = self
                .seen
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until a text is on the screen. A text that is longer than a row is found as well.
    ///
    /// # Panics
    /// With a picture of the screen, when it does not come.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.wait_for(&format!("{text:?}"), |screen| {
            screen.contents().contains(text)
        });
    }

    /// Waits until the row of the cursor is this, without the spaces at its end: a prompt and what
    /// was typed so far.
    ///
    /// # Panics
    /// With a picture of the screen, when it does not come.
    #[track_caller]
    pub fn cursor_row_is(&self, text: &str) {
        self.wait_for(&format!("{text:?} in the row of the cursor"), |screen| {
            cursor_row(screen) == text.trim_end()
        });
    }

    /// Waits until the program does not show what is typed (`true`), or does (`false`). A line
    /// editor hides it too: it draws the line itself.
    ///
    /// # Panics
    /// With a picture of the screen, when it never comes to that.
    #[track_caller]
    pub fn hides_typing(&self, hides: bool) {
        let deadline = Instant::now() + PATIENCE;
        // Read from this side, a pseudo-terminal tells the modes of the other.
        while !rustix::termios::tcgetattr(&*self.pty)
            .is_ok_and(|modes| modes.local_modes.contains(LocalModes::ECHO) != hides)
        {
            assert!(
                Instant::now() < deadline,
                "the terminal never came to hide what is typed: {hides}\n{}",
                self.seen.lock().shown()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// The screen as it is now, with cells, colours and the cursor.
    #[must_use]
    pub fn screen(&self) -> Screen {
        self.seen.lock().parser.screen().clone()
    }

    /// The text on the screen as it is now.
    #[must_use]
    pub fn screen_text(&self) -> String {
        self.screen().contents()
    }

    /// Everything that was printed so far, escape codes and all.
    #[must_use]
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().printed).into_owned()
    }

    /// Gives the terminal another size; the program is told by SIGWINCH.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.seen.lock().parser.set_size(some(rows), some(columns));
        self.pty
            .resize(Size::new(rows, columns))
            .expect("the terminal takes a size");
    }

    /// The process id of the program.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("it can be waited for")
            .is_some()
    }

    /// Waits for the end of the program and for the last of its output; its exit code, 128 and the
    /// signal when one ended it.
    ///
    /// # Panics
    /// With a picture of the screen, when it does not end.
    #[track_caller]
    pub fn ended(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.child.try_wait().expect("it can be waited for");
            if let Some(status) = status {
                self.seen.finish();
                let code = status.code();
                return code.unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(
                Instant::now() < deadline,
                "the program never ended\n{}",
                self.seen.lock().shown()
            );
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.seen.lock().shown());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Seen {
    /// Takes in what is printed, until nobody has the other side open any more.
    fn follow(&self, mut pty: &Pty) {
        let mut buffer = [0; 4096];
        while let Ok(size @ 1..) = pty.read(&mut buffer) {
            let mut state = self.lock();
            state.parser.process(&buffer[..size]);
            state.printed.extend_from_slice(&buffer[..size]);
            state.tail.extend(&buffer[..size]);
            let surplus = state.tail.len().saturating_sub(SHOWN_BYTES);
            state.tail.drain(..surplus);
            drop(state);
            self.changed.notify_all();
        }
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Waits until all that was printed is on the screen, unless somebody else still has the
    /// terminal.
    fn finish(&self) {
        let state = self.lock();
        drop(
            self.changed
                .wait_timeout_while(state, LAST_OUTPUT, |state| !state.is_over),
        );
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The screen in a frame, for messages.
    fn shown(&self) -> String {
        let screen = self.parser.screen();
        let (rows, columns) = screen.size();
        let (row, column) = screen.cursor_position();
        let width = usize::from(columns.get());
        let edge = format!("+{}+\n", "-".repeat(width));
        let mut text = edge.clone();
        for line in screen.rows(0, columns.get()) {
            text.push_str(&format!("|{line:width$}|\n"));
        }
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        text.push_str(&edge);
        text.push_str(&format!(
            "{rows} rows, {columns} columns, the cursor at {row},{column}; last came {:?}",
            String::from_utf8_lossy(&tail)
        ));
        text
    }
}

/// The row that the cursor is in, without the spaces at its end.
#[must_use]
pub fn cursor_row(screen: &Screen) -> String {
    let (row, _) = screen.cursor_position();
    let line = screen.rows(0, screen.size().1.get()).nth(usize::from(row));
    line.unwrap_or_default().trim_end().to_owned()
}

fn some(size: u16) -> NonZeroU16 {
    NonZeroU16::new(size).expect("a terminal has rows and columns")
}
