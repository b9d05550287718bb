//! The way in: a server as a place with images, runs and operations.

use std::path::PathBuf;

use contree_api::OperationId;
use contree_api::image::ImageImportRequest;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::OperationSummary;

use crate::call::Call;
use crate::image::{ImageName, ImportBuilder, Source};
use crate::routes::images::import_call;
use crate::routes::instances::spawn_call;
use crate::wait::{Origin, Waiter};
use crate::{
    Client, Config, Error, Image, ImageFilter, List, Operation, OperationFilter, Run, Session,
};

/// A server with one token. Cheap to clone; clones share connections, and one stream over which all
/// of their waits are told.
///
/// It belongs to one tokio runtime: connections that another one made may stand still when that one
/// does.
///
/// ```
/// # contree_e2e::Example::run(async |example| {
/// # let (url, token) = (example.url(), example.token());
/// use std::time::Duration;
///
/// use contree_client::{Client, Config, Contree};
///
/// let mut config = Config::new(url, token);
/// config.retry.busy_timeout = Duration::from_secs(600);
/// let contree = Contree::new(Client::new(config)?);
///
/// // A hundred runs at once wait over one stream.
/// let image = contree.image("tag:debian");
/// let runs: Vec<_> = (0..100)
///     .map(|number| tokio::spawn(image.run(format!("exit {number}")).disposable().output()))
///     .collect();
/// for (number, run) in runs.into_iter().enumerate() {
///     assert_eq!(run.await??.exit_code, Some(i32::try_from(number)?));
/// }
/// # Ok(()) });
/// ```
#[derive(Debug, Clone)]
pub struct Contree {
    pub(crate) waiter: Waiter,
}

impl Contree {
    /// On a client, for everything that a [`Config`] can say. Nothing is sent yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            waiter: Waiter::new(client),
        }
    }

    /// On a server's URL (`http` or `https`, with any path before `/v1`) and a token, with every
    /// default. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::BaseUrl`] and [`Error::Header`].
    pub fn connect(base_url: impl Into<String>, token: impl Into<String>) -> Result<Self, Error> {
        Client::new(Config::new(base_url, token)).map(Self::new)
    }

    /// The client, for single routes.
    #[must_use]
    pub const fn client(&self) -> &Client {
        self.waiter.client()
    }

    /// An image, by its id or `tag:NAME`. Nothing is asked yet.
    #[must_use]
    pub fn image(&self, name: impl Into<ImageName>) -> Image {
        Image::new(self.clone(), name)
    }

    /// Images of the project and public ones, newest first. An image with several tags is there
    /// once for each. `limit` and `offset` of the filter are not used.
    #[must_use]
    pub fn images(&self, filter: ImageFilter) -> List<contree_api::image::Image> {
        let client = self.client().clone();
        List::new(move |limit, offset| {
            let client = client.clone();
            let filter = ImageFilter {
                limit: Some(limit),
                offset: Some(offset),
                ..filter.clone()
            };
            Box::pin(async move { client.list_images(&filter).await })
        })
    }

    /// Imports from a registry, such as `docker://docker.io/library/busybox:latest`.
    pub fn pull(&self, url: impl Into<String>) -> ImportBuilder {
        ImportBuilder::new(self.clone(), Source::Url(url.into()))
    }

    /// Imports an archive of this machine: a root file system as tar, or what `docker save` and OCI
    /// tools write, plain or compressed.
    pub fn load(&self, archive: impl Into<PathBuf>) -> ImportBuilder {
        ImportBuilder::new(self.clone(), Source::Archive(archive.into()))
    }

    /// A session that begins at an image.
    #[must_use]
    pub fn session(&self, image: impl Into<ImageName>) -> Session {
        Session::new(self.clone(), image.into())
    }

    /// Operations of the project, newest first. `limit` and `offset` of the filter are not used.
    #[must_use]
    pub fn operations(&self, filter: OperationFilter) -> List<OperationSummary> {
        let client = self.client().clone();
        List::new(move |limit, offset| {
            let client = client.clone();
            let filter = OperationFilter {
                limit: Some(limit),
                offset: Some(offset),
                ..filter.clone()
            };
            Box::pin(async move { client.list_operations(&filter).await })
        })
    }

    /// An operation that is there already. Nothing is asked yet.
    #[must_use]
    pub fn operation(&self, id: OperationId) -> Operation {
        Operation::new(self.clone(), id, Origin::Elsewhere)
    }

    /// A run that is there already. Nothing is asked yet.
    #[must_use]
    pub fn attach(&self, id: OperationId) -> Run {
        Run::new(self.operation(id), None, None, None)
    }

    /// Starts a run as the API words it. A server that is busy is waited for:
    /// [`RetryPolicy::busy_timeout`](crate::RetryPolicy::busy_timeout).
    ///
    /// # Errors
    /// [`Error`]. When the answer does not come, the run may have started.
    pub async fn spawn(&self, request: &InstanceSpawnRequest) -> Result<Operation, Error> {
        self.start(&spawn_call(request)).await
    }

    /// The same, unless `gone` is done before the server has taken it: `None`, and nothing was
    /// started. For a run that may have to wait long for a busy server, and that nobody may want
    /// any more by then. A request that is on its way is waited for.
    ///
    /// # Errors
    /// As [`Contree::spawn`].
    pub async fn spawn_unless(
        &self,
        request: &InstanceSpawnRequest,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Operation>, Error> {
        self.start_unless(&spawn_call(request), gone).await
    }

    /// Starts an import as the API words it. A server that is busy is waited for, as with
    /// [`Contree::spawn`].
    ///
    /// # Errors
    /// [`Error`]. When the answer does not come, the import may have started.
    pub async fn import(&self, request: &ImageImportRequest) -> Result<Operation, Error> {
        self.start(&import_call(request)).await
    }

    /// The same, given up as [`Contree::spawn_unless`] is.
    ///
    /// # Errors
    /// As [`Contree::import`].
    pub async fn import_unless(
        &self,
        request: &ImageImportRequest,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Operation>, Error> {
        self.start_unless(&import_call(request), gone).await
    }

    async fn start(&self, call: &Call) -> Result<Operation, Error> {
        let (_interest, mark) = self.waiter.expect();
        let started = self.client().start(call).await?;
        Ok(Operation::new(self.clone(), started, Origin::Here(mark)))
    }

    async fn start_unless(
        &self,
        call: &Call,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Operation>, Error> {
        let (_interest, mark) = self.waiter.expect();
        let started = self.client().start_unless(call, gone).await?;
        Ok(started.map(|id| Operation::new(self.clone(), id, Origin::Here(mark))))
    }
}
