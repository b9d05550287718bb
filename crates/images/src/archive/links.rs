//! The first name of every file that may have others.

use std::collections::HashMap;

use crate::cursor::Identity;

/// Remembers names, up to a number of bytes.
#[derive(Debug)]
pub(super) struct FirstNames {
    /// Where in `names`, and how long.
    places: HashMap<Identity, (u32, u32)>,
    names: Vec<u8>,
    most: u32,
}

impl FirstNames {
    /// Remembers up to `most` bytes, counting what is spent on each name beside its own.
    pub(super) fn new(most: usize) -> Self {
        Self {
            places: HashMap::new(),
            names: Vec::new(),
            most: u32::try_from(most).unwrap_or(u32::MAX),
        }
    }

    /// The name by which the file was met before. When there was none, `name` is remembered while
    /// there is room.
    pub(super) fn of(&mut self, file: Identity, name: &[u8]) -> Option<&[u8]> {
        if let Some(&(start, length)) = self.places.get(&file) {
            return self.names.get(start as usize..)?.get(..length as usize);
        }
        let spent =
            self.names.len() + name.len() + self.places.len() * size_of::<(Identity, u64)>();
        if spent <= self.most as usize {
            // Both are at most `most`.
            let start = u32::try_from(self.names.len()).unwrap_or(self.most);
            let length = u32::try_from(name.len()).unwrap_or(self.most);
            self.places.insert(file, (start, length));
            self.names.extend_from_slice(name);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_until_there_is_no_room() {
        let mut names = FirstNames::new(60);
        assert_eq!(names.of((1, 1), b"a/first"), None);
        assert_eq!(names.of((1, 2), b"b"), None);
        assert_eq!(names.of((1, 1), b"second"), Some(&b"a/first"[..]));
        assert_eq!(names.of((1, 2), b"c"), Some(&b"b"[..]));
        let long = [b'x'; 60];
        assert_eq!(names.of((1, 3), &long), None);
        assert_eq!(names.of((1, 3), b"again"), None);
    }
}
