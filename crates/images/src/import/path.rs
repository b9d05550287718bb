//! Names that archives give to their entries, checked before anything is done with them.

use super::limits::{MAX_NAME, MAX_PATH};

/// A path below the image's root, in normal form: no empty, `.` or `..` components and no
/// slashes at its ends. Empty means the root itself. Components may still be symbolic links,
/// which is why such a path is only ever resolved by the kernel with the image as root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct EntryPath(Vec<u8>);

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It begins with a slash.
    #[error("its name is absolute")]
    Absolute,
    /// It has a component `..`.
    #[error("its name leads upwards (..)")]
    Upwards,
    /// It has a NUL.
    #[error("its name holds a NUL byte")]
    Nul,
    /// Longer than the kernel takes.
    #[error("its name is longer than {MAX_PATH} bytes, or {MAX_NAME} in one component")]
    TooLong,
    /// Too many components.
    #[error("it lies deeper than {0} folders")]
    TooDeep(usize),
    /// Nothing.
    #[error("its name is empty")]
    Empty,
}

impl EntryPath {
    /// Checks the name of an entry.
    pub(super) fn parse(written: &[u8], depth: usize) -> Result<Self, BadPath> {
        match written {
            [] => Err(BadPath::Empty),
            [b'/', ..] => Err(BadPath::Absolute),
            _ => Self::normalize(written, depth),
        }
    }

    /// Checks the target of a hard link, which names another entry. Tools write these with and
    /// without a leading slash, and mean the same.
    pub(super) fn parse_link(written: &[u8], depth: usize) -> Result<Self, BadPath> {
        if written.is_empty() {
            Err(BadPath::Empty)
        } else {
            Self::normalize(written, depth)
        }
    }

    fn normalize(written: &[u8], depth: usize) -> Result<Self, BadPath> {
        if written.contains(&0) {
            return Err(BadPath::Nul);
        }
        if written.len() > MAX_PATH {
            return Err(BadPath::TooLong);
        }
        let mut path = Vec::with_capacity(written.len());
        let mut components = 0;
        for component in written.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(BadPath::Upwards),
                _ if component.len() > MAX_NAME => return Err(BadPath::TooLong),
                _ => {}
            }
            components += 1;
            if components > depth {
                return Err(BadPath::TooDeep(depth));
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        Ok(Self(path))
    }

    /// Folder and name; `None` for the root.
    pub(super) fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[], &self.0),
        })
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
    }
}

/// A stranger's bytes in an error: short, readable, without control characters.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(bytes);
    let mut short = String::new();
    for c in text.chars().take(MOST) {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            short.extend(c.escape_default());
        } else {
            short.push(c);
        }
    }
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let parse = |text: &str| {
            EntryPath::parse(text.as_bytes(), 8)
                .map(|path| String::from_utf8_lossy(&path.0).into_owned())
        };
        for (written, normal) in [
            ("a", "a"),
            ("./a/b/", "a/b"),
            ("a//./b", "a/b"),
            ("./", ""),
            (".", ""),
            ("...", "..."),
            ("..a/b..", "..a/b.."),
            ("a/b/c/d/e/f/g/h", "a/b/c/d/e/f/g/h"),
        ] {
            assert_eq!(parse(written).as_deref(), Ok(normal), "{written}");
        }
        for (written, wrong) in [
            ("", BadPath::Empty),
            ("/", BadPath::Absolute),
            ("/etc/passwd", BadPath::Absolute),
            ("..", BadPath::Upwards),
            ("a/../b", BadPath::Upwards),
            ("a/..", BadPath::Upwards),
            ("a\0b", BadPath::Nul),
            ("a/b/c/d/e/f/g/h/i", BadPath::TooDeep(8)),
        ] {
            assert_eq!(parse(written), Err(wrong), "{written}");
        }
        assert_eq!(parse(&"a".repeat(256)), Err(BadPath::TooLong));
        assert_eq!(parse(&"a/".repeat(2_048)), Err(BadPath::TooLong));
        assert_eq!(
            EntryPath::parse_link(b"/a/b", 8).unwrap().split(),
            Some((&b"a"[..], &b"b"[..]))
        );
        assert_eq!(EntryPath::parse_link(b"../a", 8), Err(BadPath::Upwards));
        assert_eq!(EntryPath::parse(b"./", 8).unwrap().split(), None);
    }

    #[test]
    fn strange_names_are_shown_harmlessly() {
        assert_eq!(shown(b"a b\x1b[31m\n\xff"), "a b\\u{1b}[31m\\n\u{fffd}");
        assert_eq!(shown(&[b'x'; 300]).chars().count(), 201);
    }
}
