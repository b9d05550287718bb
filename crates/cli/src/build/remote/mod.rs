//! What `ADD` fetches from the web.
//!
//! Bytes go from the web server through this program to ours, piece by piece: neither memory nor
//! disk ever has them all. What is known of a URL is remembered as contree-cli does it, under
//! `local_file:URL`: when the web server says that nothing has changed, by 304 or by the same ETag,
//! time or digest in its answer, the file that our server has is taken again. With `--checksum` not
//! even the web server is asked, if ours has the content.

use std::time::{Duration, SystemTime};

use contree_api::FileId;
use contree_client::Client;
use futures_util::TryStreamExt as _;
use reqwest::header::{
    ACCEPT_ENCODING, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use reqwest::{Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::failure::{Doing as _, Failure};
use crate::session::Store;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest silence of a web server.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_REDIRECTS: usize = 10;
/// No file of the web is larger.
const MAX_BYTES: u64 = 64 * 1024 * 1024 * 1024;
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// A file of the web that the server has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The uploaded file.
    pub(crate) uuid: FileId,
    /// In hexadecimal.
    pub(crate) sha256: String,
    pub(crate) size: u64,
    /// The last part of the URL's path; none for `http://host/`.
    pub(crate) name: Option<String>,
    /// Whether nothing was fetched, because the server had it.
    pub(crate) was_cached: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) done: u64,
    pub(crate) total: Option<u64>,
}

/// What is remembered of a URL; the keys are those of contree-cli.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Remembered {
    uuid: String,
    url: String,
    sha256: String,
    size: i64,
    etag: String,
    last_modified: String,
    content_md5: String,
    fetched_at: f64,
}

/// Whether a source of `ADD` is on the web: also one that [`fetch`] refuses.
pub(crate) fn is_url(source: &str) -> bool {
    source.starts_with("git@")
        || source.split_once("://").is_some_and(|(scheme, _)| {
            scheme.starts_with(|char: char| char.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
        })
}

/// The URL, if it is one that can be fetched.
fn checked(url: &str) -> Result<Url, Failure> {
    let parsed = Url::parse(url).ok();
    let is_git = |url: &Url| {
        let path = url.path().trim_end_matches('/');
        path.ends_with(".git") || url.scheme().starts_with("git") || url.scheme() == "ssh"
    };
    if url.starts_with("git@") || parsed.as_ref().is_some_and(is_git) {
        return Err(
            Failure::new(format!("{url}: git repositories are not fetched"))
                .next("name an archive of it, or clone it into the context before the build"),
        );
    }
    let refused = || Failure::new(format!("{url}: ADD fetches http:// and https:// only"));
    parsed
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(refused)
}

/// The URL without a password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Both can fail only for URLs without a host.
        let _ = url.set_password(None);
        let _ = url.set_username("");
    }
    url.to_string()
}

/// The name that the path of a URL ends in.
fn file_name(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    let name = percent_decode(last);
    let is_name = !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\0']);
    is_name.then_some(name)
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| {
            let code = std::str::from_utf8(code).ok()?;
            u8::from_str_radix(code, 16).ok()
        });
        match code {
            Some(code) if byte == b'%' => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What `--checksum` says, in lower case.
fn digest(checksum: &str) -> Result<String, Failure> {
    checksum
        .strip_prefix("sha256:")
        .filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(str::to_ascii_lowercase)
        .ok_or_else(|| {
            Failure::new(format!(
                "--checksum={checksum}: expected sha256: and 64 digits"
            ))
        })
}

/// Brings what is at `url` to the server.
pub(crate) async fn fetch(
    client: &Client,
    store: &mut Store,
    url: &str,
    checksum: Option<&str>,
    progress: impl Fn(Step) + Clone + Send + Sync + 'static,
) -> Result<Fetched, Failure> {
    let parsed = checked(url)?;
    let wanted = checksum.map(digest).transpose()?;
    let name = file_name(&parsed);
    let cached = |file: contree_api::file::File| Fetched {
        uuid: file.uuid,
        sha256: file.sha256,
        size: u64::try_from(file.size).unwrap_or_default(),
        name: name.clone(),
        was_cached: true,
    };
    let failed = || format!("could not fetch {}", shown(&parsed));
    if let Some(sha256) = &wanted
        && let Some(file) = client.find_file(sha256).await.doing(failed)?
    {
        return Ok(cached(file));
    }
    let kind = format!("local_file:{url}");
    let known: Option<Remembered> = store.recall("", &kind).await?;
    // What the server no longer has is not worth asking about.
    let on_server = match &known {
        Some(known) if !known.sha256.is_empty() && wanted.is_none() => {
            client.find_file(&known.sha256).await.doing(failed)?
        }
        _ => None,
    };
    let known = known.filter(|_| on_server.is_some());
    let response = get(&parsed, known.as_ref()).await?;
    if let (Some(file), Some(known)) = (on_server, known)
        && known.still_holds(&response)
    {
        let known = Remembered {
            uuid: file.uuid.to_string(),
            fetched_at: now(),
            ..known
        };
        store.remember("", &kind, &known).await?;
        return Ok(cached(file));
    }
    if !response.status().is_success() {
        return Err(refusal(&parsed, response.status()));
    }
    let mut fetched = Remembered {
        url: url.to_owned(),
        etag: header(response.headers(), &ETAG),
        last_modified: header(response.headers(), &LAST_MODIFIED),
        content_md5: header(response.headers(), &CONTENT_MD5),
        fetched_at: now(),
        ..Remembered::default()
    };
    let file = pass_on(client, response, progress).await.doing(failed)?;
    fetched.uuid = file.uuid.to_string();
    fetched.sha256.clone_from(&file.sha256);
    fetched.size = file.size;
    if let Some(wanted) = wanted.filter(|wanted| !wanted.eq_ignore_ascii_case(&file.sha256)) {
        return Err(Failure::new(format!(
            "{}: its checksum is sha256:{}, not sha256:{wanted}",
            shown(&parsed),
            file.sha256
        ))
        .next("correct --checksum, if this is the file that is meant"));
    }
    store.remember("", &kind, &fetched).await?;
    Ok(Fetched {
        uuid: file.uuid,
        sha256: file.sha256,
        size: u64::try_from(file.size).unwrap_or_default(),
        name,
        was_cached: false,
    })
}

/// The head of the answer: 2xx, or 304 when something is known of the URL.
async fn get(url: &Url, known: Option<&Remembered>) -> Result<Response, Failure> {
    let failed = |error: reqwest::Error| {
        let failure = Failure::new(format!("could not fetch {}", shown(url)));
        let error = error.without_url();
        // The layers between say nothing to a user; the lowest one does.
        let mut root: &(dyn std::error::Error + 'static) = &error;
        while let Some(below) = root.source() {
            root = below;
        }
        failure.because(root)
    };
    let http = reqwest::Client::builder()
        .user_agent(concat!("contree/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
        .build()
        .map_err(failed)?;
    let mut request = http
        .get(url.clone())
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(known) = known {
        for (name, value) in [
            (IF_NONE_MATCH, &known.etag),
            (IF_MODIFIED_SINCE, &known.last_modified),
        ] {
            if let Ok(value) = HeaderValue::from_str(value)
                && !value.is_empty()
            {
                request = request.header(name, value);
            }
        }
    }
    request.send().await.map_err(failed)
}

impl Remembered {
    /// Whether the answer says that what is remembered is what there is.
    fn still_holds(&self, response: &Response) -> bool {
        let same = |name: &HeaderName, known: &str| {
            !known.is_empty() && header(response.headers(), name) == known
        };
        response.status() == StatusCode::NOT_MODIFIED
            || response.status().is_success()
                && (same(&ETAG, &self.etag)
                    || same(&LAST_MODIFIED, &self.last_modified)
                    || same(&CONTENT_MD5, &self.content_md5))
    }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

fn refusal(url: &Url, status: StatusCode) -> Failure {
    let failure = Failure::new(format!(
        "could not fetch {}: the web server answered {status}",
        shown(url)
    ));
    match status.as_u16() {
        401 | 403 => failure.next("the file must be there for everyone, or in the context"),
        404 | 410 => failure.next("correct the URL"),
        _ => failure,
    }
}

/// From the web server's connection into ours.
async fn pass_on(
    client: &Client,
    response: Response,
    progress: impl Fn(Step) + Send + Sync + 'static,
) -> Result<contree_api::file::FileResponse, contree_client::Error> {
    let total = response.content_length();
    let mut done = 0;
    let bytes = response
        .bytes_stream()
        .map_err(std::io::Error::other)
        .and_then(move |chunk| {
            done += chunk.len() as u64;
            progress(Step { done, total });
            std::future::ready(if done > MAX_BYTES {
                Err(std::io::Error::other(format!(
                    "a file has at most {MAX_BYTES} bytes"
                )))
            } else {
                Ok(chunk)
            })
        });
    client.upload_stream(bytes).await
}

#[cfg(test)]
mod tests;
