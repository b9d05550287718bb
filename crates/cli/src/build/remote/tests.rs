//! A web server and ours, both small.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use contree_client::Config;
use sha2::{Digest as _, Sha256};

use super::*;

/// Both servers at one address: `/v1/files` is ours, anything else the web.
#[derive(Clone, Default)]
struct World {
    /// Of ours, by their digests.
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// What was asked, and its validators.
    asked: Arc<Mutex<Vec<String>>>,
    content: Arc<Mutex<String>>,
    /// Sent with the content; `etag` is honoured.
    headers: Arc<Mutex<Vec<(&'static str, String)>>>,
}

fn file(content: &[u8]) -> (String, serde_json::Value) {
    let sha256: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let file = serde_json::json!({
        "uuid": format!("0190{}-{}-7000-8000-000000000001", &sha256[..4], &sha256[4..8]),
        "sha256": sha256,
        "size": content.len(),
        "created_at": "2026-01-01T00:00:00.000000+00:00",
        "updated_at": "2026-01-01T00:00:00.000000+00:00",
    });
    (sha256, file)
}

impl World {
    async fn start(&self) -> SocketAddr {
        let world = self.clone();
        let app = Router::new().fallback(move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await;
            let condition = parts
                .headers
                .get("if-none-match")
                .map(|etag| format!(" if not {}", etag.to_str().unwrap()));
            let path = parts.uri.path().to_owned();
            world.asked.lock().unwrap().push(format!(
                "{} {path}{}",
                parts.method,
                condition.clone().unwrap_or_default()
            ));
            world.answer(&path, condition, body.map(|body| body.to_vec()))
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    fn answer(
        &self,
        path: &str,
        condition: Option<String>,
        body: Result<Vec<u8>, axum::Error>,
    ) -> Response {
        let json = |value: serde_json::Value| axum::Json(value).into_response();
        match path {
            "/v1/files" => {
                // What breaks off is not kept.
                let Ok(body) = body else {
                    return StatusCode::BAD_REQUEST.into_response();
                };
                let (sha256, file) = file(&body);
                self.files.lock().unwrap().insert(sha256, body);
                json(file)
            }
            _ if path.starts_with("/v1/files/") => {
                let files = self.files.lock().unwrap();
                match files.get(path.trim_start_matches("/v1/files/")) {
                    Some(content) => json(file(content).1),
                    None => StatusCode::NOT_FOUND.into_response(),
                }
            }
            "/moved" => (StatusCode::FOUND, [("location", "/a.txt")]).into_response(),
            "/none" => StatusCode::NOT_FOUND.into_response(),
            "/broken" => {
                let pieces = futures_util::stream::iter([
                    Ok("the beginning"),
                    Err(std::io::Error::other("the server's disk is gone")),
                ]);
                Body::from_stream(pieces).into_response()
            }
            _ => {
                let headers = self.headers.lock().unwrap().clone();
                let etag = headers.iter().find(|(name, _)| *name == "etag");
                if let (Some((_, etag)), Some(condition)) = (etag, condition)
                    && condition.ends_with(etag)
                {
                    return StatusCode::NOT_MODIFIED.into_response();
                }
                let mut response = self.content.lock().unwrap().clone().into_response();
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }
        }
    }

    fn say(&self, content: &str, headers: &[(&'static str, &str)]) {
        content.clone_into(&mut self.content.lock().unwrap());
        *self.headers.lock().unwrap() = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

struct Test {
    world: World,
    address: SocketAddr,
    client: Client,
    store: Store,
    _folder: tempfile::TempDir,
}

impl Test {
    async fn start() -> Self {
        let world = World::default();
        let address = world.start().await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        Self {
            world,
            address,
            client: Client::new(Config::new(format!("http://{address}"), "token")).unwrap(),
            store: Store::open(&path, "key".to_owned()).await.unwrap(),
            _folder: folder,
        }
    }

    async fn fetch(&mut self, path: &str, checksum: Option<&str>) -> Result<Fetched, String> {
        let url = format!("http://{}{path}", self.address);
        let fetched = fetch(&self.client, &mut self.store, &url, checksum, |_| ());
        let fetched = fetched.await;
        fetched.map_err(|failure| {
            failure
                .to_string()
                .replace(&self.address.to_string(), "HOST")
        })
    }
}

#[tokio::test]
async fn a_file_of_the_web_is_passed_on() {
    let mut test = Test::start().await;
    test.world.say("hello", &[]);
    let fetched = test.fetch("/dir/a%20b.txt?x=y", None).await.unwrap();
    assert_eq!(fetched.name.as_deref(), Some("a b.txt"));
    assert_eq!((fetched.size, fetched.was_cached), (5, false));
    assert_eq!(fetched.sha256, file(b"hello").0);
    assert_eq!(
        test.world.files.lock().unwrap().values().next().unwrap(),
        b"hello"
    );
    assert_eq!(test.world.asked(), ["GET /dir/a%20b.txt", "POST /v1/files"]);
    // As contree-cli remembers it.
    let url = format!("http://{}/dir/a%20b.txt?x=y", test.address);
    let kind = format!("local_file:{url}");
    let json: serde_json::Value = test.store.recall("", &kind).await.unwrap().unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    let mut expected = [
        "uuid",
        "url",
        "sha256",
        "size",
        "etag",
        "last_modified",
        "content_md5",
        "fetched_at",
    ];
    expected.sort_unstable();
    assert_eq!(keys.len(), expected.len());
    assert!(expected.iter().all(|key| json.get(key).is_some()), "{json}");
    assert_eq!((&json["url"], &json["size"]), (&url.into(), &5.into()));
    // Nothing tells whether it has changed: it is fetched again.
    assert!(
        !test
            .fetch("/dir/a%20b.txt?x=y", None)
            .await
            .unwrap()
            .was_cached
    );
}

#[tokio::test]
async fn what_has_not_changed_is_taken_again() {
    for (name, value) in [
        ("etag", "\"1\""),
        ("last-modified", "Sun, 01 Nov 2026 00:00:00 GMT"),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
    ] {
        let mut test = Test::start().await;
        test.world.say("hello", &[(name, value)]);
        let first = test.fetch("/a.txt", None).await.unwrap();
        test.world.asked();
        let again = test.fetch("/a.txt", None).await.unwrap();
        assert!(again.was_cached && !first.was_cached, "{name}");
        assert_eq!((&again.uuid, &again.sha256), (&first.uuid, &first.sha256));
        let asked = test.world.asked();
        assert!(
            !asked.iter().any(|line| line.starts_with("POST")),
            "{asked:?}"
        );
        if name == "etag" {
            assert_eq!(asked[1], "GET /a.txt if not \"1\"");
        }
        // Changed.
        test.world.say("hello again", &[(name, "\"2\"")]);
        let changed = test.fetch("/a.txt", None).await.unwrap();
        assert_eq!(changed.sha256, file(b"hello again").0);
        assert!(!changed.was_cached, "{name}");
    }
}

#[tokio::test]
async fn what_the_server_lost_is_fetched_again() {
    let mut test = Test::start().await;
    test.world.say("hello", &[("etag", "\"1\"")]);
    test.fetch("/a.txt", None).await.unwrap();
    test.world.files.lock().unwrap().clear();
    test.world.asked();
    let again = test.fetch("/a.txt", None).await.unwrap();
    assert!(!again.was_cached);
    assert_eq!(test.world.asked()[1..], ["GET /a.txt", "POST /v1/files"]);
}

#[tokio::test]
async fn checksums() {
    let mut test = Test::start().await;
    test.world.say("hello", &[]);
    let right = format!("sha256:{}", file(b"hello").0);
    let wrong = format!("sha256:{}", "0".repeat(64));
    let error = test.fetch("/a.txt", Some(&wrong)).await.unwrap_err();
    assert_eq!(
        error,
        format!("http://HOST/a.txt: its checksum is {right}, not {wrong}")
    );
    let error = test.fetch("/a.txt", Some("md5:1")).await.unwrap_err();
    assert_eq!(error, "--checksum=md5:1: expected sha256: and 64 digits");
    test.world.files.lock().unwrap().clear();
    let fetched = test.fetch("/a.txt", Some(&right)).await.unwrap();
    assert!(!fetched.was_cached);
    test.world.asked();
    // The web is not asked for what is known by its content.
    let upper = right.to_uppercase().replace("SHA", "sha");
    let again = test.fetch("/a.txt", Some(&upper)).await.unwrap();
    assert!(again.was_cached);
    assert_eq!(test.world.asked().len(), 1);
}

#[tokio::test]
async fn what_goes_wrong_is_said() {
    let mut test = Test::start().await;
    test.world.say("hello", &[]);
    let error = test.fetch("/none", None).await.unwrap_err();
    assert_eq!(
        error,
        "could not fetch http://HOST/none: the web server answered 404 Not Found"
    );
    let moved = test.fetch("/moved", None).await.unwrap();
    assert_eq!(moved.name.as_deref(), Some("moved"));
    let files = test.world.files.lock().unwrap().len();
    let error = test.fetch("/broken", None).await.unwrap_err();
    assert!(
        error.starts_with("could not fetch http://HOST/broken: "),
        "{error}"
    );
    assert_eq!(test.world.files.lock().unwrap().len(), files);
    let gone = "http://127.0.0.1:1/a";
    let fetched = fetch(&test.client, &mut test.store, gone, None, |_| ()).await;
    let error = fetched.unwrap_err().to_string();
    assert!(
        error.starts_with("could not fetch http://127.0.0.1:1/a: "),
        "{error}"
    );
}

#[test]
fn what_can_be_fetched() {
    for url in ["http://a/b", "https://a:8/b?c#d", "HTTPS://a/"] {
        assert!(is_url(url) && checked(url).is_ok(), "{url}");
    }
    for url in [
        "git@github.com:a/b.git",
        "git://a/b",
        "https://github.com/a/b.git#main",
        "ssh://a/b",
        "git+https://a/b",
    ] {
        let error = checked(url).unwrap_err().to_string();
        assert!(
            is_url(url) && error.contains("git repositories"),
            "{url}: {error}"
        );
    }
    for url in ["ftp://a/b", "file:///etc/passwd", "http://"] {
        let error = checked(url).unwrap_err().to_string();
        assert!(
            is_url(url) && error.contains("fetches http://"),
            "{url}: {error}"
        );
    }
    for path in ["a", "/a", "./a://b", "a b://c", "://", "1://a"] {
        assert!(!is_url(path), "{path}");
    }
    assert_eq!(
        shown(&checked("http://me:secret@host/x").unwrap()),
        "http://host/x"
    );
}

#[test]
fn names_of_urls() {
    let name = |url: &str| file_name(&Url::parse(url).unwrap());
    assert_eq!(
        name("http://a/b/c.tar.gz?d=/e").as_deref(),
        Some("c.tar.gz")
    );
    assert_eq!(name("http://a/%C3%A9%zz%").as_deref(), Some("é%zz%"));
    for url in [
        "http://a",
        "http://a/",
        "http://a/b/",
        "http://a/%2e%2e",
        "http://a/b%2Fc",
    ] {
        assert_eq!(name(url), None, "{url}");
    }
}
