//! Markdown for people at a terminal: paragraphs and lists wrapped to its width, headings and code
//! told apart. Nothing else of Markdown is used in the manual.

use unicode_width::UnicodeWidthStr as _;

use crate::home::variable;
use crate::output::{Output, Style};

/// Lines longer than this are hard to read, however wide the screen.
const LONGEST: usize = 100;

/// The text as it should be shown: wrapped on a terminal or when `CONTREE_WRAP_TEXT` says so.
pub(super) fn for_reader(output: &Output, markdown: &str) -> String {
    let is_wrapped = match variable("CONTREE_WRAP_TEXT") {
        Some(choice) => choice != "0",
        None => output.is_terminal(),
    };
    if !is_wrapped {
        return markdown.to_owned();
    }
    let width = output.width().clamp(20, LONGEST);
    let paint = |style, text: &str| output.paint(style, text);
    let mut lines: Vec<String> = Vec::new();
    for block in blocks(markdown) {
        match block {
            Block::Heading(title) => lines.push(paint(Style::Header, title)),
            Block::Code(line) => lines.push(match line.split_once("  # ") {
                Some((command, comment)) => format!(
                    "{}  {}",
                    paint(Style::Name, command),
                    paint(Style::Quiet, &format!("# {comment}"))
                ),
                None => paint(Style::Name, line),
            }),
            Block::Empty => lines.push(String::new()),
            Block::Text {
                indent,
                first,
                words,
            } => lines.extend(wrap(indent, first, &words, width)),
        }
    }
    lines.join("\n") + "\n"
}

/// A part that is laid out by itself.
#[derive(Debug, PartialEq)]
enum Block<'a> {
    Empty,
    Heading(&'a str),
    /// One line, with its indent.
    Code(&'a str),
    /// A paragraph; in a list the first line begins with `first`, such as `3. `.
    Text {
        indent: usize,
        first: &'a str,
        words: Vec<&'a str>,
    },
}

fn blocks(markdown: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for line in markdown.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let marker = marker(text);
        if text.is_empty() {
            blocks.push(Block::Empty);
        } else if indent >= 4 {
            blocks.push(Block::Code(line));
        } else if text.starts_with('#') {
            blocks.push(Block::Heading(text.trim_start_matches('#').trim_start()));
        } else if let (0, Some(Block::Text { words, .. })) = (marker.len(), blocks.last_mut()) {
            words.extend(text.split_whitespace());
        } else {
            blocks.push(Block::Text {
                indent,
                first: marker,
                words: text[marker.len()..].split_whitespace().collect(),
            });
        }
    }
    blocks
}

/// What begins an item of a list: `- ` or `3. `, or nothing.
fn marker(text: &str) -> &str {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let end = if text.starts_with("- ") {
        2
    } else if digits > 0 && text[digits..].starts_with(". ") {
        digits + 2
    } else {
        0
    };
    &text[..end]
}

fn wrap(indent: usize, first: &str, words: &[&str], width: usize) -> Vec<String> {
    let hanging = " ".repeat(indent + first.len());
    let mut lines = Vec::new();
    let mut line = format!("{}{first}", " ".repeat(indent));
    let mut is_empty = true;
    for word in words {
        if !is_empty && line.width() + 1 + word.width() > width {
            lines.push(std::mem::replace(&mut line, hanging.clone()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_lists_are_wrapped() {
        let text = "# Title\n\none two three\nfour five\n\n1. six seven\n   eight:\n\n       code  # that is long and stays\n2. nine\n";
        let lines: Vec<String> = blocks(text)
            .into_iter()
            .flat_map(|block| match block {
                Block::Empty => vec![String::new()],
                Block::Heading(line) | Block::Code(line) => vec![line.to_owned()],
                Block::Text {
                    indent,
                    first,
                    words,
                } => wrap(indent, first, &words, 12),
            })
            .collect();
        assert_eq!(
            lines.join("\n"),
            "Title\n\none two\nthree four\nfive\n\n1. six seven\n   eight:\n\n       code  # that is long and stays\n2. nine"
        );
    }
}
