//! What a build tells about its steps, as people know it from `docker build`.
//!
//! On a terminal: a header, a line for every step that has begun, and below those that run the last
//! lines of their output; drawn anew several times a second, and left on the screen at the end.
//! Elsewhere: lines that begin with the number of their step, in the order of what happened:
//!
//! ```text
//! #5 [build 2/4] RUN make
//! #5 0.312 cc -o app app.c
//! #5 DONE 1.2s
//!
//! #6 [build 3/4] COPY . /srv
//! #6 CACHED
//! ```
//!
//! Either way it is all on standard error.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::failure::Failure;
use crate::output::{Output, Style};

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Choice {
    /// Drawn on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// Drawn; an error without a terminal.
    Tty,
}

/// Lines of output shown below a step that runs.
const SHOWN_LINES: usize = 5;
/// Lines of output repeated when a step failed.
const TAIL_LINES: usize = 30;
/// A line of output is cut here.
const LINE_BYTES: usize = 4_096;

/// One step of the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StepId(usize);

/// All steps, and where they are shown.
#[derive(Debug)]
pub(crate) struct Board {
    output: Output,
    way: Way,
    started: Instant,
    steps: RefCell<Vec<Step>>,
}

#[derive(Debug)]
enum Way {
    Drawn(ProgressBar),
    Plain,
}

#[derive(Debug)]
struct Step {
    name: String,
    state: State,
    /// Of those that have begun, from 1.
    number: usize,
    began: Instant,
    took: Duration,
    /// What is being done, such as how much was uploaded.
    status: String,
    /// The last lines of output, each with the seconds since the step began.
    lines: VecDeque<(f64, String)>,
    /// Output without a line end yet, of both streams.
    partial: [Vec<u8>; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
    Cached,
    Failed,
}

impl Board {
    /// Looks at where it is shown.
    pub(crate) fn new(output: &Output, choice: Choice) -> Result<Self, Failure> {
        let target = ProgressDrawTarget::stderr();
        let can_draw = output.draws_progress() && !target.is_hidden();
        if choice == Choice::Tty && !can_draw {
            return Err(Failure::new("--progress tty needs a terminal")
                .next("--progress plain   (lines, wherever they go)"));
        }
        let way = if can_draw && choice != Choice::Plain {
            let style = ProgressStyle::with_template("{msg}").expect("the template is valid");
            Way::Drawn(ProgressBar::with_draw_target(None, target).with_style(style))
        } else {
            Way::Plain
        };
        Ok(Self {
            output: output.clone(),
            way,
            started: Instant::now(),
            steps: RefCell::default(),
        })
    }

    /// A step that will be taken, unless something fails before.
    pub(super) fn add(&self, name: String) -> StepId {
        let mut steps = self.steps.borrow_mut();
        steps.push(Step {
            name,
            state: State::Waiting,
            number: 0,
            began: self.started,
            took: Duration::ZERO,
            status: String::new(),
            lines: VecDeque::new(),
            partial: [Vec::new(), Vec::new()],
        });
        StepId(steps.len() - 1)
    }

    /// It begins.
    pub(super) fn start(&self, id: StepId) {
        let heading = {
            let mut steps = self.steps.borrow_mut();
            let number = steps.iter().map(|step| step.number).max().unwrap_or(0) + 1;
            let step = &mut steps[id.0];
            if step.state != State::Waiting {
                return;
            }
            step.number = number;
            step.state = State::Running;
            step.began = Instant::now();
            format!("#{number} {}", step.name)
        };
        self.line(&heading);
        self.draw();
    }

    /// What is being done, such as `uploading 3.0 MiB`. Plain lines tell it when it is `news`.
    pub(super) fn status(&self, id: StepId, text: &str, is_news: bool) {
        let line = {
            let mut steps = self.steps.borrow_mut();
            let step = &mut steps[id.0];
            text.clone_into(&mut step.status);
            format!("#{} {text}", step.number)
        };
        if is_news {
            self.line(&line);
        }
    }

    /// What it wrote; `stream` is 0 for its output and 1 for its errors.
    pub(super) fn output(&self, id: StepId, stream: usize, bytes: &[u8]) {
        let mut told = Vec::new();
        {
            let mut steps = self.steps.borrow_mut();
            let step = &mut steps[id.0];
            let mut rest = bytes;
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                step.partial[stream].extend_from_slice(&rest[..end]);
                told.extend(step.close_line(stream));
                rest = &rest[end + 1..];
            }
            step.partial[stream].extend_from_slice(rest);
            if step.partial[stream].len() > LINE_BYTES {
                told.extend(step.close_line(stream));
            }
        }
        for line in told {
            self.line(&line);
        }
    }

    /// It was done before, and what came of it is still there.
    pub(super) fn cached(&self, id: StepId) {
        self.start(id);
        self.end(id, State::Cached);
    }

    /// It is done.
    pub(super) fn done(&self, id: StepId) {
        self.start(id);
        self.end(id, State::Done);
    }

    /// It could not be done; its last lines of output are repeated.
    pub(super) fn failed(&self, id: StepId) {
        self.start(id);
        self.end(id, State::Failed);
    }

    fn end(&self, id: StepId, state: State) {
        let mut told = Vec::new();
        {
            let mut steps = self.steps.borrow_mut();
            let step = &mut steps[id.0];
            if step.state != State::Running {
                return;
            }
            for stream in 0..2 {
                if !step.partial[stream].is_empty() {
                    told.extend(step.close_line(stream));
                }
            }
            step.state = state;
            step.took = step.began.elapsed();
            step.status.clear();
            let number = step.number;
            told.push(match state {
                State::Cached => format!("#{number} CACHED\n"),
                State::Failed => format!("#{number} ERROR\n"),
                _ => format!("#{number} DONE {:.1}s\n", step.took.as_secs_f64()),
            });
        }
        for line in told {
            self.line(&line);
        }
        self.draw();
    }

    /// All steps are taken anew.
    pub(super) fn begin_again(&self) {
        for step in self.steps.borrow_mut().iter_mut() {
            step.state = State::Waiting;
            step.lines.clear();
        }
    }

    /// Says what may be wrong.
    pub(super) fn warn(&self, text: &str) {
        self.beside(|| self.output.warn(text));
    }

    /// Says what happened beside the steps.
    pub(super) fn note(&self, text: &str) {
        self.beside(|| self.output.note(text));
    }

    /// A line of the plain way.
    fn line(&self, text: &str) {
        if matches!(self.way, Way::Plain) {
            self.output.note(text);
        }
    }

    /// Prints above what is drawn.
    fn beside(&self, print: impl FnOnce()) {
        match &self.way {
            Way::Drawn(bar) => bar.suspend(print),
            Way::Plain => print(),
        }
    }

    /// Draws it as it is now.
    pub(super) fn draw(&self) {
        if let Way::Drawn(bar) = &self.way {
            let room = Some(terminal_height().saturating_sub(1));
            bar.set_message(self.frame(None, room).join("\n"));
            bar.tick();
        }
    }

    /// Whether it has to be drawn now and then.
    pub(super) const fn is_drawn(&self) -> bool {
        matches!(self.way, Way::Drawn(_))
    }

    /// The end. What was drawn stays on the screen.
    pub(super) fn finish(&self, is_success: bool) {
        let failed: Vec<StepId> = {
            let steps = self.steps.borrow();
            let is_failed = |id: &usize| steps[*id].state == State::Failed;
            (0..steps.len()).filter(is_failed).map(StepId).collect()
        };
        if let Way::Drawn(bar) = &self.way {
            let end = if is_success { "FINISHED" } else { "ERROR" };
            let frame = self.frame(Some(end), None);
            bar.finish_and_clear();
            for line in frame {
                self.output.note(&line);
            }
        }
        for id in failed {
            self.repeat(id);
        }
    }

    /// The last lines of output of a step that failed.
    fn repeat(&self, id: StepId) {
        let steps = self.steps.borrow();
        let step = &steps[id.0];
        if step.lines.is_empty() {
            return;
        }
        let rule = "------";
        self.output.note(rule);
        self.output.note(&format!(" > {}:", step.name));
        for (at, line) in &step.lines {
            self.output.note(&format!("{at:.3} {line}"));
        }
        self.output.note(rule);
    }

    /// The lines on the screen; no more of them than there is `room` for, the first steps giving
    /// way to later ones.
    fn frame(&self, end: Option<&str>, room: Option<usize>) -> Vec<String> {
        let steps = self.steps.borrow();
        let width = self.output.width().saturating_sub(1).max(20);
        let is_over = |step: &&Step| matches!(step.state, State::Done | State::Cached);
        let over = steps.iter().filter(is_over).count();
        let header = format!(
            "[+] Building {:.1}s ({over}/{}){}",
            self.started.elapsed().as_secs_f64(),
            steps.len(),
            end.map(|end| format!(" {end}")).unwrap_or_default()
        );
        let style = match end {
            Some("ERROR") => Style::Error,
            _ => Style::Active,
        };
        let mut lines = Vec::new();
        for step in steps.iter().filter(|step| step.state != State::Waiting) {
            lines.extend(self.step_lines(step, width, end.is_some()));
        }
        let skipped = room.map_or(0, |room| (lines.len() + 1).saturating_sub(room.max(2)));
        lines.drain(..skipped);
        lines.insert(0, self.output.paint_error(style, &cut(&header, width)));
        lines
    }

    fn step_lines(&self, step: &Step, width: usize, is_end: bool) -> Vec<String> {
        let is_running = step.state == State::Running;
        let took = if is_running {
            step.began.elapsed()
        } else {
            step.took
        };
        let took = format!("{:.1}s", took.as_secs_f64());
        let (mark, style) = match step.state {
            State::Cached => ("CACHED ", Style::Quiet),
            State::Failed => ("ERROR ", Style::Error),
            State::Done => ("", Style::Active),
            _ if is_end => ("CANCELED ", Style::Warning),
            _ => ("", Style::Value),
        };
        let name = format!(" => {mark}{}", step.name);
        let room = width.saturating_sub(took.len() + 1);
        let name = cut(&name, room);
        let gap = " ".repeat(room.saturating_sub(name.width()) + 1);
        let mut lines = vec![
            self.output
                .paint_error(style, &format!("{name}{gap}{took}")),
        ];
        if !is_running || is_end {
            return lines;
        }
        let mut below: Vec<String> = Vec::new();
        let skipped = step.lines.len().saturating_sub(SHOWN_LINES);
        below.extend(
            step.lines
                .iter()
                .skip(skipped)
                .map(|(_, line)| line.clone()),
        );
        if !step.status.is_empty() {
            below.push(step.status.clone());
        }
        lines.extend(below.iter().map(|line| {
            let line = cut(&format!(" => => # {line}"), width);
            self.output.paint_error(Style::Quiet, &line)
        }));
        lines
    }
}

impl Step {
    /// The line that has come to its end, as plain lines tell it.
    fn close_line(&mut self, stream: usize) -> Option<String> {
        let bytes = std::mem::take(&mut self.partial[stream]);
        let text = readable(&bytes);
        let at = self.began.elapsed().as_secs_f64();
        self.lines.push_back((at, text.clone()));
        if self.lines.len() > TAIL_LINES {
            self.lines.pop_front();
        }
        Some(format!("#{} {at:.3} {text}", self.number))
    }
}

/// A line of output without what drives terminals: colours, and what was written over by what
/// follows a carriage return.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.next_if_eq(&'[').is_some() => {
                // Parameters, up to the letter that ends them.
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\t' => out.push_str("    "),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// No wider than so many columns.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let mut out = String::new();
    for c in text.chars() {
        let needed = c.width().unwrap_or(0);
        if needed > room {
            break;
        }
        room -= needed;
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(unix)]
fn terminal_height() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|size| usize::from(size.ws_row))
        .filter(|rows| *rows > 0)
        .unwrap_or(24)
}

#[cfg(not(unix))]
fn terminal_height() -> usize {
    24
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, LogLevel};

    #[test]
    fn output_is_made_readable() {
        assert_eq!(readable(b"a\tb\x07c"), "a    bc");
        assert_eq!(readable(b" 10%\r 50%\r100%\r"), "100%");
        assert_eq!(readable(b"\x1b[1;31merror\x1b[0m: x"), "error: x");
        assert_eq!(readable(b"caf\xc3\xa9 \xff"), "café \u{fffd}");
    }

    #[test]
    fn lines_fit() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("日本語", 5), "日本…");
    }

    #[test]
    fn the_last_lines_are_kept_and_later_steps_are_shown() {
        let output = Output::new(Format::Default, LogLevel::Critical);
        let board = Board::new(&output, Choice::Plain).unwrap();
        let steps: Vec<StepId> = (1..=9)
            .map(|n| board.add(format!("[{n}/9] RUN step {n}")))
            .collect();
        for step in &steps[..7] {
            board.done(*step);
        }
        board.cached(steps[7]);
        board.start(steps[8]);
        for line in 0..40 {
            board.output(steps[8], 0, format!("line {line}\npart").as_bytes());
        }
        assert_eq!(board.steps.borrow()[8].lines.len(), TAIL_LINES);
        let frame = board.frame(None, Some(10));
        assert_eq!(frame.len(), 10);
        assert!(frame[0].contains("(8/9)"), "{frame:?}");
        assert!(frame[3].contains("CACHED [8/9] RUN step 8"), "{frame:?}");
        assert!(frame[9].contains("# partline 39"), "{frame:?}");
        board.failed(steps[8]);
        let frame = board.frame(Some("ERROR"), None);
        assert_eq!(frame.len(), 10);
        assert!(frame[9].contains("ERROR [9/9] RUN step 9"), "{frame:?}");
    }
}
