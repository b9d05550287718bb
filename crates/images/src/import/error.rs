//! What went wrong with an import.

use std::error::Error as _;
use std::io;

use super::archive::ArchiveError;
use super::digest::Digest;
use super::disk::DiskError;
use super::download::DownloadError;
use super::manifest::ManifestError;
use super::progress::Size;
use super::registry::RegistryError;
use super::unpack::UnpackError;
use crate::StoreError;

/// Why an import failed. [`message`](Self::message) is one sentence for users.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The registry did not give the image.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A layer did not arrive.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// The image is not one that can be used here.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The uploaded archive is not an image.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Larger than allowed, by its manifest.
    #[error("the image has {} to fetch, more than the {} that are allowed", Size(*fetched), Size(*limit))]
    TooLarge {
        /// Sum of its layers, compressed.
        fetched: u64,
        /// Most bytes.
        limit: u64,
    },
    /// A layer could not be unpacked.
    #[error("layer {number} ({digest}) could not be unpacked")]
    Layer {
        /// From 1, lowest first.
        number: usize,
        /// Of the layer.
        digest: Digest,
        /// Why.
        source: UnpackError,
    },
    /// The staging tree.
    #[error("the image's tree could not be made")]
    Tree {
        /// Why.
        source: UnpackError,
    },
    /// Room for downloads.
    #[error("no file could be made for a download")]
    Scratch {
        /// Why.
        source: io::Error,
    },
    /// Looking at the result.
    #[error("the unpacked image could not be measured")]
    Measure {
        /// Why.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of the server.
    #[error("the import's thread stopped unexpectedly")]
    Stopped {
        /// How.
        source: tokio::task::JoinError,
    },
}

impl ImportError {
    pub(super) const fn layer(number: usize, digest: Digest, source: UnpackError) -> Self {
        Self::Layer {
            number,
            digest,
            source,
        }
    }

    /// Whether the server is at fault (its disk, its memory), not the image, the registry or the
    /// request.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Registry(RegistryError::Client { .. })
            | Self::Download(DownloadError::Write { .. } | DownloadError::Disk(_))
            | Self::Archive(ArchiveError::File { .. } | ArchiveError::Disk(_))
            | Self::Tree { .. }
            | Self::Scratch { .. }
            | Self::Measure { .. }
            | Self::Store(_)
            | Self::Stopped { .. } => true,
            Self::Layer { source, .. } => {
                matches!(source, UnpackError::Disk(DiskError::Full { .. }))
            }
            _ => false,
        }
    }

    /// The error and what led to it, as one line.
    #[must_use]
    pub fn message(&self) -> String {
        let mut message = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat their cause.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        message
    }
}
