//! Uploaded files.

use std::time::Duration;

use contree_e2e::{Server, Settings};
use futures_util::StreamExt as _;
use reqwest::{Body, Method, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::raw::{Answer, Raw, is_timestamp, keys};

const MIB: usize = 1 << 20;

async fn upload(raw: &Raw, body: impl Into<Body>) -> Answer {
    let answer = raw.send(Method::POST, "/v1/files", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(keys(&answer.json()), ["sha256", "size", "uuid"]);
    answer
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A body of unknown length, which goes out in chunks.
fn chunked(pieces: Vec<Vec<u8>>) -> Body {
    let pieces = futures_util::stream::iter(pieces);
    Body::wrap_stream(pieces.map(Ok::<_, std::io::Error>))
}

#[tokio::test]
async fn privileged_a_large_upload_passes_through_little_memory() {
    const SIZE: usize = 192;
    let server = Server::start(Settings::default());
    let raw = Raw::new(&server);
    upload(&raw, "the first one warms up").await;
    let before = server.peak_memory();
    let piece: Vec<u8> = (0..=255).cycle().take(MIB).collect();
    let pieces = futures_util::stream::iter(0..SIZE).map({
        let piece = piece.clone();
        move |_| Ok::<_, std::io::Error>(piece.clone())
    });
    let answer = upload(&raw, Body::wrap_stream(pieces)).await.json();
    let grown = server.peak_memory().saturating_sub(before);
    assert!(grown < 16 * MIB as u64, "it took {grown} bytes");

    let mut digest = Sha256::new();
    for _ in 0..SIZE {
        digest.update(&piece);
    }
    let digest: String = digest
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(answer["sha256"], digest);
    assert_eq!(answer["size"], SIZE * MIB);
    let found = raw.json(&format!("/v1/files/{digest}")).await;
    assert_eq!(found["uuid"], answer["uuid"]);
}

#[tokio::test]
async fn privileged_files_are_found_by_their_content() {
    let server = Server::start(Settings::with(&["--max-upload-bytes", "1MiB"]));
    let raw = Raw::new(&server);

    // With a length, in chunks, and empty; the content type does not matter.
    let hello = upload(&raw, "hello\n").await.json();
    assert_eq!(hello["sha256"], sha256(b"hello\n"));
    assert_eq!(hello["size"], 6);
    let pieces = vec![b"hel".to_vec(), Vec::new(), b"lo\n".to_vec()];
    assert_eq!(upload(&raw, chunked(pieces)).await.json(), hello);
    let empty = upload(&raw, "").await.json();
    assert_eq!(empty["sha256"], sha256(b""));
    assert_eq!(empty["size"], 0);
    let again = upload(&raw, chunked(Vec::new())).await.json();
    assert_eq!(again, empty);

    let path = format!("/v1/files/{}", sha256(b"hello\n"));
    let file = raw.json(&path).await;
    assert_eq!(
        keys(&file),
        ["created_at", "sha256", "size", "updated_at", "uuid"]
    );
    assert_eq!(file["uuid"], hello["uuid"]);
    assert!(
        is_timestamp(&file["created_at"]) && is_timestamp(&file["updated_at"]),
        "{file}"
    );
    assert!(
        file["updated_at"].as_str() > file["created_at"].as_str(),
        "{file}"
    );
    let upper = path.replace(&sha256(b"hello\n"), &sha256(b"hello\n").to_uppercase());
    assert_eq!(raw.json(&upper).await, file);
    for (path, status) in [
        (path.clone(), 200),
        (upper, 200),
        (format!("/v1/files/{}", sha256(b"other")), 404),
    ] {
        let head = raw.send(Method::HEAD, &path, "").await;
        assert_eq!(
            (head.status.as_u16(), head.body.len()),
            (status, 0),
            "{path}"
        );
    }
    raw.get(&format!("/v1/files/{}", sha256(b"other")))
        .await
        .refused(404);
    for bad in [
        "abc".to_owned(),
        "g".repeat(64),
        "0".repeat(63),
        "0".repeat(65),
        hello["uuid"].as_str().expect("a uuid").to_owned(),
    ] {
        let sentence = raw.get(&format!("/v1/files/{bad}")).await.refused(404);
        assert!(
            sentence.starts_with("path parameter `sha256`: expected 64 hex digits"),
            "{sentence}"
        );
    }

    // Newest first, and whole pages.
    let third = upload(&raw, "third").await.json();
    let list = raw.json("/v1/files").await;
    assert_eq!(keys(&list), ["files"]);
    let list = list["files"].as_array().expect("a list");
    let uuids: Vec<_> = list.iter().map(|file| &file["uuid"]).collect();
    assert_eq!(uuids, [&third["uuid"], &empty["uuid"], &hello["uuid"]]);
    for (offset, uuid) in uuids.iter().enumerate() {
        let page = raw
            .json(&format!("/v1/files?limit=1&offset={offset}"))
            .await;
        assert_eq!(page["files"].as_array().map(Vec::len), Some(1));
        assert_eq!(page["files"][0]["uuid"], **uuid);
    }
    let first_at = list[2]["created_at"].as_str().expect("a text");
    for (query, count) in [
        ("?offset=3".to_owned(), 0),
        ("?since=1h".to_owned(), 3),
        ("?until=1h".to_owned(), 0),
        (format!("?until={first_at}"), 1),
        (format!("?since={}", first_at.replace('+', "%2B")), 3),
    ] {
        let page = raw.json(&format!("/v1/files{query}")).await;
        assert_eq!(
            page["files"].as_array().map(Vec::len),
            Some(count),
            "{query}"
        );
    }
    for query in ["?limit=0", "?limit=x", "?offset=-1", "?since=x", "?until=x"] {
        raw.get(&format!("/v1/files{query}")).await.refused(400);
    }
    let old = raw.send(Method::HEAD, "/v1/files?uuid=x", "").await;
    assert_eq!(old.status, 405, "a list is no file");

    // The bound holds with and without a length.
    for body in [
        Body::from(vec![0; MIB + 1]),
        chunked(vec![vec![0; MIB], vec![0]]),
    ] {
        let refused = raw.send(Method::POST, "/v1/files", body).await;
        let sentence = refused.refused(413);
        assert_eq!(
            sentence,
            "the body is larger than the 1048576 bytes that are accepted here"
        );
    }
    let exact = upload(&raw, vec![1; MIB]).await.json();
    assert_eq!(exact["size"], MIB);
    assert_eq!(in_staging(&server), 0);
}

#[tokio::test]
async fn privileged_an_upload_that_breaks_off_leaves_nothing() {
    let server = Server::start(Settings::default());
    let raw = Raw::new(&server);
    let address = server.url().trim_start_matches("http://").to_owned();
    let head = |framing: &str| {
        format!(
            "POST /v1/files HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n{framing}\r\n\r\n",
            server.token()
        )
    };
    for (framing, body) in [
        ("Content-Length: 1000", "only this"),
        ("Transfer-Encoding: chunked", "9\r\nonly this\r\n"),
    ] {
        let mut stream = TcpStream::connect(&address).await.expect("connected");
        let request = format!("{}{body}", head(framing));
        stream.write_all(request.as_bytes()).await.expect("sent");
        until(|| in_staging(&server) == 1).await;
        drop(stream);
        until(|| in_staging(&server) == 0).await;
    }
    // Framing that is wrong is told as long as the client listens.
    let mut stream = TcpStream::connect(&address).await.expect("connected");
    let request = format!(
        "{}9\r\nonly this\r\nno size\r\n",
        head("Transfer-Encoding: chunked")
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("\"status\":400}"), "{answer}");

    let list = raw.json("/v1/files").await;
    assert_eq!(list["files"].as_array().map(Vec::len), Some(0));
    let files = std::fs::read_dir(server.data_dir().join("store/files")).expect("the folder");
    assert_eq!(files.count(), 0);
}

/// Uploads and imports that are under way.
fn in_staging(server: &Server) -> usize {
    let folder = server.data_dir().join("store/staging");
    std::fs::read_dir(folder).expect("the folder").count()
}

async fn until(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached)
        .await
        .expect("it comes to that");
}
