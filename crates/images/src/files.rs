//! Uploads: bytes that runs get attached.
//!
//! An upload is written to a file of its own in `staging/`, hashed on the way, and gets its place
//! in `files/` by a rename once its id (which depends on the hash) is known. The same content
//! in the same project has the same id and is kept once: the second upload is dropped.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;

use contree_api::FileId;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::layout;
use crate::store::{Store, StoreError};

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// More bytes than allowed.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// How many bytes are allowed.
        limit: u64,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A file in `staging/`, removed when it is dropped before it got its place.
#[derive(Debug)]
struct StagedFile {
    store: Store,
    name: String,
    file: File,
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // Gone already when it was committed. If anything else goes wrong the next opening of
        // the store removes it.
        let _ = rustix::fs::unlinkat(self.store.fd(), &self.name, AtFlags::empty());
    }
}

/// Takes the bytes of an upload as they come. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct FileWriter {
    staged: StagedFile,
    hasher: Sha256,
    size: u64,
    limit: Option<u64>,
}

impl FileWriter {
    /// Refuses more than `limit` bytes. Default: no limit.
    #[must_use]
    pub const fn limit(mut self, limit: Option<u64>) -> Self {
        self.limit = limit;
        self
    }

    /// Appends bytes. Blocks while they are copied to the page cache.
    ///
    /// # Errors
    /// [`FileError::TooLarge`] when the limit is passed; nothing of `bytes` is written then.
    /// [`FileError::Store`] when the disk does not take them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let size = self.size.saturating_add(bytes.len() as u64);
        if let Some(limit) = self.limit
            && size > limit
        {
            return Err(FileError::TooLarge { limit });
        }
        (&self.staged.file)
            .write_all(bytes)
            .map_err(StoreError::step("write", self.staged.name.as_str()))?;
        self.hasher.update(bytes);
        self.size = size;
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Ends the upload.
    #[must_use]
    pub fn finish(self) -> WrittenFile {
        let digest = self.hasher.finalize();
        let mut sha256 = String::with_capacity(64);
        for byte in digest {
            write!(sha256, "{byte:02x}").expect("writing to a String cannot fail");
        }
        WrittenFile {
            staged: self.staged,
            sha256,
            size: self.size,
        }
    }
}

/// A complete upload that has no id yet. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct WrittenFile {
    staged: StagedFile,
    sha256: String,
    size: u64,
}

impl WrittenFile {
    /// SHA-256 of the content, 64 lower-case hex digits.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Keeps the content under `id`, which must stand for exactly this content. Where it is kept
    /// already it stays as it is, unless its size tells that it was damaged. Durable only after
    /// the next [`Store::sync`].
    ///
    /// # Errors
    /// What the kernel says to the rename.
    pub fn commit(self, id: FileId) -> Result<(), StoreError> {
        let root = self.staged.store.fd();
        let (staged, place) = (&self.staged.name, layout::file(id));
        let kept = || StoreError::step("keep", place.as_str());
        let folder = layout::file_folder(id);
        match rustix::fs::mkdirat(root, &folder, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(StoreError::step("make", folder)(error)),
        }
        match rustix::fs::renameat_with(root, staged, root, &place, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other.map_err(kept()),
        }
        let facts = rustix::fs::statat(root, &place, AtFlags::SYMLINK_NOFOLLOW).map_err(kept())?;
        if u64::try_from(facts.st_size) == Ok(self.size) {
            return Ok(());
        }
        rustix::fs::renameat(root, staged, root, &place).map_err(kept())
    }
}

impl Store {
    /// Begins an upload.
    ///
    /// # Errors
    /// What the kernel says to making a file.
    pub fn write_file(&self) -> Result<FileWriter, StoreError> {
        let name = format!("{}/{}", layout::STAGING, layout::hex(Uuid::now_v7()));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.fd(), &name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(StoreError::step("make", name.as_str()))?;
        Ok(FileWriter {
            staged: StagedFile {
                store: self.clone(),
                name,
                file: File::from(file),
            },
            hasher: Sha256::new(),
            size: 0,
            limit: None,
        })
    }

    /// Where an upload's content is, relative to the store's root.
    #[must_use]
    pub fn file_name(&self, id: FileId) -> String {
        layout::file(id)
    }

    /// Opens an upload's content for reading, and tells its size in bytes.
    ///
    /// # Errors
    /// A [`StoreError::Step`] whose source is `NotFound` when there is no such upload.
    pub fn open_file(&self, id: FileId) -> Result<(File, u64), StoreError> {
        let name = layout::file(id);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = || -> io::Result<(File, u64)> {
            let file = File::from(rustix::fs::openat(self.fd(), &name, flags, Mode::empty())?);
            let size = file.metadata()?.size();
            Ok((file, size))
        };
        open().map_err(StoreError::step("open", name.as_str()))
    }

    /// Removes an upload's content; runs that have it open keep what they have. One that is not
    /// there is fine.
    ///
    /// # Errors
    /// What the kernel says to the unlink.
    pub fn remove_file(&self, id: FileId) -> Result<(), StoreError> {
        let name = layout::file(id);
        match rustix::fs::unlinkat(self.fd(), &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(StoreError::step("remove", name)(error)),
        }
    }
}
