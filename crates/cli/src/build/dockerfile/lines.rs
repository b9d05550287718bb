//! From text to logical lines.
//!
//! A logical line is one instruction: physical lines that end in the escape character are joined
//! (without it and without the line end), comment lines and empty lines between them are dropped,
//! and the heredocs that it begins are taken from the lines that follow. Lines may end in CR LF.

use super::Heredoc;

/// No Dockerfile is larger: what a build would read by mistake is refused at once.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What is wrong, and in which line.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) what: String,
}

/// A whole instruction.
#[derive(Debug)]
pub(super) struct Line {
    /// Of its beginning, counted from 1.
    pub(super) number: usize,
    /// Trimmed, in one piece, and not empty.
    pub(super) text: String,
    /// In the order in which it begins them.
    pub(super) heredocs: Vec<Here>,
}

/// A heredoc as it is written.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) doc: Heredoc,
    /// The text before tabs were taken from it (`<<-`), as a shell wants it.
    pub(super) written: String,
}

/// The escape character, and the lines.
pub(super) fn read(text: &str) -> Result<(char, Vec<Line>), Fault> {
    if text.len() > MAX_BYTES {
        return Err(Fault {
            line: 1,
            what: format!("a Dockerfile has at most {MAX_BYTES} bytes"),
        });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let physical: Vec<&str> = text.lines().collect();
    let escape = escape_directive(&physical)?;
    let mut lines = Vec::new();
    let mut at = 0;
    while at < physical.len() {
        let number = at + 1;
        let Some(text) = join(&physical, &mut at, escape) else {
            continue;
        };
        let heredocs = heredocs(&text, escape, &physical, &mut at)
            .map_err(|what| Fault { line: number, what })?;
        lines.push(Line {
            number,
            text,
            heredocs,
        });
    }
    Ok((escape, lines))
}

/// What `# escape=` says. Directives are the first lines, and end with the first that is none.
fn escape_directive(physical: &[&str]) -> Result<char, Fault> {
    let mut escape = None;
    for (index, line) in physical.iter().enumerate() {
        let directive = line
            .trim_start()
            .strip_prefix('#')
            .and_then(|rest| rest.split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()));
        let Some((name, value)) = directive else {
            break;
        };
        let fault = |what: &str| Fault {
            line: index + 1,
            what: what.to_owned(),
        };
        match name.as_str() {
            "escape" if escape.is_some() => {
                return Err(fault("the escape directive is there twice"));
            }
            "escape" => {
                escape = Some(match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => return Err(fault("the escape character is \\ or `")),
                });
            }
            "syntax" | "check" => {}
            _ => break,
        }
    }
    Ok(escape.unwrap_or('\\'))
}

/// One logical line, and moves behind it. None for an empty line or a comment.
fn join(physical: &[&str], at: &mut usize, escape: char) -> Option<String> {
    let is_comment = |line: &str| line.trim_start().starts_with('#');
    let first = physical[*at].trim_start();
    *at += 1;
    if is_comment(first) {
        return None;
    }
    let (piece, mut continues) = continuation(first, escape);
    let mut text = piece.to_owned();
    while continues && let Some(&line) = physical.get(*at) {
        *at += 1;
        if is_comment(line) || line.trim().is_empty() {
            continue;
        }
        let (piece, more) = continuation(line, escape);
        text.push_str(piece);
        continues = more;
    }
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A physical line without its escape character at the end, and whether it had one.
fn continuation(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(piece) => (piece, true),
        None => (line, false),
    }
}

/// The words of a line, quotes and escapes as they are written: blanks inside quotes and behind an
/// escape character do not separate.
pub(super) fn words(text: &str, escape: char) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((index, char)) = chars.next() {
        if quote.is_none() && char.is_whitespace() {
            words.extend(start.take().map(|start| &text[start..index]));
            continue;
        }
        start.get_or_insert(index);
        match quote {
            Some(open) if char == open => quote = None,
            None if matches!(char, '\'' | '"') => quote = Some(char),
            Some('\'') => {}
            _ if char == escape => drop(chars.next()),
            _ => {}
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

/// The keyword in upper case and what follows it.
pub(super) fn keyword(text: &str) -> (String, &str) {
    let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (keyword.to_ascii_uppercase(), rest.trim_start())
}

/// The heredocs that a line begins; moves behind them.
fn heredocs(
    text: &str,
    escape: char,
    physical: &[&str],
    at: &mut usize,
) -> Result<Vec<Here>, String> {
    let (mut name, mut rest) = keyword(text);
    if name == "ONBUILD" {
        (name, rest) = keyword(rest);
    }
    if !matches!(name.as_str(), "RUN" | "COPY" | "ADD") || !rest.contains("<<") {
        return Ok(Vec::new());
    }
    let mut heredocs = Vec::new();
    let words = words(rest, escape);
    for (index, word) in words.iter().enumerate() {
        let Some(opening) = Opening::read(word, words.get(index + 1).copied()) else {
            continue;
        };
        match opening.take(physical, *at) {
            Some((here, end)) => {
                heredocs.push(here);
                *at = end;
            }
            // `$((1 << 2))` looks like one.
            None if opening.is_apart => {}
            None => {
                return Err(format!(
                    "no line `{0}` ends the text that <<{0} begins",
                    opening.delimiter
                ));
            }
        }
    }
    Ok(heredocs)
}

/// `<<EOF`, `<<-"EOF"`, `3<<EOF`, `<< EOF`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opening {
    delimiter: String,
    is_expanded: bool,
    strips_tabs: bool,
    /// Whether the delimiter is a word of its own.
    pub(super) is_apart: bool,
}

impl Opening {
    pub(super) fn read(word: &str, next: Option<&str>) -> Option<Self> {
        let rest = word
            .trim_start_matches(|char: char| char.is_ascii_digit())
            .strip_prefix("<<")?;
        let (strips_tabs, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let is_apart = rest.is_empty();
        let written = if is_apart { next? } else { rest };
        let mut delimiter = String::new();
        let mut is_expanded = true;
        let mut quote = None;
        let mut chars = written.chars();
        while let Some(char) = chars.next() {
            match quote {
                Some(open) if char == open => quote = None,
                Some(_) => delimiter.push(char),
                None => match char {
                    '\'' | '"' => (quote, is_expanded) = (Some(char), false),
                    // Other than in a shell, this alone is no quote.
                    '\\' => delimiter.extend(chars.next()),
                    // `<<<` is something else; the others end a word of the shell.
                    '<' => return None,
                    '>' | '|' | '&' | ';' | '(' | ')' => break,
                    _ => delimiter.push(char),
                },
            }
        }
        (!delimiter.is_empty() && quote.is_none()).then_some(Self {
            delimiter,
            is_expanded,
            strips_tabs,
            is_apart,
        })
    }

    /// The text from line `at` to the one that ends it, and the line behind that.
    fn take(&self, physical: &[&str], at: usize) -> Option<(Here, usize)> {
        let stripped = |line: &'_ str| -> usize {
            if self.strips_tabs {
                line.len() - line.trim_start_matches('\t').len()
            } else {
                0
            }
        };
        let lines = physical.get(at..)?;
        let length = lines
            .iter()
            .position(|line| line[stripped(line)..] == self.delimiter)?;
        let mut text = String::new();
        let mut written = String::new();
        for line in &lines[..length] {
            text.push_str(&line[stripped(line)..]);
            text.push('\n');
            written.push_str(line);
            written.push('\n');
        }
        written.push_str(&self.delimiter);
        let doc = Heredoc {
            name: self.delimiter.clone(),
            text,
            is_expanded: self.is_expanded,
        };
        Some((Here { doc, written }, at + length + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        let (_, lines) = read(text).unwrap();
        lines
            .into_iter()
            .map(|line| (line.number, line.text))
            .collect()
    }

    #[test]
    fn lines_are_joined_and_counted() {
        let cases: &[(&str, &[(usize, &str)])] = &[
            ("", &[]),
            ("\n  \n# only a comment\n", &[]),
            ("FROM a", &[(1, "FROM a")]),
            (
                "\u{feff}FROM a\r\n\r\nRUN b\r\n",
                &[(1, "FROM a"), (3, "RUN b")],
            ),
            ("  RUN a \\\n  b\\\nc\n", &[(1, "RUN a   bc")]),
            ("RUN a \\  \t\n b", &[(1, "RUN a  b")]),
            (
                "RUN a && \\\n  # why b\n\n  b && \\\n#c\nc\nRUN d",
                &[(1, "RUN a &&   b && c"), (7, "RUN d")],
            ),
            ("RUN a # no comment", &[(1, "RUN a # no comment")]),
            ("RUN a \\", &[(1, "RUN a")]),
            ("\\\n\\\nRUN a", &[(1, "RUN a")]),
            ("RUN a \\\\\nRUN b", &[(1, "RUN a \\RUN b")]),
            (
                "# escape=`\nRUN a `\n b \\\nRUN c",
                &[(2, "RUN a  b \\"), (4, "RUN c")],
            ),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(number, text)| (*number, (*text).to_owned()))
                .collect();
            assert_eq!(texts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn directives_are_first_lines() {
        let escape = |text: &str| read(text).map(|(escape, _)| escape);
        assert_eq!(escape("FROM a").unwrap(), '\\');
        assert_eq!(escape("#escape=`\nFROM a").unwrap(), '`');
        assert_eq!(
            escape("# syntax=docker/dockerfile:1\n# ESCAPE = `\n").unwrap(),
            '`'
        );
        assert_eq!(escape("# a comment\n# escape=`\nFROM a").unwrap(), '\\');
        assert_eq!(escape("\n# escape=`\n").unwrap(), '\\');
        assert_eq!(escape("# unknown=1\n# escape=`\n").unwrap(), '\\');
        assert_eq!(escape("# escape=x").unwrap_err().line, 1);
        assert_eq!(escape("# escape=`\n# escape=`").unwrap_err().line, 2);
    }

    #[test]
    fn heredocs_belong_to_their_line() {
        let text = "RUN <<EOF\n# kept\n  a \\\n\nEOF\nCOPY <<-'ONE' <<TWO /to/\n\tone\n\tONE\ntwo\nTWO\n\
                    RUN x";
        let (_, lines) = read(text).unwrap();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].heredocs[0].doc.text, "# kept\n  a \\\n\n");
        assert!(lines[0].heredocs[0].doc.is_expanded);
        let two = &lines[1].heredocs;
        assert_eq!(
            (two[0].doc.name.as_str(), &*two[0].doc.text),
            ("ONE", "one\n")
        );
        assert_eq!(two[0].written, "\tone\nONE");
        assert!(!two[0].doc.is_expanded);
        assert_eq!(two[1].doc.text, "two\n");
        assert_eq!((lines[2].number, &*lines[2].text), (11, "RUN x"));
    }

    #[test]
    fn what_begins_a_heredoc() {
        let delimiter = |word: &str, next: Option<&str>| {
            Opening::read(word, next).map(|opening| opening.delimiter)
        };
        for word in [
            "<<EOF",
            "<<-EOF",
            "3<<EOF",
            "<<\"EOF\"",
            "<<E\\OF",
            "<<EOF>x",
            "<<EOF)",
        ] {
            assert_eq!(delimiter(word, None).as_deref(), Some("EOF"), "{word}");
        }
        assert_eq!(delimiter("<<", Some("EOF")).as_deref(), Some("EOF"));
        assert_eq!(delimiter("<<", Some("-EOF")).as_deref(), Some("-EOF"));
        for (word, name, is_expanded) in [
            ("<<eo'f'", "eof", false),
            ("<<eo\\'f", "eo'f", true),
            ("<<'e'o\\'f", "eo'f", false),
            ("<<'one two'", "one two", false),
            ("<<$EOF", "$EOF", true),
        ] {
            let opening = Opening::read(word, None).unwrap();
            assert_eq!(
                (&*opening.delimiter, opening.is_expanded),
                (name, is_expanded)
            );
        }
        for word in [
            "<<<EOF",
            "a<<EOF",
            "\"<<EOF\"",
            "<<",
            "<",
            "<<'EOF",
            "$((1<<2))",
        ] {
            assert_eq!(delimiter(word, None), None, "{word}");
        }
        // A shift is none, when no line ends it.
        assert_eq!(texts("RUN echo $(( 1 << 2 ))").len(), 1);
        assert_eq!(texts("ENV a=<<EOF\nRUN b").len(), 2);
        let fault = read("FROM a\nRUN cat <<EOF\nx\n").unwrap_err();
        assert_eq!(
            (fault.line, &*fault.what),
            (2, "no line `EOF` ends the text that <<EOF begins")
        );
        assert_eq!(texts("ONBUILD RUN <<EOF\nFROM x\nEOF\nRUN a").len(), 2);
    }

    #[test]
    fn words_keep_what_is_quoted() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  a  b ", &["a", "b"]),
            (
                "a=\"x y\" b='z \" w' c=d\\ e",
                &["a=\"x y\"", "b='z \" w'", "c=d\\ e"],
            ),
            ("\"a \\\" b\" c", &["\"a \\\" b\"", "c"]),
            ("'a\\' b", &["'a\\'", "b"]),
            ("open \"a b", &["open", "\"a b"]),
            ("end\\", &["end\\"]),
            ("\"\"", &["\"\""]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text, '\\'), *expected, "{text:?}");
        }
    }
}
