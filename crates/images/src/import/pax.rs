//! PAX extended headers: records of `LENGTH KEY=VALUE\n`, the length counting the whole record.

use super::limits::MAX_SPARSE_PIECES;

/// The records that mean something here.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Option<Described>,
}

/// What `GNU.sparse.*` says of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Described {
    /// Format 1.0: the map stands at the beginning of the data.
    pub(super) map_in_data: bool,
    /// The real path; the entry's own is made up.
    pub(super) name: Option<Vec<u8>>,
    /// The file's size with its holes.
    pub(super) real_size: Option<u64>,
    /// Offsets and lengths of formats 0.0 and 0.1, in turn.
    pub(super) map: Vec<u64>,
}

impl Pax {
    /// Reads the records; `None` when they do not hold together. An empty value takes the key
    /// back.
    pub(super) fn parse(mut text: &[u8]) -> Option<Self> {
        let mut pax = Self::default();
        let mut major = None;
        while !text.is_empty() {
            // Some writers fill the block up with NULs.
            if text.iter().all(|byte| *byte == 0) {
                break;
            }
            let space = text.iter().take(21).position(|byte| *byte == b' ')?;
            let length = usize::try_from(decimal(&text[..space])?).ok()?;
            if length <= space + 1 || length > text.len() || text[length - 1] != b'\n' {
                return None;
            }
            let record = &text[space + 1..length - 1];
            text = &text[length..];
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            if key == b"GNU.sparse.major" {
                major = Some(decimal(value)?);
            }
            pax.record(key, value)?;
        }
        if major.is_some_and(|major| major > 1) {
            return None;
        }
        if let Some(sparse) = &mut pax.sparse {
            sparse.map_in_data = major == Some(1);
        }
        Some(pax)
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let bytes = || (!value.is_empty()).then(|| value.to_vec());
        let number = || {
            if value.is_empty() {
                Some(None)
            } else {
                decimal(value).map(Some)
            }
        };
        match key {
            b"path" => self.path = bytes(),
            b"linkpath" => self.linkpath = bytes(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => {
                self.mtime = if value.is_empty() {
                    None
                } else {
                    Some(time(value)?)
                };
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.get_or_insert_default().record(name, value)?;
                }
            }
        }
        Some(())
    }
}

impl Described {
    fn record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.real_size = Some(decimal(value)?),
            // Format 0.0 repeats these two, which is why order matters.
            b"offset" | b"numbytes" => self.map.push(decimal(value)?),
            b"map" => {
                self.map = value
                    .split(|byte| *byte == b',')
                    .map(decimal)
                    .collect::<Option<_>>()?;
            }
            _ => {}
        }
        (self.map.len() <= 2 * MAX_SPARSE_PIECES).then_some(())
    }
}

/// Digits and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// Seconds with an optional sign and fraction, as seconds (rounded down) and nanoseconds.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        text => (false, text),
    };
    let dot = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    let mut nanos = 0;
    for place in 0..9 {
        nanos *= 10;
        match fraction.get(place) {
            Some(digit @ b'0'..=b'9') => nanos += u32::from(digit - b'0'),
            None => {}
            Some(_) => return None,
        }
    }
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = 3 + key.len() + value.len();
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length += 1;
        }
        [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn records() {
        let text = [
            record("path", b"a/\xff/b"),
            record("size", b"12345678901"),
            record("mtime", b"1700000000.5"),
            record("SCHILY.xattr.user.x", b"one\nnew=line\0"),
            record("SCHILY.xattr.user.x", b"two\n"),
            record("comment", b"anything"),
        ]
        .concat();
        let pax = Pax::parse(&text).unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a/\xff/b"[..]));
        assert_eq!(pax.size, Some(12_345_678_901));
        assert_eq!(pax.mtime, Some((1_700_000_000, 500_000_000)));
        assert_eq!(pax.xattrs, [(b"user.x".to_vec(), b"two\n".to_vec())]);
        assert!(pax.sparse.is_none());
    }

    #[test]
    fn nonsense() {
        for text in [
            &b"5 a=b"[..],
            b"6 a=bc\n",
            b"999999999999999999999999 a=b\n",
            b"99 a=b\n",
            b"0 a=b\n",
            b"2 \n",
            b"4 a\n\n",
            b"x a=b\n",
            b"-6 a=b\n",
            b"12 size=-10\n",
            b"11 uid=1x\n",
        ] {
            assert!(
                Pax::parse(text).is_none(),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn times() {
        assert_eq!(time(b"0"), Some((0, 0)));
        assert_eq!(time(b"1.25"), Some((1, 250_000_000)));
        assert_eq!(time(b"1.1234567891"), Some((1, 123_456_789)));
        assert_eq!(time(b"-1"), Some((-1, 0)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"1e9"), None);
        assert_eq!(time(b""), None);
    }
}
