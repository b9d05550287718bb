//! `contree grep`
//!
//! The server searches; here lines are only shown. Offsets of what matched count the bytes of the
//! line as the server sends it, unless the file was no UTF-8: then characters were put in place of
//! what is none, the offsets fit no more, and nothing is highlighted.

use clap::{Args, ValueEnum, value_parser};
use contree_api::inspect::{GrepCase, GrepLine, GrepMatch, GrepQuery, MAX_GREP_CONTEXT};

use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::output::{Columns, Output, Row, Style, harmless, json_line};
use crate::reference;

/// Nothing was found, and all was searched.
const NO_MATCH: u8 = 1;
/// Nothing was found before the search was cut off.
const INCONCLUSIVE: u8 = 2;

/// Search files of the current image
///
/// The server searches; nothing is run or downloaded. Relative paths start at the working
/// directory of the session, which is searched when there is no PATH: `/` searches the whole
/// image.
///
/// Lines are printed as PATH:LINE:TEXT, those of context as PATH-LINE-TEXT. The exit code is 1
/// when nothing was found, and 2 when the search was cut off before it found anything.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree grep TODO                            in the working directory and below
  contree grep '^PermitRoot' /etc/ssh
  contree grep -C 2 --glob '*.py' 'def main' /srv /opt
  contree grep --case smart error /var/log
  contree grep -- --verbose /usr/bin           a pattern that begins with a dash
  contree -o json grep root /etc/passwd        a row for each line
  contree grep --raw root /etc | jq '.matches[].submatches'")]
pub(crate) struct GrepArgs {
    /// Regular expression, in the syntax of Rust
    pattern: String,
    /// Files and folders inside the image [default: the working directory]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Only files that match: '*.py', or with ! those that do not
    #[arg(long)]
    glob: Option<String>,
    /// At most so many matches in one file
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_count: Option<u32>,
    /// At most so many matches in all [default: 1000]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_total: Option<u32>,
    /// Upper and lower case: sensitive, insensitive, or smart (sensitive if the pattern has an
    /// upper case letter) [default: sensitive]
    #[arg(long, value_name = "CASE", hide_possible_values = true)]
    case: Option<Case>,
    /// Lines to show before each match, at most 50
    #[arg(short = 'B', long, visible_alias = "before", value_name = "N", value_parser = lines())]
    before_context: Option<u32>,
    /// Lines to show after each match, at most 50
    #[arg(short = 'A', long, visible_alias = "after", value_name = "N", value_parser = lines())]
    after_context: Option<u32>,
    /// Lines to show before and after each match; -B and -A win
    #[arg(short = 'C', long, value_name = "N", value_parser = lines())]
    context: Option<u32>,
    /// Print the server's answer as JSON, with what matched where
    #[arg(long)]
    raw: bool,
}

fn lines() -> clap::builder::RangedI64ValueParser<u32> {
    value_parser!(u32).range(..=i64::from(MAX_GREP_CONTEXT))
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Case {
    Sensitive,
    Insensitive,
    Smart,
}

impl From<Case> for GrepCase {
    fn from(case: Case) -> Self {
        match case {
            Case::Sensitive => Self::Sensitive,
            Case::Insensitive => Self::Insensitive,
            Case::Smart => Self::Smart,
        }
    }
}

pub(crate) async fn grep(context: &Context, args: GrepArgs) -> Result<u8, Failure> {
    let output = &context.output;
    let client = context.client()?;
    let mut store = context.store().await?;
    let session = store.active().await?;
    let mut paths = Vec::new();
    for path in &args.paths {
        paths.push(store.resolve_path(Some(path)).await?);
    }
    if paths.is_empty() {
        paths.push(store.resolve_path(None).await?);
    }
    let query = GrepQuery {
        patterns: vec![args.pattern],
        paths,
        globs: args.glob.into_iter().collect(),
        max_count: args.max_count,
        max_total: args.max_total,
        case: args.case.map(GrepCase::from).unwrap_or_default(),
        before: args.before_context.or(args.context).unwrap_or(0),
        after: args.after_context.or(args.context).unwrap_or(0),
    };
    let image = reference::resolve(&client, &session.current_image).await?;
    let found = client
        .grep(image, &query)
        .await
        .doing(|| format!("could not search {}", query.paths.join(", ")))?;
    if args.raw {
        output.line(&json_line(&found))?;
    } else if output.is_default() {
        print(output, &found.matches, query.before + query.after > 0)?;
    } else {
        let mut rows = output.rows(Columns {
            tail: &["line_text"],
            ..Columns::default()
        });
        for line in &found.matches {
            let row = Row::of(line).without(&["submatches"]);
            rows.push(row.with("line_text", text(line)))?;
        }
        rows.finish()?;
    }
    if found.truncated {
        output.warn(
            "there may be more: the search was cut off; narrow it by --glob or a PATH, or raise \
             --max-total",
        );
    }
    Ok(match (found.matches.is_empty(), found.truncated) {
        (false, _) => 0,
        (true, false) => NO_MATCH,
        (true, true) => INCONCLUSIVE,
    })
}

/// The line without its end.
fn text(line: &GrepMatch) -> &str {
    line.line_text.trim_end_matches(['\r', '\n'])
}

fn print(output: &Output, matches: &[GrepMatch], with_context: bool) -> Result<(), Failure> {
    let mut out = String::new();
    let mut above: Option<&GrepMatch> = None;
    for line in matches {
        let is_next = |above: &GrepMatch| {
            above.path == line.path && above.line_number + 1 == line.line_number
        };
        if with_context && above.is_some_and(|above| !is_next(above)) {
            out.push_str("--\n");
        }
        let mark = match line.kind {
            GrepLine::Match => ':',
            GrepLine::Context => '-',
        };
        let number = line.line_number.to_string();
        if output.is_terminal() {
            let path = output.paint(Style::Path, &harmless(&line.path));
            let number = output.paint(Style::Good, &number);
            let text = highlighted(line, |part| output.paint(Style::Match, part));
            out.push_str(&format!("{path}{mark}{number}{mark}{text}\n"));
        } else {
            let text = text(line);
            out.push_str(&format!("{}{mark}{number}{mark}{text}\n", line.path));
        }
        above = Some(line);
    }
    output.bytes(out.as_bytes())
}

/// The line for a terminal, with what matched painted.
fn highlighted(line: &GrepMatch, paint: impl Fn(&str) -> String) -> String {
    let text = text(line);
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return harmless(text);
    }
    let part =
        |from: usize, to: usize| harmless(&String::from_utf8_lossy(&text.as_bytes()[from..to]));
    let mut spans: Vec<(usize, usize)> = line
        .submatches
        .iter()
        .map(|span| (offset(span.start), offset(span.end)))
        .collect();
    spans.sort_unstable();
    let mut out = String::new();
    let mut at = 0;
    for (start, end) in spans {
        // The line may be cut, and loses its end.
        let end = end.min(text.len());
        if start < at || start >= end {
            continue;
        }
        out.push_str(&part(at, start));
        out.push_str(&paint(&part(start, end)));
        at = end;
    }
    out.push_str(&part(at, text.len()));
    out
}

fn offset(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use contree_api::inspect::GrepSubmatch;

    use super::*;

    #[test]
    fn matches_are_painted_by_bytes() {
        let shown = |text: &str, spans: &[(u64, u64)]| {
            let line = GrepMatch {
                path: "/a".to_owned(),
                line_number: 1,
                absolute_offset: 0,
                line_text: text.to_owned(),
                line_bytes: 0,
                submatches: spans
                    .iter()
                    .map(|(start, end)| GrepSubmatch {
                        text: String::new(),
                        start: *start,
                        end: *end,
                    })
                    .collect(),
                kind: GrepLine::Match,
            };
            highlighted(&line, |part| format!("<{part}>"))
        };
        assert_eq!(shown("ü é\n", &[(3, 5)]), "ü <é>");
        assert_eq!(shown("abcab\r\n", &[(3, 5), (0, 2)]), "<ab>c<ab>");
        // Beyond what was sent, into the line's end, over one another, and empty.
        assert_eq!(shown("abc", &[(1, 9), (2, 3), (8, 9)]), "a<bc>");
        assert_eq!(shown("abc\n", &[(2, 4), (0, 0)]), "ab<c>");
        assert_eq!(shown("\u{fffd}abc", &[(1, 2)]), "\u{fffd}abc");
        assert_eq!(shown("a\x1b[2Jb", &[(5, 6)]), "a\\u{1b}[2J<b>");
    }
}
