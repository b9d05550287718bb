//! What a run is asked for with, and the files that it needs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use contree_client::api::FileId;
use contree_client::api::file::FileResponse;
use contree_client::api::instance::{
    AttachedFile, EnvMap, ExecSpec, InstanceSpawnRequest, Networking, ResourceLimits,
};
use contree_client::api::stream::{ClosableStreamRepr, encode};
use contree_client::{Client, Contree, Error};
use futures_util::{StreamExt as _, TryStreamExt as _};
use pyo3::prelude::*;

use crate::client::image_ref;
use crate::errors::Failure;

/// Files that are sent at once.
const UPLOADS: usize = 8;

/// Bytes that are sent unasked.
const LITTLE: usize = 64 * 1024;

/// The arguments of `Client.spawn`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Spawn {
    command: String,
    image: String,
    args: Vec<String>,
    shell: bool,
    env: EnvMap,
    cwd: String,
    hostname: String,
    disposable: bool,
    stdin: Vec<u8>,
    stdin_open: bool,
    pub(crate) timeout: u32,
    truncate_output_at: u64,
    files: Vec<File>,
    preserve_env: bool,
    preserve_cwd: bool,
    networking: Option<bool>,
    max_layer_bytes: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// Destination, content or local path, id of an uploaded file, owner, group, mode.
type File = (String, Option<Source>, Option<String>, u32, u32, String);

#[derive(FromPyObject)]
enum Source {
    Bytes(Vec<u8>),
    Path(PathBuf),
}

impl Spawn {
    /// The request, once all files are on the server.
    pub(crate) async fn request(self, contree: &Contree) -> Result<InstanceSpawnRequest, Failure> {
        let mut request = InstanceSpawnRequest::new(self.command, image_ref(&self.image)?);
        request.disposable = self.disposable;
        request.hostname = self.hostname;
        request.args = self.args;
        request.shell = self.shell;
        request.env = (!self.env.is_empty()).then_some(self.env);
        request.preserve_env = self.preserve_env;
        request.preserve_cwd = self.preserve_cwd;
        request.cwd = self.cwd;
        request.uid = self.uid.unwrap_or_default();
        request.gid = self.gid.unwrap_or_default();
        if let Some(max_layer_bytes) = self.max_layer_bytes {
            request.resources_limits = ResourceLimits { max_layer_bytes };
        }
        if let Some(enabled) = self.networking {
            request.networking = Networking { enabled };
        }
        request.stdin = stdin(&self.stdin, self.stdin_open);
        request.timeout = Some(self.timeout);
        request.truncate_output_at = self.truncate_output_at;
        if !self.files.is_empty() {
            request.files = upload(contree.client(), self.files).await?;
        }
        Ok(request)
    }
}

/// What a process is fed; none where it has nothing to read.
pub(crate) fn stdin(bytes: &[u8], open: bool) -> Option<ClosableStreamRepr> {
    if bytes.is_empty() && !open {
        return None;
    }
    let (value, encoding) = encode(bytes);
    Some(ClosableStreamRepr {
        value,
        encoding,
        close: !open,
    })
}

async fn upload(
    client: &Client,
    files: Vec<File>,
) -> Result<BTreeMap<String, AttachedFile>, Failure> {
    futures_util::stream::iter(files)
        .map(async |(destination, source, uuid, uid, gid, mode)| {
            let uuid = match (source, uuid) {
                (_, Some(uuid)) => uuid.parse().map_err(|error| Failure::malformed(&error))?,
                (Some(source), None) => send(client, source).await?,
                (None, None) => {
                    return Err(Failure::Argument(format!("{destination} has no source")));
                }
            };
            let mode = Some(mode);
            Ok((
                destination,
                AttachedFile {
                    uuid,
                    uid,
                    gid,
                    mode,
                },
            ))
        })
        // In any order: the package refuses two files for one path.
        .buffer_unordered(UPLOADS)
        .try_collect()
        .await
}

async fn send(client: &Client, source: Source) -> Result<FileId, Failure> {
    Ok(match source {
        Source::Bytes(bytes) => send_bytes(client, bytes).await?.uuid,
        Source::Path(path) => client.ensure_file(&path, |_| {}).await?.file.uuid,
    })
}

/// Content from memory. To ask whether it is there takes as long as to send a little.
pub(crate) async fn send_bytes(client: &Client, bytes: Vec<u8>) -> Result<FileResponse, Error> {
    if bytes.len() > LITTLE {
        return Ok(client.ensure_bytes(bytes.into()).await?.file);
    }
    client.upload_bytes(bytes.into()).await
}

/// The arguments of `Run.exec`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Exec {
    command: String,
    args: Vec<String>,
    shell: bool,
    env: EnvMap,
    cwd: String,
    stdin: Vec<u8>,
    stdin_open: bool,
    truncate_output_at: u64,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl From<Exec> for ExecSpec {
    fn from(exec: Exec) -> Self {
        Self {
            command: exec.command,
            args: exec.args,
            shell: exec.shell,
            env: (!exec.env.is_empty()).then_some(exec.env),
            cwd: exec.cwd,
            uid: exec.uid.unwrap_or_default(),
            gid: exec.gid.unwrap_or_default(),
            stdin: stdin(&exec.stdin, exec.stdin_open),
            truncate_output_at: exec.truncate_output_at,
        }
    }
}
