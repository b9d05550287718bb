//! Wildcards of paths.
//!
//! `?` stands for one character and `*` for any number of them, neither for a `/`; `[a-z]` for one
//! of a set, `[^a-z]` for one outside of it; `\` takes the meaning from the next character. Where
//! asked for, `**` stands for any number of folders.
//!
//! Names are bytes: what is no UTF-8 is compared byte by byte, and `?` stands for one such byte.

/// A path with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
}

/// What `**` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stars {
    /// The same as `*`.
    OneName,
    /// Any number of folders.
    AnyFolders,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Is(u32),
    /// One character that is no `/`.
    Any,
    Set {
        is_negated: bool,
        ranges: Vec<(u32, u32)>,
    },
    /// `*`.
    Name,
    /// `**/`: nothing, or what follows this piece.
    Folders,
    /// Anything up to a `/`; always behind [`Piece::Folders`].
    UpToSlash,
    /// `**` at the end.
    Everything,
}

const SLASH: u32 = '/' as u32;

/// Whether a text has wildcards, or anything else that a pattern reads in its own way.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// A path as patterns see it: characters, and bytes that are part of none, above all characters.
pub(crate) fn units(path: &[u8]) -> Vec<u32> {
    let mut units = Vec::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        units.extend(chunk.valid().chars().map(u32::from));
        units.extend(
            chunk
                .invalid()
                .iter()
                .map(|byte| 0x11_0000 + u32::from(*byte)),
        );
    }
    units
}

impl Pattern {
    /// Reads a pattern; what is wrong with it, if it is none.
    pub(crate) fn read(text: &str, stars: Stars) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            let piece = match char {
                '*' => {
                    let mut is_deep = false;
                    while chars.next_if_eq(&'*').is_some() {
                        is_deep = stars == Stars::AnyFolders;
                    }
                    if !is_deep {
                        Piece::Name
                    } else if chars.peek().is_none() {
                        Piece::Everything
                    } else {
                        chars.next_if_eq(&'/');
                        pieces.push(Piece::Folders);
                        Piece::UpToSlash
                    }
                }
                '?' => Piece::Any,
                '[' => set(&mut chars).ok_or_else(|| {
                    format!("`{text}` is no pattern: a [ needs a ] (or \\[ stands for itself)")
                })?,
                '\\' => Piece::Is(chars.next().unwrap_or('\\').into()),
                _ => Piece::Is(char.into()),
            };
            pieces.push(piece);
        }
        Ok(Self { pieces })
    }

    /// Whether the whole path matches.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let mut matching = Matching::begin(self);
        let is_alive = units(path).into_iter().all(|unit| matching.step(unit));
        is_alive && matching.is_at_end()
    }

    /// Whether the path matches, or a folder that it is in. (Asked for every path and every pattern:
    /// most end at their first character.)
    pub(crate) fn matches_or_holds(&self, path: &[u32]) -> bool {
        if let (Some(Piece::Is(wanted)), Some(first)) = (self.pieces.first(), path.first())
            && wanted != first
        {
            return false;
        }
        let mut matching = Matching::begin(self);
        for &unit in path {
            if unit == SLASH && matching.is_at_end() {
                return true;
            }
            if !matching.step(unit) {
                return false;
            }
        }
        matching.is_at_end()
    }

    /// Whether something in this folder, at any depth, could match.
    pub(crate) fn could_match_below(&self, folder: &[u8]) -> bool {
        let mut matching = Matching::begin(self);
        let mut units = units(folder).into_iter().chain([SLASH]);
        // At the end of the pattern there is nothing more to match.
        units.all(|unit| matching.step(unit))
            && matching.places[..self.pieces.len()].contains(&true)
    }
}

/// All places in a pattern where a match may be, moved along by one character at a time.
struct Matching<'a> {
    pieces: &'a [Piece],
    /// One more than there are pieces: the last is behind all of them.
    places: Vec<bool>,
    /// What becomes of the places; kept, for it is needed for each character.
    next: Vec<bool>,
}

impl<'a> Matching<'a> {
    fn begin(pattern: &'a Pattern) -> Self {
        let count = pattern.pieces.len() + 1;
        let mut matching = Self {
            pieces: &pattern.pieces,
            places: vec![false; count],
            next: vec![false; count],
        };
        matching.places[0] = true;
        matching.skip();
        matching
    }

    fn is_at_end(&self) -> bool {
        self.places.last() == Some(&true)
    }

    /// What may stand for nothing is passed.
    fn skip(&mut self) {
        for (at, piece) in self.pieces.iter().enumerate() {
            if self.places[at] {
                match piece {
                    Piece::Name | Piece::Everything => self.places[at + 1] = true,
                    Piece::Folders => {
                        self.places[at + 1] = true;
                        self.places[at + 2] = true;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Moves along; whether any place is left.
    fn step(&mut self, unit: u32) -> bool {
        self.next.fill(false);
        for (at, piece) in self.pieces.iter().enumerate() {
            if !self.places[at] {
                continue;
            }
            let next = &mut self.next;
            match piece {
                Piece::Name => next[at] |= unit != SLASH,
                Piece::Everything => next[at] = true,
                Piece::Folders => {}
                Piece::UpToSlash => {
                    next[at] = true;
                    next[at + 1] |= unit == SLASH;
                }
                Piece::Is(wanted) => next[at + 1] |= *wanted == unit,
                Piece::Any => next[at + 1] |= unit != SLASH,
                Piece::Set { is_negated, ranges } => {
                    let is_in = ranges
                        .iter()
                        .any(|&(low, high)| (low..=high).contains(&unit));
                    next[at + 1] |= unit != SLASH && is_in != *is_negated;
                }
            }
        }
        std::mem::swap(&mut self.places, &mut self.next);
        self.skip();
        self.places.contains(&true)
    }
}

/// The rest of a set, behind its `[`.
fn set(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Piece> {
    let is_negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
        let low = set_end(chars)?;
        let high = match chars.next_if_eq(&'-') {
            Some(_) => set_end(chars)?,
            None => low,
        };
        ranges.push((low, high));
    }
    Some(Piece::Set { is_negated, ranges })
}

/// A character of a set.
fn set_end(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<u32> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next().map(u32::from),
        char => Some(char.into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("a", &["a"], &["", "b", "aa", "a/b"]),
            ("*", &["", "a", ".a", "a b"], &["a/b"]),
            ("*.py", &[".py", "a.py"], &["a.pyc", "a/b.py"]),
            ("a*c", &["ac", "abc", "acc"], &["acd", "a/c"]),
            ("?", &["a", "é"], &["", "ab", "/"]),
            ("a?c", &["abc"], &["ac", "a/c"]),
            ("*/*", &["a/b", "/"], &["a", "a/b/c"]),
            ("[ab]c", &["ac", "bc"], &["cc", "c", "abc"]),
            ("[a-c0-9]", &["b", "7"], &["d", "-"]),
            ("[^a-c]", &["d"], &["a", "/"]),
            ("[\\]]", &["]"], &["\\"]),
            ("[[]a", &["[a"], &["a"]),
            ("[é-ö]", &["ñ"], &["e"]),
            ("\\*", &["*"], &["a", "\\"]),
            ("a\\", &["a\\"], &["a"]),
            ("**", &["", "a"], &["a/b"]),
        ];
        for (text, matching, others) in cases {
            let pattern = Pattern::read(text, Stars::OneName).unwrap();
            for path in *matching {
                assert!(pattern.matches(path.as_bytes()), "{text} {path}");
            }
            for path in *others {
                assert!(!pattern.matches(path.as_bytes()), "{text} {path}");
            }
        }
        for text in ["[", "[]", "[a", "[a-", "[]a]", "[-a]", "[a-]", "[\\"] {
            assert!(Pattern::read(text, Stars::OneName).is_err(), "{text}");
        }
        let any = Pattern::read("a?", Stars::OneName).unwrap();
        assert!(any.matches(b"a\xff") && !any.matches(b"a\xff\xff"));
    }

    #[test]
    fn folders() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("**", &["", "a", "a/b/c"], &[]),
            ("**/b", &["b", "a/b", "a/a/b"], &["ab", "a/ab", "b/a"]),
            ("a/**", &["a/b", "a/b/c", "a/"], &["a", "ab"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a/xb", "ab"]),
            ("**/*.go", &["a.go", "a/b/c.go"], &["a.go/b"]),
            ("a**/c", &["ac", "a/c", "ab/c", "a/b/c"], &["abc"]),
            ("*a**x", &["aax", "aa/x", "ax"], &["ab"]),
            ("**/**/b", &["b", "a/b", "a/a/b"], &["ab"]),
        ];
        for (text, matching, others) in cases {
            let pattern = Pattern::read(text, Stars::AnyFolders).unwrap();
            for path in *matching {
                assert!(pattern.matches(path.as_bytes()), "{text} {path}");
            }
            for path in *others {
                assert!(!pattern.matches(path.as_bytes()), "{text} {path}");
            }
        }
    }

    #[test]
    fn what_may_be_below() {
        let below = |text: &str, folder: &str| {
            let pattern = Pattern::read(text, Stars::AnyFolders).unwrap();
            pattern.could_match_below(folder.as_bytes())
        };
        assert!(below("a/b/c", "a") && below("a/b/c", "a/b"));
        assert!(!below("a/b/c", "b") && !below("a/b/c", "a/b/c") && !below("a", "a"));
        assert!(below("*/b", "x") && !below("*/b", "x/y"));
        assert!(below("**/b", "x/y") && below("a/**", "a/b") && !below("a/**", "b"));
    }

    proptest! {
        #[test]
        fn no_pattern_is_too_strange(text in "[ab*?/\\[\\]^\\\\é-]{0,12}", path in "[ab/é]{0,12}") {
            for stars in [Stars::OneName, Stars::AnyFolders] {
                if let Ok(pattern) = Pattern::read(&text, stars) {
                    let _ = pattern.matches(path.as_bytes());
                }
            }
        }

        #[test]
        fn what_is_held_matches_itself_or_above(text in "[ab*?/]{0,8}", path in "[ab/]{0,8}") {
            let pattern = Pattern::read(&text, Stars::AnyFolders).unwrap();
            let slashes = path.match_indices('/').map(|(at, _)| at);
            let mut above = slashes.map(|at| &path[..at]).chain([&path[..]]);
            prop_assert_eq!(
                pattern.matches_or_holds(&units(path.as_bytes())),
                above.any(|path| pattern.matches(path.as_bytes()))
            );
        }

        #[test]
        fn what_matches_below_could(text in "[ab*?/]{0,8}", folder in "[ab/]{1,6}", name in "[ab/]{1,6}") {
            let pattern = Pattern::read(&text, Stars::AnyFolders).unwrap();
            if pattern.matches(format!("{folder}/{name}").as_bytes()) {
                prop_assert!(pattern.could_match_below(folder.as_bytes()));
            }
        }

        #[test]
        fn a_name_without_wildcards_is_itself(name in "[a-z./é ]{0,12}") {
            prop_assert!(!is_pattern(&name));
            prop_assert!(Pattern::read(&name, Stars::AnyFolders).unwrap().matches(name.as_bytes()));
        }
    }
}
