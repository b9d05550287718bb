//! From a path to a place in a stack of layers.

use std::ffi::CString;

use rustix::fs::{FileType, Stat};

use super::Refused;
use crate::stack::{Found, LayerAt, Stack};

/// As many as the kernel follows in one path.
const MAX_LINKS: usize = 40;
/// Components of the path and of all links it leads through. Links that are expanded again and
/// again make a path much longer than it looks.
const MAX_STEPS: usize = 16_384;
/// As long a path as the kernel takes.
const MAX_PATH: usize = 4_095;

/// What to do with a symbolic link as the last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLink {
    Follow,
    Show,
}

/// Where a path leads. The stack stands in that folder, or in the one that has the entry.
#[derive(Debug)]
pub(super) enum Target {
    Folder,
    Entry(Entry),
}

/// Not a folder.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: CString,
    pub(crate) layer: LayerAt,
    pub(crate) facts: Box<Stat>,
}

/// A path that is being walked: the one asked for, or the target of a link in it.
struct Walked {
    path: Vec<u8>,
    at: usize,
}

impl Walked {
    /// The next component; empty ones and `.` too.
    fn next(&mut self) -> Option<&[u8]> {
        if self.at >= self.path.len() {
            return None;
        }
        let start = self.at;
        let length = self.path[start..]
            .iter()
            .take_while(|&&b| b != b'/')
            .count();
        // The slash belongs to the component before it, so that one at the end of a path leaves
        // nothing over; that it was there is seen in `demands_folder`.
        self.at = start + length + 1;
        Some(&self.path[start..start + length])
    }

    /// Whether the component that was given last is followed by a slash or more.
    const fn demands_folder(&self) -> bool {
        self.at <= self.path.len()
    }

    /// Whether names come behind the component that was given last, not slashes alone. What they
    /// name in something that is no folder does not exist.
    fn names_more(&self) -> bool {
        let rest = self.path.get(self.at..).unwrap_or_default();
        rest.iter().any(|byte| *byte != b'/')
    }
}

/// Takes the stack from where it stands to the root and from there along `path`.
pub(super) fn resolve(stack: &mut Stack, path: &[u8], last: LastLink) -> Result<Target, Refused> {
    if path.len() > MAX_PATH {
        return Err(Refused::TooLong);
    }
    to_root(stack)?;
    let mut walked = vec![Walked {
        path: path.to_vec(),
        at: 0,
    }];
    let mut links = 0;
    let mut steps = 0;
    while let Some(current) = walked.last_mut() {
        let Some(component) = current.next() else {
            walked.pop();
            continue;
        };
        steps += 1;
        if steps > MAX_STEPS {
            return Err(Refused::TooManyLinks);
        }
        match component {
            b"" | b"." => continue,
            b".." => {
                stack.leave()?;
                continue;
            }
            _ => {}
        }
        // No name has a NUL in it.
        let name = CString::new(component).map_err(|_| Refused::NotFound)?;
        let (layer, facts) = match stack.look_up(&name)? {
            Found::Nothing => return Err(Refused::NotFound),
            Found::Folder(folder) => {
                stack.enter(&name, folder);
                continue;
            }
            Found::Entry { layer, facts } => (layer, facts),
        };
        // Where the path goes on, a link must be followed and anything else is in the way.
        let goes_on = walked.iter().any(Walked::demands_folder);
        let is_link = FileType::from_raw_mode(facts.st_mode) == FileType::Symlink;
        if !is_link || (!goes_on && last == LastLink::Show) {
            if goes_on {
                let names_more = walked.iter().any(Walked::names_more);
                return Err(if names_more {
                    Refused::BeneathNoFolder
                } else {
                    Refused::NotADirectory
                });
            }
            return Ok(Target::Entry(Entry { name, layer, facts }));
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Refused::TooManyLinks);
        }
        let target = rustix::fs::readlinkat(stack.part(layer), &name, Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            to_root(stack)?;
        }
        walked.push(Walked {
            path: target,
            at: 0,
        });
    }
    Ok(Target::Folder)
}

fn to_root(stack: &mut Stack) -> Result<(), Refused> {
    while stack.depth() > 0 {
        stack.leave()?;
    }
    Ok(())
}
