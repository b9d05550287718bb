//! Bringing an image in from a registry or an archive, as one flat layer.
//!
//! ```text
//!                    registry::Session                          archive
//! resolve   reference ─► manifest ─► config         file ─► documents or "a root filesystem"
//!                              └────────┬──────────────────────────┘
//!                                  content digest: known already? then no work at all
//! fetch      download ─► Spool ─┐       │
//!            download ─► Spool ─┼─► stream (digest, decompress, digest) ─► unpack ─► one tree
//!                     Section ──┘                                                      │
//!                                                                         a layer of the Store
//! ```
//! The **content digest** is the digest of the image's config, which covers the layers (as plain
//! tars), environment and working folder: the same image has the same one from every registry
//! and archive and however it is compressed. That is sound because each layer is checked against
//! the config's diff_ids, not only against the manifest. Of a root filesystem it is the digest of
//! the archive.
//!
//! **Layers are flattened**: an image's layers never change independently here, so they become
//! one folder with whiteouts applied, and chains start at length one.
//!
//! **Nothing is left behind** by an import that fails or is dropped: the tree lives in a staging
//! folder ([`crate::Staged`]) until everything has been verified and becomes a layer by a rename;
//! downloads are nameless files. Dropping the future of [`Importer::fetch`] stops the downloads
//! at once and the unpacking thread at its next piece of data, which then throws its tree away.
//!
//! **Credentials** live in the [`Resolved`] import and go with it. No error, log or `Debug` has
//! them, nor URLs, which may carry secrets of their own.

mod allow;
mod archive;
mod attributes;
mod challenge;
mod contents;
mod digest;
mod disk;
mod download;
mod error;
mod folders;
mod guard;
mod limits;
mod manifest;
mod path;
mod pax;
mod platform;
mod progress;
mod reference;
mod registry;
mod sparse;
mod spool;
mod stream;
mod tarball;
mod unpack;
mod work;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use contree_api::LayerId;
use contree_api::image::Credentials;
use futures_util::{StreamExt, TryStreamExt, stream as futures};

pub(crate) use self::attributes::stored_id;
pub(crate) use self::contents::read_archive;

pub use self::allow::{AllowedRegistry, HostPort, InvalidAllowedRegistry};
pub use self::archive::ArchiveError;
pub use self::digest::{Digest, InvalidDigest};
pub use self::disk::DiskError;
pub use self::download::DownloadError;
pub use self::error::ImportError;
pub use self::guard::Refused;
pub use self::limits::Limits;
pub use self::manifest::ManifestError;
pub use self::path::BadPath;
pub use self::platform::Platform;
pub use self::progress::{Progress, ProgressSink, Step};
pub use self::reference::{InvalidSource, Reference, Source};
pub use self::registry::RegistryError;
pub use self::stream::StreamError;
pub use self::tarball::TarError;
pub use self::unpack::UnpackError;

use self::archive::{Archive, Section};
use self::guard::Guard;
use self::limits::{MAX_INDEX_DEPTH, MAX_MANIFEST};
use self::manifest::{Choice, Config, Descriptor, Document, Manifest};
use self::progress::Meter;
use self::registry::{Http, Session};
use self::spool::Spool;
use self::stream::{Budget, Cancelled, Expected};
use self::work::{Content, Layer, Work};
use crate::{Dir, Staged, Store};

/// What an [`Importer`] works with.
#[derive(Debug, Clone)]
pub struct ImportConfig {
    /// Registries that may be reached although they are not public HTTPS hosts.
    pub allowed: Vec<AllowedRegistry>,
    /// Bounds.
    pub limits: Limits,
    /// Which platform of an image is taken.
    pub platform: Platform,
}

impl Default for ImportConfig {
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            limits: Limits::default(),
            platform: Platform::host(),
        }
    }
}

/// Imports images into one store. One for the whole server: connections are shared, credentials
/// are not.
#[derive(Debug, Clone)]
pub struct Importer {
    store: Store,
    http: Arc<Http>,
    platform: Platform,
}

/// Where the bytes of an import are.
#[derive(Debug)]
pub enum Input {
    /// In a registry.
    Registry {
        /// The image.
        reference: Reference,
        /// For registries that ask.
        credentials: Option<Credentials>,
    },
    /// In an uploaded file, read from its beginning.
    Archive(File),
}

/// An image that was found and is known, but not fetched yet.
pub struct Resolved {
    digest: Digest,
    config: Config,
    origin: Origin,
}

enum Origin {
    Registry {
        session: Box<Session>,
        layers: Vec<Descriptor>,
    },
    Image(Vec<Section>),
    Rootfs {
        file: Arc<File>,
        size: u64,
    },
}

/// An image that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its one layer.
    pub layer: LayerId,
    /// Names what it holds; see the [module](self).
    pub digest: Digest,
    /// Environment, in the image's order.
    pub env: Vec<(String, String)>,
    /// Working folder, absolute; none: the image names none.
    pub cwd: Option<String>,
    /// Bytes on disk, as `du` counts.
    pub bytes: u64,
    /// Files, folders and so on.
    pub entries: u64,
}

/// Stops the unpacking thread when the import is dropped.
struct StopOnDrop(Cancelled);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends the unpacking thread's waiting for downloads that will not come.
struct BreakOnDrop(Vec<Arc<Spool>>);

impl Drop for BreakOnDrop {
    fn drop(&mut self) {
        for spool in &self.0 {
            spool.fail();
        }
    }
}

impl Resolved {
    /// Names what the image holds. The same digest always means the same content.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How many layers are to be fetched.
    #[must_use]
    pub fn layers(&self) -> usize {
        match &self.origin {
            Origin::Registry { layers, .. } => layers.len(),
            Origin::Image(sections) => sections.len(),
            Origin::Rootfs { .. } => 1,
        }
    }
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolved")
            .field("digest", &self.digest)
            .field("layers", &self.layers())
            .finish_non_exhaustive()
    }
}

impl Importer {
    /// Imports into `store`.
    #[must_use]
    pub fn new(store: Store, config: ImportConfig) -> Self {
        let http = Http::new(Guard::new(&config.allowed), config.limits);
        Self {
            store,
            http: Arc::new(http),
            platform: config.platform,
        }
    }

    /// Finds out what an import would bring, without fetching layers.
    ///
    /// # Errors
    /// When there is no such image, or none that can be used here.
    pub async fn resolve(&self, input: Input) -> Result<Resolved, ImportError> {
        match input {
            Input::Registry {
                reference,
                credentials,
            } => {
                self.resolve_reference(reference, credentials.as_ref())
                    .await
            }
            Input::Archive(file) => self.resolve_archive(file).await,
        }
    }

    async fn resolve_reference(
        &self,
        reference: Reference,
        credentials: Option<&Credentials>,
    ) -> Result<Resolved, ImportError> {
        let session = Session::open(Arc::clone(&self.http), reference, credentials).await?;
        let manifest = self.manifest(&session).await?;
        let fetched: u64 = manifest
            .layers
            .iter()
            .fold(0, |sum, layer| sum.saturating_add(layer.size));
        let limit = self.http.limits().fetched_bytes;
        if fetched > limit {
            return Err(ImportError::TooLarge { fetched, limit });
        }
        let config = session.small_blob(&manifest.config).await?;
        let config = Config::parse(&config, manifest.layers.len(), &self.platform)?;
        let origin = Origin::Registry {
            session: Box::new(session),
            layers: manifest.layers,
        };
        Ok(Resolved {
            digest: manifest.config.digest,
            config,
            origin,
        })
    }

    async fn manifest(&self, session: &Session) -> Result<Manifest, ImportError> {
        let reference = session.reference();
        let asked = reference.identifier().to_owned();
        let mut document = Document::parse(&session.manifest(&asked, None).await?)?;
        for _ in 0..MAX_INDEX_DEPTH {
            let choices = match document {
                Document::Image(manifest) => return Ok(manifest),
                Document::Index(choices) => choices,
            };
            let target = Choice::best(&choices, &self.platform)?[0];
            if target.size > MAX_MANIFEST {
                let detail = format!("the manifest of one platform has {} bytes", target.size);
                return Err(ManifestError::Malformed {
                    what: "index",
                    detail,
                }
                .into());
            }
            let json = session
                .manifest(target.digest.as_str(), Some(target))
                .await?;
            document = Document::parse(&json)?;
        }
        let detail = "its indexes are nested too deep".to_owned();
        Err(ManifestError::Malformed {
            what: "index",
            detail,
        }
        .into())
    }

    async fn resolve_archive(&self, file: File) -> Result<Resolved, ImportError> {
        let staged = self.store.stage()?;
        let (platform, limits) = (self.platform.clone(), self.http.limits().clone());
        let cancelled = Cancelled::default();
        let stop = StopOnDrop(Arc::clone(&cancelled));
        let budget = Budget::new(limits.unpacked_bytes, cancelled);
        let work = move || {
            let spool = || nameless(&staged.scratch()?, 0);
            archive::open(file, &platform, &limits, &budget, spool)
        };
        let archive = work::blocking(work).await??;
        drop(stop);
        Ok(match archive {
            Archive::Image {
                config_digest,
                config,
                layers,
            } => Resolved {
                digest: config_digest,
                config,
                origin: Origin::Image(layers),
            },
            Archive::Rootfs { file, size, digest } => Resolved {
                digest,
                config: Config {
                    diff_ids: Vec::new(),
                    env: Vec::new(),
                    cwd: None,
                },
                origin: Origin::Rootfs { file, size },
            },
        })
    }

    /// Fetches what was resolved and commits it as `layer`, which is durable only after the next
    /// [`Store::sync`]. Dropping the future gives the import up and leaves nothing.
    ///
    /// # Errors
    /// The first thing that went wrong; nothing is left then either.
    pub async fn fetch(
        &self,
        resolved: Resolved,
        layer: LayerId,
        progress: ProgressSink,
    ) -> Result<Imported, ImportError> {
        let staged = self.store.stage()?;
        let Resolved {
            digest,
            config,
            origin,
        } = resolved;
        let usage = match origin {
            Origin::Registry { session, layers } => {
                self.fetch_layers(&session, layers, &config.diff_ids, staged, layer, progress)
                    .await?
            }
            Origin::Image(sections) => {
                let layers = sections
                    .into_iter()
                    .map(|section| Layer {
                        digest: section.digest.clone(),
                        size: section.size,
                        expected: section.expected.clone(),
                        content: Content::Section(section.reader()),
                    })
                    .collect();
                self.unpack(layers, unpack::Role::Layer, staged, layer, progress)
                    .await?
            }
            Origin::Rootfs { file, size } => {
                let only = Layer {
                    digest: digest.clone(),
                    size,
                    // It was digested a moment ago.
                    expected: Expected::default(),
                    content: Content::Section(archive::SectionReader::whole(file, size)),
                };
                self.unpack(vec![only], unpack::Role::Rootfs, staged, layer, progress)
                    .await?
            }
        };
        let (bytes, entries) = (usage.bytes, usage.entries);
        Ok(Imported {
            layer,
            digest,
            env: config.env,
            cwd: config.cwd,
            bytes,
            entries,
        })
    }

    /// Downloads and unpacking side by side. When a download fails all spools break, which ends
    /// the unpacking thread; the reason is what the download says.
    async fn fetch_layers(
        &self,
        session: &Session,
        layers: Vec<Descriptor>,
        diff_ids: &[Digest],
        staged: Staged,
        id: LayerId,
        progress: ProgressSink,
    ) -> Result<crate::Usage, ImportError> {
        let limits = session.limits();
        let scratch = staged
            .scratch()
            .map_err(|source| ImportError::Scratch { source })?;
        let mut fetches: Vec<(Descriptor, Arc<Spool>, Meter)> = Vec::new();
        let mut work = Vec::new();
        let count = layers.len();
        for (at, descriptor) in layers.into_iter().enumerate() {
            // Tools repeat layers, mostly the empty one.
            let known = fetches
                .iter()
                .find(|(other, ..)| other.digest == descriptor.digest);
            let spool = match known {
                Some((_, spool, _)) => Arc::clone(spool),
                None => {
                    let file = nameless(&scratch, at);
                    let file = file.map_err(|source| ImportError::Scratch { source })?;
                    let spool = Arc::new(Spool::new(file));
                    let report = Progress {
                        layer: at + 1,
                        layers: count,
                        digest: descriptor.digest.clone(),
                        step: Step::Fetch,
                        done: 0,
                        total: descriptor.size,
                    };
                    let meter = Meter::new(Arc::clone(&progress), limits.progress_interval, report);
                    fetches.push((descriptor.clone(), Arc::clone(&spool), meter));
                    spool
                }
            };
            work.push(Layer {
                digest: descriptor.digest,
                size: descriptor.size,
                expected: Expected {
                    stored: None,
                    diff: diff_ids.get(at).cloned(),
                },
                content: Content::Spool(spool),
            });
        }
        let broken = BreakOnDrop(
            fetches
                .iter()
                .map(|(_, spool, _)| Arc::clone(spool))
                .collect(),
        );
        let mut downloads = futures::iter(fetches)
            .map(|(descriptor, spool, meter)| async move {
                download::fetch(session, &descriptor, &spool, &meter).await
            })
            .buffer_unordered(limits.parallel_fetches.max(1))
            .try_collect::<Vec<()>>();
        let mut unpacking = Box::pin(self.unpack(work, unpack::Role::Layer, staged, id, progress));
        tokio::select! {
            downloaded = &mut downloads => {
                if let Err(error) = downloaded {
                    drop(broken);
                    // Ends at once, with nothing to say; its tree is gone then.
                    let _ = unpacking.await;
                    return Err(error.into());
                }
                unpacking.await
            }
            unpacked = &mut unpacking => unpacked,
        }
    }

    async fn unpack(
        &self,
        layers: Vec<Layer>,
        role: unpack::Role,
        staged: Staged,
        id: LayerId,
        progress: ProgressSink,
    ) -> Result<crate::Usage, ImportError> {
        let limits = self.http.limits().clone();
        let cancelled = Cancelled::default();
        let stop = StopOnDrop(Arc::clone(&cancelled));
        let budget = Budget::new(limits.unpacked_bytes, cancelled);
        let work = Work {
            layers,
            role,
            limits,
            budget,
            progress,
        };
        let usage = work::blocking(move || {
            let usage = work.run(&staged)?;
            staged.commit(id)?;
            Ok::<_, ImportError>(usage)
        });
        let usage = usage.await??;
        drop(stop);
        Ok(usage)
    }
}

/// A file for a download, unlinked as soon as it is open.
fn nameless(scratch: &Dir, at: usize) -> std::io::Result<File> {
    let name = format!("download-{at}");
    let file = scratch.create_file(name.as_bytes(), 0o600)?;
    scratch.remove_file(name.as_bytes())?;
    Ok(file)
}
