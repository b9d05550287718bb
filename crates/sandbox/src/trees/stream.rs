//! Trees as they travel: what the server writes and the process that makes the files reads.
//!
//! A stream is frames: a kind (one byte), the length of the body (u32), the body. For each
//! tree a [`Target`], then its entries in the order in which they are to be made, each file's
//! entry followed by its content in pieces. What of a file no piece covers is a hole. The last
//! frame says that all is well, or what is not; a stream that ends without one was cut off.

use std::borrow::Cow;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};

use crate::protocol::codec::{Decoder, Encoder, Malformed};

const TARGET: u8 = 1;
const ENTRY: u8 = 2;
const DATA: u8 = 3;
const FAILED: u8 = 4;
const END: u8 = 5;

/// Bytes that are written and read at once.
const BUFFER: usize = 128 << 10;

/// Longest body but that of a piece of content: paths, and extended attributes.
const MAX_BODY: u32 = 64 << 20;

/// Where the entries that follow go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Absolute.
    pub to: Vec<u8>,
    /// What comes.
    pub what: What,
    /// Owner of the folders that are missing on the way to `to`, and of those that entries lie in
    /// and that have no entry of their own.
    pub uid: u32,
    /// Their group.
    pub gid: u32,
}

/// What is put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One file of this name: it goes into `to` when that ends in a slash or is a folder, else
    /// becomes `to`. The path of its entry does not matter.
    File(Vec<u8>),
    /// What is to be below `to`, which is a folder. An entry without a path is this folder
    /// itself: it gets the entry's attributes if it was missing, and `to` has no slash at its end.
    Entries,
}

/// One thing to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry<'a> {
    /// Below the target: no slash at either end, no `.` and `..`.
    pub path: Cow<'a, [u8]>,
    /// What it is.
    pub kind: EntryKind<'a>,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
    /// Permission bits with setuid, setgid and sticky; not of links.
    pub mode: u32,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Names and values of extended attributes, of files and folders.
    pub xattrs: Cow<'a, [(Vec<u8>, Vec<u8>)]>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A file of this size; its content follows.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link to this.
    Symlink(Cow<'a, [u8]>),
    /// Another name of the file with this path below the target.
    HardLink(Cow<'a, [u8]>),
    /// A pipe.
    Fifo,
    /// A device. None is made, since sandboxes have their own; that is noted.
    Device,
}

/// Writes a stream.
#[derive(Debug)]
pub struct TreeWriter<W: Write> {
    out: BufWriter<W>,
    body: Vec<u8>,
}

impl<W: Write> TreeWriter<W> {
    /// To the standard input of a process that is [`crate::Program::Trees`].
    pub fn new(out: W) -> Self {
        Self {
            out: BufWriter::with_capacity(BUFFER, out),
            body: Vec::new(),
        }
    }

    /// Begins a tree.
    ///
    /// # Errors
    /// Writing fails; `BrokenPipe` when the process has ended.
    pub fn target(&mut self, target: &Target) -> io::Result<()> {
        let mut body = Encoder::default();
        body.bytes(&target.to).u32(target.uid).u32(target.gid);
        match &target.what {
            What::File(name) => body.flag(true).bytes(name),
            What::Entries => body.flag(false),
        };
        self.frame(TARGET, &body.finish())
    }

    /// The next entry of the tree.
    ///
    /// # Errors
    /// As [`target`](Self::target).
    pub fn entry(&mut self, entry: &TreeEntry<'_>) -> io::Result<()> {
        let mut body = Encoder::reusing(std::mem::take(&mut self.body));
        entry.encode(&mut body);
        let body = body.finish();
        let written = self.frame(ENTRY, &body);
        self.body = body;
        written
    }

    /// Content of the last entry, which is a file.
    ///
    /// # Errors
    /// As [`target`](Self::target).
    pub fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        for (number, piece) in bytes.chunks(1 << 30).enumerate() {
            let length = u32::try_from(piece.len() + size_of::<u64>()).map_err(io::Error::other)?;
            self.head(DATA, length)?;
            let offset = offset + ((number as u64) << 30);
            self.out.write_all(&offset.to_le_bytes())?;
            self.out.write_all(piece)?;
        }
        Ok(())
    }

    /// Ends the stream: the process says this and fails.
    ///
    /// # Errors
    /// As [`target`](Self::target).
    pub fn fail(mut self, why: &str) -> io::Result<()> {
        self.frame(FAILED, why.as_bytes())?;
        self.out.flush()
    }

    /// Ends the stream: all is there.
    ///
    /// # Errors
    /// As [`target`](Self::target).
    pub fn end(mut self) -> io::Result<()> {
        self.frame(END, b"")?;
        self.out.flush()
    }

    fn frame(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len())
            .ok()
            .filter(|length| *length <= MAX_BODY)
            .ok_or_else(|| io::Error::other("an entry is too large to be put in place"))?;
        self.head(kind, length)?;
        self.out.write_all(body)
    }

    fn head(&mut self, kind: u8, length: u32) -> io::Result<()> {
        let mut head = [kind, 0, 0, 0, 0];
        head[1..].copy_from_slice(&length.to_le_bytes());
        self.out.write_all(&head)
    }
}

/// What comes next in a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Target(Target),
    Entry(TreeEntry<'static>),
    /// So many bytes for this place of the last file, to be had with [`TreeReader::data`].
    Data {
        offset: u64,
        length: u32,
    },
    Failed(Vec<u8>),
    End,
}

/// Why a stream cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("the server ended the stream before all was there")]
    Short,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the stream could not be read: {0}")]
    Read(io::Error),
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Short
        } else {
            Self::Read(error)
        }
    }
}

/// Reads a stream.
#[derive(Debug)]
pub(super) struct TreeReader<R> {
    input: BufReader<R>,
}

impl<R: Read> TreeReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
        }
    }

    pub(super) fn next(&mut self) -> Result<Frame, StreamError> {
        let mut head = [0; 5];
        self.input.read_exact(&mut head)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        if head[0] == DATA {
            let mut offset = [0; 8];
            self.input.read_exact(&mut offset)?;
            let length = length.checked_sub(8).ok_or(Malformed("too short"))?;
            let offset = u64::from_le_bytes(offset);
            return Ok(Frame::Data { offset, length });
        }
        if length > MAX_BODY {
            return Err(Malformed("a frame is too long").into());
        }
        let mut body = vec![0; length as usize];
        self.input.read_exact(&mut body)?;
        let mut from = Decoder::new(&body);
        let frame = match head[0] {
            TARGET => Frame::Target(Target {
                to: from.vec()?,
                uid: from.u32()?,
                gid: from.u32()?,
                what: if from.flag()? {
                    What::File(from.vec()?)
                } else {
                    What::Entries
                },
            }),
            ENTRY => Frame::Entry(TreeEntry::decode(&mut from)?),
            FAILED => return Ok(Frame::Failed(body)),
            END => Frame::End,
            _ => return Err(Malformed("unknown frame").into()),
        };
        from.end()?;
        Ok(frame)
    }

    /// Gives the `length` bytes that a [`Frame::Data`] announced to `each`, in pieces.
    pub(super) fn data<E: From<StreamError>>(
        &mut self,
        length: u32,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut left = length as usize;
        while left > 0 {
            let piece = match self.input.fill_buf() {
                Ok([]) => return Err(StreamError::Short.into()),
                Ok(piece) => &piece[..piece.len().min(left)],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StreamError::Read(error).into()),
            };
            let count = piece.len();
            each(piece)?;
            self.input.consume(count);
            left -= count;
        }
        Ok(())
    }
}

impl TreeEntry<'_> {
    fn encode(&self, to: &mut Encoder) {
        to.bytes(&self.path)
            .u32(self.uid)
            .u32(self.gid)
            .u32(self.mode)
            .i64(self.mtime.0)
            .u32(self.mtime.1)
            .count(self.xattrs.len());
        for (name, value) in self.xattrs.iter() {
            to.bytes(name).bytes(value);
        }
        match &self.kind {
            EntryKind::File(size) => to.u8(0).u64(*size),
            EntryKind::Folder => to.u8(1),
            EntryKind::Symlink(target) => to.u8(2).bytes(target),
            EntryKind::HardLink(target) => to.u8(3).bytes(target),
            EntryKind::Fifo => to.u8(4),
            EntryKind::Device => to.u8(5),
        };
    }

    fn decode(from: &mut Decoder<'_>) -> Result<TreeEntry<'static>, Malformed> {
        Ok(TreeEntry {
            path: from.vec()?.into(),
            uid: from.u32()?,
            gid: from.u32()?,
            mode: from.u32()?,
            mtime: (from.i64()?, from.u32()?),
            xattrs: from.list(|from| Ok((from.vec()?, from.vec()?)))?.into(),
            kind: match from.u8()? {
                0 => EntryKind::File(from.u64()?),
                1 => EntryKind::Folder,
                2 => EntryKind::Symlink(from.vec()?.into()),
                3 => EntryKind::HardLink(from.vec()?.into()),
                4 => EntryKind::Fifo,
                5 => EntryKind::Device,
                _ => return Err(Malformed("unknown kind of entry")),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn entry(path: &str, kind: EntryKind<'static>) -> TreeEntry<'static> {
        TreeEntry {
            path: path.as_bytes().to_vec().into(),
            kind,
            uid: 1,
            gid: 2,
            mode: 0o4755,
            mtime: (-3, 999_999_999),
            xattrs: vec![(b"user.a".to_vec(), b"\0\xff".to_vec())].into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let target = |what| Target {
            to: b"/srv/".to_vec(),
            what,
            uid: 4,
            gid: 5,
        };
        let entries = [
            entry("", EntryKind::Folder),
            entry("a/b", EntryKind::File(1 << 40)),
            entry("\u{fc}", EntryKind::Symlink(b"a".as_slice().into())),
            entry("x", EntryKind::HardLink(b"a/b".as_slice().into())),
            entry("p", EntryKind::Fifo),
            entry("d", EntryKind::Device),
        ];
        let content = vec![7; 3 * BUFFER];
        let mut bytes = Vec::new();
        let mut writer = TreeWriter::new(&mut bytes);
        writer.target(&target(What::Entries)).unwrap();
        for entry in &entries {
            writer.entry(entry).unwrap();
        }
        writer.data(9, &content).unwrap();
        writer.target(&target(What::File(b"n".to_vec()))).unwrap();
        writer.end().unwrap();

        let mut reader = TreeReader::new(&bytes[..]);
        let mut next = || reader.next().unwrap();
        assert_eq!(next(), Frame::Target(target(What::Entries)));
        for entry in entries {
            assert_eq!(next(), Frame::Entry(entry));
        }
        let length = u32::try_from(content.len()).unwrap();
        assert_eq!(next(), Frame::Data { offset: 9, length });
        let mut read = Vec::new();
        reader
            .data::<StreamError>(length, |piece| {
                read.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert!(read == content);
        let named = target(What::File(b"n".to_vec()));
        assert_eq!(reader.next().unwrap(), Frame::Target(named));
        assert_eq!(reader.next().unwrap(), Frame::End);
        assert!(matches!(reader.next(), Err(StreamError::Short)));
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_no_stream() {
        let mut bytes = Vec::new();
        let mut writer = TreeWriter::new(&mut bytes);
        writer.entry(&entry("a", EntryKind::File(1))).unwrap();
        drop(writer);
        for length in 0..bytes.len() {
            let cut = TreeReader::new(&bytes[..length]).next();
            assert!(matches!(cut, Err(StreamError::Short)), "{length}");
        }
        for bytes in [
            &b"\x09\0\0\0\0"[..],
            b"\x03\0\0\0\0\0\0\0\0\0\0\0\0",
            b"\x02\xff\xff\xff\xff",
            b"\x02\x01\0\0\0\0",
            b"\x05\x01\0\0\0\0",
        ] {
            let read = TreeReader::new(bytes).next();
            assert!(matches!(read, Err(StreamError::Malformed(_))), "{read:?}");
        }
    }
}
