//! Images in uploaded files.
//!
//! Three kinds of archive are told apart by what they hold, each plain, gzip or zstd:
//!
//! | kind | made by | holds |
//! | --- | --- | --- |
//! | OCI layout | skopeo, umoci, buildah, `docker save` since 25 | `oci-layout`, `index.json`, `blobs/ALGORITHM/HEX` |
//! | docker save | docker, podman, skopeo | `manifest.json`, configs, `*.tar` or `ID/layer.tar` |
//! | root filesystem | mmdebstrap, `docker export`, tar | anything else |
//!
//! Members of the first two have names of a small closed set, so the first member with any other
//! name tells that the archive is a root filesystem, mostly after one header; only image archives
//! are read to their end. Those need random access, so a compressed one is first decompressed into
//! a nameless file. Blobs are then read in place.
//!
//! Everything is verified as from a registry: blobs against the digests that name them, layers
//! against the config's diff_ids (in `docker save` archives nothing else covers them).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use serde::Deserialize;

use super::digest::{Digest, Hasher};
use super::disk::{DiskError, DiskWatch};
use super::limits::{
    Limits, MAX_ARCHIVE_MEMBERS, MAX_CONFIG, MAX_INDEX_DEPTH, MAX_LAYERS, MAX_MANIFEST,
};
use super::manifest::{Choice, Config, Descriptor, Document, Manifest, ManifestError};
use super::path::{EntryPath, shown};
use super::platform::Platform;
use super::stream::{Budget, ByteSource, Compression, Expected, StreamError};
use super::tarball::{Entries, Kind, TarError};

/// Size of the reads of an archive's headers.
const WINDOW: usize = 64 << 10;
/// Deepest member of an image archive: `blobs/sha256/HEX`, with room for a surprise.
const MEMBER_DEPTH: usize = 8;

/// Why an archive is not an image.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not a tar, or broken.
    #[error("the archive cannot be read")]
    Tar(#[from] TarError),
    /// Nothing in it.
    #[error("the archive is empty")]
    Empty,
    /// Wrong by its documents.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A member that another names.
    #[error("the archive is incomplete: {member} is missing")]
    Missing {
        /// Its name.
        member: String,
    },
    /// A member too large for what it is.
    #[error("the archive's {member} has more than {limit} bytes")]
    MemberTooLarge {
        /// Its name.
        member: String,
        /// Most that is read.
        limit: u64,
    },
    /// A member that is not what its name says.
    #[error("the archive's {member} has the wrong content: its digest is {actual}")]
    Digest {
        /// Its name.
        member: String,
        /// As found.
        actual: Digest,
    },
    /// A member that is shorter or longer than stated.
    #[error("the archive's {member} has {actual} bytes, not {expected}")]
    Size {
        /// Its name.
        member: String,
        /// As stated.
        expected: u64,
        /// As found.
        actual: u64,
    },
    /// More than one.
    #[error("the archive holds {count} images; save one of them alone")]
    SeveralImages {
        /// How many.
        count: usize,
    },
    /// Members without end.
    #[error(
        "the archive has more than {MAX_ARCHIVE_MEMBERS} members and yet is no root filesystem"
    )]
    TooManyMembers,
    /// The disk is nearly full.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The upload or the file made from it.
    #[error("the archive could not be read or unpacked to a file")]
    File {
        /// Why.
        source: io::Error,
    },
}

impl From<StreamError> for ArchiveError {
    fn from(error: StreamError) -> Self {
        Self::Tar(error.into())
    }
}

/// An archive, understood.
#[derive(Debug)]
pub(super) enum Archive {
    /// A root filesystem; the digest is of the whole file as uploaded.
    Rootfs {
        file: Arc<File>,
        size: u64,
        digest: Digest,
    },
    /// An image.
    Image {
        config_digest: Digest,
        config: Config,
        layers: Vec<Section>,
    },
}

/// A layer in an archive.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) size: u64,
    /// What the member must turn out to be.
    pub(super) expected: Expected,
    /// To name it by.
    pub(super) digest: Digest,
}

impl Section {
    /// Its bytes, as they are in the archive.
    pub(super) fn reader(&self) -> SectionReader {
        SectionReader {
            file: Arc::clone(&self.file),
            at: self.offset,
            left: self.size,
        }
    }
}

/// Reads part of a file without moving its position.
#[derive(Debug)]
pub(super) struct SectionReader {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl SectionReader {
    pub(super) fn whole(file: Arc<File>, size: u64) -> Self {
        Self {
            file,
            at: 0,
            left: size,
        }
    }
}

impl Read for SectionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Finds out what an uploaded file is. `spool` makes the nameless file for a compressed image
/// archive. Blocks; `budget` bounds what it reads and cancels it.
pub(super) fn open(
    file: File,
    platform: &Platform,
    limits: &Limits,
    budget: &Budget,
    spool: impl FnOnce() -> io::Result<File>,
) -> Result<Archive, ArchiveError> {
    let failed = |source| ArchiveError::File { source };
    let size = file.metadata().map_err(failed)?.len();
    let file = Arc::new(file);
    let mut head = [0; 6];
    let read = file.read_at(&mut head, 0).map_err(failed)?;
    let compression = Compression::detect(&head[..read])?;

    let looks = match compression {
        Compression::None => look(&mut Window::new(&file, size, budget))?,
        _ => look(&mut Decoded::new(&file, size, compression, budget)?)?,
    };
    if looks == Looks::Rootfs {
        let digest = digest_of(&file, size, budget)?;
        return Ok(Archive::Rootfs { file, size, digest });
    }
    let (file, size) = match compression {
        Compression::None => (file, size),
        _ => {
            let mut plain = spool().map_err(failed)?;
            let budget = budget.another(limits.fetched_bytes);
            let mut decoded = Decoded::new(&file, size, compression, &budget)?;
            let size = copy(
                &mut decoded,
                &mut plain,
                DiskWatch::new(limits.reserved_bytes),
            )?;
            (Arc::new(plain), size)
        }
    };
    let members = index(&mut Window::new(&file, size, budget))?;
    let members = Members {
        file: Arc::clone(&file),
        members,
    };
    if members.find("oci-layout").is_some() && members.find("index.json").is_some() {
        return members.oci(platform);
    }
    if members.find("manifest.json").is_some() {
        return members.docker(platform);
    }
    if members.members.is_empty() {
        return Err(ArchiveError::Empty);
    }
    let digest = digest_of(&file, size, budget)?;
    Ok(Archive::Rootfs { file, size, digest })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Image,
    Rootfs,
}

/// Whether all members have names of image archives.
fn look<S: ByteSource>(source: &mut S) -> Result<Looks, ArchiveError> {
    let mut entries = Entries::new(source);
    let mut members = 0;
    while let Some(entry) = entries.next()? {
        members += 1;
        let plausible = EntryPath::parse(&entry.path, MEMBER_DEPTH).is_ok_and(|path| {
            let parts: Vec<&[u8]> = path.components().collect();
            is_member(&parts, &entry.kind)
        });
        if !plausible {
            return Ok(Looks::Rootfs);
        }
        if members > MAX_ARCHIVE_MEMBERS {
            return Err(ArchiveError::TooManyMembers);
        }
    }
    Ok(Looks::Image)
}

/// The names that image archives are made of.
fn is_member(parts: &[&[u8]], kind: &Kind) -> bool {
    let hex = |part: &[u8]| part.len() >= 12 && part.iter().all(u8::is_ascii_hexdigit);
    let hex_with = |part: &[u8], ending: &[u8]| part.strip_suffix(ending).is_some_and(hex);
    match (parts, kind) {
        ([] | [b"blobs"] | [b"blobs", b"sha256" | b"sha512"], Kind::Folder) => true,
        ([folder], Kind::Folder) => hex(folder),
        (
            [b"oci-layout" | b"index.json" | b"manifest.json" | b"repositories"],
            Kind::File { .. },
        ) => true,
        ([name], Kind::File { .. } | Kind::Symlink(_)) => {
            hex_with(name, b".json") || hex_with(name, b".tar")
        }
        ([b"blobs", b"sha256" | b"sha512", name], Kind::File { .. }) => hex(name),
        ([folder, b"VERSION" | b"json" | b"layer.tar"], Kind::File { .. } | Kind::Symlink(_)) => {
            hex(folder)
        }
        _ => false,
    }
}

#[derive(Debug, Clone)]
enum Member {
    File {
        offset: u64,
        size: u64,
    },
    /// To another member, normalised.
    Link(Vec<u8>),
}

fn index<S: ByteSource>(source: &mut S) -> Result<HashMap<Vec<u8>, Member>, ArchiveError> {
    let mut members = HashMap::new();
    let mut entries = Entries::new(source);
    while let Some(entry) = entries.next()? {
        let Ok(path) = EntryPath::parse(&entry.path, MEMBER_DEPTH) else {
            continue;
        };
        let name = path.components().collect::<Vec<_>>().join(&b'/');
        let member = match entry.kind {
            Kind::File { size, sparse: None } => Member::File {
                offset: entries.position(),
                size,
            },
            Kind::Symlink(target) | Kind::HardLink(target) => {
                Member::Link(resolve_link(&name, &target))
            }
            _ => continue,
        };
        members.insert(name, member);
        if members.len() > MAX_ARCHIVE_MEMBERS {
            return Err(ArchiveError::TooManyMembers);
        }
    }
    Ok(members)
}

/// `ID/layer.tar` may be a link to `../OTHER/layer.tar`: old ways of sharing a layer. Only ever
/// looked up among the members.
fn resolve_link(name: &[u8], target: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    parts.pop();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

struct Members {
    file: Arc<File>,
    members: HashMap<Vec<u8>, Member>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Members {
    fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = EntryPath::parse(name.as_bytes(), MEMBER_DEPTH)
            .ok()?
            .components()
            .collect::<Vec<_>>()
            .join(&b'/');
        for _ in 0..MEMBER_DEPTH {
            match self.members.get(&name)? {
                Member::File { offset, size } => return Some((*offset, *size)),
                Member::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    fn locate(&self, name: &str) -> Result<(u64, u64), ArchiveError> {
        self.find(name).ok_or_else(|| ArchiveError::Missing {
            member: shown(name.as_bytes()),
        })
    }

    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let (offset, size) = self.locate(name)?;
        let failed = |source| ArchiveError::File { source };
        let content = usize::try_from(size)
            .ok()
            .filter(|_| size <= limit)
            .ok_or_else(|| ArchiveError::MemberTooLarge {
                member: shown(name.as_bytes()),
                limit,
            })?;
        let mut content = vec![0; content];
        self.file
            .read_exact_at(&mut content, offset)
            .map_err(failed)?;
        Ok(content)
    }

    fn read_blob(&self, target: &Descriptor, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let member = blob_name(&target.digest);
        let content = self.read(&member, limit)?;
        check_size(&member, target.size, content.len() as u64)?;
        let mut hasher = Hasher::like(&target.digest);
        hasher.update(&content);
        let actual = hasher.finish();
        if actual != target.digest {
            return Err(ArchiveError::Digest { member, actual });
        }
        Ok(content)
    }

    fn oci(&self, platform: &Platform) -> Result<Archive, ArchiveError> {
        let Document::Index(choices) = Document::parse(&self.read("index.json", MAX_MANIFEST)?)?
        else {
            let detail = "it is not an index".to_owned();
            return Err(ManifestError::Malformed {
                what: "index.json",
                detail,
            }
            .into());
        };
        let manifest = self.choose(choices, platform, MAX_INDEX_DEPTH)?;
        let config_json = self.read_blob(&manifest.config, MAX_CONFIG)?;
        let config = Config::parse(&config_json, manifest.layers.len(), platform)?;
        let layers = manifest
            .layers
            .iter()
            .zip(&config.diff_ids)
            .map(|(layer, diff_id)| {
                let member = blob_name(&layer.digest);
                let (offset, size) = self.locate(&member)?;
                check_size(&member, layer.size, size)?;
                let (stored, diff) = (Some(layer.digest.clone()), Some(diff_id.clone()));
                Ok(self.section(
                    offset,
                    size,
                    Expected { stored, diff },
                    layer.digest.clone(),
                ))
            })
            .collect::<Result<_, ArchiveError>>()?;
        Ok(Archive::Image {
            config_digest: manifest.config.digest,
            config,
            layers,
        })
    }

    /// The manifest for this platform. An index at the top may list several images under
    /// different names, of which none is more meant than the others.
    fn choose(
        &self,
        choices: Vec<Choice>,
        platform: &Platform,
        depth: usize,
    ) -> Result<Manifest, ArchiveError> {
        if depth == 0 {
            let detail = "its indexes are nested too deep".to_owned();
            return Err(ManifestError::Malformed {
                what: "index",
                detail,
            }
            .into());
        }
        let targets = Choice::best(&choices, platform)?;
        let target = match &targets[..] {
            [target] => *target,
            several if depth == MAX_INDEX_DEPTH => {
                return Err(ArchiveError::SeveralImages {
                    count: several.len(),
                });
            }
            several => several[0],
        };
        match Document::parse(&self.read_blob(target, MAX_MANIFEST)?)? {
            Document::Image(manifest) => Ok(manifest),
            Document::Index(choices) => self.choose(choices, platform, depth - 1),
        }
    }

    fn docker(&self, platform: &Platform) -> Result<Archive, ArchiveError> {
        let json = self.read("manifest.json", MAX_MANIFEST)?;
        let mut images: Vec<DockerImage> =
            serde_json::from_slice(&json).map_err(|source| ManifestError::Json {
                what: "manifest.json",
                source,
            })?;
        images.dedup_by(|one, other| one.config == other.config);
        let image = match images.len() {
            0 => return Err(ArchiveError::Empty),
            1 => images.remove(0),
            count => return Err(ArchiveError::SeveralImages { count }),
        };
        let names = image.layers.unwrap_or_default();
        if names.len() > MAX_LAYERS {
            return Err(ManifestError::TooManyLayers { count: names.len() }.into());
        }
        let config_json = self.read(&image.config, MAX_CONFIG)?;
        let config = Config::parse(&config_json, names.len(), platform)?;
        let layers = names
            .iter()
            .zip(&config.diff_ids)
            .map(|(name, diff_id)| {
                let (offset, size) = self.locate(name)?;
                let expected = Expected {
                    stored: None,
                    diff: Some(diff_id.clone()),
                };
                Ok(self.section(offset, size, expected, diff_id.clone()))
            })
            .collect::<Result<_, ArchiveError>>()?;
        Ok(Archive::Image {
            config_digest: Digest::of(&config_json),
            config,
            layers,
        })
    }

    fn section(&self, offset: u64, size: u64, expected: Expected, digest: Digest) -> Section {
        Section {
            file: Arc::clone(&self.file),
            offset,
            size,
            expected,
            digest,
        }
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}", digest.as_str().replacen(':', "/", 1))
}

fn check_size(member: &str, expected: u64, actual: u64) -> Result<(), ArchiveError> {
    if expected == actual {
        return Ok(());
    }
    Err(ArchiveError::Size {
        member: member.to_owned(),
        expected,
        actual,
    })
}

fn digest_of(file: &Arc<File>, size: u64, budget: &Budget) -> Result<Digest, ArchiveError> {
    let mut reader = SectionReader::whole(Arc::clone(file), size);
    let mut hasher = Hasher::sha256();
    let mut buffer = vec![0; 4 * WINDOW];
    loop {
        budget.check()?;
        match reader
            .read(&mut buffer)
            .map_err(|source| ArchiveError::File { source })?
        {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn copy<S: ByteSource>(
    from: &mut S,
    to: &mut File,
    mut disk: DiskWatch,
) -> Result<u64, ArchiveError> {
    let mut size = 0;
    loop {
        let piece = from.fill()?;
        if piece.is_empty() {
            return Ok(size);
        }
        disk.use_up(&*to, piece.len() as u64)?;
        to.write_all(piece)
            .map_err(|source| ArchiveError::File { source })?;
        let count = piece.len();
        size += count as u64;
        from.consume(count);
    }
}

/// A plain file, of which skipped parts are not even read.
struct Window<'f> {
    file: &'f File,
    budget: &'f Budget,
    size: u64,
    /// Position of the buffer's end in the file.
    end: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<'f> Window<'f> {
    fn new(file: &'f File, size: u64, budget: &'f Budget) -> Self {
        Self {
            file,
            budget,
            size,
            end: 0,
            buffer: Vec::new(),
            at: 0,
        }
    }
}

impl ByteSource for Window<'_> {
    fn fill(&mut self) -> Result<&[u8], StreamError> {
        if self.at == self.buffer.len() {
            self.budget.check()?;
            self.buffer.resize(WINDOW, 0);
            let read = self
                .file
                .read_at(&mut self.buffer, self.end)
                .map_err(|source| StreamError::Read { source })?;
            self.buffer.truncate(read);
            self.at = 0;
            self.end += read as u64;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }

    fn skip(&mut self, count: u64) -> Result<(), StreamError> {
        let buffered = (self.buffer.len() - self.at) as u64;
        if count <= buffered {
            self.at += usize::try_from(count).unwrap_or_default();
            return Ok(());
        }
        let end = self
            .end
            .checked_add(count - buffered)
            .filter(|end| *end <= self.size);
        self.end = end.ok_or(StreamError::Truncated)?;
        self.buffer.clear();
        self.at = 0;
        Ok(())
    }
}

/// A compressed file, read on this thread.
struct Decoded<'f> {
    compression: Compression,
    decoder: Box<dyn Read + Send + 'f>,
    budget: &'f Budget,
    buffer: Vec<u8>,
    at: usize,
}

impl<'f> Decoded<'f> {
    fn new(
        file: &Arc<File>,
        size: u64,
        compression: Compression,
        budget: &'f Budget,
    ) -> Result<Self, StreamError> {
        let input = SectionReader::whole(Arc::clone(file), size);
        let decoder = compression.decoder(BufReader::with_capacity(WINDOW, input))?;
        Ok(Self {
            compression,
            decoder,
            budget,
            buffer: Vec::new(),
            at: 0,
        })
    }
}

impl ByteSource for Decoded<'_> {
    fn fill(&mut self) -> Result<&[u8], StreamError> {
        if self.at == self.buffer.len() {
            self.buffer.resize(WINDOW, 0);
            self.at = 0;
            let read = loop {
                match self.decoder.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other.map_err(|error| self.compression.error(error)),
                }
            };
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            self.budget.spend(read?)?;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}
