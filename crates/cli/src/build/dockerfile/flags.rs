//! The flags of an instruction: `--name=value` and `--name`, between its keyword and its arguments.

use super::lines::words;

/// Flags of one instruction that nothing has asked for yet.
#[derive(Debug)]
pub(super) struct Flags<'a> {
    keyword: &'a str,
    flags: Vec<(String, Option<String>)>,
}

impl<'a> Flags<'a> {
    /// `--name=value` and `--name` up to the first other word; quotes and escapes in them are taken
    /// away. And what follows them.
    pub(super) fn read<'t>(keyword: &'a str, text: &'t str, escape: char) -> (Self, &'t str) {
        let mut flags = Vec::new();
        let mut rest = text.trim_start();
        while rest.starts_with("--") {
            let word = words(rest, escape)[0];
            rest = rest[word.len()..].trim_start();
            if word == "--" {
                break;
            }
            let word = unquoted(&word[2..], escape);
            flags.push(match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            });
        }
        (Self { keyword, flags }, rest)
    }

    /// Of the instruction, in upper case.
    pub(super) const fn keyword(&self) -> &'a str {
        self.keyword
    }
}

impl Flags<'_> {
    fn take(&mut self, name: &str) -> Option<Option<String>> {
        let at = self.flags.iter().position(|(found, _)| found == name)?;
        Some(self.flags.remove(at).1)
    }

    /// `--name=value`, at most once.
    pub(super) fn value(&mut self, name: &str) -> Result<Option<String>, String> {
        let value = match self.take(name) {
            None => return Ok(None),
            Some(Some(value)) if !value.is_empty() => value,
            Some(_) => return Err(format!("--{name} needs a value: --{name}=…")),
        };
        if self.take(name).is_some() {
            return Err(format!("--{name} is there twice"));
        }
        Ok(Some(value))
    }

    /// Every `--name=value`.
    pub(super) fn values(&mut self, name: &str) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        while let Some(value) = self.take(name) {
            values.push(
                value
                    .filter(|value| !value.is_empty())
                    .ok_or_else(|| format!("--{name} needs a value: --{name}=…"))?,
            );
        }
        Ok(values)
    }

    /// `--name`, `--name=true` or `--name=false`.
    pub(super) fn switch(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(None) => Ok(Some(true)),
            Some(Some(value)) => match value.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(Some(true)),
                "false" | "0" => Ok(Some(false)),
                _ => Err(format!("--{name} is true or false, not `{value}`")),
            },
        }
    }

    /// Refuses what nothing has asked for.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.flags.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("{} has no flag --{name}", self.keyword)),
        }
    }
}

fn unquoted(word: &str, escape: char) -> String {
    let mut text = String::new();
    let mut quote = None;
    let mut chars = word.chars();
    while let Some(char) = chars.next() {
        match quote {
            Some(open) if char == open => quote = None,
            None if matches!(char, '\'' | '"') => quote = Some(char),
            _ if char == escape && quote != Some('\'') => text.extend(chars.next()),
            _ => text.push(char),
        }
    }
    text
}
