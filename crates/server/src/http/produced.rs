//! Bodies that are made while they are sent, by a reader that blocks.
//!
//! A piece is read on another thread; while it is sent the next one is read, and no thread waits
//! for a slow client: that one costs the reader's own state and two pieces ([`PIECE`]). When the
//! client goes away the body is dropped and the reader with it. When reading fails the connection
//! is cut, so that a part never passes for the whole, and the cause is logged.

use std::io::{self, Read, Write as _};

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

use super::error::Chain;

/// Bytes that are read at a time.
const PIECE: usize = 128 * 1024;

/// Pieces of all answers that are read at a time. More would not come off the disk sooner, and
/// many clients at once would start hundreds of threads.
static READING: Semaphore = Semaphore::const_new(8);

/// A body of all that `reader` gives, in gzip when so wished.
pub(crate) fn produced(reader: impl Read + Send + 'static, gzip: bool) -> Body {
    let encoder = gzip.then(|| GzEncoder::new(Vec::with_capacity(PIECE), Compression::fast()));
    let source = Source {
        reader,
        encoder,
        ended: false,
    };
    Body::from_stream(stream::try_unfold(
        Some(source.read_ahead()),
        |reading| async {
            let Some(reading) = reading else {
                return Ok(None);
            };
            let (piece, source) = finished(reading).await.inspect_err(|error| {
                tracing::error!(error = %Chain(error), "an answer was cut short");
            })?;
            let next = source.map(Source::read_ahead);
            Ok::<_, io::Error>(Some((piece, next)))
        },
    ))
}

/// A piece, and what gives the next one unless it was the last.
type Piece<R> = io::Result<(Bytes, Option<Source<R>>)>;

async fn finished<R>(reading: JoinHandle<Piece<R>>) -> Piece<R> {
    reading.await.map_err(io::Error::other)?
}

impl<R: Read + Send + 'static> Source<R> {
    /// Has the next piece read on another thread.
    fn read_ahead(self) -> JoinHandle<Piece<R>> {
        tokio::spawn(async {
            // Never closed.
            let _turn = READING.acquire().await.map_err(io::Error::other)?;
            spawn_blocking(move || self.next())
                .await
                .map_err(io::Error::other)?
        })
    }
}

struct Source<R> {
    reader: R,
    /// None: plain.
    encoder: Option<GzEncoder<Vec<u8>>>,
    ended: bool,
}

impl<R: Read> Source<R> {
    fn next(mut self) -> Piece<R> {
        loop {
            let plain = self.read()?;
            let piece = match &mut self.encoder {
                None => plain,
                Some(encoder) => {
                    encoder.write_all(&plain)?;
                    if self.ended {
                        encoder.try_finish()?;
                    }
                    std::mem::take(encoder.get_mut())
                }
            };
            if self.ended {
                return Ok((piece.into(), None));
            }
            // What is well compressed takes more than one reading to make a piece.
            if !piece.is_empty() {
                return Ok((piece.into(), Some(self)));
            }
        }
    }

    /// Reads until a piece is full, or to the end.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; PIECE];
        let mut length = 0;
        while length < PIECE {
            match self.reader.read(&mut piece[length..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        piece.truncate(length);
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt as _;

    use super::*;

    /// Gives so many bytes in odd pieces, then fails or ends.
    struct Numbers {
        left: usize,
        fails: bool,
        read: Arc<AtomicUsize>,
    }

    impl Read for Numbers {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 && self.fails {
                return Err(io::Error::other("the disk is gone"));
            }
            let length = self.left.min(buffer.len()).min(10_007);
            for (at, byte) in buffer[..length].iter_mut().enumerate() {
                *byte = u8::try_from((self.left - at) % 251).unwrap();
            }
            self.left -= length;
            self.read.fetch_add(length, Ordering::Relaxed);
            Ok(length)
        }
    }

    fn numbers(left: usize, fails: bool) -> Numbers {
        Numbers {
            left,
            fails,
            read: Arc::default(),
        }
    }

    fn expected(size: usize) -> Vec<u8> {
        (0..size)
            .map(|at| u8::try_from((size - at) % 251).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn everything_that_is_read_is_sent() {
        for size in [0, 1, PIECE, PIECE + 1, 1_000_000] {
            let plain = produced(numbers(size, false), false).collect().await;
            assert!(plain.unwrap().to_bytes() == expected(size), "{size}");
            let coded = produced(numbers(size, false), true).collect().await;
            let mut decoded = Vec::new();
            let coded = coded.unwrap().to_bytes();
            GzDecoder::new(&coded[..])
                .read_to_end(&mut decoded)
                .unwrap();
            assert!(decoded == expected(size), "{size}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_no_end() {
        for gzip in [false, true] {
            let error = produced(numbers(1_000_000, true), gzip).collect().await;
            assert!(error.is_err());
        }
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_sent() {
        let source = numbers(100 * PIECE, false);
        let read = Arc::clone(&source.read);
        let mut body = produced(source, false);
        for _ in 0..3 {
            body.frame().await.unwrap().unwrap();
        }
        assert!(read.load(Ordering::Relaxed) <= 4 * PIECE);
        drop(body);
        assert!(read.load(Ordering::Relaxed) <= 4 * PIECE);
    }
}
