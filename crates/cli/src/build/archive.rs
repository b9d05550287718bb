//! Archives that ADD unpacks.
use std::io::Write;
use std::path::PathBuf;

use super::context::Hashes;
use crate::failure::Failure;

/// A local file that `ADD` unpacks: a tar, compressed or not.
#[derive(Debug)]
pub(crate) struct Archive {
    /// Relative to the context, for people.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whether the server reads it as it is (plain, gzip, zstd); else upload what `write_recoded` writes.
    pub(crate) is_readable: bool,
}

impl Archive {
    /// sha256 of the file itself.
    pub(crate) fn digest(&self, hashes: &mut Hashes) -> Result<String, Failure> {
        let _ = hashes;
        Err(Failure::new("x"))
    }

    /// Writes it as the server reads it (zstd).
    pub(crate) fn write_recoded(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let _ = out;
        Err(Failure::new("x"))
    }
}
