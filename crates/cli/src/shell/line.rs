//! A line of the shell, read as far as the shell itself has to understand it: what its words are,
//! whether it is whole, and where another command begins. What it means is up to the sandbox's
//! `sh`.
//!
//! Read are quotes, backslashes, comments, operators and heredocs; not what stands inside of
//! `$(…)`, whose quotes count as if they stood outside.

use std::iter::Peekable;
use std::str::CharIndices;

/// A line, which may have several rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) words: Vec<Word>,
    /// What has begun and not ended yet.
    pub(super) open: Option<Open>,
    /// There is more than one simple command, or a redirection.
    pub(super) has_operators: bool,
    /// The text without its backslashes at ends of rows, as `sh` reads it too.
    pub(super) joined: String,
    /// The last word goes up to the end of the text.
    ends_in_word: bool,
    /// Where a word would stand that begins at the end of the text.
    next: Place,
}

/// What a line is not whole for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Single,
    Double,
    Backslash,
    Heredoc,
}

/// A word without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Where it begins in the line, with its quotes.
    pub(super) start: usize,
    pub(super) place: Place,
    /// `sh` would make something else of it: a variable, a pattern, a home folder.
    pub(super) expands: bool,
    /// The quote that is open at its end.
    pub(super) quote: Option<char>,
}

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// First of a command.
    Command,
    /// After the first.
    Argument,
    /// After `<` or `>`.
    Redirection,
}

impl Line {
    /// Reads a line.
    pub(super) fn read(text: &str) -> Self {
        Reader {
            text,
            chars: text.char_indices().peekable(),
            line: Self {
                words: Vec::new(),
                open: None,
                has_operators: false,
                joined: String::with_capacity(text.len()),
                ends_in_word: false,
                next: Place::Command,
            },
            word: None,
            place: Place::Command,
            has_command: false,
            delimiter: None,
            heredocs: Vec::new(),
        }
        .read()
    }

    /// The word that is being typed at the end of the text, and the words of the same command
    /// before it. It is empty after a space.
    pub(super) fn typed(text: &str) -> (Word, Vec<Word>) {
        let mut line = Self::read(text);
        let typed = match line.words.pop_if(|_| line.ends_in_word) {
            Some(word) => word,
            None => Word {
                text: String::new(),
                start: text.len(),
                place: line.next,
                expands: false,
                quote: None,
            },
        };
        let mut words = line.words;
        let first = words.iter().rposition(|word| word.place == Place::Command);
        let before = match (typed.place, first) {
            (Place::Command, _) | (_, None) => Vec::new(),
            (_, Some(first)) => words.split_off(first),
        };
        (typed, before)
    }
}

const OPERATORS: [char; 7] = ['|', '&', ';', '<', '>', '(', ')'];

struct Heredoc {
    delimiter: String,
    strips_tabs: bool,
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    line: Line,
    word: Option<Word>,
    /// Of the next word.
    place: Place,
    /// The command that is being read has its first word.
    has_command: bool,
    /// The next word is where a heredoc ends; whether tabs before it do not count.
    delimiter: Option<bool>,
    /// Begin in the next row.
    heredocs: Vec<Heredoc>,
}

impl Reader<'_> {
    fn read(mut self) -> Line {
        while let Some((at, c)) = self.chars.next() {
            match c {
                ' ' | '\t' => {
                    self.end_word();
                    self.line.joined.push(c);
                }
                '\n' => self.row(),
                '\\' => self.backslash(at),
                '\'' => self.single(at),
                '"' => self.double(at),
                '#' if self.word.is_none() => self.comment(),
                c if OPERATORS.contains(&c) => self.operator(c),
                c => {
                    let is_home = c == '~' && self.word.is_none();
                    self.push(at, c);
                    if is_home || matches!(c, '$' | '`' | '*' | '?' | '[') {
                        self.word(at).expands = true;
                    }
                }
            }
        }
        self.line.ends_in_word = self.word.is_some();
        self.end_word();
        self.line.next = self.place;
        if !self.heredocs.is_empty() {
            self.line.open.get_or_insert(Open::Heredoc);
        }
        self.line
    }

    fn word(&mut self, at: usize) -> &mut Word {
        let place = self.place;
        self.word.get_or_insert_with(|| Word {
            text: String::new(),
            start: at,
            place,
            expands: false,
            quote: None,
        })
    }

    fn push(&mut self, at: usize, c: char) {
        self.word(at).text.push(c);
        self.line.joined.push(c);
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if let Some(strips_tabs) = self.delimiter.take() {
            self.heredocs.push(Heredoc {
                delimiter: word.text.clone(),
                strips_tabs,
            });
        }
        self.has_command |= word.place == Place::Command;
        // A command may begin with a redirection.
        self.place = if self.has_command {
            Place::Argument
        } else {
            Place::Command
        };
        self.line.words.push(word);
    }

    /// Another command begins.
    fn next_command(&mut self) {
        self.place = Place::Command;
        self.has_command = false;
    }

    fn row(&mut self) {
        self.end_word();
        self.line.joined.push('\n');
        if self.chars.peek().is_some() && !self.line.words.is_empty() {
            self.line.has_operators = true;
        }
        self.next_command();
        for heredoc in std::mem::take(&mut self.heredocs) {
            self.heredoc(heredoc);
        }
    }

    /// The rows up to the one that ends it.
    fn heredoc(&mut self, heredoc: Heredoc) {
        let Some((start, _)) = self.chars.peek().copied() else {
            self.heredocs.push(heredoc);
            return;
        };
        let mut end = start;
        for row in self.text[start..].split_inclusive('\n') {
            end += row.len();
            let mut bare = row.trim_end_matches('\n');
            if heredoc.strips_tabs {
                bare = bare.trim_start_matches('\t');
            }
            if bare == heredoc.delimiter {
                self.take_until(end);
                return;
            }
        }
        self.take_until(end);
        self.heredocs.push(heredoc);
    }

    fn take_until(&mut self, end: usize) {
        while let Some((_, c)) = self.chars.next_if(|(at, _)| *at < end) {
            self.line.joined.push(c);
        }
    }

    fn backslash(&mut self, at: usize) {
        match self.chars.next() {
            None => {
                self.word(at);
                self.line.joined.push('\\');
                self.line.open = Some(Open::Backslash);
            }
            // The row goes on.
            Some((_, '\n')) => {
                if self.chars.peek().is_none() {
                    self.line.open = Some(Open::Backslash);
                }
            }
            Some((_, c)) => {
                self.line.joined.push('\\');
                self.push(at, c);
            }
        }
    }

    fn single(&mut self, at: usize) {
        self.word(at);
        self.line.joined.push('\'');
        for (_, c) in self.chars.by_ref() {
            self.line.joined.push(c);
            if c == '\'' {
                return;
            }
            if let Some(word) = &mut self.word {
                word.text.push(c);
            }
        }
        self.word(at).quote = Some('\'');
        self.line.open = Some(Open::Single);
    }

    fn double(&mut self, at: usize) {
        self.word(at);
        self.line.joined.push('"');
        while let Some((_, c)) = self.chars.next() {
            match c {
                '"' => {
                    self.line.joined.push('"');
                    return;
                }
                '\\' => match self.chars.next() {
                    None => {
                        self.line.joined.push('\\');
                        break;
                    }
                    Some((_, '\n')) => {}
                    Some((_, next)) => {
                        self.line.joined.push('\\');
                        if !matches!(next, '"' | '\\' | '$' | '`') {
                            self.word(at).text.push('\\');
                        }
                        self.push(at, next);
                    }
                },
                c => {
                    self.push(at, c);
                    if matches!(c, '$' | '`') {
                        self.word(at).expands = true;
                    }
                }
            }
        }
        self.word(at).quote = Some('"');
        self.line.open = Some(Open::Double);
    }

    fn comment(&mut self) {
        self.line.joined.push('#');
        while let Some((_, c)) = self.chars.next_if(|(_, c)| *c != '\n') {
            self.line.joined.push(c);
        }
    }

    fn operator(&mut self, c: char) {
        self.end_word();
        self.line.has_operators = true;
        self.line.joined.push(c);
        if matches!(c, '<' | '>') {
            self.place = Place::Redirection;
        } else {
            self.next_command();
        }
        let mut take = |expected| {
            let taken = self.chars.next_if(|(_, c)| *c == expected).is_some();
            if taken {
                self.line.joined.push(expected);
            }
            taken
        };
        if c == '<' && take('<') && !take('<') {
            self.delimiter = Some(take('-'));
        } else if c == '>' {
            let _ = take('>') || take('&');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let words = Line::read(text).words.into_iter();
        words.map(|word| word.text).collect()
    }

    #[test]
    fn words_lose_their_quotes() {
        for (text, expected) in [
            ("", &[][..]),
            ("ls -l  /etc", &["ls", "-l", "/etc"]),
            (
                r#"echo 'a b' "c \" d" e\ f"#,
                &["echo", "a b", "c \" d", "e f"],
            ),
            ("echo '' x", &["echo", "", "x"]),
            ("a|b>c", &["a", "b", "c"]),
            ("# nothing", &[]),
            ("a#b # c", &["a#b"]),
            ("one\\\ntwo", &["onetwo"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_go_on_until_they_are_whole() {
        let open = |text| Line::read(text).open;
        for text in [
            "echo a",
            "echo 'it'\\''s'",
            "cat <<END\nit's\nEND",
            "cat <<-'END' | wc\n\tx\n\tEND\necho",
            "cat <<<word",
            "echo a \\\n b",
        ] {
            assert_eq!(open(text), None, "{text}");
        }
        assert_eq!(open("echo 'a"), Some(Open::Single));
        assert_eq!(open("echo \"a'"), Some(Open::Double));
        assert_eq!(open("echo a \\"), Some(Open::Backslash));
        assert_eq!(open("echo a \\\n"), Some(Open::Backslash));
        assert_eq!(open("cat <<END"), Some(Open::Heredoc));
        assert_eq!(open("cat <<A <<B\nx\nA\ny"), Some(Open::Heredoc));
    }

    #[test]
    fn rows_are_joined_where_sh_joins_them() {
        let joined = |text| Line::read(text).joined;
        assert_eq!(joined("echo a \\\n  b"), "echo a   b");
        assert_eq!(joined("echo \"a\\\nb\" 'c\\\nd'"), "echo \"ab\" 'c\\\nd'");
        let heredoc = "cat <<END\na \\\nb\nEND\n";
        assert_eq!(joined(heredoc), heredoc);
        let plain = r#"printf '%s\n' "a\"b" $(date) `id` # end"#;
        assert_eq!(joined(plain), plain);
    }

    #[test]
    fn operators_and_expansions_are_seen() {
        for simple in ["cd /a", "cd '/a;b'", "cd a\\&b", "cd /a\n"] {
            assert!(!Line::read(simple).has_operators, "{simple}");
        }
        for other in ["cd /a; ls", "cd /a && ls", "ls > x", "(ls)", "a\nb"] {
            assert!(Line::read(other).has_operators, "{other}");
        }
        let expands = |text: &str| Line::read(text).words.iter().any(|word| word.expands);
        assert!(expands("ls *.c") && expands("cd \"$HOME\"") && expands("cd ~"));
        assert!(!expands("ls '*.c' \\$x a~b"));
    }

    #[test]
    fn the_word_at_the_cursor() {
        for (text, typed, place, before) in [
            ("", "", Place::Command, &[][..]),
            ("ec", "ec", Place::Command, &[]),
            ("cat /et", "/et", Place::Argument, &["cat"]),
            ("cat ", "", Place::Argument, &["cat"]),
            ("a x | gr", "gr", Place::Command, &[]),
            ("a x | ", "", Place::Command, &[]),
            ("a x|", "", Place::Command, &[]),
            ("a x | b y", "y", Place::Argument, &["b"]),
            ("a >/tm", "/tm", Place::Redirection, &["a"]),
            ("cat 'a b", "a b", Place::Argument, &["cat"]),
            ("cat a\\ ", "a ", Place::Argument, &["cat"]),
        ] {
            let (word, words) = Line::typed(text);
            let words: Vec<String> = words.into_iter().map(|word| word.text).collect();
            assert_eq!(
                (word.text.as_str(), word.place, words),
                (
                    typed,
                    place,
                    before.iter().map(ToString::to_string).collect()
                ),
                "{text}"
            );
        }
    }
}
