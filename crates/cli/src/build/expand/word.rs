//! One word with its variables expanded, in the way of a shell.
//!
//! | written | becomes |
//! | --- | --- |
//! | `$x` `${x}` | the value; nothing when it is not set |
//! | `${x:-word}` `${x-word}` | the word when x is not set (with `:` also when it is empty) |
//! | `${x:+word}` `${x+word}` | the word when x is set (with `:` and not empty), else nothing |
//! | `${x:?word}` `${x?word}` | an error with the word when x is not set (with `:` or empty) |
//! | `${x#pattern}` `${x##pattern}` | without the shortest, longest beginning that matches |
//! | `${x%pattern}` `${x%%pattern}` | without the shortest, longest end that matches |
//! | `${x/pattern/word}` `${x//pattern/word}` | the first, every longest match replaced |
//! | `\$` | `$`: the escape character takes the meaning from the next one |
//! | `'…'` | what is between the quotes as it is |
//! | `"…"` | what is between the quotes, expanded |
//!
//! Words in `${…}` are expanded themselves. In patterns `*` stands for any text and `?` for any
//! character.

/// No value grows larger, or `ENV x=$x$x` line after line would fill the memory.
const MAX_BYTES: usize = 1024 * 1024;
/// No `${…}` is nested deeper.
const MAX_DEPTH: usize = 64;

use super::wildcards::Pattern;

/// What quotes and escape characters are in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// A word of an instruction.
    Word,
    /// The text of a heredoc: quotes are text like any other.
    Heredoc,
}

/// Expands `text`; what is wrong with it, if it cannot be.
pub(super) fn expand<'a>(
    text: &str,
    kind: Text,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    let mut expansion = Expansion {
        rest: text.chars().peekable(),
        kind,
        escape,
        lookup,
        depth: 0,
    };
    expansion.until(None, false)
}

struct Expansion<'t, 'l, 'v> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    kind: Text,
    escape: char,
    lookup: &'l dyn Fn(&str) -> Option<&'v str>,
    depth: usize,
}

impl<'v> Expansion<'_, '_, 'v> {
    /// Up to `end`, which is consumed, or the end of the text. `keeps_escapes`: for patterns, which
    /// have a use for them.
    fn until(&mut self, end: Option<char>, keeps_escapes: bool) -> Result<String, String> {
        let mut text = String::new();
        while let Some(char) = self.rest.next() {
            match char {
                _ if Some(char) == end => return Ok(text),
                '$' => text.push_str(&self.dollar()?),
                '\'' if self.kind == Text::Word => self.single_quoted(&mut text)?,
                '"' if self.kind == Text::Word => self.double_quoted(&mut text)?,
                _ if char == self.escape => {
                    if keeps_escapes {
                        text.push(char);
                    }
                    text.extend(self.rest.next());
                }
                _ => text.push(char),
            }
            bounded(&text)?;
        }
        match end {
            None => Ok(text),
            Some(end) => Err(format!("a `{end}` is missing behind ${{")),
        }
    }

    fn single_quoted(&mut self, text: &mut String) -> Result<(), String> {
        loop {
            match self.rest.next() {
                None => return Err(unclosed('\'')),
                Some('\'') => return Ok(()),
                Some(char) => text.push(char),
            }
        }
    }

    fn double_quoted(&mut self, text: &mut String) -> Result<(), String> {
        loop {
            match self.rest.next() {
                None => return Err(unclosed('"')),
                Some('"') => return Ok(()),
                Some('$') => text.push_str(&self.dollar()?),
                Some(char) if char == self.escape => {
                    // It means something before these three only.
                    match self.rest.next_if(|next| ['"', '$', char].contains(next)) {
                        Some(escaped) => text.push(escaped),
                        None if self.rest.peek().is_none() => {}
                        None => text.push(char),
                    }
                }
                Some(char) => text.push(char),
            }
            bounded(text)?;
        }
    }

    /// Behind a `$`.
    fn dollar(&mut self) -> Result<String, String> {
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(if name.is_empty() {
                "$".to_owned()
            } else {
                self.value(&name).unwrap_or_default().to_owned()
            });
        }
        if self.depth == MAX_DEPTH {
            return Err(format!("${{ is nested deeper than {MAX_DEPTH} times"));
        }
        self.depth += 1;
        let expanded = self.braces();
        self.depth -= 1;
        expanded
    }

    /// Behind `${`.
    fn braces(&mut self) -> Result<String, String> {
        let name = self.name();
        if name.is_empty() {
            return Err("a name is missing behind ${".to_owned());
        }
        let value = self.value(&name);
        let missing = || format!("a `}}` is missing behind ${{{name}");
        let mut operator = self.rest.next().ok_or_else(missing)?;
        if operator == '}' {
            return Ok(value.unwrap_or_default().to_owned());
        }
        let counts_empty = operator == ':';
        if counts_empty {
            operator = self.rest.next().ok_or_else(missing)?;
        }
        let usable = value.filter(|value| !(counts_empty && value.is_empty()));
        match operator {
            '-' => {
                let word = self.until(Some('}'), false)?;
                Ok(usable.map_or(word, str::to_owned))
            }
            '+' => {
                let word = self.until(Some('}'), false)?;
                Ok(usable.map_or_else(String::new, |_| word))
            }
            '?' => {
                let word = self.until(Some('}'), false)?;
                usable.map(str::to_owned).ok_or_else(|| {
                    let why = match value {
                        _ if !word.is_empty() => word,
                        None => "is not set".to_owned(),
                        Some(_) => "is empty".to_owned(),
                    };
                    format!("{name}: {why}")
                })
            }
            '#' | '%' if !counts_empty => {
                let is_longest = self.rest.next_if_eq(&operator).is_some();
                let pattern = self.until(Some('}'), true)?;
                let pattern = Pattern::read(&pattern, self.escape);
                let value: Vec<char> = value.unwrap_or_default().chars().collect();
                Ok(if operator == '#' {
                    let cut = pattern.prefix(&value, is_longest).unwrap_or(0);
                    value[cut..].iter().collect()
                } else {
                    let reversed: Vec<char> = value.iter().rev().copied().collect();
                    let cut = pattern.reversed().prefix(&reversed, is_longest);
                    value[..value.len() - cut.unwrap_or(0)].iter().collect()
                })
            }
            '/' if !counts_empty => {
                let is_every = self.rest.next_if_eq(&'/').is_some();
                let pattern = self.until(Some('/'), true)?;
                // Here too escape characters stay, as with Docker.
                let word = self.until(Some('}'), true)?;
                let pattern = Pattern::read(&pattern, self.escape);
                let value = value.unwrap_or_default();
                let replaced = pattern.replace(value, &word, is_every, MAX_BYTES);
                bounded(&replaced)?;
                Ok(replaced)
            }
            other => {
                let colon = if counts_empty { ":" } else { "" };
                Err(format!("${{{name}{colon}{other}…}} means nothing"))
            }
        }
    }

    /// A name: letters, digits and `_`; digits alone; or one character that a shell gives a
    /// meaning, which no variable has.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.rest.peek() {
            Some(first) if first.is_ascii_digit() => {
                while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
                    name.push(digit);
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.rest.next()),
            _ => {
                while let Some(char) = self
                    .rest
                    .next_if(|&char| char.is_alphanumeric() || char == '_')
                {
                    name.push(char);
                }
            }
        }
        name
    }

    fn value(&self, name: &str) -> Option<&'v str> {
        (self.lookup)(name)
    }
}

fn unclosed(quote: char) -> String {
    format!("a {quote} is not closed")
}

fn bounded(text: &str) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("it expands to more than {MAX_BYTES} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<&'static str> {
        match name {
            "x" => Some("value"),
            "empty" => Some(""),
            "path" => Some("/usr/local/lib/lib.so.1"),
            "star" => Some("a*b"),
            "word" => Some("two words"),
            "é" => Some("accent"),
            _ => None,
        }
    }

    fn word(text: &str) -> Result<String, String> {
        expand(text, Text::Word, '\\', &lookup)
    }

    #[test]
    fn words() {
        let cases = [
            ("", ""),
            ("plain", "plain"),
            ("$x", "value"),
            ("a$x-b", "avalue-b"),
            ("${x}b", "valueb"),
            ("$xb", ""),
            ("$none", ""),
            ("$é", "accent"),
            ("$", "$"),
            ("$.", "$."),
            ("a $ b", "a $ b"),
            ("$1x", "x"),
            ("$$", ""),
            ("$@", ""),
            (r"\$x", "$x"),
            (r"\${x}", "${x}"),
            (r"\\$x", r"\value"),
            (r"a\ b", "a b"),
            (r"a\nb", "anb"),
            (r"end\", "end"),
            ("'$x'", "$x"),
            (r"'a\'", r"a\"),
            ("\"$x\"", "value"),
            ("\"'$x'\"", "'value'"),
            (r#""a\"b\$x\\n\n""#, r#"a"b$x\n\n"#),
            ("a'b'\"c\"d", "abcd"),
            ("$word", "two words"),
            // Defaults.
            ("${x:-d}", "value"),
            ("${none:-d}", "d"),
            ("${empty:-d}", "d"),
            ("${x-d}", "value"),
            ("${none-d}", "d"),
            ("${empty-d}", ""),
            ("${none:-}", ""),
            ("${none:-$x}", "value"),
            ("${none:-${other:-${x}}}", "value"),
            ("${none:-'$x'}", "$x"),
            ("${none:-\"a } b\"}", "a } b"),
            (r"${none:-a\}b}", "a}b"),
            ("${none:-a:b/c}", "a:b/c"),
            // Alternatives.
            ("${x:+d}", "d"),
            ("${none:+d}", ""),
            ("${empty:+d}", ""),
            ("${empty+d}", "d"),
            ("${none+d}", ""),
            // Required.
            ("${x:?m}", "value"),
            ("${x?m}", "value"),
            ("${empty?m}", ""),
            // Beginnings and ends.
            ("${path#*/}", "usr/local/lib/lib.so.1"),
            ("${path##*/}", "lib.so.1"),
            ("${path%/*}", "/usr/local/lib"),
            ("${path%%.*}", "/usr/local/lib/lib"),
            ("${path%.?}", "/usr/local/lib/lib.so"),
            ("${path#/usr}", "/local/lib/lib.so.1"),
            ("${path#none}", "/usr/local/lib/lib.so.1"),
            ("${path##*}", ""),
            ("${path#*}", "/usr/local/lib/lib.so.1"),
            (r"${star#a\*}", "b"),
            ("${x#$x}", ""),
            ("${none#a}", ""),
            // Replacements.
            ("${path/lib/x}", "/usr/local/x/lib.so.1"),
            ("${path//lib/x}", "/usr/local/x/x.so.1"),
            ("${path//[/x}", "/usr/local/lib/lib.so.1"),
            (r"${path//\//_}", "_usr_local_lib_lib.so.1"),
            ("${path/.*/}", "/usr/local/lib/lib"),
            (r"${star/\*/$x}", "avalueb"),
            ("${x//?/-}", "-----"),
            ("${x/none/y}", "value"),
            (r"${star//\*/\/}", r"a\/b"),
            ("${x//}", "a `/` is missing behind ${"),
        ];
        for (text, expected) in cases {
            let expanded = word(text).unwrap_or_else(|error| error);
            assert_eq!(expanded, expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded() {
        let cases = [
            ("${", "a name is missing behind ${"),
            ("${}", "a name is missing behind ${"),
            ("${:-x}", "a name is missing behind ${"),
            ("${x", "a `}` is missing behind ${x"),
            ("${x:", "a `}` is missing behind ${x"),
            ("${x:-y", "a `}` is missing behind ${"),
            ("${x!y}", "${x!…} means nothing"),
            ("${x:#y}", "${x:#…} means nothing"),
            ("${x,,}", "${x,…} means nothing"),
            ("'open", "a ' is not closed"),
            ("\"open", "a \" is not closed"),
            (
                "${none:?say it with --build-arg}",
                "none: say it with --build-arg",
            ),
            ("${none?}", "none: is not set"),
            ("${empty:?}", "empty: is empty"),
        ];
        for (text, expected) in cases {
            assert_eq!(word(text).unwrap_err(), expected, "{text}");
        }
        let deep = "${a:-".repeat(100) + &"}".repeat(100);
        assert!(word(&deep).unwrap_err().contains("nested"));
        let large = "x".repeat(MAX_BYTES / 2 + 1);
        let twice = expand("$a$a", Text::Word, '\\', &|_| Some(&large));
        assert!(twice.unwrap_err().contains("more than"));
        let each = expand("${a//x/$a}", Text::Word, '\\', &|_| Some(&large));
        assert!(each.unwrap_err().contains("more than"));
    }

    #[test]
    fn the_escape_character_can_be_another() {
        let expanded = expand(r"`$x \ C:\dir '$x' $x", Text::Word, '`', &lookup);
        assert_eq!(expanded.unwrap(), r"$x \ C:\dir $x value");
    }

    #[test]
    fn heredocs_keep_their_quotes() {
        let text = "a='$x' \"${none:-d}\" it's \\$x \\\\n\n";
        assert_eq!(
            expand(text, Text::Heredoc, '\\', &lookup).unwrap(),
            "a='value' \"d\" it's $x \\n\n"
        );
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[$a-cx{}:+?#%/*'\"\\\\` \\-é]{0,40}", kind: bool) {
            let kind = if kind { Text::Word } else { Text::Heredoc };
            let _ = expand(&text, kind, '\\', &lookup);
            let _ = expand(&text, kind, '`', &lookup);
        }

        #[test]
        fn what_is_quoted_is_itself(text in "[^']{0,40}") {
            prop_assert_eq!(word(&format!("'{text}'")).unwrap(), text);
        }
    }
}
