//! A server from its start to a signal.

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser as _;
use rustix::process::{Signal, getpid, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::bench::sandbox_binary;
use super::config::Line;
use crate::config::Settings;
use crate::serve::{Signals, run};

/// Much longer than a drain takes; a wait, not a measurement.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_a_signal_ends_a_server_with_open_streams() {
    let folder = tempfile::tempdir().unwrap();
    let registry = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry_address = registry.local_addr().unwrap();
    let line = Line::try_parse_from([
        "--listen=127.0.0.1:0".to_owned(),
        format!("--data-dir={}", folder.path().join("data").display()),
        format!("--sandbox-binary={}", sandbox_binary().display()),
        format!("--allow-registry={registry_address}"),
        "--drain-timeout=0s".to_owned(),
    ])
    .unwrap();
    let settings = Settings::resolve(line.args).unwrap();
    let signals = Signals::install().unwrap();
    let (announce, announced) = oneshot::channel();
    let server = run(settings, signals, |address, first_start| {
        let token = first_start.expect("the folder is new").token.clone();
        announce.send((address, token)).unwrap();
        Ok(())
    });
    let client = client(announced, registry);
    let both = async { tokio::join!(server, client) };
    let (ended, ()) = tokio::time::timeout(PATIENCE, both)
        .await
        .expect("the server ends");
    ended.unwrap();
}

/// Sees the server come, has an idle connection and an open stream on it, and ends it.
async fn client(announced: oneshot::Receiver<(SocketAddr, String)>, registry: TcpListener) {
    let registry_address = registry.local_addr().unwrap();
    let (address, token) = announced.await.unwrap();

    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"}") {
        assert_ne!(idle.read_buf(&mut seen).await.unwrap(), 0);
    }
    let body = format!(r#"{{"registry":{{"url":"docker://{registry_address}/a/b:c"}}}}"#);
    let answer = exchange(address, &token, "POST /v1/images/import", &body).await;
    let operation = answer
        .split(r#"{"uuid":""#)
        .nth(1)
        .unwrap_or_else(|| panic!("{answer}"));
    let operation = &operation[..36];
    // The import has reached the registry, so the stream below is one of a running operation.
    let _held = registry.accept().await.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /v1/operations/{operation}/events?follow=1 HTTP/1.1\r\nHost: a\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut log = Vec::new();
    while !String::from_utf8_lossy(&log).contains("event: init") {
        assert_ne!(stream.read_buf(&mut log).await.unwrap(), 0);
    }

    // The same compressed, without chunks, so that the rest of the connection is the gzip stream.
    let mut coded = TcpStream::connect(address).await.unwrap();
    let request = request.replace("HTTP/1.1\r\n", "HTTP/1.0\r\nAccept-Encoding: gzip\r\n");
    coded.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(coded.read_u8().await.unwrap());
    }
    assert!(String::from_utf8_lossy(&head).contains("content-encoding: gzip"));

    kill_process(getpid(), Signal::TERM).unwrap();
    assert_eq!(
        idle.read_buf(&mut seen).await.unwrap(),
        0,
        "an idle connection is closed"
    );
    stream.read_to_end(&mut log).await.unwrap();
    let log = String::from_utf8(log).unwrap();
    // Ended as HTTP demands, so that the client does not take it for a broken connection.
    assert!(log.ends_with("0\r\n\r\n"), "{log}");
    let mut bytes = Vec::new();
    coded.read_to_end(&mut bytes).await.unwrap();
    let mut plain = String::new();
    let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
    decoder
        .read_to_string(&mut plain)
        .expect("gzip with its trailer");
    assert!(
        plain.contains("event: init") && plain.ends_with("\n\n"),
        "{plain}"
    );
    assert!(TcpStream::connect(address).await.is_err());
}

async fn exchange(address: SocketAddr, token: &str, what: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{what} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
