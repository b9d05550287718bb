//! The same objects for programs without async.
//!
//! Every call blocks its thread until it is done. The work is done by a small runtime that the
//! [`Contree`] brings along; its clones and everything made from it share it. From inside an async
//! program use the objects at the crate's root: these panic there, as tokio does when a thread that
//! drives tasks is blocked.
//!
//! ```
//! # let example = contree_e2e::Example::start();
//! # let (url, token) = (example.url(), example.token());
//! use contree_client::blocking::Contree;
//!
//! let contree = Contree::connect(url, token)?;
//! let run = contree.image("tag:debian").run("echo one; echo two").send()?;
//! let mut text = String::new();
//! for chunk in run.stream() {
//!     text.push_str(&chunk?.text());
//! }
//! assert_eq!(text, "one\ntwo\n");
//! assert!(run.wait()?.success());
//! # Ok::<(), contree_client::Error>(())
//! ```
//!
//! What is built and what comes of it are the types of the crate's root, such as
//! [`RunBuilder`](crate::RunBuilder) and [`Outcome`](crate::Outcome), on this [`Contree`].

mod image;
mod read;
mod run;

use std::path::PathBuf;
use std::sync::Arc;

use contree_api::OperationId;
use contree_api::image::ImageImportRequest;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::{OperationResponse, OperationSummary};
use tokio::runtime::Runtime;

pub use self::image::Import;
pub use self::read::{Download, Events, List, Output};
pub use self::run::{Process, Run};
use crate::image::{ImageName, Source};
use crate::{Client, Config, Error, ImageFilter, OperationFilter};

/// An image; see [`crate::Image`].
pub type Image = crate::Image<Contree>;
/// A run before it is started; see [`crate::RunBuilder`].
pub type RunBuilder = crate::RunBuilder<Contree>;
/// A further process before it is started; see [`crate::ExecBuilder`].
pub type ExecBuilder = crate::ExecBuilder<Operation>;
/// An import before it is started; see [`crate::ImportBuilder`].
pub type ImportBuilder = crate::ImportBuilder<Contree>;
/// How a process ended; see [`crate::Outcome`].
pub type Outcome = crate::Outcome<Contree>;
/// A line of images; see [`crate::Session`].
pub type Session = crate::Session<Contree>;

/// A server with one token. Cheap to clone, and fit for many threads at once.
#[derive(Debug, Clone)]
pub struct Contree {
    pub(crate) inner: crate::Contree,
    runtime: Arc<Own>,
}

/// A runtime that may be dropped anywhere.
#[derive(Debug)]
struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // It does not wait, which it must not on a thread that drives another runtime.
            runtime.shutdown_background();
        }
    }
}

impl Contree {
    /// As [`crate::Contree::new`].
    ///
    /// # Errors
    /// [`Error::Setup`] when its thread cannot be started.
    pub fn new(client: Client) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("contree")
            .enable_all()
            .build()
            .map_err(|source| Error::Setup {
                source: source.into(),
            })?;
        Ok(Self {
            inner: crate::Contree::new(client),
            runtime: Arc::new(Own(Some(runtime))),
        })
    }

    /// As [`crate::Contree::connect`].
    ///
    /// # Errors
    /// [`Error::BaseUrl`], [`Error::Header`] and [`Error::Setup`].
    pub fn connect(base_url: impl Into<String>, token: impl Into<String>) -> Result<Self, Error> {
        Self::new(Client::new(Config::new(base_url, token))?)
    }

    /// Runs something async of this crate to its end, such as a method of the [`Client`].
    ///
    /// # Panics
    /// On a thread that drives an async runtime.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.runtime.0 {
            Some(runtime) => runtime.block_on(work),
            None => unreachable!("it is taken only when the last one is dropped"),
        }
    }

    /// Does something in the background, as long as the runtime is there.
    pub(crate) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime.0 {
            runtime.spawn(work);
        }
    }

    /// The client, for single routes: see [`Contree::block_on`].
    #[must_use]
    pub const fn client(&self) -> &Client {
        self.inner.client()
    }

    /// As [`crate::Contree::image`].
    #[must_use]
    pub fn image(&self, name: impl Into<ImageName>) -> Image {
        Image::new(self.clone(), name)
    }

    /// As [`crate::Contree::images`].
    #[must_use]
    pub fn images(&self, filter: ImageFilter) -> List<contree_api::image::Image> {
        List::new(self, self.inner.images(filter))
    }

    /// As [`crate::Contree::pull`].
    pub fn pull(&self, url: impl Into<String>) -> ImportBuilder {
        ImportBuilder::new(self.clone(), Source::Url(url.into()))
    }

    /// As [`crate::Contree::load`].
    pub fn load(&self, archive: impl Into<PathBuf>) -> ImportBuilder {
        ImportBuilder::new(self.clone(), Source::Archive(archive.into()))
    }

    /// As [`crate::Contree::session`].
    #[must_use]
    pub fn session(&self, image: impl Into<ImageName>) -> Session {
        Session::new(self.clone(), image.into())
    }

    /// As [`crate::Contree::operations`].
    #[must_use]
    pub fn operations(&self, filter: OperationFilter) -> List<OperationSummary> {
        List::new(self, self.inner.operations(filter))
    }

    /// As [`crate::Contree::operation`].
    #[must_use]
    pub fn operation(&self, id: OperationId) -> Operation {
        Operation::new(self, self.inner.operation(id))
    }

    /// As [`crate::Contree::attach`].
    #[must_use]
    pub fn attach(&self, id: OperationId) -> Run {
        Run::new(self, self.inner.attach(id))
    }

    /// As [`crate::Contree::spawn`].
    ///
    /// # Errors
    /// As there.
    pub fn spawn(&self, request: &InstanceSpawnRequest) -> Result<Operation, Error> {
        let operation = self.block_on(self.inner.spawn(request))?;
        Ok(Operation::new(self, operation))
    }

    /// As [`crate::Contree::import`].
    ///
    /// # Errors
    /// As there.
    pub fn import(&self, request: &ImageImportRequest) -> Result<Operation, Error> {
        let operation = self.block_on(self.inner.import(request))?;
        Ok(Operation::new(self, operation))
    }
}

/// A run or an import that the server has accepted; see [`crate::Operation`].
#[derive(Debug, Clone)]
pub struct Operation {
    contree: Contree,
    pub(crate) inner: crate::Operation,
}

impl Operation {
    pub(crate) fn new(contree: &Contree, inner: crate::Operation) -> Self {
        Self {
            contree: contree.clone(),
            inner,
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> OperationId {
        self.inner.id()
    }

    /// As [`crate::Operation::wait`].
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self) -> Result<OperationResponse, Error> {
        self.contree.block_on(self.inner.wait())
    }

    /// As [`crate::Operation::status`].
    ///
    /// # Errors
    /// As there.
    pub fn status(&self) -> Result<OperationResponse, Error> {
        self.contree.block_on(self.inner.status())
    }

    /// As [`crate::Operation::events`].
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(&self.contree, self.inner.events())
    }

    /// As [`crate::Operation::cancel`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel(&self) -> Result<(), Error> {
        self.contree.block_on(self.inner.cancel())
    }
}
