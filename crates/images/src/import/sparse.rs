//! Sparse files in tars: which parts of the file the data in the archive is.
//!
//! Four ways of writing the same list of (offset, length) exist. The oldest keeps four pieces in
//! the header and, after it, blocks of 21 more; PAX 0.0 and 0.1 keep them in records, PAX 1.0 in
//! decimal lines at the beginning of the data, filled up to a block.

use super::limits::MAX_SPARSE_PIECES;
use super::pax::{Described, decimal};
use super::stream::ByteSource;
use super::tarball::{BLOCK, Entries, TarError, parse_number};

/// Where a file's data belongs. Everything else is holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Size of the file, holes included.
    pub(super) real_size: u64,
    /// Offset and length, ascending, not overlapping, inside the file.
    pub(super) pieces: Vec<(u64, u64)>,
}

impl Sparse {
    /// Checks what a stranger wrote against the `data` bytes that the archive holds.
    pub(super) fn check(&self, data: u64, at: u64) -> Result<(), TarError> {
        let bad = |detail| TarError::Sparse { at, detail };
        let mut end = 0_u64;
        let mut sum = 0_u64;
        for (offset, length) in &self.pieces {
            if *offset < end {
                return Err(bad("its pieces overlap or are out of order"));
            }
            end = offset
                .checked_add(*length)
                .ok_or_else(|| bad("a piece is too large"))?;
            sum += length;
        }
        if end > self.real_size || self.real_size > i64::MAX as u64 {
            return Err(bad("a piece lies behind its end"));
        }
        if sum != data {
            return Err(bad("its pieces are not as long as its data"));
        }
        Ok(())
    }
}

/// Reads the map of a PAX sparse file. With format 1.0 that takes the first blocks of the data.
pub(super) fn from_pax<S: ByteSource>(
    described: Described,
    entries: &mut Entries<'_, S>,
    at: u64,
) -> Result<Sparse, TarError> {
    let bad = |detail| TarError::Sparse { at, detail };
    let map = if described.map_in_data {
        map_in_data(entries, at)?
    } else {
        described.map
    };
    if map.len() % 2 != 0 {
        return Err(bad("its map has an offset without a length"));
    }
    let sparse = Sparse {
        real_size: described
            .real_size
            .ok_or_else(|| bad("its size is missing"))?,
        pieces: map
            .chunks_exact(2)
            .map(|piece| (piece[0], piece[1]))
            .collect(),
    };
    sparse.check(entries.data_left(), at)?;
    Ok(sparse)
}

/// Format 1.0: a count, then that many offsets and lengths, one number a line.
fn map_in_data<S: ByteSource>(entries: &mut Entries<'_, S>, at: u64) -> Result<Vec<u64>, TarError> {
    let bad = |detail| TarError::Sparse { at, detail };
    let mut numbers = Vec::new();
    let mut wanted = None;
    let mut line = Vec::new();
    loop {
        let block = entries
            .data_block()?
            .ok_or_else(|| bad("its map is cut off"))?;
        for byte in block {
            if byte != b'\n' {
                line.push(byte);
                if line.len() > 20 {
                    return Err(bad("its map holds something that is not a number"));
                }
                continue;
            }
            let number = decimal(&line)
                .ok_or_else(|| bad("its map holds something that is not a number"))?;
            line.clear();
            match wanted {
                None if number > MAX_SPARSE_PIECES as u64 => {
                    return Err(bad("it has too many pieces"));
                }
                None => wanted = Some(usize::try_from(number).unwrap_or(usize::MAX) * 2),
                Some(_) => numbers.push(number),
            }
            if wanted == Some(numbers.len()) {
                return Ok(numbers);
            }
        }
    }
}

/// Reads the map of an old GNU sparse file, whose further blocks follow its header.
pub(super) fn from_header<S: ByteSource>(
    header: &[u8; BLOCK],
    entries: &mut Entries<'_, S>,
    at: u64,
) -> Result<Sparse, TarError> {
    let bad = |detail| TarError::Sparse { at, detail };
    let number = |field: &[u8]| {
        let number = parse_number(field).and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| bad("its map holds something that is not a number"))
    };
    let mut pieces = Vec::new();
    let mut take = |map: &[u8]| -> Result<(), TarError> {
        for piece in map.chunks_exact(24) {
            // The first empty one ends the list.
            if piece[0] == 0 || piece[12] == 0 {
                break;
            }
            pieces.push((number(&piece[..12])?, number(&piece[12..])?));
            if pieces.len() > MAX_SPARSE_PIECES {
                return Err(bad("it has too many pieces"));
            }
        }
        Ok(())
    };
    take(&header[386..482])?;
    let mut more = header[482] != 0;
    let mut blocks = 0;
    while more {
        let block = entries.block()?.ok_or_else(|| bad("its map is cut off"))?;
        take(&block[..504])?;
        more = block[504] != 0;
        blocks += 1;
        if blocks > MAX_SPARSE_PIECES / 21 {
            return Err(bad("it has too many pieces"));
        }
    }
    Ok(Sparse {
        real_size: number(&header[483..495])?,
        pieces,
    })
}
