//! Progress on standard error: bars on a terminal, plain lines elsewhere.
//!
//! One set of bars is shown at a time, for the whole process, so that messages can be printed
//! above it: see [`suspended`].

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use unicode_width::UnicodeWidthStr as _;

use super::{Output, harmless};

static SHOWN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Prints while no bar is in the way.
pub(super) fn suspended(print: impl FnOnce()) {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bars) => bars.suspend(print),
        None => print(),
    }
}

/// A set of tasks whose progress is shown. Nothing of it stays on the screen.
#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    bars: Option<MultiProgress>,
    /// All so far, with their names: these stand in one column.
    named: RefCell<Vec<(ProgressBar, String)>>,
}

impl Progress {
    pub(crate) fn new(output: &Output) -> Self {
        let bars = output
            .draws_progress()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        (*SHOWN.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&bars);
        Self {
            output: output.clone(),
            bars,
            named: RefCell::default(),
        }
    }

    /// A task by name.
    pub(crate) fn task(&self, name: &str) -> Task {
        let bar = self.bars.as_ref().map(|bars| {
            let look = style(&self.output, false);
            let bar = bars.add(ProgressBar::new_spinner().with_style(look));
            self.line_up(&bar, name);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Task {
            name: name.to_owned(),
            output: self.output.clone(),
            bar,
            is_measured: false,
            told: String::new(),
        }
    }
}

impl Progress {
    /// Makes all names as wide as the widest.
    fn line_up(&self, bar: &ProgressBar, name: &str) {
        let mut named = self.named.borrow_mut();
        named.push((bar.clone(), harmless(name)));
        let widest = named.iter().map(|(_, name)| name.width()).max();
        for (bar, name) in &*named {
            let missing = widest.unwrap_or(0) - name.width();
            bar.set_prefix(format!("{name}{}", " ".repeat(missing)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bars) = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The screen may be gone; there is nothing else to clear.
            let _ = bars.clear();
        }
    }
}

/// One thing that takes a while.
#[derive(Debug)]
pub(crate) struct Task {
    name: String,
    output: Output,
    bar: Option<ProgressBar>,
    is_measured: bool,
    /// The last thing that was told in a plain line.
    told: String,
}

impl Task {
    /// What is being done now. In plain lines only what differs before the last colon is told:
    /// after it stands how much is done, again and again.
    pub(crate) fn step(&mut self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(harmless(text));
            return;
        }
        let what = text.rsplit_once(": ").map_or(text, |(what, _)| what);
        if self.told != what {
            what.clone_into(&mut self.told);
            self.output.note(&format!("{}: {text}", self.name));
        }
    }

    /// How much of how many bytes is done. Only bars show it.
    pub(crate) fn bytes(&mut self, done: u64, total: u64) {
        let Some(bar) = &self.bar else { return };
        if !std::mem::replace(&mut self.is_measured, true) {
            bar.set_style(style(&self.output, true));
        }
        bar.set_length(total);
        bar.set_position(done);
    }

    /// It is over, and takes no room any more.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(output: &Output, is_measured: bool) -> ProgressStyle {
    let template = match (is_measured, output.colors) {
        (true, true) => {
            "{spinner:.cyan} {prefix}  {bar:20.cyan/black.bright}  {bytes:>10} of {total_bytes}  {wide_msg}"
        }
        (true, false) => "{spinner} {prefix}  {bar:20}  {bytes:>10} of {total_bytes}  {wide_msg}",
        (false, true) => "{spinner:.cyan} {prefix}  {elapsed:>4}  {wide_msg}",
        (false, false) => "{spinner} {prefix}  {elapsed:>4}  {wide_msg}",
    };
    ProgressStyle::with_template(template)
        .expect("the templates above are valid")
        .progress_chars("━╸─")
}
