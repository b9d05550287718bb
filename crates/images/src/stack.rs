//! Several layers seen as one tree, by the rules of overlayfs.
//!
//! A folder of that tree is made up of the folders of the same name in some of the layers. A
//! name in it means what the topmost layer that has the name says:
//!
//! - a whiteout: there is nothing, whatever lies below;
//! - anything but a folder: that, and what lies below is hidden;
//! - a folder: that folder merged with the folders of the same name below it, down to the first
//!   layer that has a whiteout or anything else by the name, or whose folder is opaque. Owner,
//!   mode, times and extended attributes are those of the topmost one.
//!
//! Where the merging ended early the folder is *closed*: layers further down, also those below
//! the stack, cannot show through it. The root of the tree is made up of all layers' roots.
//!
//! The stack stands in one folder at a time and has one [`Cursor`] per layer. A layer that has
//! no part in the folder stays where it last had one, which is above, and is met there again on
//! the way up. So the number of descriptors is the number of layers, whatever the depth.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, SeekFrom, Stat};
use rustix::io::Errno;

use crate::cursor::{Cursor, Identity, identity, open_child, read_dir};
use crate::layout;

/// Position of a layer, 0 is the topmost.
pub(crate) type LayerAt = usize;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Stack {
    cursors: Vec<Cursor>,
    /// The folders from the root to where the stack stands.
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    /// The folder's name in the one above; empty for the root.
    name: CString,
    /// The layers that make up the folder, topmost first, with their folder's identity.
    parts: Vec<(LayerAt, Identity)>,
}

/// What a name means.
#[derive(Debug)]
pub(crate) enum Found {
    /// No layer has the name, or the topmost that has it has a whiteout.
    Nothing,
    /// Not a folder.
    Entry { layer: LayerAt, facts: Box<Stat> },
    /// A folder, not yet entered.
    Folder(Folder),
}

/// A folder that can be entered with [`Stack::enter`].
#[derive(Debug)]
pub(crate) struct Folder {
    parts: Vec<(LayerAt, Identity, OwnedFd)>,
    /// Of the topmost part, which decides.
    pub(crate) facts: Box<Stat>,
    /// The layer that ended the merging, if one did: nothing from below it can show through.
    pub(crate) closed_by: Option<LayerAt>,
}

impl Folder {
    /// The part whose attributes are the folder's.
    pub(crate) fn top(&self) -> BorrowedFd<'_> {
        self.parts[0].2.as_fd()
    }
}

/// A name in the folder where the stack stands, with the topmost layer that has it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) name: CString,
    pub(crate) layer: LayerAt,
}

/// A name as [`Stack::names_after`] finds it.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: CString,
    /// The topmost layer that has it.
    pub(crate) layer: LayerAt,
    /// As that layer's folder tells it, `Unknown` where it does not.
    pub(crate) kind: FileType,
}

/// Whether this is what overlayfs takes for a whiteout.
pub(crate) fn is_whiteout(facts: &Stat) -> bool {
    FileType::from_raw_mode(facts.st_mode) == FileType::CharacterDevice && facts.st_rdev == 0
}

fn is_opaque(folder: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut value = [0; 8];
    match rustix::fs::fgetxattr(folder, layout::OPAQUE_XATTR, &mut value[..]) {
        Ok(length) => Ok(&value[..length] == b"y"),
        // Overlayfs knows one letter values only.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Stack {
    /// Stands in the root of the tree that these layers' root folders make up, topmost first.
    pub(crate) fn new(roots: Vec<OwnedFd>) -> Result<Self, Errno> {
        let cursors: Vec<Cursor> = roots.into_iter().map(Cursor::new).collect();
        let mut parts = Vec::with_capacity(cursors.len());
        for (layer, cursor) in cursors.iter().enumerate() {
            parts.push((layer, identity(&cursor.facts()?)));
        }
        Ok(Self {
            cursors,
            levels: vec![Level {
                name: CString::default(),
                parts,
            }],
        })
    }

    /// How many folders lie above the one where the stack stands.
    pub(crate) fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    /// The name of the folder where the stack stands, in the one above; `None` at the root.
    pub(crate) fn name(&self) -> Option<&CStr> {
        (self.depth() > 0).then_some(self.here().name.as_c_str())
    }

    /// The path of the folder where the stack stands: a slash before each name, nothing at the root.
    pub(crate) fn path(&self) -> Vec<u8> {
        let names = self.levels[1..].iter().map(|level| level.name.to_bytes());
        names.flat_map(|name| [b"/", name].concat()).collect()
    }

    /// A layer's folder; valid while the layer has a part in the folder where the stack stands.
    pub(crate) fn part(&self, layer: LayerAt) -> BorrowedFd<'_> {
        self.cursors[layer].as_fd()
    }

    /// The topmost part of the folder where the stack stands.
    pub(crate) fn top(&self) -> BorrowedFd<'_> {
        self.part(self.here().parts[0].0)
    }

    fn here(&self) -> &Level {
        self.levels.last().expect("the root's level is never left")
    }

    /// What `name`, a single component, means in the folder where the stack stands.
    pub(crate) fn look_up(&self, name: &CStr) -> Result<Found, Errno> {
        self.resolve(name, self.here().parts.iter().map(|&(layer, _)| layer))
    }

    /// As [`look_up`](Self::look_up), in the layers from `first` on only.
    pub(crate) fn look_up_from(&self, first: LayerAt, name: &CStr) -> Result<Found, Errno> {
        let layers = self.here().parts.iter().map(|&(layer, _)| layer);
        self.resolve(name, layers.filter(|&layer| layer >= first))
    }

    fn resolve(&self, name: &CStr, layers: impl Iterator<Item = LayerAt>) -> Result<Found, Errno> {
        let mut folder: Option<Folder> = None;
        for layer in layers {
            let dir = self.part(layer);
            let facts = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(facts) => facts,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            if FileType::from_raw_mode(facts.st_mode) != FileType::Directory {
                match &mut folder {
                    Some(folder) => folder.closed_by = Some(layer),
                    None if is_whiteout(&facts) => return Ok(Found::Nothing),
                    None => {
                        return Ok(Found::Entry {
                            layer,
                            facts: Box::new(facts),
                        });
                    }
                }
                break;
            }
            let child = open_child(dir, name)?;
            let opaque = is_opaque(child.as_fd())?;
            let part = (layer, identity(&facts), child);
            let folder = match &mut folder {
                Some(folder) => {
                    folder.parts.push(part);
                    folder
                }
                None => folder.insert(Folder {
                    parts: vec![part],
                    facts: Box::new(facts),
                    closed_by: None,
                }),
            };
            if opaque {
                folder.closed_by = Some(layer);
                break;
            }
        }
        Ok(folder.map_or(Found::Nothing, Found::Folder))
    }

    /// Steps into a folder that was looked up where the stack stands.
    pub(crate) fn enter(&mut self, name: &CStr, folder: Folder) {
        let mut parts = Vec::with_capacity(folder.parts.len());
        for (layer, identity, fd) in folder.parts {
            self.cursors[layer] = Cursor::new(fd);
            parts.push((layer, identity));
        }
        self.levels.push(Level {
            name: name.to_owned(),
            parts,
        });
    }

    /// Steps to the folder above; the root is above itself.
    pub(crate) fn leave(&mut self) -> Result<(), Errno> {
        if self.levels.len() == 1 {
            return Ok(());
        }
        let left = self.levels.pop().expect("there are two at least");
        // What made up the folder is a subsequence of what makes up the one above.
        let mut above = self
            .levels
            .last()
            .expect("there were two at least")
            .parts
            .iter();
        for (layer, _) in left.parts {
            let &(_, identity) = above
                .find(|&&(at, _)| at == layer)
                .expect("a part has a part above it");
            self.cursors[layer].up(identity)?;
        }
        Ok(())
    }

    /// Every name that a part of the folder has, of the layers above `end`, whiteouts included,
    /// in the order of their bytes. Can be asked once per visit of a folder, because it moves
    /// the reading position. Gives up with `None` above `limit` names.
    pub(crate) fn names(&self, end: LayerAt, limit: usize) -> Result<Option<Vec<Name>>, Errno> {
        let mut all: Vec<Name> = Vec::new();
        let mut merged = false;
        for &(layer, _) in self
            .here()
            .parts
            .iter()
            .take_while(|&&(layer, _)| layer < end)
        {
            merged |= !all.is_empty();
            let read = read_dir(self.part(layer), |name, _| {
                if all.len() >= limit {
                    return Err(Errno::CANCELED);
                }
                all.push(Name {
                    name: name.to_owned(),
                    layer,
                });
                Ok(())
            });
            match read {
                Err(Errno::CANCELED) if all.len() >= limit => return Ok(None),
                other => other?,
            }
        }
        all.sort_unstable();
        if merged {
            // The topmost of several, which comes first, stays.
            all.dedup_by(|later, first| later.name == first.name);
        }
        Ok(Some(all))
    }

    /// The first `limit` names after `after`, whiteouts included, in the order of their bytes, and
    /// whether there are more. Holds twice as many for a while. Can be asked again and again.
    pub(crate) fn names_after(
        &self,
        after: Option<&CStr>,
        limit: usize,
    ) -> Result<(Vec<Named>, bool), Errno> {
        let mut first = FirstNames {
            names: Vec::new(),
            limit,
            dropped: false,
        };
        for &(layer, _) in &self.here().parts {
            let part = self.part(layer);
            rustix::fs::seek(part, SeekFrom::Start(0))?;
            read_dir(part, |name, kind| {
                if after.is_none_or(|after| name > after) {
                    first.take(name, layer, kind);
                }
                Ok(())
            })?;
        }
        first.settle();
        Ok((first.names, first.dropped))
    }
}

/// Keeps the first of many names that come in no order, layer by layer from the top.
struct FirstNames {
    names: Vec<Named>,
    limit: usize,
    /// Whether there were more.
    dropped: bool,
}

impl FirstNames {
    fn take(&mut self, name: &CStr, layer: LayerAt, kind: FileType) {
        // Once names were dropped, the first `limit` are in order, and the last of those is the
        // mark above which nothing is wanted.
        let mark = self
            .dropped
            .then(|| self.names[self.limit - 1].name.as_c_str());
        if mark.is_some_and(|mark| name > mark) {
            return;
        }
        self.names.push(Named {
            name: name.to_owned(),
            layer,
            kind,
        });
        if self.names.len() >= self.limit * 2 {
            self.settle();
        }
    }

    /// Puts the names in order, the topmost of several first and the others away, and drops what
    /// is too much.
    fn settle(&mut self) {
        self.names
            .sort_unstable_by(|a, b| (&a.name, a.layer).cmp(&(&b.name, b.layer)));
        self.names.dedup_by(|later, first| later.name == first.name);
        if self.names.len() > self.limit {
            self.names.truncate(self.limit);
            self.dropped = true;
        }
    }
}
