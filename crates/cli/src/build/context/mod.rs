//! The folder that `COPY` and `ADD` take from.
//!
//! A source is a path from the root of the context, whatever it begins with, and `..` ends there.
//! Nothing outside is ever read: links on the way to a source, and a source that is a link itself,
//! are followed as if the context were the root of the filesystem, component by component
//! ([`Context::resolve`]); a link anywhere below a source is copied as the link it is.
//!
//! A file becomes an entry of its own name; a folder stands for what is in it. What .dockerignore
//! leaves out does not exist, and folders in which nothing can be kept are not looked into.
//!
//! What was taken is a [`Selection`].

mod hashes;
mod selection;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use super::ignore::Ignore;
use super::pattern::{Pattern, Stars, is_pattern};
use crate::failure::{Doing as _, Failure};
use crate::path::normalized;

pub(crate) use hashes::Hashes;
pub(super) use hashes::{Stamp, open as open_unchanged};
pub(crate) use selection::{Placement, Selection};

/// So many links are followed on the way to a source, and no more.
const MAX_LINKS: usize = 40;

/// The folder that `COPY` and `ADD` take from.
#[derive(Debug)]
pub(crate) struct Context {
    /// Without links in it.
    root: PathBuf,
    ignore: Ignore,
}

/// A source, or what one of its wildcards stands for.
#[derive(Debug)]
struct Found {
    /// As it is named, from the root of the context.
    named: PathBuf,
    /// Where that leads to: a path without links.
    path: PathBuf,
    metadata: Metadata,
}

impl Context {
    /// The context in `folder`.
    pub(crate) fn open(folder: &Path, ignore: Ignore) -> Result<Self, Failure> {
        let failed = || format!("could not open the context {}", folder.display());
        let root = folder.canonicalize().doing(failed)?;
        if !root.is_dir() {
            return Err(Failure::new(format!("{} is no folder", folder.display()))
                .next("name the folder that has the files: contree build FOLDER"));
        }
        Ok(Self { root, ignore })
    }

    /// What the sources name: paths with wildcards, as an instruction has them when its variables
    /// are expanded. `exclude` are its `--exclude`s, `parents` is `--parents`.
    pub(crate) fn select(
        &self,
        sources: &[String],
        exclude: &[String],
        parents: bool,
    ) -> Result<Selection, Failure> {
        let exclude = Ignore::excluding(exclude)?;
        let mut selection = Selection::default();
        for source in sources {
            let (before, source) = match source.split_once("/./").filter(|_| parents) {
                // With --parents, only what is behind `/./` is kept of the path.
                Some((before, rest)) => (cleaned(before), format!("{before}/{rest}")),
                None => (PathBuf::new(), source.clone()),
            };
            let mut is_found = false;
            let mut is_ignored = false;
            for found in self.find(&source, parents)? {
                let name = if parents {
                    found.named.strip_prefix(&before).unwrap_or(&found.named)
                } else {
                    Path::new("")
                };
                let mut walk = Walk {
                    context: self,
                    exclude: &exclude,
                    selection: &mut selection,
                    before: &before,
                    below: name,
                };
                match walk.take(&found, parents)? {
                    Taken::Ignored => is_ignored = true,
                    Taken::Something => is_found = true,
                }
            }
            if !is_found {
                return Err(self.nothing(&source, is_ignored));
            }
        }
        Ok(selection)
    }

    fn nothing(&self, source: &str, is_ignored: bool) -> Failure {
        if is_ignored {
            let name = self.ignore.name();
            return Failure::new(format!("{source}: left out of the context by {name}")).next(
                format!("add a line to {name}: !{}", source.trim_start_matches('/')),
            );
        }
        let what = if is_pattern(source) {
            "nothing in the context matches"
        } else {
            "no such file or folder in the context"
        };
        Failure::new(format!("{source}: {what}"))
            .next(format!("sources are looked for in {}", self.root.display()))
    }

    /// What a source names, in the order of names.
    fn find(&self, source: &str, parents: bool) -> Result<Vec<Found>, Failure> {
        if source.is_empty() {
            return Err(Failure::new("a source is empty"));
        }
        let path = cleaned(source);
        if !is_pattern(source) {
            return Ok(self.found(path)?.into_iter().collect());
        }
        let bad = |error: String| Failure::new(format!("{source}: {error}"));
        let mut found = vec![PathBuf::new()];
        for part in &path {
            let part = part.to_string_lossy();
            let mut below = Vec::new();
            if parents && part == "**" {
                for folder in &found {
                    below.push(folder.clone());
                    self.folders(folder, &mut below)?;
                }
            } else if is_pattern(&part) {
                let pattern = Pattern::read(&part, Stars::OneName).map_err(bad)?;
                for folder in &found {
                    let names = self.names(folder)?;
                    let matching = names.iter().filter(|name| pattern.matches(name.as_bytes()));
                    below.extend(matching.map(|name| folder.join(name)));
                }
            } else {
                below.extend(found.iter().map(|folder| folder.join(&*part)));
            }
            found = below;
        }
        found.sort();
        found.dedup();
        let found = found.into_iter().map(|path| self.found(path));
        found.filter_map(Result::transpose).collect()
    }

    /// The names in a folder; none if it is no folder.
    fn names(&self, folder: &Path) -> Result<Vec<OsString>, Failure> {
        match self.found(folder.to_owned())? {
            Some(found) if found.metadata.is_dir() => names(&self.root.join(found.path))
                .doing(|| format!("could not read the folder {}", folder.display())),
            _ => Ok(Vec::new()),
        }
    }

    /// All folders below, other than by links.
    fn folders(&self, folder: &Path, all: &mut Vec<PathBuf>) -> Result<(), Failure> {
        for name in self.names(folder)? {
            let path = folder.join(name);
            let is_folder = self
                .root
                .join(&path)
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_dir());
            if is_folder && (!self.ignore.excludes(&path) || self.ignore.keeps_below(&path)) {
                all.push(path.clone());
                self.folders(&path, all)?;
            }
        }
        Ok(())
    }

    fn found(&self, named: PathBuf) -> Result<Option<Found>, Failure> {
        let failed = || format!("could not look at {}", named.display());
        match self.resolve(&named) {
            Ok((path, metadata)) => Ok(Some(Found {
                named,
                path,
                metadata,
            })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).doing(failed),
        }
    }

    /// Where a path leads to when every link is followed with the context as the root.
    fn resolve(&self, path: &Path) -> io::Result<(PathBuf, Metadata)> {
        let mut resolved = PathBuf::new();
        let mut metadata = self.root.symlink_metadata()?;
        let mut links = 0;
        let mut rest: VecDeque<OsString> = parts(path).collect();
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                resolved.pop();
                metadata = self.root.join(&resolved).symlink_metadata()?;
                continue;
            }
            if !metadata.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            let next = resolved.join(&part);
            let full = self.root.join(&next);
            let of_next = full.symlink_metadata()?;
            if !of_next.is_symlink() {
                (resolved, metadata) = (next, of_next);
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::other("too many links"));
            }
            let target = full.read_link()?;
            if target.is_absolute() {
                resolved = PathBuf::new();
                metadata = self.root.symlink_metadata()?;
            }
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                rest.push_front(part);
            }
        }
        Ok((resolved, metadata))
    }
}

/// The names of a path and `..`, without anything that changes nothing.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// A source as a path from the root of the context, which `..` does not leave.
fn cleaned(source: &str) -> PathBuf {
    PathBuf::from(normalized(source).trim_start_matches('/'))
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in folder.read_dir()? {
        names.push(entry?.file_name());
    }
    names.sort();
    Ok(names)
}

/// What became of something that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Something,
    Ignored,
}

/// From one source into a selection.
struct Walk<'a> {
    context: &'a Context,
    exclude: &'a Ignore,
    selection: &'a mut Selection,
    /// What --parents does not keep of the source's path.
    before: &'a Path,
    /// Where what is in a folder is put; of a file kept with its parents, its whole path.
    below: &'a Path,
}

impl Walk<'_> {
    /// Takes the source itself.
    fn take(&mut self, found: &Found, parents: bool) -> Result<Taken, Failure> {
        let ignore = &self.context.ignore;
        let is_left_out = ignore.excludes(&found.named) || ignore.excludes(&found.path);
        if found.metadata.is_dir() {
            if is_left_out && !ignore.keeps_below(&found.path) {
                return Ok(Taken::Ignored);
            }
            let before = self.selection.len();
            if parents {
                self.parents(self.below)?;
            }
            self.folder(&found.path, Path::new(""))?;
            return Ok(if is_left_out && self.selection.len() == before {
                Taken::Ignored
            } else {
                Taken::Something
            });
        }
        if is_left_out {
            return Ok(Taken::Ignored);
        }
        let own = found.named.file_name().unwrap_or_default();
        // An exclusion of all that a source has is no mistake.
        if self.exclude.excludes(Path::new(own)) {
            return Ok(Taken::Something);
        }
        let name = if parents {
            self.parents(self.below.parent().unwrap_or(Path::new("")))?;
            self.below.to_owned()
        } else {
            PathBuf::from(own)
        };
        self.entry(&found.path, name, &found.metadata)?;
        if !parents {
            self.selection.note_source(Path::new(own));
        }
        Ok(Taken::Something)
    }

    /// For `--parents`: a folder, and those that it is in.
    fn parents(&mut self, folder: &Path) -> Result<(), Failure> {
        let mut folders: Vec<&Path> = folder.ancestors().collect();
        // The last one is the folder that everything is put into.
        folders.pop();
        for folder in folders.into_iter().rev() {
            let named = self.before.join(folder);
            let resolved = self.context.resolve(&named);
            let (path, metadata) =
                resolved.doing(|| format!("could not look at {}", named.display()))?;
            self.entry(&path, folder.to_owned(), &metadata)?;
        }
        Ok(())
    }

    /// What is in a folder; `inner` is its path from the source.
    fn folder(&mut self, folder: &Path, inner: &Path) -> Result<(), Failure> {
        let full = self.context.root.join(folder);
        let failed = || format!("could not read the folder {}", folder.display());
        for name in names(&full).doing(failed)? {
            let path = folder.join(&name);
            let inner = inner.join(&name);
            let metadata = match self.context.root.join(&path).symlink_metadata() {
                // It was there a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.doing(|| format!("could not look at {}", path.display()))?,
            };
            let (ignore, exclude) = (&self.context.ignore, self.exclude);
            let is_left_out = ignore.excludes(&path) || exclude.excludes(&inner);
            if !metadata.is_dir() {
                if !is_left_out {
                    self.entry(&path, self.below.join(&inner), &metadata)?;
                }
                continue;
            }
            if !is_left_out {
                self.entry(&path, self.below.join(&inner), &metadata)?;
                self.folder(&path, &inner)?;
            } else if (!ignore.excludes(&path) || ignore.keeps_below(&path))
                && (!exclude.excludes(&inner) || exclude.keeps_below(&inner))
            {
                let before = self.selection.len();
                self.folder(&path, &inner)?;
                // A folder that is left out is there only for what is kept of it.
                if self.selection.len() > before {
                    self.entry(&path, self.below.join(&inner), &metadata)?;
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: PathBuf, metadata: &Metadata) -> Result<(), Failure> {
        let full = self.context.root.join(path);
        let target = if metadata.is_symlink() {
            let target = full.read_link();
            Some(target.doing(|| format!("could not read the link {}", path.display()))?)
        } else {
            None
        };
        self.selection.add(name, full, metadata, target)
    }
}
