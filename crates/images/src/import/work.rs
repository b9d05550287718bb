//! The part of an import that blocks: all layers, one after the other, into one tree.

use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::archive::SectionReader;
use super::digest::Digest;
use super::error::ImportError;
use super::limits::Limits;
use super::progress::{Meter, Progress, ProgressSink, Step};
use super::spool::Spool;
use super::stream::{self, Budget, Expected, StreamError};
use super::unpack::{Role, UnpackError, Unpacker};
use crate::{Staged, Usage};

/// A layer to unpack.
pub(super) struct Layer {
    pub(super) digest: Digest,
    /// Bytes as stored.
    pub(super) size: u64,
    pub(super) expected: Expected,
    pub(super) content: Content,
}

/// Where its bytes come from.
pub(super) enum Content {
    Spool(Arc<Spool>),
    Section(SectionReader),
}

/// All of it.
pub(super) struct Work {
    pub(super) layers: Vec<Layer>,
    pub(super) role: Role,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    pub(super) progress: ProgressSink,
}

impl Work {
    /// Fills the tree and says what is in it.
    pub(super) fn run(self, staged: &Staged) -> Result<Usage, ImportError> {
        let Self {
            layers,
            role,
            limits,
            budget,
            progress,
        } = self;
        let mut unpacker =
            Unpacker::new(staged.tree(), &limits).map_err(|source| ImportError::Tree { source })?;
        let count = layers.len();
        for (at, layer) in layers.into_iter().enumerate() {
            let (number, digest) = (at + 1, layer.digest.clone());
            let report = Progress {
                layer: number,
                layers: count,
                digest: digest.clone(),
                step: Step::Unpack,
                done: 0,
                total: layer.size,
            };
            let meter = Meter::new(Arc::clone(&progress), limits.progress_interval, report);
            unpack(&mut unpacker, layer, role, &budget, &meter)
                .map_err(|source| ImportError::layer(number, digest, source))?;
        }
        let tree = staged.tree().as_fd().try_clone_to_owned();
        tree.and_then(|tree| Ok(crate::measure::measure(tree, None)?))
            .map_err(|source| ImportError::Measure { source })
    }
}

fn unpack(
    unpacker: &mut Unpacker<'_>,
    layer: Layer,
    role: Role,
    budget: &Budget,
    meter: &Meter,
) -> Result<(), UnpackError> {
    let (input, spool): (Box<dyn Read + Send>, _) = match layer.content {
        Content::Spool(spool) => (Box::new(spool.reader()), Some(spool)),
        Content::Section(section) => (Box::new(section), None),
    };
    let progress = |done| meter.at(done);
    let unpacked = stream::decode(input, &layer.expected, budget, &progress, |pieces| {
        match unpacker.layer(pieces, role) {
            // Perhaps because these are not the bytes they should be; then that is to be said.
            Err(error) if error.is_malformed() => {
                pieces.drain()?;
                Err(error)
            }
            other => other,
        }
    });
    // The same for bytes from a registry, whose verdict is the download's. And a layer that does
    // not need all of its bytes needs that verdict all the same.
    let arrived = match (&unpacked, spool) {
        (Ok(()), Some(spool)) => spool.wait(),
        (Err(error), Some(spool)) if error.is_of_content() => spool.wait(),
        _ => Ok(()),
    };
    arrived.map_err(|_| StreamError::NotArrived)?;
    unpacked
}

/// Runs `work` where blocking is fine. It goes on to its end even when the future is dropped.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ImportError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| ImportError::Stopped { source })
}
