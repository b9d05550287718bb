//! A line of bash, up to the cursor, as words.
//!
//! Bash itself hands out words that are cut at `:`, `=` and `@`, which image tags, long options and
//! steps of a session are full of; so the line is read here. What is put back into it is not the
//! whole word but what stands after the last such cut, as readline keeps what is before it.

use std::iter::Peekable;
use std::str::Chars;

/// The words of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Quotes taken off. The last one is being typed; it may be empty.
    pub(super) words: Vec<String>,
    /// The start of the last word that readline keeps.
    kept: String,
    /// The quote that is open.
    quote: Option<char>,
}

impl Line {
    /// Reads a line. `breaks` are the characters that readline cuts words at.
    pub(super) fn read(line: &str, breaks: &str) -> Self {
        let cuts: Vec<char> = [':', '=', '@']
            .into_iter()
            .filter(|cut| breaks.contains(*cut))
            .collect();
        let mut words = Vec::new();
        let mut chars = line.chars().peekable();
        loop {
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            let word = Word::read(&mut chars, &cuts);
            words.push(word.text);
            if chars.peek().is_none() {
                return Self {
                    words,
                    kept: word.kept,
                    quote: word.quote,
                };
            }
        }
    }

    /// A whole word as it is put back in place of what readline takes away.
    pub(super) fn rest_of(&self, word: &str) -> String {
        let rest = word.strip_prefix(&self.kept).unwrap_or(word);
        match self.quote {
            Some(_) => rest.to_owned(),
            None => escaped(rest),
        }
    }
}

struct Word {
    text: String,
    kept: String,
    quote: Option<char>,
}

impl Word {
    /// Reads up to a space that is not quoted, or to the end.
    fn read(chars: &mut Peekable<Chars<'_>>, cuts: &[char]) -> Self {
        let mut word = Self {
            text: String::new(),
            kept: String::new(),
            quote: None,
        };
        while let Some(c) = chars.next_if(|c| word.quote.is_some() || !c.is_whitespace()) {
            match (c, word.quote) {
                ('\'' | '"', None) => {
                    word.quote = Some(c);
                    word.kept.clone_from(&word.text);
                }
                (c, Some(quote)) if c == quote => word.quote = None,
                ('\\', None | Some('"')) => word.text.extend(chars.next()),
                (c, None) if cuts.contains(&c) => {
                    word.text.push(c);
                    word.kept.clone_from(&word.text);
                }
                (c, _) => word.text.push(c),
            }
        }
        word
    }
}

/// A word with what bash would read otherwise behind backslashes.
fn escaped(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if " \t'\"\\$`&|;<>()[]{}*?!#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKS: &str = " \t\n\"'@><=;|&(:";

    fn read(line: &str) -> (Vec<String>, String) {
        let line = Line::read(line, BREAKS);
        (line.words, line.kept)
    }

    #[test]
    fn lines() {
        for (line, words, kept) in [
            ("", &[""][..], ""),
            ("contree", &["contree"], ""),
            ("contree use ", &["contree", "use", ""], ""),
            ("contree use tag:de", &["contree", "use", "tag:de"], "tag:"),
            ("contree show @1", &["contree", "show", "@1"], "@"),
            (
                "contree ls --session=a:b",
                &["contree", "ls", "--session=a:b"],
                "--session=a:",
            ),
            (r"contree cat a\ b\:c", &["contree", "cat", "a b:c"], ""),
            ("contree cat 'a b:c", &["contree", "cat", "a b:c"], ""),
            ("contree cat x\"a\\\"b", &["contree", "cat", "xa\"b"], "x"),
            ("contree cat 'a'b:", &["contree", "cat", "ab:"], "ab:"),
            ("a 'b", &["a", "b"], ""),
            ("a\\", &["a"], ""),
        ] {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            assert_eq!(read(line), (words, kept.to_owned()), "{line}");
        }
    }

    #[test]
    fn only_what_readline_takes_away_is_put_back() {
        let line = |line| Line::read(line, BREAKS);
        assert_eq!(line("c use tag:de").rest_of("tag:debian:12"), "debian:12");
        assert_eq!(line("c cat /a").rest_of("/a b$"), r"/a\ b\$");
        assert_eq!(line("c cat '/a").rest_of("/a b$"), "/a b$");
        // A user may have taken the cuts away.
        let line = Line::read("c use tag:de", " \t\n");
        assert_eq!(line.rest_of("tag:debian"), "tag:debian");
    }
}
