//! `--chmod`: modes as numbers, `755`, or in letters, `u=rwX,go=rX`.

/// What `--chmod` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chmod {
    /// For files and folders alike.
    Octal(u32),
    /// Changes to the modes that files and folders have.
    Letters(Vec<Change>),
}

/// `go-w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// All bits of those that it is for: `go` is 0o077.
    who: u32,
    operator: Operator,
    /// What it says, for everyone: `rw` is 0o666.
    bits: u32,
    /// `X`: execution only of folders and of what anyone may execute already.
    is_conditional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

impl Chmod {
    /// Reads it; what is wrong with it, if it is none.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("--chmod={text}: a mode is written as 755, or as u=rwX,go=rX");
        if text.starts_with(|char: char| char.is_ascii_digit()) {
            return match u32::from_str_radix(text, 8) {
                Ok(mode) if mode <= 0o7777 => Ok(Self::Octal(mode)),
                _ => Err(wrong()),
            };
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            let (who, mut rest) = clause.split_at(clause.find(['+', '-', '=']).ok_or_else(wrong)?);
            let who = Self::who(who).ok_or_else(wrong)?;
            while let Some(operator) = rest.chars().next() {
                let operator = match operator {
                    '+' => Operator::Add,
                    '-' => Operator::Remove,
                    _ => Operator::Set,
                };
                let end = rest[1..]
                    .find(['+', '-', '='])
                    .map_or(rest.len(), |at| at + 1);
                let (bits, is_conditional) = Self::bits(&rest[1..end], who).ok_or_else(wrong)?;
                changes.push(Change {
                    who,
                    operator,
                    bits,
                    is_conditional,
                });
                rest = &rest[end..];
            }
        }
        Ok(Self::Letters(changes))
    }

    fn who(letters: &str) -> Option<u32> {
        if letters.is_empty() {
            return Some(0o7777);
        }
        letters.chars().try_fold(0, |who, letter| {
            Some(
                who | match letter {
                    'u' => SET_UID | 0o700,
                    'g' => SET_GID | 0o070,
                    'o' => STICKY | 0o007,
                    'a' => 0o7777,
                    _ => return None,
                },
            )
        })
    }

    fn bits(letters: &str, who: u32) -> Option<(u32, bool)> {
        let mut is_conditional = false;
        let bits = letters.chars().try_fold(0, |bits, letter| {
            Some(
                bits | match letter {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    'X' => {
                        is_conditional = true;
                        0
                    }
                    's' => SET_UID | SET_GID,
                    't' => STICKY,
                    _ => return None,
                },
            )
        })?;
        // The sticky bit is nobody's.
        let who = if bits & STICKY != 0 {
            who | STICKY
        } else {
            who
        };
        Some((bits & who, is_conditional))
    }

    /// The mode of a file or folder that had `mode`.
    pub(crate) fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        match self {
            Self::Octal(mode) => *mode,
            Self::Letters(changes) => changes.iter().fold(mode, |mode, change| {
                let mut bits = change.bits;
                if change.is_conditional && (is_folder || mode & 0o111 != 0) {
                    bits |= 0o111 & change.who;
                }
                match change.operator {
                    Operator::Add => mode | bits,
                    Operator::Remove => mode & !bits,
                    Operator::Set => (mode & !(change.who & 0o777)) | bits,
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let cases = [
            ("755", 0o600, false, 0o755),
            ("0644", 0o777, true, 0o644),
            ("4755", 0, false, 0o4755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("a+x", 0o644, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("go-rwx", 0o777, false, 0o700),
            ("g=", 0o777, false, 0o707),
            ("u+s", 0o755, false, 0o4755),
            ("g+s,+t", 0o755, true, 0o3755),
            ("ug+w-x", 0o555, false, 0o665),
        ];
        for (text, before, is_folder, after) in cases {
            let mode = Chmod::read(text).unwrap().apply(before, is_folder);
            assert_eq!(mode, after, "{text}: {mode:o}");
        }
    }

    #[test]
    fn what_is_no_mode() {
        for text in [
            "", "9", "77777", "755x", "u", "rwx", "u=q", "z+x", "u=rw,", "é+x",
        ] {
            let error = Chmod::read(text).unwrap_err();
            assert!(error.contains("a mode is written as 755"), "{text} {error}");
        }
    }
}
