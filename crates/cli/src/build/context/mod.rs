//! The build context.
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::ignore::Ignore;
use crate::failure::Failure;

/// The folder that `COPY` and `ADD` take from.
#[derive(Debug)]
pub(crate) struct Context {
    folder: PathBuf,
    ignore: Ignore,
}

/// Files and folders of the context that an instruction takes.
#[derive(Debug)]
pub(crate) struct Selection {
    warnings: Vec<String>,
}

/// What the destination makes of a selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The name of the only file, instead of its own.
    pub(crate) name: Option<OsString>,
    /// Owner and group of everything, else 0:0.
    pub(crate) owner: Option<(u32, u32)>,
    /// `--chmod`.
    pub(crate) mode: Option<u32>,
}

/// What files of the context contained when they were last read, by their state: saves reading
/// them again. Kept by the caller between builds (it is JSON through serde).
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Hashes {
    known: BTreeMap<String, String>,
}

impl Context {
    pub(crate) fn open(folder: &Path, ignore: Ignore) -> Result<Self, Failure> {
        Ok(Self {
            folder: folder.to_owned(),
            ignore,
        })
    }

    /// What `sources` (expanded, wildcards allowed) name, without what `--exclude` names.
    pub(crate) fn select(
        &self,
        sources: &[String],
        exclude: &[String],
        parents: bool,
    ) -> Result<Selection, Failure> {
        let _ = (&self.folder, &self.ignore, sources, exclude, parents);
        Err(Failure::new("x"))
    }
}

impl Selection {
    /// Whether it is one file, so that a destination that is no folder names it.
    pub(crate) fn single_file(&self) -> Option<&std::ffi::OsStr> {
        None
    }

    /// What was left out and why (sockets, devices).
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The digest of what it contains: paths, kinds, modes, targets of links, bytes. Not times or owners.
    pub(crate) fn digest(&self, hashes: &mut Hashes) -> Result<String, Failure> {
        let _ = hashes;
        Err(Failure::new("x"))
    }

    /// Takes the archives out that `ADD` unpacks: of the files named by a source, not those in folders.
    pub(crate) fn take_archives(&mut self) -> Result<Vec<super::archive::Archive>, Failure> {
        Ok(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    /// Writes an archive of it, in always the same order.
    pub(crate) fn write_tar(
        &self,
        out: &mut dyn Write,
        placement: &Placement,
    ) -> Result<(), Failure> {
        let _ = (out, placement);
        Err(Failure::new("x"))
    }
}
