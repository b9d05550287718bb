//! Images from elsewhere.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use contree_api::image::{Credentials, ImageImportRequest, Registry};
use contree_api::{OperationId, Tag};

use super::Image;
use crate::run::{ended_well, whole_seconds};
use crate::{Contree, Error, Follow, Operation};

/// What an import shall be. Awaited, it is started and waited for; [`send`](ImportBuilder::send)
/// only starts it.
///
/// ```
/// # contree_e2e::Example::run(async |example| {
/// # let contree = example.contree();
/// # let folder = std::env::temp_dir().join(format!("contree-load-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let archive = folder.join("root.tar");
/// # contree.image("tag:debian").download_archive("/etc", &archive).await?;
/// let image = contree.load(&archive).tag("mine/etc:1").await?;
/// assert_eq!(image.info().await?.tag.expect("it has one").as_str(), "mine/etc:1");
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[must_use = "nothing is started before it is sent"]
pub struct ImportBuilder<C = Contree> {
    pub(crate) contree: C,
    pub(crate) draft: Draft,
}

/// Everything but the connection.
#[derive(Debug)]
pub(crate) struct Draft {
    source: Source,
    tag: Option<Tag>,
    credentials: Option<Credentials>,
    timeout: Option<u32>,
    fault: Option<Error>,
}

#[derive(Debug)]
pub(crate) enum Source {
    Url(String),
    Archive(PathBuf),
}

impl<C> ImportBuilder<C> {
    pub(crate) const fn new(contree: C, source: Source) -> Self {
        Self {
            contree,
            draft: Draft {
                source,
                tag: None,
                credentials: None,
                timeout: None,
                fault: None,
            },
        }
    }

    /// Tags the image. Default: it is reachable by its id only.
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        match super::tag(tag.as_ref()) {
            Ok(tag) => self.draft.tag = Some(tag),
            Err(fault) => self.draft.fault = Some(fault),
        }
        self
    }

    /// For registries that ask who comes. Default: nobody in particular.
    pub fn credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.draft.credentials = Some(Credentials {
            username: Some(username.into()),
            password: Some(password.into()),
        });
        self
    }

    /// After how long the import is given up; whole seconds, rounded up. Default 300 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.draft.timeout = Some(whole_seconds(timeout));
        self
    }
}

impl ImportBuilder {
    /// Starts the import, after the archive has been uploaded if it is one that the server does not
    /// have.
    ///
    /// # Errors
    /// [`Error::Tag`] when the tag is none, [`Error::File`] for an archive that cannot be read, else
    /// any [`Error`].
    pub async fn send(self) -> Result<Import, Error> {
        let Self { contree, draft } = self;
        if let Some(fault) = draft.fault {
            return Err(fault);
        }
        let url = match draft.source {
            Source::Url(url) => url,
            Source::Archive(path) => {
                let uploaded = contree.client().ensure_file(&path, |_| ()).await?;
                format!("upload:{}", uploaded.file.uuid)
            }
        };
        let request = ImageImportRequest {
            registry: Registry {
                url,
                credentials: draft.credentials,
            },
            tag: draft.tag,
            timeout: draft.timeout,
        };
        let operation = contree.import(&request).await?;
        Ok(Import { operation })
    }
}

impl IntoFuture for ImportBuilder {
    type Output = Result<Image, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.send().await?.wait().await })
    }
}

/// An import that the server has accepted. Dropping it changes nothing on the server.
#[derive(Clone)]
pub struct Import {
    operation: Operation,
}

impl Import {
    /// The operation's id.
    #[must_use]
    pub const fn id(&self) -> OperationId {
        self.operation.id()
    }

    /// The operation.
    #[must_use]
    pub const fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Its events from the first to `completion`; its progress is in `stderr` events.
    #[must_use]
    pub fn events(&self) -> Follow {
        self.operation.events()
    }

    /// Asks for its end.
    ///
    /// # Errors
    /// [`Error`]; 409 when it has ended already.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.operation.cancel().await
    }

    /// Waits for the image.
    ///
    /// # Errors
    /// [`Error::Failed`] with the server's reason, [`Error::Cancelled`] when somebody cancelled it,
    /// else any [`Error`].
    pub async fn wait(&self) -> Result<Image, Error> {
        let answer = self.operation.wait().await?;
        ended_well(&answer)?;
        let id = answer.summary.result_image_uuid.ok_or(Error::Answer {
            request: format!("GET /v1/operations/{}", self.id()),
            reason: "an import that succeeded has no image".to_owned(),
        })?;
        Ok(Image::new(self.operation.contree().clone(), id))
    }
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Import").field(&self.id()).finish()
    }
}
