//! Looking into an image: archives, searches, parts of files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, Write as _};

use contree_api::ImageId;
use contree_api::inspect::{GrepCase, GrepLine, GrepQuery};
use contree_api::instance::InstanceSpawnRequest;
use contree_client::{Client, Config};
use contree_e2e::{Server, Settings, rootfs, run, succeeded};
use flate2::read::GzDecoder;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

/// Requests about one image, as they go over the wire.
struct Inspect {
    http: reqwest::Client,
    root: String,
    token: String,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Inspect {
    fn new(server: &Server, image: ImageId) -> Self {
        Self {
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("an HTTP client"),
            root: format!("{}/v1/inspect/{image}", server.url()),
            token: server.token(),
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}/{path}", self.root))
            .bearer_auth(&self.token)
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("the server answers");
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.expect("the whole answer").into(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    async fn head(&self, path: &str) -> u16 {
        let answer = self.send(Method::HEAD, path, &[]).await;
        assert!(answer.body.is_empty());
        answer.status.as_u16()
    }

    /// The sentence of a refusal.
    async fn refused(&self, path: &str, status: u16) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        body["error"].as_str().expect("a sentence").to_owned()
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }
}

#[tokio::test]
async fn privileged_looking_into_images() {
    let server = Server::start(Settings::default());
    let client = server.client();
    let debian = server.import(&rootfs::debian(), "debian:bookworm").await;
    an_archive_is_the_tree(&client, debian).await;

    let script = "mkdir /work && cd /work && printf 'one\\ntwo\\n' > file && : > empty && \
                  ln file 'second name' && ln -s file link && ln -s /nowhere dangling && \
                  mkfifo pipe && printf 'Ünï\\n' > 'odd\nname' && chmod 4755 file && \
                  rm -r /usr/share/doc && seq 3000 > numbers";
    let request = InstanceSpawnRequest {
        shell: true,
        ..InstanceSpawnRequest::new(script, contree_api::image::ImageRef::Id(debian))
    };
    let (image, _) = succeeded(&run(&client, &request).await);
    let image = image.expect("the run wrote something");
    let runs = instances(&client).await;

    let inspect = Inspect::new(&server, image);
    archives(&inspect, &client, image).await;
    slow_readers(&inspect).await;
    parts_of_files(&inspect).await;
    searches(&inspect, &client, image).await;
    refused_searches(&inspect).await;
    lists(&inspect).await;
    strangers(&server, image).await;

    // Nothing of this ran anything.
    assert_eq!(instances(&client).await, runs);
}

async fn instances(client: &Client) -> usize {
    let filter = contree_client::OperationFilter::default();
    client.list_operations(&filter).await.expect("a list").len()
}

/// The archive of an imported image has what was imported, names of one file included.
async fn an_archive_is_the_tree(client: &Client, image: ImageId) {
    let mut stream = client.archive(image, "/").await.expect("an archive");
    assert_eq!(stream.size(), None);
    let mut archive = tempfile::tempfile().expect("a file");
    while let Some(piece) = stream.next().await.expect("the whole archive") {
        archive.write_all(&piece).expect("a piece is written");
    }
    archive.rewind().expect("a file");
    let imported = File::open(rootfs::debian()).expect("the Debian root can be opened");
    let (ours, theirs) = (members(archive), members(imported));
    assert!(ours.len() > 5_000);
    for (name, member) in &theirs {
        assert_eq!(ours.get(name), Some(member), "{name}");
    }
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.values().any(|member| member.contains("one of 2 with")));
}

/// What a tar says of each name. Device nodes are left out, as imports do.
fn members(archive: File) -> BTreeMap<String, String> {
    let mut members = BTreeMap::new();
    let mut links: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut archive = tar::Archive::new(BufReader::new(archive));
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("a member");
        let clean = |name: &[u8]| {
            let name = String::from_utf8_lossy(name);
            let name = name.trim_start_matches("./").trim_end_matches('/');
            name.to_owned()
        };
        let name = clean(&entry.path_bytes());
        let link = entry.link_name_bytes().unwrap_or_default().into_owned();
        let kind = char::from(entry.header().entry_type().as_byte());
        match kind {
            '1' => {
                links.entry(clean(&link)).or_default().insert(name);
                continue;
            }
            '3' | '4' => continue,
            _ if name.is_empty() => continue,
            _ => {}
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("its content");
        let header = entry.header();
        let about = format!(
            "{kind} {:o} {}:{} {} {} {} {:x?}",
            header.mode().expect("a mode"),
            header.uid().expect("an owner"),
            header.gid().expect("a group"),
            header.mtime().expect("a time"),
            header.size().expect("a size"),
            String::from_utf8_lossy(&link),
            Sha256::digest(&content)
        );
        members.insert(name, about);
    }
    // Which of its names a file comes under is nobody's business.
    for (first, mut names) in links {
        names.insert(first.clone());
        let lowest = names.first().expect("there is one").clone();
        let about = format!("{} one of {} with {lowest}", members[&first], names.len());
        members.extend(names.into_iter().map(|name| (name, about.clone())));
    }
    members
}

async fn archives(inspect: &Inspect, client: &Client, image: ImageId) {
    let plain = inspect.get("archive?path=/work").await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("content-type"), "application/x-tar");
    assert_eq!(
        plain.header("content-disposition"),
        "attachment; filename=\"work.tar\""
    );
    assert_eq!(plain.header("transfer-encoding"), "chunked");
    assert_eq!(plain.header("content-encoding"), "");
    let coding = [("accept-encoding", "gzip, deflate")];
    let coded = inspect
        .send(Method::GET, "archive?path=/work", &coding)
        .await;
    assert_eq!(coded.header("content-encoding"), "gzip");
    assert_eq!(coded.header("content-type"), "application/x-tar");
    let mut decoded = Vec::new();
    let mut decoder = GzDecoder::new(&coded.body[..]);
    decoder
        .read_to_end(&mut decoded)
        .expect("gzip with its end");
    assert!(decoded == plain.body);

    let mut archive = tar::Archive::new(&plain.body[..]);
    let members: Vec<(String, u8, u32)> = archive
        .entries()
        .expect("a tar")
        .map(|entry| {
            let entry = entry.expect("a member");
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let header = entry.header();
            let mode = header.mode().expect("a mode");
            (name, header.entry_type().as_byte(), mode)
        })
        .collect();
    let expected = [
        ("work/", b'5', 0o755),
        ("work/dangling", b'2', 0o777),
        ("work/empty", b'0', 0o644),
        ("work/file", b'0', 0o4755),
        ("work/link", b'2', 0o777),
        ("work/numbers", b'0', 0o644),
        ("work/odd\nname", b'0', 0o644),
        ("work/pipe", b'6', 0o644),
        ("work/second name", b'1', 0o4755),
    ];
    assert_eq!(
        members,
        expected.map(|(name, kind, mode)| (name.to_owned(), kind, mode))
    );

    // A file, behind a link, by the name that was asked for.
    let mut stream = client.archive(image, "/work/link").await.expect("a file");
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await.expect("the whole archive") {
        bytes.extend_from_slice(&piece);
    }
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut entries = archive.entries().expect("a tar");
    let mut entry = entries.next().expect("a member").expect("a member");
    assert_eq!(entry.path_bytes(), &b"link"[..]);
    let mut content = String::new();
    entry.read_to_string(&mut content).expect("its content");
    assert_eq!(content, "one\ntwo\n");
    assert!(entries.next().is_none());
    let name = inspect.get("archive?path=/bin/true").await;
    assert_eq!(
        name.header("content-disposition"),
        "attachment; filename=\"bin_true.tar\""
    );

    for (path, status) in [
        ("/work", 200),
        ("/work/file", 200),
        ("/work/link", 200),
        ("/bin", 200),
        ("/", 200),
        ("/nowhere", 404),
        ("/work/dangling", 404),
        ("/usr/share/doc", 404),
        ("/work/pipe", 422),
        ("/work/file/", 422),
        ("/work/file/x", 404),
    ] {
        let path = format!("archive?path={path}");
        assert_eq!(inspect.head(&path).await, status, "{path}");
        if status != 200 {
            inspect.refused(&path, status).await;
        }
    }
    let head = inspect.send(Method::HEAD, "archive?path=/work", &[]).await;
    let length = head.headers.get("content-length");
    assert_eq!(length, None, "nobody knows it yet");
    assert_eq!(
        inspect.refused("archive?path=/work/pipe", 422).await,
        "/work/pipe is neither a regular file nor a folder"
    );
    let missing = inspect.refused("archive", 400).await;
    assert_eq!(missing, "query parameter `path` is required");
}

/// Clients that take their time, or go away, are in nobody's way.
async fn slow_readers(inspect: &Inspect) {
    let mut slow = Vec::new();
    for _ in 0..60 {
        let request = inspect.request(Method::GET, "archive?path=/");
        let mut response = request.send().await.expect("an archive");
        assert!(response.chunk().await.expect("its start").is_some());
        slow.push(response);
    }
    let list = inspect.get("list?path=/work").await;
    assert_eq!(list.status, 200);
    // The slowest comes to its end all the same.
    let mut last = slow.pop().expect("there are some");
    drop(slow);
    let mut end = [1; 1024];
    let mut size = 0;
    while let Some(piece) = last.chunk().await.expect("the whole archive") {
        size += piece.len();
        let kept = piece.len().min(1024);
        end.rotate_left(kept);
        end[1024 - kept..].copy_from_slice(&piece[piece.len() - kept..]);
    }
    assert!(size > 50 << 20 && end == [0; 1024]);
}

async fn parts_of_files(inspect: &Inspect) {
    let path = "download?path=/work/numbers";
    let whole = inspect.get(path).await;
    let (size, tag) = (whole.body.len(), whole.header("etag").to_owned());
    assert_eq!(whole.header("content-length"), size.to_string());
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    assert_eq!(
        whole.header("cache-control"),
        "private, max-age=31536000, immutable"
    );
    let other = inspect.get("download?path=/work/file").await;
    assert_ne!(other.header("etag"), tag);
    let text = inspect.get("download?path=/work/numbers&text").await;
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(text.body, whole.body);

    let part = inspect.send(Method::GET, path, &[("range", "bytes=10-19")]);
    let part = part.await;
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{size}"));
    assert_eq!(part.header("content-length"), "10");
    assert_eq!(part.body, &whole.body[10..20]);
    for (headers, status) in [
        (&[("range", "bytes=-5")][..], 206),
        (&[("range", "bytes=0-"), ("accept-encoding", "gzip")], 206),
        (&[("range", "bytes=0-1"), ("if-range", &tag)], 206),
        (&[("range", "bytes=0-1"), ("if-range", "\"other\"")], 200),
        (&[("range", "bytes=0-1,3-4")], 200),
        (&[("range", "bytes=99999999-")], 416),
        (&[("if-none-match", &tag)], 304),
        (&[("if-none-match", "\"other\"")], 200),
        (&[("if-match", "\"other\"")], 412),
    ] {
        let answer = inspect.send(Method::GET, path, headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        match status {
            200 => assert_eq!(answer.body, whole.body),
            206 => assert_eq!(answer.header("content-encoding"), ""),
            304 => {
                assert!(answer.body.is_empty());
                assert_eq!(answer.header("etag"), tag);
            }
            416 => assert_eq!(answer.header("content-range"), format!("bytes */{size}")),
            _ => {}
        }
    }
    let head = inspect.send(Method::HEAD, path, &[]).await;
    assert_eq!(head.header("content-length"), size.to_string());
    assert_eq!(head.header("etag"), tag);

    let empty = inspect.get("download?path=/work/empty").await;
    assert_eq!((empty.status.as_u16(), empty.body.len()), (200, 0));
    let link = inspect.get("download?path=/work/link").await;
    assert_eq!(link.body, b"one\ntwo\n");
    for (path, status) in [
        ("/work", 422),
        ("/work/pipe", 422),
        ("/work/dangling", 404),
        ("/work/file/x", 404),
    ] {
        let path = format!("download?path={path}");
        assert_eq!(inspect.head(&path).await, status);
        inspect.refused(&path, status).await;
    }
}

async fn searches(inspect: &Inspect, client: &Client, image: ImageId) {
    let query = GrepQuery {
        patterns: vec!["^two$".to_owned(), "^29[0-9]9$".to_owned()],
        paths: vec!["/work".to_owned()],
        before: 1,
        ..GrepQuery::default()
    };
    let found = client.grep(image, &query).await.expect("a search");
    let rows: Vec<_> = found
        .matches
        .iter()
        .map(|row| {
            (
                row.path.as_str(),
                row.line_number,
                row.kind == GrepLine::Match,
            )
        })
        .collect();
    let numbers = (0..10).flat_map(|tens| {
        let number = 2_909 + tens * 10;
        [
            ("/work/numbers", number - 1, false),
            ("/work/numbers", number, true),
        ]
    });
    let expected: Vec<_> = [("/work/file", 1, false), ("/work/file", 2, true)]
        .into_iter()
        .chain(numbers)
        .chain([
            ("/work/second name", 1, false),
            ("/work/second name", 2, true),
        ])
        .collect();
    assert_eq!(rows, expected);
    assert!(!found.truncated);
    assert_eq!(
        (found.path.as_str(), &found.patterns),
        ("/work", &query.patterns)
    );

    // Everywhere, and by what files are called.
    let everywhere = GrepQuery {
        patterns: vec!["debian".to_owned()],
        paths: Vec::new(),
        globs: vec!["/etc/*release*".to_owned(), "!*issue*".to_owned()],
        case: GrepCase::Insensitive,
        max_count: Some(1),
        ..GrepQuery::default()
    };
    let found = client.grep(image, &everywhere).await.expect("a search");
    // /etc/os-release is a link, and links are not followed.
    assert!(found.matches.is_empty(), "{found:?}");
    let named = GrepQuery {
        paths: vec!["/etc/os-release".to_owned(), "/etc".to_owned()],
        globs: vec!["issue*".to_owned()],
        ..everywhere
    };
    let found = client.grep(image, &named).await.expect("a search");
    let paths: Vec<_> = found.matches.iter().map(|row| row.path.as_str()).collect();
    assert_eq!(paths, ["/etc/os-release", "/etc/issue", "/etc/issue.net"]);

    let json = inspect
        .get("grep?pattern=%C3%9Cn&path=/work&max_total=1")
        .await;
    let json: serde_json::Value = serde_json::from_slice(&json.body).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "path": "/work",
            "patterns": ["Ün"],
            "truncated": false,
            "matches": [{
                "path": "/work/odd\nname",
                "line_number": 1,
                "absolute_offset": 0,
                "line_text": "Ünï\n",
                "line_bytes": 6,
                "type": "match",
                "submatches": [{"text": "Ün", "start": 0, "end": 3}],
            }],
        })
    );
}

async fn refused_searches(inspect: &Inspect) {
    let long = "x".repeat(1_025);
    let many = "pattern=a&".repeat(17);
    for (query, status, sentence) in [
        ("path=/", 400, "query parameter `pattern` is required"),
        (
            "pattern=(",
            400,
            "query parameter `pattern`: unclosed group; got `(`",
        ),
        ("pattern=a%0Ab", 400, "`pattern`"),
        ("pattern=a&glob=%7Ba", 400, "`glob`"),
        (
            &many,
            400,
            "query parameter `pattern` is given more than 16 times",
        ),
        (
            &format!("pattern={long}"),
            400,
            "query parameter `pattern` is longer than 1024 characters",
        ),
        (&format!("pattern=a&path=/{long}"), 400, "`path`"),
        (
            "pattern=a&case=upper",
            400,
            "`case`: expected one of sensitive, insensitive, smart",
        ),
        (
            "pattern=a&before=51",
            400,
            "`before`: expected a whole number from 0 to 50",
        ),
        ("pattern=a&after=-1", 400, "`after`"),
        (
            "pattern=a&max_count=0",
            400,
            "`max_count`: expected a whole number from 1 to 10000",
        ),
        ("pattern=a&max_total=10001", 400, "`max_total`"),
        (
            "pattern=a&path=/nowhere",
            404,
            "/nowhere does not exist in the image",
        ),
        ("pattern=a&path=/etc&path=/work/file/x", 404, "/work/file/x"),
    ] {
        let said = inspect.refused(&format!("grep?{query}"), status).await;
        assert!(said.contains(sentence), "{query}: {said}");
    }
}

async fn lists(inspect: &Inspect) {
    let list = inspect.get("list?path=/work").await;
    let list: serde_json::Value = serde_json::from_slice(&list.body).expect("JSON");
    let link = &list["files"][3];
    assert_eq!(
        (&link["path"], &link["symlink_to"], &link["is_symlink"]),
        (&"link".into(), &"file".into(), &true.into())
    );
    let text = inspect.get("list?path=/work&text").await;
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    let text = String::from_utf8(text.body).expect("text");
    assert!(text.contains(" link -> file\n"), "{text}");
    assert!(text.contains("-rwsr-xr-x 2 0 0"), "{text}");
    inspect.refused("list?path=/work/file", 422).await;
    inspect.refused("list?path=/work/none", 404).await;
    inspect.refused("list?path=/work/file/x", 404).await;
}

/// Tokens without `list`, and images of nobody.
async fn strangers(server: &Server, image: ImageId) {
    let nobodys = Inspect::new(server, ImageId::new());
    for path in [
        "archive?path=/",
        "grep?pattern=a",
        "download?path=/x",
        "list?path=/",
    ] {
        let said = nobodys.refused(path, 404).await;
        assert!(said.starts_with("there is no image"), "{said}");
    }
    assert_eq!(nobodys.head("archive?path=/").await, 404);
    assert_eq!(nobodys.head("download?path=/").await, 404);
    let config = Config::new(server.url(), "nobody");
    let client = Client::new(config).expect("a client");
    let error = client.archive(image, "/").await.expect_err("no token");
    assert_eq!(error.status(), Some(401));
}
