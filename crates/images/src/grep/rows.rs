//! The lines of an answer, as they come out of the search of one file.

use std::io;

use contree_api::inspect::{GrepLine, GrepMatch, GrepSubmatch, MAX_GREP_LINE_TEXT};
use grep_matcher::Matcher as _;
use grep_regex::RegexMatcher;
use grep_searcher::{Searcher, Sink, SinkContext, SinkContextKind, SinkFinish, SinkMatch};

use super::Stop;

/// What a row costs beside its text, in bytes.
const ROW_COST: usize = 128;
/// What a submatch costs beside its text, in bytes.
const SUBMATCH_COST: usize = 48;

/// A line of the answer, without its file.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: GrepLine,
    /// Context that was asked for after a match.
    pub(super) is_after: bool,
    line_number: u64,
    absolute_offset: u64,
    line_text: String,
    line_bytes: u64,
    submatches: Vec<GrepSubmatch>,
}

impl Row {
    /// About how much of the answer it is, in bytes.
    pub(super) fn cost(&self, path: &str) -> usize {
        let submatches = self.submatches.iter();
        let submatches: usize = submatches.map(|m| SUBMATCH_COST + m.text.len()).sum();
        ROW_COST + path.len() + self.line_text.len() + submatches
    }

    pub(super) fn into_match(self, path: String) -> GrepMatch {
        GrepMatch {
            path,
            line_number: self.line_number,
            absolute_offset: self.absolute_offset,
            line_text: self.line_text,
            line_bytes: self.line_bytes,
            submatches: self.submatches,
            kind: self.kind,
        }
    }
}

/// Collects the rows of one file.
pub(super) struct Rows<'a> {
    matcher: &'a RegexMatcher,
    max_cost: usize,
    path: &'a str,
    stop: &'a Stop,
    pub(super) rows: Vec<Row>,
    cost: usize,
    /// There were more than are taken.
    pub(super) is_full: bool,
    /// A NUL byte was met.
    pub(super) is_binary: bool,
}

impl<'a> Rows<'a> {
    pub(super) const fn new(
        matcher: &'a RegexMatcher,
        max_cost: usize,
        path: &'a str,
        stop: &'a Stop,
    ) -> Self {
        Self {
            matcher,
            max_cost,
            path,
            stop,
            rows: Vec::new(),
            cost: 0,
            is_full: false,
            is_binary: false,
        }
    }

    /// Takes a row; false when it was the last one.
    fn push(&mut self, row: Row) -> bool {
        self.cost += row.cost(self.path);
        self.rows.push(row);
        self.is_full = self.cost > self.max_cost;
        !self.is_full
    }
}

impl Sink for Rows<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, io::Error> {
        let line = found.bytes();
        let submatches = submatches(self.matcher, line, self.stop)?;
        Ok(self.push(Row {
            kind: GrepLine::Match,
            is_after: false,
            line_number: found.line_number().unwrap_or(0),
            absolute_offset: found.absolute_byte_offset(),
            line_text: shown(line),
            line_bytes: line.len() as u64,
            submatches,
        }))
    }

    fn context(&mut self, _: &Searcher, found: &SinkContext<'_>) -> Result<bool, io::Error> {
        let line = found.bytes();
        Ok(self.push(Row {
            kind: GrepLine::Context,
            is_after: matches!(found.kind(), SinkContextKind::After),
            line_number: found.line_number().unwrap_or(0),
            absolute_offset: found.absolute_byte_offset(),
            line_text: shown(line),
            line_bytes: line.len() as u64,
            submatches: Vec::new(),
        }))
    }

    fn finish(&mut self, _: &Searcher, end: &SinkFinish) -> Result<(), io::Error> {
        self.is_binary |= end.binary_byte_offset().is_some();
        Ok(())
    }
}

/// Where the patterns match in a line, as far as the line is shown. Each match may take a look at
/// the whole rest of the line, so it is asked for each whether it is time to stop.
fn submatches(
    matcher: &RegexMatcher,
    line: &[u8],
    stop: &Stop,
) -> Result<Vec<GrepSubmatch>, io::Error> {
    // As in the search itself, the end of the line is no part of it.
    let whole = line.len();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut all = Vec::new();
    let mut stopped = false;
    matcher
        .find_iter(line, |found| {
            stopped = stop.is_due();
            if stopped {
                return false;
            }
            // ripgrep leaves out an empty match at the very end of a file.
            let is_at_end = found.is_empty() && found.start() == whole;
            if is_at_end || found.start() > MAX_GREP_LINE_TEXT {
                return false;
            }
            all.push(GrepSubmatch {
                text: shown(&line[found]),
                start: found.start() as u64,
                end: found.end() as u64,
            });
            true
        })
        .map_err(io::Error::other)?;
    if stopped {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(all)
}

/// Bytes as text, cut at the end of a character.
fn shown(bytes: &[u8]) -> String {
    // One byte more tells whether a character at the end is whole.
    let cut = &bytes[..bytes.len().min(MAX_GREP_LINE_TEXT + 4)];
    let mut text = String::from_utf8_lossy(cut).into_owned();
    text.truncate(text.floor_char_boundary(MAX_GREP_LINE_TEXT));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shown(b"short\n"), "short\n");
        assert_eq!(shown(&[b'x'; 5_000]).len(), 4_096);
        let text = format!("{}{}", "x".repeat(4_095), "üü");
        assert_eq!(shown(text.as_bytes()), "x".repeat(4_095));
        let text = format!("{}{}", "x".repeat(4_094), "üü");
        assert_eq!(shown(text.as_bytes()), format!("{}ü", "x".repeat(4_094)));
        // Each of these becomes three bytes.
        assert_eq!(shown(&[0xff; 4_096]), "\u{fffd}".repeat(1_365));
    }
}
