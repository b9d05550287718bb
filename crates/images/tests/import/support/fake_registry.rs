//! A registry of the tests' own, which asks for tokens and misbehaves on demand.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use contree_images::import::Digest;
use futures_util::stream;

use super::image::Image;

/// What it serves and how; set before use, looked at after.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// By digest.
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// By tag or digest: media type and body.
    pub(crate) manifests: HashMap<String, (String, Vec<u8>)>,
    /// `Basic …` with which tokens are given out; `None`: to anybody.
    pub(crate) credentials: Option<String>,
    /// Whether a token is needed at all.
    pub(crate) tokens: bool,
    /// How many requests a token is good for; 0: any number.
    pub(crate) token_uses: u32,
    /// Realm in the challenge; `None`: its own `/token`.
    pub(crate) realm: Option<String>,
    /// Blob requests are broken off after this many bytes, as often as it says.
    pub(crate) breaks: (usize, u32),
    /// Ranges are ignored: every answer begins at the start.
    pub(crate) no_ranges: bool,
    /// This many requests are answered with this status first.
    pub(crate) refusals: (u32, u16),
    /// `Retry-After` of the refusals.
    pub(crate) retry_after: Option<String>,
    /// Blob requests are redirected below this URL.
    pub(crate) redirect: Option<String>,
    /// Every request: path with query, authorization, range.
    pub(crate) seen: Vec<(String, Option<String>, Option<String>)>,
    /// Tokens and how often they were used.
    pub(crate) issued: HashMap<String, u32>,
}

/// A running one.
pub(crate) struct FakeRegistry {
    pub(crate) address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    server: tokio::task::JoinHandle<()>,
}

type Shared = State<(SocketAddr, Arc<Mutex<Behaviour>>)>;

impl FakeRegistry {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Arc::new(Mutex::new(behaviour));
        let router = Router::new()
            .route("/v2/", get(root))
            .route("/token", get(token))
            .route("/v2/{owner}/{name}/manifests/{reference}", get(manifest))
            .route("/v2/{owner}/{name}/blobs/{digest}", get(blob))
            .route("/elsewhere/{digest}", get(elsewhere))
            .with_state((address, Arc::clone(&behaviour)));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            behaviour,
            server,
        }
    }

    /// Serves one image as `latest`.
    pub(crate) async fn serving(image: &Image, mut behaviour: Behaviour) -> Self {
        behaviour.add(image, "latest");
        Self::start(behaviour).await
    }

    pub(crate) fn url(&self) -> String {
        format!("docker://{}/some/image", self.address)
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Behaviour) -> T) -> T {
        look(&mut self.behaviour.lock().unwrap())
    }

    /// Requests whose path contains `part`.
    pub(crate) fn seen(&self, part: &str) -> Vec<(String, Option<String>, Option<String>)> {
        self.with(|behaviour| {
            behaviour
                .seen
                .iter()
                .filter(|(path, ..)| path.contains(part))
                .cloned()
                .collect()
        })
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Behaviour {
    pub(crate) fn add(&mut self, image: &Image, tag: &str) {
        let manifest = image.manifest_bytes();
        let media_type = image.manifest["mediaType"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.add_manifest(tag, &media_type, manifest);
        self.blobs.extend(image.blobs.clone());
    }

    pub(crate) fn add_manifest(&mut self, tag: &str, media_type: &str, body: Vec<u8>) {
        let entry = (media_type.to_owned(), body);
        self.manifests
            .insert(Digest::of(&entry.1).to_string(), entry.clone());
        self.manifests.insert(tag.into(), entry);
    }

    /// What stands in the way of a request, if anything.
    fn gate(&mut self, address: SocketAddr, path: &str, headers: &HeaderMap) -> Option<Response> {
        let text = |name| {
            headers
                .get(name)
                .map(|value: &HeaderValue| value.to_str().unwrap().to_owned())
        };
        let authorization = text(header::AUTHORIZATION);
        self.seen
            .push((path.to_owned(), authorization.clone(), text(header::RANGE)));
        if self.refusals.0 > 0 {
            self.refusals.0 -= 1;
            let mut response = StatusCode::from_u16(self.refusals.1)
                .unwrap()
                .into_response();
            if let Some(seconds) = &self.retry_after {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, seconds.parse().unwrap());
            }
            return Some(response);
        }
        if !self.tokens {
            return None;
        }
        let token = authorization
            .as_deref()
            .and_then(|value| value.strip_prefix("Bearer "));
        match token.and_then(|token| self.issued.get_mut(token)) {
            Some(uses) if self.token_uses == 0 || *uses < self.token_uses => {
                *uses += 1;
                None
            }
            _ => {
                let own = format!("http://{address}/token");
                let realm = self.realm.clone().unwrap_or(own);
                let challenge = format!(
                    "Bearer realm=\"{realm}\",service=\"tests\",scope=\"repository:some/image:pull,push\""
                );
                Some(
                    (
                        StatusCode::UNAUTHORIZED,
                        [(header::WWW_AUTHENTICATE, challenge)],
                        "",
                    )
                        .into_response(),
                )
            }
        }
    }
}

async fn root(State((address, shared)): Shared, headers: HeaderMap) -> Response {
    let refused = shared.lock().unwrap().gate(address, "/v2/", &headers);
    refused.unwrap_or_else(|| "{}".into_response())
}

async fn token(
    State((_, shared)): Shared,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let mut behaviour = shared.lock().unwrap();
    let authorization = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap().to_owned());
    behaviour
        .seen
        .push((format!("/token {query:?}"), authorization.clone(), None));
    if behaviour.credentials.is_some() && behaviour.credentials != authorization {
        // Some servers repeat what they were sent.
        let body = format!("{{\"details\":\"bad credentials {authorization:?}\"}}");
        return (StatusCode::UNAUTHORIZED, body).into_response();
    }
    let token = format!("token-{}", behaviour.issued.len());
    behaviour.issued.insert(token.clone(), 0);
    format!("{{\"token\":\"{token}\",\"expires_in\":300}}").into_response()
}

async fn manifest(
    State((address, shared)): Shared,
    Path((owner, name, reference)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let mut behaviour = shared.lock().unwrap();
    let path = format!("/v2/{owner}/{name}/manifests/{reference}");
    if let Some(refused) = behaviour.gate(address, &path, &headers) {
        return refused;
    }
    match behaviour.manifests.get(&reference) {
        Some((media_type, body)) => {
            ([(header::CONTENT_TYPE, media_type.clone())], body.clone()).into_response()
        }
        None => (
            StatusCode::NOT_FOUND,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
        )
            .into_response(),
    }
}

async fn blob(
    State((address, shared)): Shared,
    Path((owner, name, digest)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let mut behaviour = shared.lock().unwrap();
    let path = format!("/v2/{owner}/{name}/blobs/{digest}");
    if let Some(refused) = behaviour.gate(address, &path, &headers) {
        return refused;
    }
    if let Some(redirect) = &behaviour.redirect {
        let target = format!("{redirect}/elsewhere/{digest}?signature=secret-of-the-storage");
        return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response();
    }
    content(&mut behaviour, &digest, &headers)
}

/// Where blobs are redirected to: asks for nothing.
async fn elsewhere(
    State((_, shared)): Shared,
    Path(digest): Path<String>,
    request: Request<Body>,
) -> Response {
    let mut behaviour = shared.lock().unwrap();
    let headers = request.headers();
    let authorization = headers.get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
    behaviour
        .seen
        .push((request.uri().to_string(), authorization, None));
    content(&mut behaviour, &digest, headers)
}

fn content(behaviour: &mut Behaviour, digest: &str, headers: &HeaderMap) -> Response {
    let Some(all) = behaviour.blobs.get(digest).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let range = headers.get(header::RANGE).filter(|_| !behaviour.no_ranges);
    let offset: usize = range
        .and_then(|range| {
            range
                .to_str()
                .unwrap()
                .strip_prefix("bytes=")?
                .strip_suffix('-')
        })
        .map_or(0, |offset| offset.parse().unwrap());
    let part = all[offset..].to_vec();
    let mut response = if behaviour.breaks.1 > 0 && part.len() > behaviour.breaks.0 {
        behaviour.breaks.1 -= 1;
        let first = Bytes::copy_from_slice(&part[..behaviour.breaks.0]);
        let pieces = [Ok(first), Err(std::io::Error::other("broken off"))];
        let mut response = Body::from_stream(stream::iter(pieces)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, part.len().into());
        response
    } else {
        part.into_response()
    };
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {offset}-{}/{}", all.len() - 1, all.len());
        response
            .headers_mut()
            .insert(header::CONTENT_RANGE, range.parse().unwrap());
    }
    response
}
