//! ADD of URLs.
use contree_client::Client;

use crate::failure::Failure;
use crate::session::Store;

/// A file from the web that the server has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The uploaded file.
    pub(crate) uuid: contree_api::FileId,
    pub(crate) sha256: String,
    pub(crate) size: u64,
    /// The last part of the URL's path; none for `http://host/`.
    pub(crate) name: Option<String>,
    /// Whether nothing had to be sent.
    pub(crate) was_cached: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) done: u64,
    pub(crate) total: Option<u64>,
}

/// Whether a source of `ADD` is a URL (also one that cannot be fetched, such as git's).
pub(crate) fn is_url(source: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://", "ftp://"]
        .iter()
        .any(|scheme| source.starts_with(scheme))
}

/// The file name a URL ends in.
pub(crate) fn file_name(url: &str) -> Result<Option<String>, Failure> {
    let _ = url;
    Ok(None)
}

/// Brings what is at `url` to the server, streamed; from what is remembered when the web server
/// says that it has not changed.
pub(crate) async fn fetch(
    client: &Client,
    store: &mut Store,
    url: &str,
    checksum: Option<&str>,
    progress: impl Fn(Step) + Clone + Send + Sync + 'static,
) -> Result<Fetched, Failure> {
    let _ = (client, store, checksum, progress);
    Err(Failure::new(url))
}
