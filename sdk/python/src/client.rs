//! A server, as the package sees it: one method per thing to ask.

use std::path::PathBuf;
use std::time::Duration;

use contree_client::api::image::{Credentials, Image, ImageImportRequest, ImageRef, Registry};
use contree_client::api::inspect::{FileItem, GrepCase, GrepQuery, Owner};
use contree_client::api::{ImageId, Tag};
use contree_client::{Config, Contree, ImageFilter};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::errors::Failure;
use crate::json::Json;
use crate::launch::{Launch, Start};
use crate::pending::Pending;
use crate::process::{self, PerProcess};
use crate::run::Run;
use crate::spawn::{Spawn, send_bytes};

/// Longest silence of an event stream. Servers send a comment every five seconds.
const SILENCE: Duration = Duration::from_secs(30);

/// Longest wait for a connection, also where answers may take longer.
const CONNECT: Duration = Duration::from_secs(10);

/// A server with one token. Every process that uses it has connections of its own.
#[pyclass(frozen, module = "contree_sdk._native")]
pub(crate) struct Client {
    config: Config,
    contree: PerProcess<Contree>,
}

impl Client {
    /// The connections of this process.
    pub(crate) fn contree(&self, py: Python<'_>) -> PyResult<Contree> {
        let runtime = process::runtime(py)?;
        let contree = self.contree.get(py, || {
            let _entered = runtime.enter();
            contree_client::Client::new(self.config.clone()).map(Contree::new)
        });
        contree.map_err(|error| Failure::from(error).raise(py))
    }

    /// Work that asks this server.
    fn ask<T, W>(&self, py: Python<'_>, work: impl FnOnce(Contree) -> W) -> PyResult<Pending>
    where
        W: Future<Output = Result<T, Failure>> + Send + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        Ok(Pending::new(work(self.contree(py)?)))
    }
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (*, base_url, headers, user_agent, timeout, retries, busy_timeout))]
    fn new(
        base_url: String,
        headers: Vec<(String, String)>,
        user_agent: String,
        timeout: f64,
        retries: u32,
        busy_timeout: f64,
    ) -> PyResult<Self> {
        let mut config = Config::new(base_url, "");
        config.headers = headers;
        config.user_agent = user_agent;
        config.timeout = seconds("timeout", timeout)?;
        config.connect_timeout = config.timeout.min(CONNECT);
        config.idle_timeout = config.timeout.max(SILENCE);
        config.retry.max_attempts = retries.saturating_add(1);
        config.retry.max_connects = config.retry.max_connects.min(config.retry.max_attempts);
        config.retry.busy_timeout = seconds("busy_timeout", busy_timeout)?;
        Ok(Self {
            config,
            contree: PerProcess::new(),
        })
    }

    fn whoami(&self, py: Python<'_>) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let answer = contree.client().whoami().await?;
            let json = serde_json::to_value(&answer).expect("wire types have string keys");
            Ok(Json(json))
        })
    }

    #[pyo3(signature = (*, offset, limit, since, until, tagged, kind))]
    #[expect(clippy::too_many_arguments, reason = "a listing has as many bounds")]
    fn list_images(
        &self,
        py: Python<'_>,
        offset: u32,
        limit: u32,
        since: Option<String>,
        until: Option<String>,
        tagged: bool,
        kind: Option<u8>,
    ) -> PyResult<Pending> {
        let mut filter = ImageFilter::default();
        filter.limit = Some(limit);
        filter.offset = Some(offset);
        filter.since = since;
        filter.until = until;
        filter.tagged = tagged;
        filter.kind = kind;
        self.ask(py, async move |contree| {
            let images = contree.client().list_images(&filter).await?;
            Ok(images.into_iter().map(named).collect::<Vec<_>>())
        })
    }

    fn image_by_uuid(&self, py: Python<'_>, uuid: String) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let image = contree.client().image(image_id(&uuid)?).await?;
            Ok(named(image))
        })
    }

    fn image_by_tag(&self, py: Python<'_>, tag: String) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let tag = parse_tag(&tag)?;
            let id = contree.client().find_image(&tag).await?;
            let (uuid, known_as) = named(contree.client().image(id).await?);
            Ok((uuid, known_as.unwrap_or_else(|| tag.to_string())))
        })
    }

    fn set_tag(&self, py: Python<'_>, uuid: String, tag: String) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let (image, tag) = (image_id(&uuid)?, parse_tag(&tag)?);
            contree.client().set_tag(image, &tag).await?;
            Ok(())
        })
    }

    #[pyo3(signature = (uuid, tag = None))]
    fn delete_tag(&self, py: Python<'_>, uuid: String, tag: Option<String>) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let image = image_id(&uuid)?;
            let tag = tag.as_deref().map(parse_tag).transpose()?;
            Ok(contree.client().delete_tag(image, tag.as_ref()).await?)
        })
    }

    fn list_directory(&self, py: Python<'_>, uuid: String, path: String) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let image = image_id(&uuid)?;
            let list = contree.client().list_directory(image, &path).await?;
            Ok(list.files.into_iter().map(Entry::from).collect::<Vec<_>>())
        })
    }

    fn read_file(&self, py: Python<'_>, uuid: String, path: String) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let bytes = contree.client().read_file(image_id(&uuid)?, &path).await?;
            Ok(Vec::from(bytes))
        })
    }

    fn download_file(
        &self,
        py: Python<'_>,
        uuid: String,
        path: String,
        local_path: PathBuf,
    ) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let (client, image) = (contree.client(), image_id(&uuid)?);
            Ok(client.save_file(image, &path, &local_path).await?)
        })
    }

    fn archive(
        &self,
        py: Python<'_>,
        uuid: String,
        path: String,
        local_path: Option<PathBuf>,
        gzip: bool,
    ) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let (client, image) = (contree.client(), image_id(&uuid)?);
            let Some(to) = local_path else {
                let bytes = if gzip {
                    client.read_archive_gzip(image, &path).await?
                } else {
                    client.read_archive(image, &path).await?
                };
                return Ok(Some(Vec::from(bytes)));
            };
            if gzip {
                client.save_archive_gzip(image, &path, &to).await?;
            } else {
                client.save_archive(image, &path, &to).await?;
            }
            Ok(None)
        })
    }

    #[pyo3(signature = (
        uuid, *, patterns, paths, globs, case, before, after, max_count, max_total
    ))]
    #[expect(clippy::too_many_arguments, reason = "a search has as many bounds")]
    fn grep(
        &self,
        py: Python<'_>,
        uuid: String,
        patterns: Vec<String>,
        paths: Vec<String>,
        globs: Vec<String>,
        case: &str,
        before: u32,
        after: u32,
        max_count: Option<u32>,
        max_total: Option<u32>,
    ) -> PyResult<Pending> {
        let known = GrepCase::ALL.into_iter().find(|known| known.name() == case);
        let Some(case) = known else {
            let names = GrepCase::ALL.map(GrepCase::name).join(", ");
            let text = format!("case is one of {names}; got {case:?}");
            return Err(Failure::Argument(text).raise(py));
        };
        let query = GrepQuery {
            patterns,
            paths,
            globs,
            max_count,
            max_total,
            case,
            before,
            after,
        };
        self.ask(py, async move |contree| {
            let found = contree.client().grep(image_id(&uuid)?, &query).await?;
            let json = serde_json::to_value(&found).expect("wire types have string keys");
            Ok(Json(json))
        })
    }

    fn upload_path(&self, py: Python<'_>, path: PathBuf) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let uploaded = contree.client().ensure_file(&path, |_| {}).await?;
            let file = uploaded.file;
            Ok((file.uuid.to_string(), file.sha256, file.size))
        })
    }

    fn upload_bytes(&self, py: Python<'_>, data: Vec<u8>) -> PyResult<Pending> {
        self.ask(py, async move |contree| {
            let file = send_bytes(contree.client(), data).await?;
            Ok((file.uuid.to_string(), file.sha256, file.size))
        })
    }

    #[pyo3(signature = (**fields))]
    fn spawn(slf: &Bound<'_, Self>, fields: Option<Spawn>) -> PyResult<Run> {
        let spawn = fields.ok_or_else(|| no_arguments("spawn"))?;
        Run::new(slf, Start::Run(Box::new(spawn)))
    }

    #[pyo3(signature = (*, url, tag, username, password, timeout))]
    fn import_image(
        slf: &Bound<'_, Self>,
        url: String,
        tag: Option<String>,
        username: Option<String>,
        password: Option<String>,
        timeout: u32,
    ) -> PyResult<Run> {
        let tag = tag.as_deref().map(parse_tag).transpose();
        let tag = tag.map_err(|failure| failure.raise(slf.py()))?;
        let credentials = (username.is_some() || password.is_some())
            .then_some(Credentials { username, password });
        let request = ImageImportRequest {
            registry: Registry { url, credentials },
            tag,
            timeout: Some(timeout),
        };
        Run::new(slf, Start::Import(Box::new(request)))
    }

    fn attach(slf: &Bound<'_, Self>, uuid: &str) -> PyResult<Run> {
        let py = slf.py();
        let id = uuid
            .parse()
            .map_err(|error| Failure::malformed(&error).raise(py))?;
        let operation = slf.get().contree(py)?.operation(id);
        Ok(Run::with(slf, Launch::known(operation)))
    }
}

/// The call lacks its keyword arguments.
pub(crate) fn no_arguments(method: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "{method}() takes keyword arguments, and there are none"
    ))
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| {
        PyValueError::new_err(format!(
            "{name} is a number of seconds, zero or more; got {value}"
        ))
    })
}

fn named(image: Image) -> (String, Option<String>) {
    (
        image.uuid.to_string(),
        image.tag.map(|tag| tag.as_str().to_owned()),
    )
}

/// An id. What is none is refused as the server would.
fn image_id(text: &str) -> Result<ImageId, Failure> {
    text.parse().map_err(|error| Failure::malformed(&error))
}

fn parse_tag(text: &str) -> Result<Tag, Failure> {
    text.parse().map_err(|error| Failure::malformed(&error))
}

/// What a request names as its image.
pub(crate) fn image_ref(text: &str) -> Result<ImageRef, Failure> {
    text.parse().map_err(|error| Failure::malformed(&error))
}

/// An entry of a folder, as a dictionary.
#[derive(IntoPyObject)]
#[expect(clippy::struct_excessive_bools, reason = "the contract's shape")]
struct Entry {
    size: i64,
    path: String,
    owner: String,
    group: String,
    mode: u32,
    mtime: i64,
    nlink: u64,
    uid: u32,
    gid: u32,
    is_dir: bool,
    is_regular: bool,
    is_symlink: bool,
    is_socket: bool,
    is_fifo: bool,
    symlink_to: String,
}

impl From<FileItem> for Entry {
    fn from(item: FileItem) -> Self {
        let name = |owner| match owner {
            Owner::Id(id) => id.to_string(),
            Owner::Name(name) => name,
        };
        Self {
            size: item.size,
            path: item.path,
            owner: name(item.owner),
            group: name(item.group),
            mode: item.mode,
            mtime: item.mtime,
            nlink: item.nlink,
            uid: item.uid,
            gid: item.gid,
            is_dir: item.is_dir,
            is_regular: item.is_regular,
            is_symlink: item.is_symlink,
            is_socket: item.is_socket,
            is_fifo: item.is_fifo,
            symlink_to: item.symlink_to,
        }
    }
}
