//! What the fake server finds in an image, whichever it is asked for:
//!
//! | path | what it is |
//! | --- | --- |
//! | `/` | a folder with `data` and `srv` |
//! | `/srv` | a folder with `data` and `long` |
//! | `/srv/data` | two bytes that are no text |
//! | `/srv/long` | half a MiB of `x` |
//! | `/srv/broken` | a file, or an archive, that breaks off |
//! | `/srv/flood` | one that does not end |
//! | `/srv/packed` | comes as gzip, whether or not that is accepted |
//! | `/srv/unpacked` | does not come as gzip |
//!
//! An archive is the text `archive of PATH`. A search finds two lines, and a third near the first;
//! `none` finds nothing, `late` ends before it has found any, and `(` is no pattern.

use std::collections::BTreeMap;
use std::io::Write as _;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Query, RawQuery};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use serde_json::{Value, json};

use crate::fake::failed;

type Params = Query<BTreeMap<String, String>>;

pub(crate) const LONG: usize = 512 * 1024;

pub(crate) async fn list(Query(params): Params) -> Response {
    match params["path"].as_str() {
        "/" | "/srv" => {}
        "/srv/data" => return failed(422, "/srv/data is not a folder"),
        _ => return failed(404, "no such path in the image"),
    }
    if params.contains_key("text") {
        return "-rw-r--r-- 1 root root 2 data\n".into_response();
    }
    let entry = |name: &str, is_dir: bool| {
        let mode = if is_dir { 0o040_755 } else { 0o100_644 };
        json!({"size": 2, "path": name, "owner": "root", "group": 0, "mode": mode, "mtime": 0,
            "nlink": 1, "uid": 0, "gid": 0, "is_dir": is_dir, "is_regular": !is_dir,
            "is_symlink": false, "is_socket": false, "is_fifo": false, "symlink_to": ""})
    };
    let mut files = vec![entry("data", false)];
    if params["path"] == "/" {
        files.push(entry("srv", true));
    }
    Json(json!({"path": params["path"], "files": files})).into_response()
}

pub(crate) async fn download(Query(params): Params) -> Response {
    match params["path"].as_str() {
        "/srv/data" => Bytes::from_static(b"\xff\x00").into_response(),
        "/srv/long" => vec![b'x'; LONG].into_response(),
        "/srv/broken" => broken(),
        "/srv/flood" => flood(),
        "/srv" => failed(422, "/srv is a folder"),
        _ => failed(404, "no such path in the image"),
    }
}

pub(crate) async fn archive(Query(params): Params, headers: HeaderMap) -> Response {
    let accepted = headers
        .get("accept-encoding")
        .is_some_and(|codings| codings == "gzip");
    let path = params["path"].as_str();
    let is_packed = match path {
        "/" | "/srv" => accepted,
        "/srv/packed" => true,
        "/srv/unpacked" => false,
        "/srv/broken" => return broken(),
        "/srv/flood" => return flood(),
        _ => return failed(404, "no such path in the image"),
    };
    let text = format!("archive of {path}");
    if !is_packed {
        return text.into_response();
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    ([("content-encoding", "gzip")], gzip.finish().unwrap()).into_response()
}

fn broken() -> Response {
    let first = stream::once(std::future::ready(Ok(Bytes::from_static(b"only this"))));
    let gone = stream::once(async {
        // What came before is sent while this waits.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("the server is gone"))
    });
    Body::from_stream(stream::StreamExt::chain(first, gone)).into_response()
}

fn flood() -> Response {
    let part = Bytes::from(vec![b'y'; 64 * 1024]);
    let parts = stream::repeat_with(move || Ok::<_, std::io::Error>(part.clone()));
    Body::from_stream(parts).into_response()
}

pub(crate) async fn grep(Query(params): Params, RawQuery(raw): RawQuery) -> Response {
    let pattern = params["pattern"].as_str();
    let found: Vec<Value> = match pattern {
        "(" => return failed(400, "query parameter `pattern`: unclosed group"),
        "none" | "late" => Vec::new(),
        _ => {
            let line = |path: &str, number: u64, text: &str, spans: &[(&str, u64, u64)]| {
                let spans: Vec<Value> = spans
                    .iter()
                    .map(|(text, start, end)| json!({"text": text, "start": start, "end": end}))
                    .collect();
                let kind = if spans.is_empty() { "context" } else { "match" };
                json!({"path": path, "line_number": number, "absolute_offset": number * 10,
                    "line_text": text, "line_bytes": text.len(), "submatches": spans, "type": kind})
            };
            let mut lines = vec![line(
                "/etc/a",
                2,
                "ein ü root, root\r\n",
                &[("root", 7, 11), ("root", 13, 17)],
            )];
            if params.contains_key("after") && params["after"] != "0" {
                lines.push(line("/etc/a", 3, "next\n", &[]));
            }
            lines.push(line("/etc/b", 4, "\u{fffd}root", &[("root", 1, 5)]));
            lines
        }
    };
    // Repeated parameters come last to the map.
    let first = raw.unwrap_or_default();
    let path = first
        .split('&')
        .find_map(|part| part.strip_prefix("path="))
        .unwrap_or("/")
        .replace("%2F", "/");
    Json(
        json!({"path": path, "patterns": [pattern], "matches": found,
        "truncated": pattern == "late" || params.contains_key("max_total")}),
    )
    .into_response()
}
