//! Local archives, which `ADD` unpacks.
//!
//! A file is one when it begins as a tar does, by itself or inside of a compression; what it is
//! called makes no difference, and a compressed file that is no tar is an ordinary file. The server
//! reads a tar plain or compressed with gzip or zstd. The other compressions are changed into zstd
//! on the way.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::context::{Hashes, Stamp, open_unchanged};
use crate::failure::{Doing as _, Failure};

/// A block of a tar, and its first header.
const BLOCK_BYTES: usize = 512;
/// Memory that an archive of xz may ask for.
const XZ_MEMORY_BYTES: u64 = 1024 * 1024 * 1024;
/// Fast: the upload is likely on a fast network, and the server keeps no archives.
const ZSTD_LEVEL: i32 = 1;

/// How a tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// A local file that `ADD` unpacks.
#[derive(Debug)]
pub(crate) struct Archive {
    /// The file's name.
    pub(crate) name: PathBuf,
    /// Where it is on this machine.
    pub(crate) path: PathBuf,
    /// Whether the server reads it as it is; otherwise it reads what [`Self::write_recoded`] writes.
    pub(crate) is_readable: bool,
    stamp: Stamp,
    coding: Coding,
}

/// How the tar in this file is compressed; nothing when it is none.
pub(super) fn coding(path: &Path, stamp: &Stamp) -> Result<Option<Coding>, Failure> {
    let failed = || format!("could not read {}", path.display());
    let mut file = open_unchanged(path, stamp)?;
    let mut start = Vec::new();
    (&mut file).take(6).read_to_end(&mut start).doing(failed)?;
    let coding = match start[..] {
        [0x1f, 0x8b, ..] => Coding::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Coding::Zstd,
        [b'B', b'Z', b'h', ..] => Coding::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Coding::Xz,
        _ => Coding::Plain,
    };
    let file = open_unchanged(path, stamp)?;
    let mut header = Vec::new();
    // What cannot be decompressed is no archive, and is copied as any file.
    let is_read = decoded(coding, file)
        .and_then(|tar| tar.take(BLOCK_BYTES as u64).read_to_end(&mut header))
        .is_ok();
    Ok((is_read && is_header(&header)).then_some(coding))
}

/// Whether a block is a header: its checksum is right.
fn is_header(block: &[u8]) -> bool {
    let Ok(block) = <&[u8; BLOCK_BYTES]>::try_from(block) else {
        return false;
    };
    let header = tar::Header::from_byte_slice(block);
    let checksum = header.as_old().cksum.len();
    let own: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let field: u32 = header
        .as_old()
        .cksum
        .iter()
        .map(|byte| u32::from(*byte))
        .sum();
    // The field itself counts as blanks.
    let expected = own - field + u32::from(b' ') * u32::try_from(checksum).unwrap_or_default();
    header.cksum().is_ok_and(|said| said == expected)
}

/// The tar in a file.
fn decoded(coding: Coding, file: File) -> io::Result<Box<dyn Read>> {
    Ok(match coding {
        Coding::Plain => Box::new(file),
        Coding::Gzip => Box::new(MultiGzDecoder::new(file)),
        Coding::Zstd => Box::new(zstd::Decoder::new(file)?),
        Coding::Bzip2 => Box::new(MultiBzDecoder::new(file)),
        Coding::Xz => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED)?;
            Box::new(XzDecoder::new_stream(file, stream))
        }
    })
}

impl Archive {
    pub(super) const fn new(name: PathBuf, path: PathBuf, stamp: Stamp, coding: Coding) -> Self {
        Self {
            name,
            path,
            is_readable: !matches!(coding, Coding::Bzip2 | Coding::Xz),
            stamp,
            coding,
        }
    }

    /// The digest of the file.
    pub(crate) fn digest(&self, hashes: &mut Hashes) -> Result<String, Failure> {
        hashes.sha256(&self.path, &self.stamp)
    }

    /// Writes the tar, compressed as the server reads it.
    pub(crate) fn write_recoded(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let failed = || format!("could not unpack {}", self.path.display());
        let mut tar =
            decoded(self.coding, open_unchanged(&self.path, &self.stamp)?).doing(failed)?;
        let mut zstd = zstd::Encoder::new(out, ZSTD_LEVEL).doing(failed)?;
        io::copy(&mut tar, &mut zstd).doing(failed)?;
        let written = zstd.finish().and_then(Write::flush);
        written.doing(failed)?;
        // It is the same file still.
        open_unchanged(&self.path, &self.stamp).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bzip2::write::BzEncoder;
    use flate2::write::GzEncoder;
    use liblzma::write::XzEncoder;

    use super::*;
    use crate::build::context::Context;
    use crate::build::ignore::Ignore;

    fn tar() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(5);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, "inside.txt", &b"hello"[..])
            .unwrap();
        tar.into_inner().unwrap()
    }

    fn packed(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Plain => bytes.to_vec(),
            Coding::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(bytes).unwrap();
                gzip.finish().unwrap()
            }
            Coding::Zstd => zstd::encode_all(bytes, 1).unwrap(),
            Coding::Bzip2 => {
                let mut bzip2 = BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                bzip2.write_all(bytes).unwrap();
                bzip2.finish().unwrap()
            }
            Coding::Xz => {
                let mut xz = XzEncoder::new(Vec::new(), 1);
                xz.write_all(bytes).unwrap();
                xz.finish().unwrap()
            }
        }
    }

    const ALL: [Coding; 5] = [
        Coding::Plain,
        Coding::Gzip,
        Coding::Zstd,
        Coding::Bzip2,
        Coding::Xz,
    ];

    /// The archives among files of a context.
    fn archives(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Vec<Archive>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let context = Context::open(folder.path(), Ignore::default()).unwrap();
        let sources: Vec<_> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut selection = context.select(&sources, &[], false).unwrap();
        let archives = selection.take_archives().unwrap();
        (folder, archives)
    }

    #[test]
    fn every_compression_is_found_whatever_the_name() {
        for coding in ALL {
            let (_folder, archives) = archives(&[("any.name", packed(coding, &tar()))]);
            assert_eq!(archives.len(), 1, "{coding:?}");
            assert_eq!(archives[0].coding, coding);
            let mut recoded = Vec::new();
            archives[0].write_recoded(&mut recoded).unwrap();
            assert_eq!(zstd::decode_all(&recoded[..]).unwrap(), tar(), "{coding:?}");
        }
    }

    #[test]
    fn other_files_are_no_archives() {
        let mut files = vec![
            ("empty", Vec::new()),
            ("zeros", vec![0; 2048]),
            ("short", tar()[..100].to_vec()),
            ("damaged.tar", {
                let mut tar = tar();
                tar[3] ^= 1;
                tar
            }),
            ("broken.gz", packed(Coding::Gzip, &tar())[..30].to_vec()),
        ];
        for (coding, name) in ALL[1..].iter().zip(["a.gz", "a.zst", "a.bz2", "a.xz"]) {
            files.push((name, packed(*coding, b"a text, and no tar")));
        }
        let (_folder, archives) = archives(&files);
        assert!(archives.is_empty(), "{archives:?}");
    }

    #[test]
    fn a_damaged_archive_is_an_error_and_not_a_short_one() {
        let mut packed = packed(Coding::Bzip2, &vec![tar(); 50].concat());
        packed.truncate(packed.len() - 20);
        let (_folder, archives) = archives(&[("a.tar.bz2", packed)]);
        let error = match archives.as_slice() {
            [archive] => archive.write_recoded(&mut Vec::new()).unwrap_err(),
            // All of it is in the block that is damaged.
            _ => return,
        };
        assert!(error.to_string().starts_with("could not unpack"), "{error}");
    }
}
