//! From the bytes of a layer to the bytes of its tar, on a thread of its own.
//!
//! ```text
//! compressed ─► [digest, size] ─► gzip/zstd/plain ─► [diff digest, budget] ══► unpacker
//! ```
//! Decompressing and hashing take about as long as making the files does, so the two run side by
//! side with a few buffers between them. How a layer is compressed is seen from its first bytes,
//! whatever its media type says. The stream is read to its end even when the tar ended before, or
//! the digests would not cover it. Every kind of trouble arrives at the unpacker as a
//! [`StreamError`].

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::digest::{Digest, Hasher};
use super::limits::ZSTD_WINDOW_LOG;
use super::progress::Size;
use super::spool::Broken;

/// Size of the pieces that go to the unpacker.
const PIECE: usize = 128 << 10;
/// Pieces under way.
const PIECES: usize = 8;

/// Why a layer's bytes end before their time.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The download failed; the error is with it.
    #[error("the layer did not arrive")]
    NotArrived,
    /// The import was given up.
    #[error("the import was cancelled")]
    Cancelled,
    /// Ends in the middle.
    #[error("the data ends too early")]
    Truncated,
    /// Broken compression.
    #[error("the {format} compression is broken")]
    Compression {
        /// Which one.
        format: &'static str,
        /// How.
        source: io::Error,
    },
    /// Something that is neither plain, gzip nor zstd.
    #[error("it is compressed with {format}, which is not supported; use gzip or zstd")]
    Unsupported {
        /// Which one.
        format: &'static str,
    },
    /// The file could not be read.
    #[error("the data could not be read")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// A bomb, or simply too large.
    #[error("it unpacks to more than {} in all", Size(*limit))]
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// Not the content that was named.
    #[error("its {what} is {actual}, not {expected}")]
    Digest {
        /// Which digest.
        what: &'static str,
        /// As named.
        expected: Digest,
        /// As found.
        actual: Digest,
    },
}

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Tells from the first bytes; six are enough.
    pub(super) fn detect(head: &[u8]) -> Result<Self, StreamError> {
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(StreamError::Unsupported { format: "xz" }),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => {
                Err(StreamError::Unsupported { format: "bzip2" })
            }
            _ => Ok(Self::None),
        }
    }

    /// Wraps `input`, which begins with a frame of this compression.
    pub(super) fn decoder<'r>(
        self,
        input: impl BufRead + Send + 'r,
    ) -> Result<Box<dyn Read + Send + 'r>, StreamError> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Zstd => {
                let broken = |source| StreamError::Compression {
                    format: "zstd",
                    source,
                };
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(input).map_err(broken)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
                Box::new(decoder)
            }
        })
    }

    /// What an error of the decoder means.
    pub(super) fn error(self, error: io::Error) -> StreamError {
        if error.get_ref().is_some_and(|inner| inner.is::<Broken>()) {
            return StreamError::NotArrived;
        }
        match (self, error.kind()) {
            (_, io::ErrorKind::UnexpectedEof) => StreamError::Truncated,
            (Self::Gzip, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                StreamError::Compression {
                    format: "gzip",
                    source: error,
                }
            }
            // The decoder gives zstd's own errors no kind; errors of the file have a number.
            (Self::Zstd, _) if error.raw_os_error().is_none() => StreamError::Compression {
                format: "zstd",
                source: error,
            },
            _ => StreamError::Read { source: error },
        }
    }
}

/// What all layers of an import share.
#[derive(Debug)]
pub(super) struct Budget {
    /// Bytes of tar that may still come.
    left: AtomicU64,
    limit: u64,
    cancelled: Cancelled,
}

/// Set when the import is given up; looked at with each piece of data.
pub(super) type Cancelled = Arc<AtomicBool>;

impl Budget {
    pub(super) const fn new(limit: u64, cancelled: Cancelled) -> Self {
        Self {
            left: AtomicU64::new(limit),
            limit,
            cancelled,
        }
    }

    /// A further one, cancelled together with this.
    pub(super) fn another(&self, limit: u64) -> Self {
        Self::new(limit, Arc::clone(&self.cancelled))
    }

    pub(super) fn check(&self) -> Result<(), StreamError> {
        if self.cancelled.load(Ordering::Relaxed) {
            Err(StreamError::Cancelled)
        } else {
            Ok(())
        }
    }

    pub(super) fn spend(&self, bytes: usize) -> Result<(), StreamError> {
        self.check()?;
        let bytes = bytes as u64;
        let spent = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        spent
            .map(|_| ())
            .map_err(|_| StreamError::TooLarge { limit: self.limit })
    }
}

/// What a layer must turn out to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    /// Digest of the bytes as they are stored; none where the download checks it.
    pub(super) stored: Option<Digest>,
    /// Digest of the plain tar; none for an archive of a root filesystem.
    pub(super) diff: Option<Digest>,
}

/// Bytes that can be looked at before they are taken.
pub(super) trait ByteSource {
    /// What can be looked at now; empty at the end only.
    fn fill(&mut self) -> Result<&[u8], StreamError>;

    /// Takes `count` of the bytes that [`fill`](Self::fill) showed.
    fn consume(&mut self, count: usize);

    /// Takes `count` bytes without looking at them.
    fn skip(&mut self, mut count: u64) -> Result<(), StreamError> {
        while count > 0 {
            let available = self.fill()?.len();
            if available == 0 {
                return Err(StreamError::Truncated);
            }
            let taken = usize::try_from(count).map_or(available, |count| count.min(available));
            self.consume(taken);
            count -= taken as u64;
        }
        Ok(())
    }

    /// Fills `buffer`. False when the bytes had already ended.
    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<bool, StreamError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let available = self.fill()?;
            if available.is_empty() {
                return if filled == 0 {
                    Ok(false)
                } else {
                    Err(StreamError::Truncated)
                };
            }
            let taken = available.len().min(buffer.len() - filled);
            buffer[filled..filled + taken].copy_from_slice(&available[..taken]);
            filled += taken;
            self.consume(taken);
        }
        Ok(true)
    }
}

/// The unpacker's end of the thread's work.
pub(super) struct Pieces {
    incoming: Receiver<Result<Vec<u8>, StreamError>>,
    used: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Pieces {
    /// Takes what is left, so that the thread comes to its verdict on the whole.
    pub(super) fn drain(&mut self) -> Result<(), StreamError> {
        loop {
            let available = self.fill()?.len();
            if available == 0 {
                return Ok(());
            }
            self.consume(available);
        }
    }
}

impl ByteSource for Pieces {
    fn fill(&mut self) -> Result<&[u8], StreamError> {
        while self.at == self.piece.len() {
            // The sender is gone after a verdict that was good.
            let Ok(next) = self.incoming.recv() else {
                return Ok(&[]);
            };
            let used = std::mem::replace(&mut self.piece, next?);
            self.at = 0;
            // Nobody takes it back at the end of the stream.
            let _ = self.used.send(used);
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

/// Decodes `input` on a thread of its own while `consumer` takes the pieces. An error of the
/// stream wins over what the consumer makes of it.
pub(super) fn decode<I, T, E>(
    input: I,
    expected: &Expected,
    budget: &Budget,
    progress: &(dyn Fn(u64) + Sync),
    consumer: impl FnOnce(&mut Pieces) -> Result<T, E>,
) -> Result<T, E>
where
    I: Read + Send,
    E: From<StreamError>,
{
    let (outgoing, incoming) = sync_channel(PIECES);
    let (used, returned) = channel();
    std::thread::scope(|scope| {
        let work = move || {
            if let Err(error) = pump(input, expected, budget, progress, &outgoing, &returned) {
                // The consumer may have given up already.
                let _ = outgoing.send(Err(error));
            }
        };
        std::thread::Builder::new()
            .name("import-decode".into())
            .spawn_scoped(scope, work)
            .map_err(|source| StreamError::Read { source })?;
        let mut pieces = Pieces {
            incoming,
            used,
            piece: Vec::new(),
            at: 0,
        };
        let taken = consumer(&mut pieces)?;
        pieces.drain()?;
        Ok(taken)
    })
}

fn pump<I: Read + Send>(
    input: I,
    expected: &Expected,
    budget: &Budget,
    progress: &(dyn Fn(u64) + Sync),
    outgoing: &SyncSender<Result<Vec<u8>, StreamError>>,
    returned: &Receiver<Vec<u8>>,
) -> Result<(), StreamError> {
    let seen = AtomicU64::new(0);
    let mut stored = expected.stored.as_ref().map(Hasher::like);
    let mut diff = expected.diff.as_ref().map(Hasher::like);
    let tap = Tap {
        input,
        hasher: stored.as_mut(),
        seen: &seen,
    };
    let mut input = BufReader::with_capacity(PIECE, tap);
    let mut emit = |piece: Vec<u8>| {
        budget.spend(piece.len())?;
        progress(seen.load(Ordering::Relaxed));
        if let Some(diff) = &mut diff {
            diff.update(&piece);
        }
        Ok(outgoing.send(Ok(piece)).is_ok())
    };
    let decoded = decode_pieces(&mut input, returned, &mut emit);
    if matches!(
        decoded,
        Ok(true) | Err(StreamError::Truncated | StreamError::Compression { .. })
    ) {
        // The digest is of all bytes, also those that the decoder had no use for; and when the
        // content is wrong altogether, that is what to say, not how the decoder noticed.
        let rest = drain(&mut input, budget);
        drop(input);
        let whole = rest.and_then(|()| verdict("digest", expected.stored.as_ref(), stored));
        if whole.is_err() || decoded.is_ok() {
            whole?;
        }
    }
    match decoded {
        Ok(true) => {
            progress(seen.load(Ordering::Relaxed));
            verdict("diff_id", expected.diff.as_ref(), diff)
        }
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives the decoded bytes to `emit`, which says whether anybody still wants them; and so does
/// the result.
fn decode_pieces(
    input: &mut (impl BufRead + Send),
    returned: &Receiver<Vec<u8>>,
    emit: &mut impl FnMut(Vec<u8>) -> Result<bool, StreamError>,
) -> Result<bool, StreamError> {
    let head = input
        .fill_buf()
        .map_err(|error| Compression::None.error(error))?;
    let compression = Compression::detect(head)?;
    let mut decoder = compression.decoder(input)?;
    loop {
        let mut piece = returned.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let filled = fill(&mut decoder, &mut piece).map_err(|error| compression.error(error))?;
        piece.truncate(filled);
        if filled == 0 {
            return Ok(true);
        }
        if !emit(piece)? {
            return Ok(false);
        }
    }
}

fn drain(input: &mut impl BufRead, budget: &Budget) -> Result<(), StreamError> {
    loop {
        budget.check()?;
        let available = input
            .fill_buf()
            .map_err(|error| Compression::None.error(error))?
            .len();
        if available == 0 {
            return Ok(());
        }
        input.consume(available);
    }
}

fn verdict(
    what: &'static str,
    expected: Option<&Digest>,
    hasher: Option<Hasher>,
) -> Result<(), StreamError> {
    let (Some(expected), Some(hasher)) = (expected, hasher) else {
        return Ok(());
    };
    let actual = hasher.finish();
    if actual == *expected {
        return Ok(());
    }
    Err(StreamError::Digest {
        what,
        expected: expected.clone(),
        actual,
    })
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Counts and hashes what is read.
struct Tap<'h, I> {
    input: I,
    hasher: Option<&'h mut Hasher>,
    seen: &'h AtomicU64,
}

impl<I: Read> Read for Tap<'_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        self.seen.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn run(stored: &[u8], expected: &Expected, limit: u64) -> Result<Vec<u8>, StreamError> {
        decode(
            stored,
            expected,
            &Budget::new(limit, Cancelled::default()),
            &|_| {},
            |pieces| {
                let mut all = Vec::new();
                loop {
                    let piece = pieces.fill()?.to_vec();
                    if piece.is_empty() {
                        return Ok(all);
                    }
                    pieces.consume(piece.len());
                    all.extend(piece);
                }
            },
        )
    }

    #[test]
    fn every_compression_and_several_frames() {
        let plain: Vec<u8> = (0..1_000_000_u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        let expected = Expected {
            stored: None,
            diff: Some(Digest::of(&plain)),
        };
        let half = plain.len() / 2;
        let zst = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
        for stored in [
            plain.clone(),
            gzip(&plain),
            zst(&plain),
            [gzip(&plain[..half]), gzip(&plain[half..])].concat(),
            [zst(&plain[..half]), zst(&plain[half..])].concat(),
        ] {
            let expected = Expected {
                stored: Some(Digest::of(&stored)),
                ..expected.clone()
            };
            assert!(run(&stored, &expected, 1 << 30).unwrap() == plain);
        }
    }

    #[test]
    fn trouble_has_a_name() {
        let plain = vec![7; 3 << 20];
        let zst = zstd::encode_all(&plain[..], 3).unwrap();
        let gz = gzip(&plain);
        let none = Expected::default();
        let error = |stored: &[u8], expected: &Expected, limit| {
            run(stored, expected, limit).unwrap_err().to_string()
        };
        assert_eq!(
            error(&gz[..gz.len() - 9], &none, 1 << 30),
            "the data ends too early"
        );
        assert_eq!(
            error(&zst[..zst.len() - 2], &none, 1 << 30),
            "the data ends too early"
        );
        assert_eq!(
            error(&gz, &none, 1 << 20),
            "it unpacks to more than 1.0 MiB in all"
        );
        let mut bent = gz.clone();
        bent[20] ^= 0xff;
        bent[21] ^= 0xff;
        assert_eq!(
            error(&bent, &none, 1 << 30),
            "the gzip compression is broken"
        );
        let mut bent = zst.clone();
        bent[8] ^= 0xff;
        assert_eq!(
            error(&bent, &none, 1 << 30),
            "the zstd compression is broken"
        );
        assert_eq!(
            error(b"\xfd7zXZ\0\0", &none, 1 << 30),
            "it is compressed with xz, which is not supported; use gzip or zstd"
        );
        let other = Digest::of(b"other");
        let wrong = Expected {
            stored: Some(other.clone()),
            diff: None,
        };
        assert!(error(&gz, &wrong, 1 << 30).starts_with("its digest is sha256:"));
        let wrong = Expected {
            stored: None,
            diff: Some(other),
        };
        assert!(error(&gz, &wrong, 1 << 30).starts_with("its diff_id is sha256:"));
    }

    #[test]
    fn a_consumer_that_gives_up_ends_the_thread() {
        let plain = vec![7; 64 << 20];
        let cancelled = Cancelled::default();
        let budget = Budget::new(u64::MAX, Arc::clone(&cancelled));
        let result: Result<(), StreamError> =
            decode(&plain[..], &Expected::default(), &budget, &|_| {}, |_| {
                Err(StreamError::Cancelled)
            });
        assert!(matches!(result, Err(StreamError::Cancelled)));
        cancelled.store(true, Ordering::Relaxed);
        let result: Result<(), StreamError> = decode(
            &plain[..],
            &Expected::default(),
            &budget,
            &|_| {},
            Pieces::drain,
        );
        assert!(matches!(result, Err(StreamError::Cancelled)));
    }
}
