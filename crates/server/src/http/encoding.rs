//! Content codings: what a client accepts, and gzip for the answers that are worth it.
//!
//! Clients that ask for it get gzip and never anything else: some of the published ones can
//! decode nothing else. What is compressed here is what is complete and in memory: JSON and text
//! of [`WORTH_IT`] bytes and more. Event streams compress themselves, frame by frame (`sse.rs`),
//! and so do archives. Downloads are left alone: their ranges and entity tags are those of the
//! bytes as they are.
//!
//! tower-http's layer for this is not used because it turns an answer into a 406 after the request
//! was carried out, when a client excludes every coding that is left; RFC 9110 allows plain bytes
//! there (section 12.5.3).

use std::io::{self, Write as _};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use super::error::ApiError;

/// Size from which compressing is worth it, in bytes: below, an answer fits one packet anyway.
const WORTH_IT: u64 = 1024;
/// Size from which compressing is left to another thread, in bytes.
const LARGE: usize = 64 * 1024;

/// Whether an answer is to be compressed with gzip, by `Accept-Encoding` as of RFC 9110: when gzip
/// is acceptable and liked at least as much as plain bytes. Without the header: no.
pub(crate) fn wants_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    let elements = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for element in elements {
        let (coding, parameters) = element.split_once(';').unwrap_or((element, ""));
        // An element that is malformed says nothing.
        let Some(weight) = weight(parameters) else {
            continue;
        };
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = gzip.max(Some(weight)),
            "identity" => identity = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    // Plain bytes are acceptable unless excluded, but nobody asked for them.
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// `q=0.5` → 500; no parameter → 1000. None: malformed.
fn weight(parameters: &str) -> Option<u16> {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some(1000);
    }
    let (name, value) = parameters.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The layer that compresses answers.
pub(crate) async fn compress(request: Request, next: Next) -> Response {
    let wanted = wants_gzip(request.headers()) && request.method() != Method::HEAD;
    let mut response = next.run(request).await;
    if !is_compressible(&response) {
        return response;
    }
    let vary = HeaderValue::from_static("accept-encoding");
    response.headers_mut().append(header::VARY, vary);
    if !wanted {
        return response;
    }
    match compressed(response).await {
        Ok(response) => response,
        Err(error) => ApiError::internal(&error).into_response(),
    }
}

/// Whether an answer is complete text of a size that is worth it, and in no coding yet.
fn is_compressible(response: &Response) -> bool {
    let headers = response.headers();
    let is_text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json") || kind.starts_with("text/"));
    let is_whole = response.status() != StatusCode::PARTIAL_CONTENT
        && ![
            header::CONTENT_ENCODING,
            header::ETAG,
            header::ACCEPT_RANGES,
        ]
        .iter()
        .any(|name| headers.contains_key(name));
    let size = response.body().size_hint().exact();
    is_text && is_whole && size.is_some_and(|size| size >= WORTH_IT)
}

/// Why an answer could not be compressed.
#[derive(Debug, thiserror::Error)]
enum CompressError {
    #[error("could not read the answer to be compressed")]
    Read(#[source] axum::Error),
    #[error("could not compress the answer")]
    Compress(#[source] io::Error),
    #[error("the thread that compresses answers is gone")]
    Thread(#[source] tokio::task::JoinError),
}

async fn compressed(response: Response) -> Result<Response, CompressError> {
    let (mut parts, body) = response.into_parts();
    let plain = body
        .collect()
        .await
        .map_err(CompressError::Read)?
        .to_bytes();
    let coded = if plain.len() < LARGE {
        gzip(&plain)
    } else {
        tokio::task::spawn_blocking(move || gzip(&plain))
            .await
            .map_err(CompressError::Thread)?
    };
    let coded = coded.map_err(CompressError::Compress)?;
    let length = HeaderValue::from(coded.len());
    parts.headers.insert(header::CONTENT_LENGTH, length);
    let coding = HeaderValue::from_static("gzip");
    parts.headers.insert(header::CONTENT_ENCODING, coding);
    Ok(Response::from_parts(parts, Body::from(coded)))
}

fn gzip(plain: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::Router;
    use axum::http::HeaderName;
    use axum::middleware;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn what_clients_accept() {
        let wants = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            wants_gzip(&headers)
        };
        assert!(!wants(&[]));
        for (value, wanted) in [
            ("gzip", true),
            ("GZip", true),
            ("x-gzip", true),
            ("gzip, deflate", true),
            ("deflate,gzip;q=0.5", true),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", true),
            ("*", true),
            ("*;q=0.1", true),
            ("identity;q=0, *", true),
            ("identity;q=0, gzip;q=0.001", true),
            ("gzip ; Q=1.000", true),
            ("gzip;q=0.5, identity;q=0.5", true),
            ("", false),
            ("identity", false),
            ("deflate, br, zstd", false),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity;q=0", false),
            ("gzip;q=0.5, identity", false),
            ("gzip;q=2", false),
            ("gzip;q=1.5", false),
            ("gzip;q=0.0001", false),
            ("gzip;level=9", false),
            ("gzipped", false),
        ] {
            assert_eq!(wants(&[value]), wanted, "{value:?}");
        }
        assert!(wants(&["deflate", "gzip"]));
    }

    async fn answer(
        kind: &'static str,
        size: usize,
        more: &[(HeaderName, &'static str)],
    ) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        for (name, value) in more {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let router: Router = Router::new()
            .route("/", get(move || async move { (headers, "x".repeat(size)) }))
            .layer(middleware::from_fn(compress));
        let request = Request::get("/")
            .header(header::ACCEPT_ENCODING, "gzip")
            .body(Body::empty())
            .unwrap();
        router.oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn text_of_some_size_is_compressed() {
        for (kind, size) in [
            ("application/json", 1024),
            ("text/plain; charset=utf-8", 100_000),
        ] {
            let response = answer(kind, size, &[]).await;
            let headers = response.headers().clone();
            assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
            assert_eq!(headers[header::CONTENT_TYPE], kind);
            assert_eq!(headers[header::VARY], "accept-encoding");
            let coded = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(headers[header::CONTENT_LENGTH], coded.len().to_string());
            let mut plain = String::new();
            let mut decoder = flate2::read::GzDecoder::new(&coded[..]);
            decoder.read_to_string(&mut plain).unwrap();
            assert_eq!(plain, "x".repeat(size));
        }
    }

    #[tokio::test]
    async fn the_rest_is_left_alone() {
        for response in [
            answer("application/json", 1023, &[]).await,
            answer("application/octet-stream", 5000, &[]).await,
            answer("text/plain", 5000, &[(header::ETAG, "\"a\"")]).await,
            answer("text/plain", 5000, &[(header::CONTENT_ENCODING, "gzip")]).await,
        ] {
            let size = response.body().size_hint().exact().unwrap();
            assert!(matches!(size, 1023 | 5000), "{response:?}");
            assert!(!response.headers().contains_key(header::VARY));
        }
    }
}
