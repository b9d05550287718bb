//! .dockerignore
use std::path::Path;

use crate::failure::Failure;

/// What of the context is left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ignore {
    /// What it was read from, for people: `.dockerignore`.
    pub(crate) name: String,
}

impl Ignore {
    /// `<Dockerfile>.dockerignore` if there is one, else `.dockerignore` of the context, else nothing.
    pub(crate) fn read(context: &Path, dockerfile: &Path) -> Result<Self, Failure> {
        let _ = (context, dockerfile);
        Ok(Self::default())
    }

    /// Reads the text of such a file.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let _ = text;
        Ok(Self {
            name: name.to_owned(),
        })
    }

    /// Whether the file or folder at this path (relative to the context) is left out.
    pub(crate) fn excludes(&self, path: &Path) -> bool {
        let _ = path;
        false
    }
}
