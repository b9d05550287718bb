//! A whole folder of an image, everything in it, in one order.
//!
//! Folders come before what is in them, and the entries of a folder in the order of their bytes,
//! so that two walks of one image see the same. A walk keeps one [`Stack`] and, for each folder
//! between its start and where it is, the names that are still to come. There may be millions of
//! those in one folder, so at most [`NAMES`] are held at a time: of a folder that has more, the
//! first ones are read, and when they are done with, the folder is read again for the next.
//!
//! Memory is thus bounded by [`NAMES`] and by the depth (some 200 bytes a level), whatever the
//! image holds; time stays linear for folders of up to [`NAMES`] entries.

use std::ffi::{CStr, CString};

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use crate::stack::{Found, LayerAt, Named, Stack, is_whiteout};

/// Names held at a time, over all folders of a walk (some 20 MB).
const NAMES: usize = 256 * 1024;
/// Names read of a folder at least, however many are held already.
const FEWEST: usize = 64;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Walk {
    stack: Stack,
    /// The folders from the start to where the stack stands.
    levels: Vec<Level>,
    /// Where the stack stands, seen from the start: no slash at either end.
    path: Vec<u8>,
    /// Names in all levels.
    held: usize,
    most: usize,
}

#[derive(Debug)]
struct Level {
    names: std::vec::IntoIter<Named>,
    rest: Rest,
    /// Length of the path of the folder above.
    above: usize,
}

/// What of a folder's names is not in `names`.
#[derive(Debug)]
enum Rest {
    /// All: it is not read yet.
    All,
    /// Those after this one.
    After(CString),
    Nothing,
}

/// What a walk comes to.
#[derive(Debug)]
pub(crate) enum Step {
    /// A folder, in which the walk now stands.
    Folder(Box<Stat>),
    /// Anything else, in the folder where the walk stands.
    Entry {
        name: CString,
        layer: LayerAt,
        kind: FileType,
    },
}

impl Walk {
    /// A walk of the folder where the stack stands, which itself is no step of it.
    pub(crate) fn new(stack: Stack) -> Self {
        Self::holding(stack, NAMES)
    }

    fn holding(stack: Stack, most: usize) -> Self {
        Self {
            stack,
            levels: vec![Level {
                names: Vec::new().into_iter(),
                rest: Rest::All,
                above: 0,
            }],
            path: Vec::new(),
            held: 0,
            most,
        }
    }

    /// Where the walk stands.
    pub(crate) fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The path from the start to where the walk stands; empty at the start.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Leaves out what is still to come of the folder where the walk stands.
    pub(crate) fn skip(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            self.held -= level.names.len();
            level.names = Vec::new().into_iter();
            level.rest = Rest::Nothing;
        }
    }

    /// The next step; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Step>, Errno> {
        while let Some(level) = self.levels.last_mut() {
            let Some(named) = level.names.next() else {
                self.turn_page()?;
                continue;
            };
            self.held -= 1;
            if let Some(step) = self.step(named)? {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    fn step(&mut self, named: Named) -> Result<Option<Step>, Errno> {
        let Named { name, layer, kind } = named;
        let kind = match kind {
            // The filesystem does not say, or it may be a whiteout.
            FileType::Unknown | FileType::CharacterDevice => {
                let part = self.stack.part(layer);
                let facts = rustix::fs::statat(part, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                if is_whiteout(&facts) {
                    return Ok(None);
                }
                FileType::from_raw_mode(facts.st_mode)
            }
            kind => kind,
        };
        if kind != FileType::Directory {
            return Ok(Some(Step::Entry { name, layer, kind }));
        }
        let Found::Folder(folder) = self.stack.look_up(&name)? else {
            // Layers do not change.
            return Err(Errno::STALE);
        };
        let facts = folder.facts.clone();
        self.stack.enter(&name, folder);
        let above = self.path.len();
        push_component(&mut self.path, &name);
        self.levels.push(Level {
            names: Vec::new().into_iter(),
            rest: Rest::All,
            above,
        });
        Ok(Some(Step::Folder(facts)))
    }

    /// Reads the next names of the folder, or leaves it when there are none.
    fn turn_page(&mut self) -> Result<(), Errno> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        let after = match std::mem::replace(&mut level.rest, Rest::Nothing) {
            Rest::All => None,
            Rest::After(last) => Some(last),
            Rest::Nothing => {
                let above = level.above;
                self.levels.pop();
                if !self.levels.is_empty() {
                    self.stack.leave()?;
                    self.path.truncate(above);
                }
                return Ok(());
            }
        };
        // Reading takes room for twice as many, and folders further down want some too.
        let limit = (self.most.saturating_sub(self.held) / 4).max(FEWEST);
        let (names, more) = self.stack.names_after(after.as_deref(), limit)?;
        if let (true, Some(last)) = (more, names.last()) {
            level.rest = Rest::After(last.name.clone());
        }
        self.held += names.len();
        level.names = names.into_iter();
        Ok(())
    }
}

/// Extends a path by one name.
pub(crate) fn push_component(path: &mut Vec<u8>, name: &CStr) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.to_bytes());
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::fs::Mode;

    use super::*;
    use crate::root_dir::DIR_FLAGS;

    fn stack(layers: &[&Path]) -> Stack {
        let open = |layer: &&Path| rustix::fs::open(*layer, DIR_FLAGS, Mode::empty()).unwrap();
        Stack::new(layers.iter().map(open).collect()).unwrap()
    }

    fn seen(mut walk: Walk) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(step) = walk.next().unwrap() {
            let mut path = walk.path().to_vec();
            match step {
                Step::Folder(_) => path.push(b'/'),
                Step::Entry { name, .. } => push_component(&mut path, &name),
            }
            seen.push(String::from_utf8(path).unwrap());
        }
        assert_eq!(walk.held, 0);
        assert_eq!(walk.stack.depth(), 0);
        seen
    }

    #[test]
    fn folders_that_are_read_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let (top, base) = (folder.path().join("top"), folder.path().join("base"));
        let mut expected = Vec::new();
        for number in 0..1_000 {
            let name = format!("{number:04}");
            // Both layers have some of the names, and some are folders in which more follows.
            let layer = if number % 3 == 0 { &top } else { &base };
            if number % 100 == 7 {
                fs::create_dir_all(layer.join(&name).join("below")).unwrap();
                fs::create_dir_all(base.join(&name)).unwrap();
                fs::write(base.join(&name).join("file"), "").unwrap();
                expected.extend([
                    format!("{name}/"),
                    format!("{name}/below/"),
                    format!("{name}/file"),
                ]);
            } else {
                fs::create_dir_all(layer).unwrap();
                symlink("target", layer.join(&name)).unwrap();
                if number % 2 == 0 {
                    let _ = symlink("other", base.join(&name));
                }
                expected.push(name);
            }
        }
        for most in [0, 1_000, NAMES] {
            let walk = Walk::holding(stack(&[&top, &base]), most);
            assert_eq!(seen(walk), expected, "{most}");
        }
    }

    #[test]
    fn skipping() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        let mut walk = Walk::new(stack(&[folder.path()]));
        let mut paths = Vec::new();
        while let Some(step) = walk.next().unwrap() {
            assert!(matches!(step, Step::Folder(_)));
            paths.push(String::from_utf8(walk.path().to_vec()).unwrap());
            if walk.path() == b"a/b" {
                walk.skip();
            }
        }
        assert_eq!(paths, ["a", "a/b", "a/d", "e"]);
    }
}
