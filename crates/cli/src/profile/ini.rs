//! INI files as Python's configparser reads them, edited line by line so that comments and order
//! stay.
//!
//! `[section]`, `key = value` or `key: value`, whole-line comments after `#` or `;`, indented
//! lines continue a value, keys are lower-case, `[DEFAULT]` supplies what a section lacks, and
//! `%%` stands for `%`.

/// The section whose values all others inherit.
pub(crate) const DEFAULT: &str = "DEFAULT";

/// A file's lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ini {
    lines: Vec<String>,
}

/// What a line is.
enum Line<'a> {
    Section(&'a str),
    /// Key and the raw value, spaces trimmed.
    Key(String, &'a str),
    /// More of the value before.
    More(&'a str),
    /// A comment or nothing.
    Other,
}

fn read(line: &str) -> Line<'_> {
    let text = line.trim();
    if text.is_empty() || text.starts_with(['#', ';']) {
        return Line::Other;
    }
    if line.starts_with([' ', '\t']) {
        return Line::More(text);
    }
    if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return Line::Section(name.0);
    }
    match text.split_once(['=', ':']) {
        Some((key, value)) => Line::Key(key.trim().to_lowercase(), value.trim()),
        None => Line::Other,
    }
}

impl Ini {
    /// Reads a file's text.
    pub(crate) fn parse(text: &str) -> Self {
        Self {
            lines: text.lines().map(ToOwned::to_owned).collect(),
        }
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        self.lines
            .iter()
            .fold(String::new(), |text, line| text + line + "\n")
    }

    /// Section names in order, without `DEFAULT`.
    pub(crate) fn sections(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for line in &self.lines {
            if let Line::Section(name) = read(line)
                && name != DEFAULT
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    /// A value of a section, or of `DEFAULT`.
    pub(crate) fn get(&self, section: &str, key: &str) -> Option<String> {
        self.own(section, key).or_else(|| self.own(DEFAULT, key))
    }

    /// A value of a section itself.
    pub(crate) fn own(&self, section: &str, key: &str) -> Option<String> {
        let range = self.key_range(section, key)?;
        let mut value = String::new();
        for line in &self.lines[range] {
            match read(line) {
                Line::Key(_, first) => first.clone_into(&mut value),
                Line::More(more) => {
                    value.push('\n');
                    value.push_str(more);
                }
                Line::Section(_) | Line::Other => {}
            }
        }
        Some(value.replace("%%", "%"))
    }

    /// Sets a value in place, or adds it at the end of its section, or adds the section.
    pub(crate) fn set(&mut self, section: &str, key: &str, value: &str) {
        let line = format!("{key} = {}", value.replace('%', "%%"));
        if let Some(range) = self.key_range(section, key) {
            self.lines.splice(range, [line]);
            return;
        }
        if let Some(range) = self.section_range(section) {
            let filled = self.lines[range.clone()]
                .iter()
                .rposition(|line| !line.trim().is_empty())
                .map_or(range.start, |last| range.start + last + 1);
            self.lines.insert(filled, line);
            return;
        }
        if self
            .lines
            .last()
            .is_some_and(|last| !last.trim().is_empty())
        {
            self.lines.push(String::new());
        }
        self.lines.extend([format!("[{section}]"), line]);
    }

    /// Removes a value from a section.
    pub(crate) fn remove(&mut self, section: &str, key: &str) {
        if let Some(range) = self.key_range(section, key) {
            self.lines.drain(range);
        }
    }

    /// Removes a section with all it has.
    pub(crate) fn remove_section(&mut self, section: &str) {
        if let Some(range) = self.section_range(section) {
            self.lines.drain(range);
        }
    }

    /// The lines of a section, its head included.
    fn section_range(&self, section: &str) -> Option<std::ops::Range<usize>> {
        let is_head = |line: &String| matches!(read(line), Line::Section(_));
        let start = self
            .lines
            .iter()
            .position(|line| matches!(read(line), Line::Section(name) if name == section))?;
        let rest = &self.lines[start + 1..];
        let end = rest
            .iter()
            .position(is_head)
            .map_or(self.lines.len(), |n| start + 1 + n);
        Some(start..end)
    }

    /// The lines of a value, continuations included.
    fn key_range(&self, section: &str, key: &str) -> Option<std::ops::Range<usize>> {
        let section = self.section_range(section)?;
        let lines = &self.lines[section.clone()];
        let start = lines
            .iter()
            .position(|line| matches!(read(line), Line::Key(name, _) if name == key))?;
        let more = lines[start + 1..]
            .iter()
            .take_while(|line| matches!(read(line), Line::More(_)))
            .count();
        let start = section.start + start;
        Some(start..start + 1 + more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# mine
[DEFAULT]
profile = work

[profile:work]
url: https://h/x
token = a%%b=c:d
; the type is jwt
note = one
  two

[profile:home]
URL=http://127.0.0.1:9450
";

    #[test]
    fn reads_like_configparser() {
        let ini = Ini::parse(FILE);
        assert_eq!(ini.sections(), ["profile:work", "profile:home"]);
        assert_eq!(ini.get(DEFAULT, "profile").as_deref(), Some("work"));
        assert_eq!(
            ini.get("profile:work", "url").as_deref(),
            Some("https://h/x")
        );
        assert_eq!(ini.get("profile:work", "token").as_deref(), Some("a%b=c:d"));
        assert_eq!(ini.get("profile:work", "note").as_deref(), Some("one\ntwo"));
        assert_eq!(
            ini.get("profile:home", "url").as_deref(),
            Some("http://127.0.0.1:9450")
        );
        assert_eq!(
            ini.get("profile:home", "profile").as_deref(),
            Some("work"),
            "inherited"
        );
        assert_eq!(ini.get("profile:home", "token"), None);
        assert_eq!(ini.get("nowhere", "token"), None);
        assert_eq!(ini.text(), FILE);
    }

    #[test]
    fn edits_leave_the_rest_alone() {
        let mut ini = Ini::parse(FILE);
        ini.set(DEFAULT, "profile", "home");
        ini.set("profile:work", "note", "50%");
        ini.set("profile:work", "project", "p");
        ini.remove("profile:home", "url");
        ini.set("profile:new", "url", "u");
        ini.remove("profile:new", "nothing");
        assert_eq!(
            ini.text(),
            "\
# mine
[DEFAULT]
profile = home

[profile:work]
url: https://h/x
token = a%%b=c:d
; the type is jwt
note = 50%%
project = p

[profile:home]

[profile:new]
url = u
"
        );
        ini.remove_section("profile:work");
        assert_eq!(ini.sections(), ["profile:home", "profile:new"]);
    }

    #[test]
    fn starts_from_nothing() {
        let mut ini = Ini::default();
        ini.set(DEFAULT, "profile", "default");
        ini.set("profile:default", "url", "u");
        assert_eq!(
            ini.text(),
            "[DEFAULT]\nprofile = default\n\n[profile:default]\nurl = u\n"
        );
    }
}
