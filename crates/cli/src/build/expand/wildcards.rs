//! Patterns inside `${…}`: `*` stands for any text, `?` for any character.

/// What a `*` or `?` stands for is not bound to folders, other than in paths.
#[derive(Debug)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Char(char),
}

impl Pattern {
    /// Reads a pattern; what the escape character is before stands for itself.
    pub(super) fn read(text: &str, escape: char) -> Self {
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            match char {
                // Several in a row are as good as one.
                '*' if pieces.last() == Some(&Piece::Any) => {}
                '*' => pieces.push(Piece::Any),
                '?' => pieces.push(Piece::One),
                _ if char == escape => pieces.extend(chars.next().map(Piece::Char)),
                _ => pieces.push(Piece::Char(char)),
            }
        }
        Self { pieces }
    }

    /// The same from its end.
    pub(super) fn reversed(mut self) -> Self {
        self.pieces.reverse();
        self
    }

    /// The length of the shortest or longest beginning of `text` that matches.
    pub(super) fn prefix(&self, text: &[char], is_longest: bool) -> Option<usize> {
        // All places in the pattern where a match may be, moved along by one character at a time.
        let mut places = vec![false; self.pieces.len() + 1];
        places[0] = true;
        let mut found = None;
        for length in 0..=text.len() {
            for (at, piece) in self.pieces.iter().enumerate() {
                if places[at] && *piece == Piece::Any {
                    places[at + 1] = true;
                }
            }
            if places[self.pieces.len()] {
                found = Some(length);
                if !is_longest {
                    break;
                }
            }
            let Some(&char) = text.get(length) else {
                break;
            };
            let mut next = vec![false; places.len()];
            let mut lives = false;
            for (at, piece) in self.pieces.iter().enumerate().filter(|(at, _)| places[*at]) {
                let to = match piece {
                    Piece::Any => at,
                    Piece::One => at + 1,
                    Piece::Char(wanted) if *wanted == char => at + 1,
                    Piece::Char(_) => continue,
                };
                next[to] = true;
                lives = true;
            }
            if !lives {
                break;
            }
            places = next;
        }
        found
    }

    /// The first or every longest match replaced; cut off when it is longer than `limit`.
    pub(super) fn replace(&self, text: &str, word: &str, is_every: bool, limit: usize) -> String {
        let text: Vec<char> = text.chars().collect();
        let mut replaced = String::new();
        let mut at = 0;
        while at < text.len() {
            match self.prefix(&text[at..], true).filter(|length| *length > 0) {
                Some(length) => {
                    replaced.push_str(word);
                    if replaced.len() > limit {
                        return replaced;
                    }
                    at += length;
                    if !is_every {
                        break;
                    }
                }
                None => {
                    replaced.push(text[at]);
                    at += 1;
                }
            }
        }
        replaced.extend(&text[at..]);
        replaced
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_shortest_is_a_beginning_of_the_longest(
            value in "[ab/]{0,12}",
            pattern in "[ab*?]{0,6}",
        ) {
            let pattern = Pattern::read(&pattern, '\\');
            let value: Vec<char> = value.chars().collect();
            let (short, long) = (pattern.prefix(&value, false), pattern.prefix(&value, true));
            prop_assert_eq!(short.is_some(), long.is_some());
            prop_assert!(short <= long);
        }
    }
}
