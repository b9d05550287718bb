//! Gzip for streams that live long and must not wait: each piece can be decoded as soon as it
//! has arrived, and a stream costs twelve bytes of memory while nothing is sent on it.
//!
//! A deflate state weighs 310 KiB, 38 KiB with the smallest window. Kept for each stream it would
//! be most of what a waiting client costs the server. So each piece is compressed on its own, with a
//! state that belongs to the thread, and ended by a sync flush (RFC 1951, an empty stored block),
//! after which the next piece begins on a byte of its own. What deflate streams are made of may be
//! put together in this way as long as no piece refers to an earlier one. All that remains between
//! pieces is what the trailer needs: checksum and length. The price is that a lone small event does
//! not get smaller; whole logs do, since their events share pieces.

use std::cell::RefCell;
use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Header of RFC 1952: deflate, no name, no time, fastest, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// A last block that is empty.
const LAST_BLOCK: [u8; 2] = [3, 0];
/// Room for what a sync flush and the blocks' own heads add to a piece.
const SLACK: usize = 64;

thread_local! {
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// A gzip stream under way.
#[derive(Debug, Default)]
pub(crate) struct GzipPieces {
    crc: Crc,
    has_begun: bool,
}

impl GzipPieces {
    /// The next bytes of the stream: `plain`, complete.
    pub(crate) fn piece(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        let mut coded = Vec::with_capacity(HEADER.len() + plain.len() / 2 + SLACK);
        self.begin(&mut coded);
        self.crc.update(plain);
        DEFLATE.with_borrow_mut(|deflate| flushed(deflate, plain, &mut coded))?;
        Ok(coded)
    }

    /// The last bytes of the stream.
    pub(crate) fn trailer(mut self) -> Vec<u8> {
        let mut coded = Vec::with_capacity(SLACK);
        self.begin(&mut coded);
        coded.extend_from_slice(&LAST_BLOCK);
        coded.extend_from_slice(&self.crc.sum().to_le_bytes());
        coded.extend_from_slice(&self.crc.amount().to_le_bytes());
        coded
    }

    fn begin(&mut self, coded: &mut Vec<u8>) {
        if !self.has_begun {
            self.has_begun = true;
            coded.extend_from_slice(&HEADER);
        }
    }
}

fn flushed(deflate: &mut Compress, plain: &[u8], coded: &mut Vec<u8>) -> io::Result<()> {
    deflate.reset();
    loop {
        let taken = usize::try_from(deflate.total_in()).map_err(io::Error::other)?;
        let status = deflate.compress_vec(&plain[taken..], coded, FlushCompress::Sync)?;
        // Room that was left over means that there is nothing more to come.
        if status == Status::BufError || coded.len() < coded.capacity() {
            return Ok(());
        }
        coded.reserve(SLACK.max(plain.len() / 4));
    }
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;
    use flate2::write::GzDecoder as GzSink;
    use std::io::{Read as _, Write as _};

    use super::*;

    /// Text that deflate can make smaller, and some that it cannot.
    fn texts() -> Vec<Vec<u8>> {
        let mut noise = 1_u64;
        let mut noisy = |size: usize| {
            let bytes = std::iter::repeat_with(|| {
                noise = noise
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                noise.to_be_bytes()[0]
            });
            bytes.take(size).collect::<Vec<u8>>()
        };
        let mut texts = vec![
            b": keepalive\n\n".to_vec(),
            b"id: 7\nevent: stdout\ndata: {}\n\n".repeat(3_000),
            Vec::new(),
            vec![b'x'],
            noisy(200_000),
        ];
        texts.extend((1..300).map(|size| noisy(size * 3)));
        texts
    }

    #[test]
    fn every_piece_can_be_decoded_when_it_arrives() {
        let mut gzip = GzipPieces::default();
        let mut sink = GzSink::new(Vec::new());
        let (mut plain, mut coded) = (Vec::new(), Vec::new());
        for text in texts() {
            let piece = gzip.piece(&text).unwrap();
            plain.extend_from_slice(&text);
            sink.write_all(&piece).unwrap();
            sink.flush().unwrap();
            assert!(*sink.get_ref() == plain, "after {} bytes", plain.len());
            coded.extend(piece);
        }
        coded.extend(gzip.trailer());
        // The whole has one header and one good trailer, and nothing behind it.
        let mut decoder = GzDecoder::new(&coded[..]);
        let mut decoded = Vec::new();
        decoder.read_to_end(&mut decoded).unwrap();
        assert!(decoded == plain);
        assert!(decoder.into_inner().is_empty());
    }

    #[test]
    fn an_empty_stream_is_one_too() {
        let coded = GzipPieces::default().trailer();
        let mut decoded = Vec::new();
        GzDecoder::new(&coded[..])
            .read_to_end(&mut decoded)
            .unwrap();
        assert!(decoded.is_empty());
    }
}
