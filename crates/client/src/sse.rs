//! Server-sent events, as bytes come in.
//!
//! A stream is lines ended by `\n`, `\r\n` or `\r`; an empty line ends a frame; a line is
//! `field: value` (one space after the colon is dropped) or a comment when it starts with a
//! colon. The fields that count here are `id`, `event` and `data`; several `data` lines are joined
//! by `\n`. A frame without data is dropped, and so is one that the end of the stream cuts off:
//! the reader asks for it again by the id of the last complete one.
//!
//! [`Parser`] does no I/O. It takes chunks cut anywhere and holds at most [`MAX_FRAME_BYTES`].

/// Most bytes of one frame, its field names and line ends included.
pub const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;

/// One complete frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Frame {
    /// The last `id` of the frame, as text.
    pub id: Option<String>,
    /// The `event`, or `None` for the default type `message`.
    pub event: Option<String>,
    /// The data lines, joined.
    pub data: String,
}

/// What no sender may do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame is over the limit.
    #[error("a frame is larger than {MAX_FRAME_BYTES} bytes")]
    TooLarge,
    /// A frame is not UTF-8.
    #[error("a frame is not valid UTF-8")]
    NotUtf8,
}

/// Turns chunks of a stream into frames.
#[derive(Debug, Default)]
pub struct Parser {
    /// The line being read, without its end.
    line: Vec<u8>,
    /// What the lines of the frame being read gave so far.
    frame: Frame,
    /// Whether the frame has a data line (it may be empty).
    has_data: bool,
    /// Bytes of the frame being read, complete lines only.
    frame_bytes: usize,
    /// The last byte was `\r`: a `\n` that follows belongs to the same line end.
    after_cr: bool,
    /// Something of the stream has been read, so a byte order mark can no longer come.
    started: bool,
}

impl Parser {
    /// A parser at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and appends the frames they complete to `frames`.
    ///
    /// # Errors
    /// [`FrameError`]; the stream cannot be read on after it.
    pub fn feed(&mut self, mut bytes: &[u8], frames: &mut Vec<Frame>) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.frame_bytes + self.line.len() + part.len() > MAX_FRAME_BYTES {
                return Err(FrameError::TooLarge);
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { break };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.end_line(&line, frames)?;
            // The buffer is used again, unless one large frame made it large.
            if line.capacity() <= 64 * 1024 {
                self.line = line;
                self.line.clear();
            }
        }
        Ok(())
    }

    fn end_line(&mut self, line: &[u8], frames: &mut Vec<Frame>) -> Result<(), FrameError> {
        let line = if std::mem::replace(&mut self.started, true) {
            line
        } else {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
        };
        if line.is_empty() {
            self.frame_bytes = 0;
            let frame = std::mem::take(&mut self.frame);
            if std::mem::take(&mut self.has_data) {
                frames.push(frame);
            }
            return Ok(());
        }
        if line[0] == b':' {
            return Ok(());
        }
        self.frame_bytes += line.len() + 1;
        let line = std::str::from_utf8(line).map_err(|_| FrameError::NotUtf8)?;
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            "event" => self.frame.event = (!value.is_empty()).then(|| value.to_owned()),
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<Frame> {
        let mut parser = Parser::new();
        let mut frames = Vec::new();
        for chunk in chunks {
            parser.feed(chunk, &mut frames).unwrap();
        }
        frames
    }

    fn frame(id: Option<&str>, event: Option<&str>, data: &str) -> Frame {
        Frame {
            id: id.map(Into::into),
            event: event.map(Into::into),
            data: data.into(),
        }
    }

    const MIXED: &[u8] = b"\xef\xbb\xbf: keepalive\r\n\r\nid: 0\revent: init\rdata: {\"a\":1}\r\r\
        id:1\ndata: one\ndata:\ndata:  two\nretry: 5\nnonsense\n\n\
        event: sse_error\r\ndata: broke \xc3\xa9\r\n\r\nid: 9\n\ndata\n\nid: 3\ndata: cut off";

    fn expected() -> Vec<Frame> {
        vec![
            frame(Some("0"), Some("init"), "{\"a\":1}"),
            frame(Some("1"), None, "one\n\n two"),
            frame(None, Some("sse_error"), "broke é"),
            frame(None, None, ""),
        ]
    }

    #[test]
    fn all_line_ends_fields_and_comments() {
        assert_eq!(parse(&[MIXED]), expected());
    }

    /// Where a chunk ends must never matter: every cut in two, every byte alone, and pseudo-random
    /// cuts.
    #[test]
    fn cuts_do_not_matter() {
        for at in 0..=MIXED.len() {
            assert_eq!(
                parse(&[&MIXED[..at], &MIXED[at..]]),
                expected(),
                "cut at {at}"
            );
        }
        let single: Vec<&[u8]> = MIXED.chunks(1).collect();
        assert_eq!(parse(&single), expected());
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..500 {
            let mut rest = MIXED;
            let mut chunks = Vec::new();
            while !rest.is_empty() {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let size = usize::try_from(state % 17).unwrap().min(rest.len());
                chunks.push(&rest[..size]);
                rest = &rest[size..];
            }
            assert_eq!(parse(&chunks), expected());
        }
    }

    /// Any bytes at all are either frames or an error, never a panic or unbounded memory.
    #[test]
    fn garbage_is_survived() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let alphabet = b"\r\n: dataeventid\0\xff\xc3{}\"0";
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..64)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    alphabet[usize::try_from(state % alphabet.len() as u64).unwrap()]
                })
                .collect();
            let mut parser = Parser::new();
            let mut frames = Vec::new();
            for chunk in bytes.chunks(7) {
                if parser.feed(chunk, &mut frames).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn frames_are_bounded() {
        let mut parser = Parser::new();
        let mut frames = Vec::new();
        let fits = format!("data: {}\n\n", "x".repeat(MAX_FRAME_BYTES - 7));
        parser.feed(fits.as_bytes(), &mut frames).unwrap();
        assert_eq!(frames[0].data.len(), MAX_FRAME_BYTES - 7);

        // In one line, and in many.
        assert_eq!(
            parser.feed(&vec![b'x'; MAX_FRAME_BYTES + 1], &mut frames),
            Err(FrameError::TooLarge)
        );
        let mut parser = Parser::new();
        let line = format!("data: {}\n", "x".repeat(1_000));
        let result = (0..10_000).try_for_each(|_| parser.feed(line.as_bytes(), &mut frames));
        assert_eq!(result, Err(FrameError::TooLarge));
    }

    #[test]
    fn invalid_utf8_is_an_error() {
        let mut frames = Vec::new();
        assert_eq!(
            Parser::new().feed(b"data: \xff\n\n", &mut frames),
            Err(FrameError::NotUtf8)
        );
        // In a comment nobody looks.
        assert_eq!(Parser::new().feed(b": \xff\n\n", &mut frames), Ok(()));
    }
}
