//! Progress on standard error: bars on a terminal, plain lines elsewhere.
//!
//! One set of bars is shown at a time, for the whole process, so that messages can be printed
//! above it: see [`suspended`].

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        }
    }

    /// A task by name.
    pub(crate) fn task(&self, name: &str) -> Task {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style(false)));
            bar.set_prefix(harmless(name));
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
            bar.set_style(style(true));
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

fn style(is_measured: bool) -> ProgressStyle {
    let template = if is_measured {
        "{spinner} {prefix}  [{bar:16}] {bytes}/{total_bytes} {wide_msg}"
    } else {
        "{spinner} {prefix}  {elapsed}  {wide_msg}"
    };
    ProgressStyle::with_template(template)
        .expect("the templates above are valid")
        .progress_chars("━━ ")
}
