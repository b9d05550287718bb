//! Reading tar: the entries of a stream, with everything that stands in extension headers put
//! in its place.
//!
//! The stream is hostile. The `tar` crate reads well-formed archives well, but takes an extension
//! header of any size into memory and knows sparse files of the oldest kind only; so entries are
//! read here, each thing under its bound ([`super::limits`]). Where tars are ambiguous the reading
//! is that of Go's `archive/tar`, since that is what the tools that make and run images use:
//! links, devices and folders have no data whatever their size field says; global PAX headers
//! mean nothing; a GNU long name wins over a PAX path.
//!
//! Understood are ustar (with prefix), GNU (long names and links, base-256 numbers, old sparse
//! files) and PAX (path, linkpath, size, uid, gid, mtime, `SCHILY.xattr.*`, sparse files 0.0, 0.1
//! and 1.0).
//!
//! A header, 512 bytes: `name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 |
//! type 1 | linkname 100 | magic 6 + version 2 | uname 32 | gname 32 | devmajor 8 | devminor 8 |
//! prefix 155`; in the GNU format, from 345 on instead of the prefix: `atime 12 | ctime 12 |
//! offset 12 | longnames 4 | unused 1 | sparse 4 × 24 | isextended 1 | realsize 12`.

use super::limits::{MAX_EXTENSIONS, MAX_PATH, MAX_PAX};
use super::pax::Pax;
use super::sparse::{self, Sparse};
use super::stream::{ByteSource, StreamError};

/// Unit of a tar.
pub(super) const BLOCK: usize = 512;

/// One thing in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// As written; nothing has been checked.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Seconds since 1970 and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// `SCHILY.xattr.*`: names and values as written.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// With this many bytes of data in the archive.
    File {
        size: u64,
        sparse: Option<Sparse>,
    },
    Folder,
    /// To this target, as written.
    Symlink(Vec<u8>),
    /// To this entry, as written.
    HardLink(Vec<u8>),
    Fifo,
    /// A character or block device.
    Device,
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes end or are broken before tar comes into it.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Not a tar, or broken.
    #[error("it is not a tar archive, or broken: the header at byte {at} has a wrong checksum")]
    Checksum {
        /// Where.
        at: u64,
    },
    /// A number that is none.
    #[error("the header at byte {at} has no valid {field}")]
    Number {
        /// Where.
        at: u64,
        /// Which.
        field: &'static str,
    },
    /// A PAX header that does not hold together.
    #[error("the PAX header at byte {at} is malformed")]
    Pax {
        /// Where.
        at: u64,
    },
    /// More extension than entry.
    #[error("the extension header at byte {at} has {size} bytes, more than {limit}")]
    ExtensionTooLarge {
        /// Where.
        at: u64,
        /// As stated.
        size: u64,
        /// Most that is read.
        limit: u64,
    },
    /// Headers without an entry.
    #[error("there are more than {MAX_EXTENSIONS} extension headers in a row at byte {at}")]
    TooManyExtensions {
        /// Where.
        at: u64,
    },
    /// Extension headers at the end.
    #[error("the archive ends after an extension header")]
    NothingExtended,
    /// A sparse file that does not hold together.
    #[error("the sparse file at byte {at} is malformed: {detail}")]
    Sparse {
        /// Where.
        at: u64,
        /// How.
        detail: &'static str,
    },
    /// Not something images hold.
    #[error("the entry at byte {at} is of the unknown type {kind:?}")]
    Type {
        /// Where.
        at: u64,
        /// As written.
        kind: char,
    },
}

impl TarError {
    /// Whether the archive itself is wrong, in contrast to what it takes to read it.
    pub(super) const fn is_malformed(&self) -> bool {
        !matches!(self, Self::Stream(_))
    }
}

/// The entries of a tar, one after the other.
pub(super) struct Entries<'s, S> {
    source: &'s mut S,
    /// Bytes taken so far.
    at: u64,
    /// Data of the current entry that was not read.
    data: u64,
    /// Filling behind the data.
    padding: u64,
    headers: u64,
}

impl<'s, S: ByteSource> Entries<'s, S> {
    pub(super) fn new(source: &'s mut S) -> Self {
        Self {
            source,
            at: 0,
            data: 0,
            padding: 0,
            headers: 0,
        }
    }

    /// Position of the next byte of the current entry's data.
    pub(super) const fn position(&self) -> u64 {
        self.at
    }

    /// Headers read so far, of any type.
    pub(super) const fn headers(&self) -> u64 {
        self.headers
    }

    /// The next entry; `None` at the end of the archive: zeros, or nothing more.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut pax = None;
        let mut long_name = None;
        let mut long_link = None;
        let mut extensions = 0;
        loop {
            self.skip_data()?;
            let at = self.at;
            let Some(header) = self.header()? else {
                return if extensions == 0 {
                    Ok(None)
                } else {
                    Err(TarError::NothingExtended)
                };
            };
            if extensions > MAX_EXTENSIONS {
                return Err(TarError::TooManyExtensions { at });
            }
            let size = header.number(124..136, "size")?;
            match header.kind() {
                b'x' | b'X' => {
                    let text = self.extension(at, size, MAX_PAX)?;
                    pax = Some(Pax::parse(&text).ok_or(TarError::Pax { at })?);
                }
                b'g' => self.set_data(at, size)?,
                b'L' => long_name = Some(self.long(at, size)?),
                b'K' => long_link = Some(self.long(at, size)?),
                // The volume's label is not a file.
                b'V' => self.set_data(at, size)?,
                _ => {
                    let pax = pax.unwrap_or_default();
                    return self.entry(&header, pax, long_name, long_link).map(Some);
                }
            }
            extensions += 1;
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, TarError> {
        let at = header.at;
        let own_path = || header.path();
        let path = long_name.or(pax.path).unwrap_or_else(own_path);
        let link = || {
            long_link
                .or(pax.linkpath)
                .unwrap_or_else(|| text(&header.block[157..257]))
        };
        let size = match pax.size {
            Some(size) => size,
            None => header.number(124..136, "size")?,
        };
        let mtime = match pax.mtime {
            Some(mtime) => mtime,
            None => (header.signed(136..148, "mtime")?, 0),
        };
        let mut path = path;
        let kind = match header.kind() {
            // Before POSIX a folder was a file with a slash at the end.
            b'0' | 0 if path.last() == Some(&b'/') => Kind::Folder,
            b'0' | 0 | b'7' => {
                self.set_data(at, size)?;
                match pax.sparse {
                    None => Kind::File { size, sparse: None },
                    Some(described) => {
                        if let Some(name) = described.name.clone() {
                            path = name;
                        }
                        let sparse = sparse::from_pax(described, self, at)?;
                        Kind::File {
                            size: self.data,
                            sparse: Some(sparse),
                        }
                    }
                }
            }
            b'S' => {
                let map = sparse::from_header(&header.block, self, at)?;
                self.set_data(at, size)?;
                map.check(size, at)?;
                Kind::File {
                    size,
                    sparse: Some(map),
                }
            }
            b'1' => Kind::HardLink(link()),
            b'2' => Kind::Symlink(link()),
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Folder,
            b'6' => Kind::Fifo,
            kind => {
                return Err(TarError::Type {
                    at,
                    kind: char::from(kind),
                });
            }
        };
        Ok(Entry {
            path,
            kind,
            mode: u32::try_from(header.number(100..108, "mode")? & 0o7777).unwrap_or_default(),
            uid: pax.uid.map_or_else(|| header.number(108..116, "uid"), Ok)?,
            gid: pax.gid.map_or_else(|| header.number(116..124, "gid"), Ok)?,
            mtime,
            xattrs: pax.xattrs,
        })
    }

    /// The next piece of the current entry's data; empty at its end.
    pub(super) fn data(&mut self) -> Result<&[u8], TarError> {
        if self.data == 0 {
            return Ok(&[]);
        }
        let available = self.source.fill()?;
        if available.is_empty() {
            return Err(StreamError::Truncated.into());
        }
        let most = usize::try_from(self.data)
            .unwrap_or(usize::MAX)
            .min(available.len());
        Ok(&available[..most])
    }

    /// Takes `count` of the bytes that [`data`](Self::data) showed.
    pub(super) fn take(&mut self, count: usize) {
        self.source.consume(count);
        self.data -= count as u64;
        self.at += count as u64;
    }

    /// The next block of headers or of a sparse map, outside the current entry's data.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        if !self.source.read_exact(&mut block)? {
            return Ok(None);
        }
        self.at += BLOCK as u64;
        Ok(Some(block))
    }

    /// The next block of the current entry's data.
    pub(super) fn data_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let Some(left) = self.data.checked_sub(BLOCK as u64) else {
            return Ok(None);
        };
        let block = self.block()?.ok_or(StreamError::Truncated)?;
        self.data = left;
        Ok(Some(block))
    }

    /// Data of the current entry that was not read.
    pub(super) const fn data_left(&self) -> u64 {
        self.data
    }

    fn skip_data(&mut self) -> Result<(), TarError> {
        let rest = self.data + self.padding;
        self.source.skip(rest)?;
        self.at += rest;
        (self.data, self.padding) = (0, 0);
        Ok(())
    }

    fn set_data(&mut self, at: u64, size: u64) -> Result<(), TarError> {
        if size > i64::MAX as u64 - BLOCK as u64 {
            return Err(TarError::Number { at, field: "size" });
        }
        self.data = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let at = self.at;
        let Some(block) = self.block()? else {
            return Ok(None);
        };
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        self.headers += 1;
        let header = Header { block, at };
        if !header.checksum_fits() {
            return Err(TarError::Checksum { at });
        }
        Ok(Some(header))
    }

    /// The content of an extension header.
    fn extension(&mut self, at: u64, size: u64, limit: u64) -> Result<Vec<u8>, TarError> {
        if size > limit {
            return Err(TarError::ExtensionTooLarge { at, size, limit });
        }
        self.set_data(at, size)?;
        let mut content = Vec::new();
        while self.data > 0 {
            let piece = self.data()?;
            content.extend_from_slice(piece);
            let count = piece.len();
            self.take(count);
        }
        Ok(content)
    }

    fn long(&mut self, at: u64, size: u64) -> Result<Vec<u8>, TarError> {
        // With the NUL at the end, and room to say of the path itself that it is too long.
        let mut content = self.extension(at, size, 2 * MAX_PATH as u64)?;
        let end = content
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(content.len());
        content.truncate(end);
        Ok(content)
    }
}

struct Header {
    block: [u8; BLOCK],
    at: u64,
}

impl Header {
    const fn kind(&self) -> u8 {
        self.block[156]
    }

    /// Some old writers summed signed bytes.
    fn checksum_fits(&self) -> bool {
        let Some(stated) = parse_number(&self.block[148..156]) else {
            return false;
        };
        let spaced = |at: usize| {
            if (148..156).contains(&at) {
                b' '
            } else {
                self.block[at]
            }
        };
        let unsigned: i64 = (0..BLOCK).map(|at| i64::from(spaced(at))).sum();
        let signed: i64 = (0..BLOCK)
            .map(|at| i64::from(spaced(at).cast_signed()))
            .sum();
        stated == unsigned || stated == signed
    }

    fn signed(&self, field: std::ops::Range<usize>, name: &'static str) -> Result<i64, TarError> {
        parse_number(&self.block[field]).ok_or(TarError::Number {
            at: self.at,
            field: name,
        })
    }

    fn number(&self, field: std::ops::Range<usize>, name: &'static str) -> Result<u64, TarError> {
        u64::try_from(self.signed(field, name)?).map_err(|_| TarError::Number {
            at: self.at,
            field: name,
        })
    }

    fn path(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        let posix = &self.block[257..263] == b"ustar\0";
        let prefix = if posix {
            text(&self.block[345..500])
        } else {
            Vec::new()
        };
        if prefix.is_empty() {
            return name;
        }
        [prefix, name].join(&b'/')
    }
}

/// Up to the first NUL.
fn text(field: &[u8]) -> Vec<u8> {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    field[..end].to_vec()
}

/// Octal digits between spaces and NULs; nothing at all is 0. With the highest bit of the first
/// byte set, the rest is the number in base 256 (GNU), negative when the next bit is set too.
pub(super) fn parse_number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i64 = if negative { -1 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = match (at, negative) {
                (0, false) => byte & 0x3f,
                _ => *byte,
            };
            value = value.checked_mul(256)?.checked_add(i64::from(byte))?;
        }
        return Some(value);
    }
    let digits = field.trim_ascii_start();
    let end = digits
        .iter()
        .position(|byte| matches!(byte, 0 | b' '))
        .unwrap_or(digits.len());
    digits[..end]
        .iter()
        .try_fold(0_i64, |value, byte| match byte {
            b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
            _ => None,
        })
}
