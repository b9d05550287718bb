//! What comes piece by piece, as iterators.

use bytes::Bytes;

use super::Contree;
use crate::{Chunk, Error, EventFrame, Follow};

/// Items of a list, which end at the first error; see [`crate::List`].
#[derive(Debug)]
pub struct List<T> {
    contree: Contree,
    inner: Option<crate::List<T>>,
}

impl<T: Send + 'static> List<T> {
    pub(crate) fn new(contree: &Contree, inner: crate::List<T>) -> Self {
        Self {
            contree: contree.clone(),
            inner: Some(inner),
        }
    }
}

impl<T: Send + 'static> Iterator for List<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.contree.block_on(self.inner.as_mut()?.next());
        if next.is_err() {
            self.inner = None;
        }
        next.transpose()
    }
}

/// Events of an operation, which end at the first error; see [`crate::Follow`].
#[derive(Debug)]
pub struct Events {
    contree: Contree,
    inner: Option<Follow>,
}

impl Events {
    pub(crate) fn new(contree: &Contree, inner: Follow) -> Self {
        Self {
            contree: contree.clone(),
            inner: Some(inner),
        }
    }
}

impl Iterator for Events {
    type Item = Result<EventFrame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.contree.block_on(self.inner.as_mut()?.next());
        if next.is_err() {
            self.inner = None;
        }
        next.transpose()
    }
}

/// Output of a process, which ends at the first error; see [`crate::Output`].
#[derive(Debug)]
pub struct Output {
    contree: Contree,
    inner: Option<crate::Output>,
}

impl Output {
    pub(crate) fn new(contree: &Contree, inner: crate::Output) -> Self {
        Self {
            contree: contree.clone(),
            inner: Some(inner),
        }
    }
}

impl Iterator for Output {
    type Item = Result<Chunk, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.contree.block_on(self.inner.as_mut()?.next());
        if next.is_err() {
            self.inner = None;
        }
        next.transpose()
    }
}

/// A file that comes in piece by piece; see [`crate::Download`].
#[derive(Debug)]
pub struct Download {
    contree: Contree,
    inner: crate::Download,
    /// What has come and was not read yet.
    rest: Bytes,
}

impl Download {
    pub(crate) fn new(contree: &Contree, inner: crate::Download) -> Self {
        Self {
            contree: contree.clone(),
            inner,
            rest: Bytes::new(),
        }
    }

    /// Bytes in all, if the server said.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.inner.size()
    }
}

impl std::io::Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            let next = self.contree.block_on(self.inner.next());
            match next.map_err(std::io::Error::other)? {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let size = buffer.len().min(self.rest.len());
        buffer[..size].copy_from_slice(&self.rest.split_to(size));
        Ok(size)
    }
}
