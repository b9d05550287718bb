//! Bounds on what an import may cost. Whatever a registry or an archive says about itself, no
//! number of it is trusted before it has passed one of these.

use std::time::Duration;

/// Bounds that an operator may want to change; [`Default`] gives the usual ones.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most bytes of all layers together as they travel (compressed). Default 32 GiB.
    pub fetched_bytes: u64,
    /// Most bytes of all layers together as tar streams (decompressed). Default 64 GiB.
    pub unpacked_bytes: u64,
    /// Most entries of all layers together. Default 4,000,000.
    pub entries: u64,
    /// Deepest folder below the image's root. Default 256.
    pub depth: usize,
    /// Bytes of the disk that an import leaves free. Default 512 MiB.
    pub reserved_bytes: u64,
    /// Layers fetched at the same time. Default 4.
    pub parallel_fetches: usize,
    /// How often a request that failed for a passing reason is made, also when it resumes a
    /// layer half-way. Default 6.
    pub attempts: u32,
    /// Wait before the second attempt; doubled for each further one. Default 500 ms.
    pub first_wait: Duration,
    /// Longest wait before an attempt, also when the registry asks for more. Default 60 s.
    pub longest_wait: Duration,
    /// For a connection to be made, TLS included. Default 15 s.
    pub connect_timeout: Duration,
    /// Longest silence in the middle of an answer. Default 60 s.
    pub silence_timeout: Duration,
    /// Shortest time between two progress reports of one layer. Default 500 ms.
    pub progress_interval: Duration,
}

const GIB: u64 = 1 << 30;

impl Default for Limits {
    fn default() -> Self {
        Self {
            fetched_bytes: 32 * GIB,
            unpacked_bytes: 64 * GIB,
            entries: 4_000_000,
            depth: 256,
            reserved_bytes: GIB / 2,
            parallel_fetches: 4,
            attempts: 6,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(15),
            silence_timeout: Duration::from_secs(60),
            progress_interval: Duration::from_millis(500),
        }
    }
}

/// Largest manifest or index, in bytes; registries themselves stop at 4 MiB.
pub(super) const MAX_MANIFEST: u64 = 4 << 20;
/// Largest image config, in bytes. Real ones have a few KiB, with long histories some 100.
pub(super) const MAX_CONFIG: u64 = 8 << 20;
/// Largest answer of a token server, in bytes.
pub(super) const MAX_TOKEN_ANSWER: u64 = 1 << 20;
/// Most layers of an image; overlay-based engines stop at 127 or 500.
pub(super) const MAX_LAYERS: usize = 1_000;
/// Deepest nesting of indexes.
pub(super) const MAX_INDEX_DEPTH: usize = 4;
/// Most redirects of one request.
pub(super) const MAX_REDIRECTS: usize = 6;
/// Largest PAX header of one entry, in bytes.
pub(super) const MAX_PAX: u64 = 1 << 20;
/// Longest path and link target, in bytes, as for the kernel (`PATH_MAX` less its NUL).
pub(super) const MAX_PATH: usize = 4_095;
/// Longest single name, in bytes, as for the kernel.
pub(super) const MAX_NAME: usize = 255;
/// Most extension headers (PAX, long names) in front of one entry; honest writers use three.
pub(super) const MAX_EXTENSIONS: usize = 8;
/// Most pieces of a sparse file.
pub(super) const MAX_SPARSE_PIECES: usize = 1 << 18;
/// Most members of an image archive (`docker save`, OCI layout).
pub(super) const MAX_ARCHIVE_MEMBERS: usize = 20_000;
/// Most environment variables of an image, and most bytes of all of them.
pub(super) const MAX_ENV: (usize, usize) = (10_000, 1 << 20);
/// Most memory the zstd decoder may ask for, as a power of two; what `zstd -19` needs.
pub(super) const ZSTD_WINDOW_LOG: u32 = 27;
