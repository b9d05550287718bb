//! Headers of members: POSIX ustar, with a PAX extended header before it for what ustar cannot say.
//!
//! What goes into PAX records, which override the ustar header:
//! - `path` and `linkpath` that are longer than ustar's 100 bytes, or are not ASCII. Names that
//!   are no UTF-8 stay in the ustar header where they fit, because PAX asks for UTF-8; longer ones
//!   go into the record all the same, as GNU tar writes and reads them.
//! - `size`, `uid` and `gid` beyond ustar's octal digits; `mtime` with nanoseconds, before 1970, or
//!   after 2242.
//! - `SCHILY.xattr.NAME`: extended attributes as the guest sees them. That is `user.*`, with the
//!   guest's own `user.overlay.x` by that name (overlayfs keeps it as `user.overlay.overlay.x`, and
//!   its notes to itself are left out), POSIX ACLs, and `security.capability`. Labels of the host's
//!   security modules are nothing of the image's. `=` and `%` in names are written as GNU tar does,
//!   `%3D` and `%25`.

use std::borrow::Cow;

use rustix::fs::Stat;
use tar::{EntryType, Header};

use super::members::{Kind, Member, shown};

const BLOCK: usize = 512;
/// Bytes of a name or link target in a ustar header.
const MAX_NAME: usize = 100;
/// What 7 octal digits hold.
const MAX_ID: u32 = 0o7_777_777;
/// What 11 octal digits hold.
const MAX_LONG: u64 = 0o77_777_777_777;

/// Appends the headers of a member, whole blocks.
pub(super) fn write(name: &[u8], member: &Member, out: &mut Vec<u8>) {
    let Member {
        kind,
        facts,
        xattrs,
    } = member;
    let name = match kind {
        Kind::Folder => Cow::Owned([name, b"/"].concat()),
        _ => Cow::Borrowed(name),
    };
    let mut header = Header::new_ustar();
    let mut records = Vec::new();
    let (entry_type, size, link) = match kind {
        Kind::File(_, size) => (EntryType::Regular, *size, None),
        Kind::Folder => (EntryType::Directory, 0, None),
        Kind::Symlink(target) => (EntryType::Symlink, 0, Some(&target[..])),
        Kind::HardLink(first) => (EntryType::Link, 0, Some(&first[..])),
        Kind::Fifo => (EntryType::Fifo, 0, None),
        Kind::CharacterDevice(_) => (EntryType::Char, 0, None),
        Kind::BlockDevice(_) => (EntryType::Block, 0, None),
    };
    header.set_entry_type(entry_type);
    header.set_mode(facts.st_mode & 0o7777);
    if let Some(ustar) = header.as_ustar_mut() {
        text(&mut ustar.name, &name, b"path", &mut records);
        if let Some(link) = link {
            text(&mut ustar.linkname, link, b"linkpath", &mut records);
        }
        if let Kind::CharacterDevice(device) | Kind::BlockDevice(device) = kind {
            // Linux has 12 and 20 bits for them, so they fit.
            ustar.set_device_major(device.major);
            ustar.set_device_minor(device.minor);
        }
    }
    let (uid, gid) = (facts.st_uid, facts.st_gid);
    header.set_uid(id(uid, b"uid", &mut records));
    header.set_gid(id(gid, b"gid", &mut records));
    header.set_size(if size > MAX_LONG {
        record(b"size", size.to_string().as_bytes(), &mut records);
        0
    } else {
        size
    });
    header.set_mtime(mtime(facts, &mut records));
    for (key, value) in xattrs {
        if let Some(key) = shown(key) {
            record(&xattr_key(&key), value, &mut records);
        }
    }
    header.set_cksum();
    if !records.is_empty() {
        extended(&name, &records, out);
    }
    out.extend_from_slice(header.as_bytes());
}

/// Bytes that fill content of this size up to whole blocks.
pub(super) fn padding(size: u64) -> usize {
    let block = BLOCK as u64;
    usize::try_from((block - size % block) % block).unwrap_or(0)
}

/// Puts a name into its field, and into a record when the field cannot have it.
fn text(field: &mut [u8; MAX_NAME], value: &[u8], key: &[u8], records: &mut Vec<u8>) {
    let fits = value.len() <= MAX_NAME;
    let cut = &value[..value.len().min(MAX_NAME)];
    field[..cut.len()].copy_from_slice(cut);
    if !fits || (!value.is_ascii() && std::str::from_utf8(value).is_ok()) {
        record(key, value, records);
    }
}

fn id(id: u32, key: &[u8], records: &mut Vec<u8>) -> u64 {
    if id <= MAX_ID {
        return id.into();
    }
    record(key, id.to_string().as_bytes(), records);
    0
}

fn mtime(facts: &Stat, records: &mut Vec<u8>) -> u64 {
    let (seconds, nanos) = (facts.st_mtime, facts.st_mtime_nsec);
    let plain = u64::try_from(seconds).ok().filter(|s| *s <= MAX_LONG);
    if plain.is_none() || nanos != 0 {
        record(b"mtime", moment(seconds, nanos).as_bytes(), records);
    }
    plain.unwrap_or(0)
}

/// A moment as PAX has it: a decimal number. `seconds` are rounded down, `nanos` come on top.
fn moment(seconds: i64, nanos: u64) -> String {
    let (sign, whole, nanos) = if seconds < 0 && nanos > 0 {
        ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanos)
    } else if seconds < 0 {
        ("-", seconds.unsigned_abs(), 0)
    } else {
        ("", seconds.unsigned_abs(), nanos)
    };
    let fraction = format!("{nanos:09}");
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        digits => format!("{sign}{whole}.{digits}"),
    }
}

fn xattr_key(name: &[u8]) -> Vec<u8> {
    let mut key = b"SCHILY.xattr.".to_vec();
    for byte in name {
        match byte {
            b'=' => key.extend_from_slice(b"%3D"),
            b'%' => key.extend_from_slice(b"%25"),
            byte => key.push(*byte),
        }
    }
    key
}

/// Appends `LENGTH KEY=VALUE\n`; the length counts the whole record, its own digits too.
fn record(key: &[u8], value: &[u8], records: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Appends the extended header that belongs to the member after it.
fn extended(name: &[u8], records: &[u8], out: &mut Vec<u8>) {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    if let Some(ustar) = header.as_ustar_mut() {
        // Seen only where PAX is not understood.
        let last = name.strip_suffix(b"/").unwrap_or(name);
        let last = last.rsplit(|byte| *byte == b'/').next().unwrap_or(last);
        let made_up = [b"PaxHeaders/", last].concat();
        let cut = &made_up[..made_up.len().min(MAX_NAME)];
        ustar.name[..cut.len()].copy_from_slice(cut);
    }
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(records);
    out.resize(out.len() + padding(records.len() as u64), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (seconds, nanos, expected) in [
            (0, 0, "0"),
            (1, 500_000_000, "1.5"),
            (1_700_000_000, 1, "1700000000.000000001"),
            (-1, 0, "-1"),
            (-1, 500_000_000, "-0.5"),
            (-2, 999_999_999, "-1.000000001"),
            (i64::MIN, 1, "-9223372036854775807.999999999"),
        ] {
            assert_eq!(moment(seconds, nanos), expected);
        }
    }

    #[test]
    fn lengths_of_records() {
        for size in 0..2_000 {
            let mut records = Vec::new();
            record(b"key", &vec![b'x'; size], &mut records);
            let space = records.iter().position(|byte| *byte == b' ').unwrap();
            let length = std::str::from_utf8(&records[..space]).unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), records.len());
        }
    }

    #[test]
    fn attributes_that_are_the_guests() {
        let name = |key: &'static str| shown(key.as_bytes()).map(|key| xattr_key(&key));
        let shown_as = |key: &str| Some(format!("SCHILY.xattr.{key}").into_bytes());
        assert_eq!(name("user.mime_type"), shown_as("user.mime_type"));
        assert_eq!(name("user.a=b%c"), shown_as("user.a%3Db%25c"));
        assert_eq!(name("security.capability"), shown_as("security.capability"));
        assert_eq!(
            name("user.overlay.overlay.opaque"),
            shown_as("user.overlay.opaque")
        );
        for hidden in [
            "user.overlay.opaque",
            "user.overlay.origin",
            "trusted.overlay.opaque",
            "security.selinux",
        ] {
            assert_eq!(name(hidden), None, "{hidden}");
        }
    }
}
