//! What an archive has in it, as a tree to be made by somebody else ([`crate::tree`]).
//!
//! Names are taken as the tools that write them mean them: an absolute one, or `./x`, lies below
//! the tree's place like any other. One that leads upwards is refused, and so is a link to
//! nothing. `.wh.` names are names. There is no bound on the number of entries and their sizes:
//! those are the taker's.

use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::attributes::{is_kept, stored_id};
use super::limits::{Limits, MAX_PATH};
use super::path::{EntryPath, shown};
use super::stream::{self, Budget, Expected, Pieces};
use super::tarball::{Entries, Entry, Kind};
use crate::tree::{Piece, Take, TreeEntry, TreeError, TreeKind};

pub(crate) fn read_archive(
    archive: File,
    stop: &Arc<AtomicBool>,
    take: &mut Take<'_>,
) -> Result<(), TreeError> {
    let budget = Budget::new(u64::MAX, Arc::clone(stop));
    stream::decode(archive, &Expected::default(), &budget, &|_| {}, |pieces| {
        entries(pieces, take)
    })
}

fn entries(source: &mut Pieces, take: &mut Take<'_>) -> Result<(), TreeError> {
    let depth = Limits::default().depth;
    let mut entries = Entries::new(source);
    while let Some(entry) = entries.next()? {
        let (tree_entry, pieces) = tree_entry(entry, depth)?;
        // Of the root itself an archive knows nothing: it was made wherever its writer was.
        if tree_entry.path.is_empty() {
            continue;
        }
        take(Piece::Entry(tree_entry)).map_err(TreeError::Taker)?;
        for (mut offset, mut left) in pieces {
            while left > 0 {
                let piece = entries.data()?;
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                take(Piece::Data(offset, &piece[..count])).map_err(TreeError::Taker)?;
                entries.take(count);
                offset += count as u64;
                left -= count as u64;
            }
        }
    }
    Ok(())
}

/// What is to be made, and where in the file the data that follows belongs.
fn tree_entry(
    entry: Entry,
    depth: usize,
) -> Result<(TreeEntry<'static>, Vec<(u64, u64)>), TreeError> {
    let written = || shown(&entry.path);
    let path = EntryPath::parse_link(&entry.path, depth).map_err(|source| TreeError::Path {
        path: written(),
        source,
    })?;
    let mut pieces = Vec::new();
    let kind = match entry.kind {
        Kind::File { size, sparse } => match sparse {
            Some(sparse) => {
                pieces = sparse.pieces;
                TreeKind::File(sparse.real_size)
            }
            None => {
                pieces.push((0, size));
                TreeKind::File(size)
            }
        },
        Kind::Folder => TreeKind::Folder,
        Kind::Symlink(target) => {
            if target.is_empty() || target.len() > MAX_PATH || target.contains(&0) {
                return Err(TreeError::LinkTarget { path: written() });
            }
            TreeKind::Symlink(target.into())
        }
        Kind::HardLink(target) => {
            let target = EntryPath::parse_link(&target, depth);
            let target = target.map_err(|source| TreeError::HardLink {
                path: written(),
                source,
            })?;
            TreeKind::HardLink(target.into_bytes().into())
        }
        Kind::Fifo => TreeKind::Fifo,
        Kind::Device => TreeKind::Device,
    };
    let mut xattrs = entry.xattrs;
    xattrs.retain(|(key, value)| is_kept(key, value));
    let entry = TreeEntry {
        path: Cow::Owned(path.into_bytes()),
        kind,
        uid: stored_id(entry.uid),
        gid: stored_id(entry.gid),
        mode: entry.mode,
        mtime: entry.mtime,
        xattrs,
    };
    Ok((entry, pieces))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::super::path::BadPath;
    use super::*;

    /// What is handed over, and how it ends.
    fn read(bytes: &[u8]) -> (Vec<String>, Result<(), TreeError>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let mut taken = Vec::new();
        let result = read_archive(file, &Arc::default(), &mut |piece| {
            taken.push(match piece {
                Piece::Entry(entry) => {
                    let path = String::from_utf8_lossy(&entry.path).into_owned();
                    let to = |to: &[u8]| String::from_utf8_lossy(to).into_owned();
                    match &entry.kind {
                        TreeKind::File(size) => format!("{path} {size}"),
                        TreeKind::Folder => format!("{path}/"),
                        TreeKind::Symlink(target) => format!("{path} -> {}", to(target)),
                        TreeKind::HardLink(target) => format!("{path} = {}", to(target)),
                        TreeKind::Fifo => format!("{path} |"),
                        TreeKind::Device => format!("{path} #"),
                    }
                }
                Piece::Data(at, bytes) => format!("@{at} {}", String::from_utf8_lossy(bytes)),
            });
            Ok(())
        });
        (taken, result)
    }

    fn header(path: &str, kind: tar::EntryType, link: &str, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    #[test]
    fn names_are_taken_below_the_place() {
        use tar::EntryType::{Block, Directory, Fifo, Link, Regular, Symlink};
        let mut content = b"hello".to_vec();
        content.resize(512, 0);
        let bytes = [
            header("./", Directory, "", 0),
            header("/etc/", Directory, "", 0),
            header("./etc//x", Regular, "", 5),
            content,
            header("l", Symlink, "../../etc/x", 0),
            header("h", Link, "/etc/x", 0),
            header("p", Fifo, "", 0),
            header("d", Block, "", 0),
            header(".wh.x", Regular, "", 0),
            vec![0; 1024],
        ]
        .concat();
        let expected = [
            "etc/",
            "etc/x 5",
            "@0 hello",
            "l -> ../../etc/x",
            "h = etc/x",
            "p |",
            "d #",
            ".wh.x 0",
        ];
        let mut gzip = Vec::new();
        flate2::read::GzEncoder::new(&bytes[..], flate2::Compression::fast())
            .read_to_end(&mut gzip)
            .unwrap();
        for bytes in [&bytes, &gzip, &zstd::encode_all(&bytes[..], 1).unwrap()] {
            let (taken, result) = read(bytes);
            result.unwrap();
            assert_eq!(taken, expected);
        }
    }

    #[test]
    fn what_leads_upwards_or_breaks_off_is_refused() {
        use tar::EntryType::{Link, Regular, Symlink};
        let upwards = |bytes: &[u8]| {
            let (_, result) = read(bytes);
            matches!(
                result,
                Err(TreeError::Path {
                    source: BadPath::Upwards,
                    ..
                } | TreeError::HardLink {
                    source: BadPath::Upwards,
                    ..
                })
            )
        };
        assert!(upwards(&header("../x", Regular, "", 0)));
        assert!(upwards(&header("a/../../x", Regular, "", 0)));
        assert!(upwards(&header("x", Link, "../etc/shadow", 0)));
        let (_, result) = read(&header("x", Symlink, "", 0));
        assert!(matches!(result, Err(TreeError::LinkTarget { .. })));
        let (taken, result) = read(&header("x", Regular, "", 100));
        assert_eq!(taken, ["x 100"]);
        assert!(matches!(
            result,
            Err(TreeError::Tar(super::super::TarError::Stream(
                super::super::StreamError::Truncated
            )))
        ));
        let (_, result) = read(&[7; 2048]);
        assert!(result.unwrap_err().to_string().contains("not a tar"));
    }

    use std::io::Read as _;
}
