//! A listing for people.
//!
//! ```text
//! total 19.42 KB
//! drwxr-xr-x 1 0 0   858.00 May 30 12:13 bin
//! lrwxrwxrwx 1 0 0     7.00 May 30 12:13 lib -> usr/lib
//! ```
//!
//! Type and permissions, links, user, group, size right-aligned in 8 columns, last change in
//! UTC, name. `total` is the sum of the sizes.

use std::fmt::Write;

use contree_api::inspect::FileItem;
use jiff::tz::TimeZone;

/// The listing, one line per entry after the total.
pub(super) fn listing(files: &[FileItem]) -> String {
    let total = files
        .iter()
        .fold(0_i64, |sum, file| sum.saturating_add(file.size));
    let mut text = format!("total {}\n", size(total));
    for file in files {
        line(&mut text, file);
    }
    text
}

fn line(text: &mut String, file: &FileItem) {
    let name = printable(&file.path);
    write!(
        text,
        "{} {} {} {} {:>8} {} {name}",
        permissions(file.mode),
        file.nlink,
        file.uid,
        file.gid,
        size(file.size),
        moment(file.mtime),
    )
    .expect("writing to a String cannot fail");
    if file.is_symlink {
        text.push_str(" -> ");
        text.push_str(&printable(&file.symlink_to));
    }
    text.push('\n');
}

/// `0`, `858.00`, `19.42 KB`, `1.00 GB`.
fn size(bytes: i64) -> String {
    if bytes == 0 {
        return "0".to_owned();
    }
    #[expect(clippy::cast_precision_loss, reason = "shown to two digits")]
    let mut value = bytes as f64;
    let mut unit = "";
    for larger in [" KB", " MB", " GB", " TB", " PB", " EB"] {
        // What would be shown as 1024.00.
        if value < 1023.995 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.2}{unit}")
}

/// `drwxr-xr-x`, with `s`, `S`, `t` and `T` as `ls` has them.
fn permissions(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o140_000 => 's',
        0o010_000 => 'p',
        0o020_000 => 'c',
        0o060_000 => 'b',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// `May 30 12:13`.
fn moment(seconds: i64) -> String {
    // What lies outside of what a calendar can show is shown as its limit.
    let limit = if seconds < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    };
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(limit);
    moment
        .to_zoned(TimeZone::UTC)
        .strftime("%b %e %H:%M")
        .to_string()
}

/// A name that cannot pass for another line, nor speak to a terminal.
fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use contree_api::inspect::Owner;

    use super::*;

    fn file(mode: u32, size: i64, name: &str) -> FileItem {
        FileItem {
            size,
            path: name.to_owned(),
            owner: Owner::Name("root".to_owned()),
            group: Owner::Id(0),
            mode,
            mtime: 1_748_607_180,
            nlink: 1,
            uid: 0,
            gid: 0,
            is_dir: mode & 0o170_000 == 0o040_000,
            is_regular: false,
            is_symlink: mode & 0o170_000 == 0o120_000,
            is_socket: false,
            is_fifo: false,
            symlink_to: "usr/lib".to_owned(),
        }
    }

    #[test]
    fn the_contracts_example() {
        let files = [
            file(0o040_755, 858, "bin"),
            file(0o040_755, 0, "dev"),
            file(0o040_555, 0, "proc"),
            file(0o041_777, 0, "tmp"),
            file(0o120_777, 7, "lib"),
            file(0o104_755, 19_020, "a\nb\u{1b}[31m"),
        ];
        assert_eq!(
            listing(&files),
            "total 19.42 KB\n\
             drwxr-xr-x 1 0 0   858.00 May 30 12:13 bin\n\
             drwxr-xr-x 1 0 0        0 May 30 12:13 dev\n\
             dr-xr-xr-x 1 0 0        0 May 30 12:13 proc\n\
             drwxrwxrwt 1 0 0        0 May 30 12:13 tmp\n\
             lrwxrwxrwx 1 0 0     7.00 May 30 12:13 lib -> usr/lib\n\
             -rwsr-xr-x 1 0 0 18.57 KB May 30 12:13 a?b?[31m\n"
        );
    }

    #[test]
    fn sizes() {
        let cases = [
            (1, "1.00"),
            (1023, "1023.00"),
            (1024, "1.00 KB"),
            (1_048_575, "1.00 MB"),
            (1_048_000, "1023.44 KB"),
            (5 << 30, "5.00 GB"),
            (i64::MAX, "8.00 EB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn odd_permissions_and_moments() {
        assert_eq!(permissions(0o107_000), "---S--S--T");
        assert_eq!(permissions(0o017_777), "prwsrwsrwt");
        assert_eq!(moment(0), "Jan  1 00:00");
        assert_eq!(moment(i64::MAX).len(), 12);
        assert_eq!(moment(i64::MIN).len(), 12);
    }
}
