//! Single requests and streams.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contree_api::OperationId;
use contree_api::image::{ImageImportRequest, ImageRef, Registry};
use contree_api::instance::InstanceSpawnRequest;
use contree_client::{Client, Config, Error, ImageFilter, OnRetry, RetryPolicy, UploadStep};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::fake::{Fake, error};

const OPERATION: &str = "01900000-0000-7000-8000-000000000001";
pub(crate) const IMAGE: &str = "eb1ea259-fac9-5a79-9ffd-000000000001";

fn again_after(status: u16, seconds: &'static str) -> Response {
    let mut response = error(status, "later");
    response
        .headers_mut()
        .insert("retry-after", seconds.parse().unwrap());
    response
}

fn empty_list() -> Response {
    r#"{"images":[]}"#.into_response()
}

fn frame(id: u64, kind: &str, spid: Option<u32>, data: &str) -> String {
    let spid = spid
        .map(|spid| format!(r#""spid":{spid},"#))
        .unwrap_or_default();
    format!(
        "id: {id}\nevent: {kind}\ndata: {{\"id\":{id},\"ts\":\"2026-06-08T20:00:00Z\",{spid}\
         \"type\":\"{kind}\",\"data\":{data}}}\n\n"
    )
}

fn out(id: u64, text: &str) -> String {
    frame(
        id,
        "stdout",
        Some(1),
        &format!(r#"{{"value":"{text}","encoding":"ascii"}}"#),
    )
}

fn completion(id: u64) -> String {
    frame(
        id,
        "completion",
        None,
        r#"{"status":"SUCCESS","result_image_uuid":null,"error":null,"duration_ms":5}"#,
    )
}

fn events(parts: &[String]) -> Response {
    let body = format!(": keepalive\n\n{}", parts.concat());
    ([("content-type", "text/event-stream")], body).into_response()
}

/// A body whose connection breaks in the middle, after what is there was sent.
fn broken(part: impl Into<Bytes>) -> Body {
    let good = Ok(part.into());
    let chunks = futures_util::stream::unfold(Some(good), |chunk| async {
        match chunk? {
            Ok(bytes) => Some((Ok(bytes), Some(Err(std::io::Error::other("cut"))))),
            Err(error) => {
                // The server sends what it has when there is nothing more at the moment.
                tokio::task::yield_now().await;
                Some((Err(error), None))
            }
        }
    });
    Body::from_stream(chunks)
}

fn broken_events(parts: &[String]) -> Response {
    (
        [("content-type", "text/event-stream")],
        broken(parts.concat()),
    )
        .into_response()
}

fn operation(status: &str) -> Response {
    format!(
        r#"{{"uuid":"{OPERATION}","kind":"instance","status":"{status}","error":null,
        "created_at":"2026-06-08T20:00:00Z","duration":0.0,"image_size":null,
        "consumed_cpu":null,"consumed_memory":null,"image_uuid":"{IMAGE}",
        "result_image_uuid":null,
        "metadata":{{"command":"true","image":"{IMAGE}","result":null}},"result":null}}"#
    )
    .into_response()
}

fn operation_id() -> OperationId {
    OPERATION.parse().unwrap()
}

/// All events of a followed operation as `kind` or `kind:text`.
async fn follow(client: &Client) -> (Vec<String>, Result<(), Error>) {
    let mut follow = client.follow(operation_id());
    let mut kinds = Vec::new();
    loop {
        match follow.next().await {
            Ok(Some(frame)) => kinds.push(match frame.event.map(|event| event.data) {
                Some(contree_api::event::EventData::Stdout(chunk)) => chunk.value,
                _ => frame.kind,
            }),
            Ok(None) => return (kinds, Ok(())),
            Err(error) => return (kinds, Err(error)),
        }
    }
}

#[tokio::test]
async fn a_request_carries_what_it_must() {
    let fake = Fake::start(vec![empty_list()]).await;
    let mut filter = ImageFilter::default();
    filter.limit = Some(10);
    filter.tagged = true;
    filter.tag_prefix = Some("a/b:c".into());
    filter.since = Some("2026-01-01T00:00:00+00:00".into());
    assert_eq!(fake.client().list_images(&filter).await.unwrap(), []);
    let seen = fake.seen(0);
    assert_eq!(
        seen.line,
        "GET /some/prefix/v1/images?limit=10&tagged=1&tag=a/b%3Ac\
         &since=2026-01-01T00%3A00%3A00%2B00%3A00"
    );
    assert_eq!(seen.header("authorization"), Some("Bearer secret"));
    assert_eq!(seen.header("project"), Some("mine"));
    assert_eq!(seen.header("user-agent"), Some("test/1"));
    assert_eq!(seen.body.len(), 0);
}

#[tokio::test]
async fn reads_are_repeated() {
    let fake = Fake::start(vec![
        error(503, "starting"),
        again_after(429, "0"),
        error(410, "not yet"),
        empty_list(),
    ])
    .await;
    fake.client()
        .list_images(&ImageFilter::default())
        .await
        .unwrap();
    assert_eq!(fake.lines().len(), 4);
}

#[tokio::test]
async fn repeating_ends() {
    let answers = (0..20).map(|_| error(500, "fault 17")).collect();
    let fake = Fake::start(answers).await;
    let failure = fake.client().whoami().await.unwrap_err();
    assert_eq!(failure.status(), Some(500));
    assert_eq!(failure.to_string(), "fault 17");
    assert_eq!(fake.lines().len(), 10);
}

#[tokio::test]
async fn what_is_not_built_is_not_repeated() {
    let fake = Fake::start(vec![error(501, "not built yet")]).await;
    assert_eq!(
        fake.client().whoami().await.unwrap_err().status(),
        Some(501)
    );
    assert_eq!(fake.lines().len(), 1);
}

#[tokio::test]
async fn runs_are_repeated_only_when_nothing_was_executed() {
    let request = InstanceSpawnRequest::new("true", ImageRef::Id(IMAGE.parse().unwrap()));
    let fake = Fake::start(vec![error(500, "fault")]).await;
    assert_eq!(
        fake.client().spawn(&request).await.unwrap_err().status(),
        Some(500)
    );
    assert_eq!(fake.lines().len(), 1);

    let created = (
        StatusCode::CREATED,
        format!(r#"{{"uuid":"{OPERATION}","command":"true","image":"{IMAGE}","result":null}}"#),
    );
    let answers = vec![
        again_after(429, "0"),
        again_after(425, "0"),
        created.into_response(),
    ];
    let fake = Fake::start(answers).await;
    assert_eq!(
        fake.client().spawn(&request).await.unwrap().uuid,
        operation_id()
    );
    let bodies: Vec<Bytes> = (0..3).map(|i| fake.seen(i).body).collect();
    assert!(
        bodies
            .iter()
            .all(|body| *body == bodies[0] && !body.is_empty())
    );
}

#[tokio::test]
async fn a_run_that_nobody_wants_any_more_is_not_started() {
    let fake = Fake::start(vec![again_after(429, "50")]).await;
    let request = InstanceSpawnRequest::new("true", IMAGE.parse().unwrap());
    let waits = Arc::new(Notify::new());
    let mut config = Config::new(format!("http://{}", fake.address), "t");
    let told = Arc::clone(&waits);
    config.on_retry = Some(OnRetry::new(move |_| told.notify_one()));
    let client = Client::new(config).unwrap();
    let started = client.spawn_unless(&request, waits.notified()).await;
    assert_eq!(started.unwrap(), None);
    assert_eq!(fake.lines(), ["POST /v1/instances"]);
}

/// Whatever else a server answers, what it has started is known.
#[tokio::test]
async fn the_id_is_all_that_starting_needs() {
    let started = || {
        let body = format!(r#"{{"uuid":"{OPERATION}"}}"#);
        (StatusCode::CREATED, body).into_response()
    };
    let fake = Fake::start(vec![started(), started()]).await;
    let never = std::future::pending;
    let run = InstanceSpawnRequest::new("true", IMAGE.parse().unwrap());
    let run = fake.client().spawn_unless(&run, never()).await.unwrap();
    assert_eq!(run, Some(operation_id()));
    let import = ImageImportRequest {
        registry: Registry {
            url: "docker://localhost/a".into(),
            credentials: None,
        },
        tag: None,
        timeout: None,
    };
    let import = fake.client().import_unless(&import, never()).await.unwrap();
    assert_eq!(import, Some(operation_id()));
}

#[tokio::test]
async fn where_a_redirect_leads_is_told() {
    let to = [("location", "https://there/v1/images")];
    let moved = (StatusCode::PERMANENT_REDIRECT, to).into_response();
    let fake = Fake::start(vec![moved]).await;
    let failure = fake.client().whoami().await.unwrap_err();
    assert!(
        failure
            .to_string()
            .ends_with("which leads to https://there/v1/images"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_tag_is_set_again_and_refusals_are_kept_whole() {
    let mut refused = error(409, "no");
    let headers = refused.headers_mut();
    headers.insert("x-request-id", "r1".parse().unwrap());
    let fake = Fake::start(vec![error(502, "away"), refused]).await;
    let tag = "a:b".parse().unwrap();
    let failure = fake
        .client()
        .set_tag(IMAGE.parse().unwrap(), &tag)
        .await
        .unwrap_err();
    assert_eq!(fake.lines().len(), 2);
    let refusal = failure.refusal().unwrap();
    assert_eq!(refusal.method, "PATCH");
    let url = format!("/some/prefix/v1/images/{IMAGE}/tag");
    assert_eq!(refusal.url, format!("http://{}{url}", fake.address));
    let id = ("x-request-id".to_owned(), "r1".to_owned());
    assert!(refusal.headers.contains(&id), "{refusal:?}");
    assert_eq!(refusal.body, r#"{"error":"no","status":409}"#);
}

#[tokio::test]
async fn whether_something_is_there() {
    let there = StatusCode::OK.into_response();
    let missing = StatusCode::NOT_FOUND.into_response();
    let neither = StatusCode::UNPROCESSABLE_ENTITY.into_response();
    let fake = Fake::start(vec![there, missing, neither]).await;
    let client = fake.client();
    let image = IMAGE.parse().unwrap();
    assert!(client.can_download(image, "/a").await.unwrap());
    assert!(!client.has_file("00").await.unwrap());
    let failure = client.can_archive(image, "/dev/null").await.unwrap_err();
    assert_eq!(failure.status(), Some(422));
    assert!(fake.lines().iter().all(|line| line.starts_with("HEAD ")));
}

#[tokio::test]
async fn a_server_that_is_away_is_reported_soon() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut config = Config::new(format!("http://{address}"), "t");
    config.retry.delays = vec![Duration::ZERO];
    let failure = Client::new(config).unwrap().whoami().await.unwrap_err();
    assert!(matches!(failure, Error::Connect { .. }), "{failure:?}");
    assert_eq!(
        failure.to_string(),
        format!("could not connect to http://{address}")
    );
}

#[tokio::test]
async fn silence_ends_a_request() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("http://{}", listener.local_addr().unwrap()), "t");
    config.timeout = Duration::from_millis(50);
    config.retry = RetryPolicy::never();
    let failure = Client::new(config).unwrap().whoami().await.unwrap_err();
    assert!(matches!(failure, Error::TimedOut { .. }), "{failure:?}");
}

#[tokio::test]
async fn tags_are_redirects_that_are_not_followed() {
    let redirect =
        |location: &str| (StatusCode::FOUND, [("location", location.to_owned())]).into_response();
    let fake = Fake::start(vec![
        redirect(&format!("{IMAGE}/")),
        redirect(&format!("https://elsewhere/v1/inspect/{IMAGE}")),
        redirect("/login"),
        error(404, "no image is tagged x"),
        "{}".into_response(),
    ])
    .await;
    let client = fake.client();
    let tag = "ubuntu:latest".parse().unwrap();
    for _ in 0..2 {
        assert_eq!(client.find_image(&tag).await.unwrap().to_string(), IMAGE);
    }
    assert!(matches!(
        client.find_image(&tag).await,
        Err(Error::Answer { .. })
    ));
    assert!(client.find_image(&tag).await.unwrap_err().is_not_found());
    assert!(matches!(
        client.find_image(&tag).await,
        Err(Error::Answer { .. })
    ));
    assert_eq!(
        fake.lines()[0],
        "GET /some/prefix/v1/inspect/?tag=ubuntu%3Alatest"
    );
}

#[tokio::test]
async fn a_broken_stream_is_resumed_where_it_broke() {
    let fake = Fake::start(vec![
        broken_events(&[out(0, "a"), out(1, "b")]),
        error(502, "away"),
        // This server repeats what was asked not to be.
        broken_events(&[
            out(1, "b"),
            out(2, "c"),
            "event: sse_error\ndata: lost\n\n".into(),
        ]),
        again_after(425, "0"),
        events(&[
            out(3, "d"),
            frame(4, "novelty", None, "{}"),
            completion(5),
            out(6, "never"),
        ]),
    ])
    .await;
    let (kinds, outcome) = follow(&fake.client()).await;
    outcome.unwrap();
    assert_eq!(kinds, ["a", "b", "c", "d", "novelty", "completion"]);
    assert!(
        fake.lines()
            .iter()
            .all(|line| line.ends_with("/events?follow=1")),
        "{fake:?}"
    );
    let resumed: Vec<_> = (0..5)
        .map(|i| fake.seen(i).header("last-event-id").map(ToOwned::to_owned))
        .collect();
    let id = |id: &str| Some(id.to_owned());
    assert_eq!(resumed, [None, id("1"), id("1"), id("2"), id("2")]);
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.lines()).finish()
    }
}

/// Whoever draws a screen meanwhile asks for the next event for a moment only.
#[tokio::test]
async fn a_stream_goes_on_however_shortly_it_is_waited_for() {
    let fake = Fake::start(vec![
        broken_events(&[out(0, "a")]),
        events(&[out(1, "b")]),
        operation("EXECUTING"),
        events(&[completion(2)]),
    ])
    .await;
    let mut config = Config::new(format!("http://{}", fake.address), "t");
    config.retry.delays = vec![Duration::from_millis(30)];
    let mut follow = Client::new(config).unwrap().follow(operation_id());
    let mut seen = 0;
    loop {
        match tokio::time::timeout(Duration::from_millis(1), follow.next()).await {
            Err(_) => {}
            Ok(Ok(Some(_))) => seen += 1,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => panic!("{error}"),
        }
    }
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn a_stream_that_ends_early_is_checked_against_the_operation() {
    let fake = Fake::start(vec![
        events(&[out(0, "a")]),
        operation("EXECUTING"),
        events(&[out(1, "b")]),
        operation("SUCCESS"),
        events(&[out(2, "c")]),
    ])
    .await;
    let (kinds, outcome) = follow(&fake.client()).await;
    outcome.unwrap();
    assert_eq!(kinds, ["a", "b", "c"]);
    let lines = fake.lines();
    assert!(lines[1].ends_with(&format!("/operations/{OPERATION}")));
    assert!(
        lines[4].ends_with("/events"),
        "the rest is read without follow: {}",
        lines[4]
    );
}

#[tokio::test]
async fn following_ends() {
    let fake = Fake::start((0..40).map(|_| error(500, "fault")).collect()).await;
    let (_, outcome) = follow(&fake.client()).await;
    assert!(
        matches!(outcome, Err(Error::Stream { attempts: 15, .. })),
        "{outcome:?}"
    );

    let fake = Fake::start(vec![error(404, "no such operation")]).await;
    assert!(follow(&fake.client()).await.1.unwrap_err().is_not_found());
}

#[tokio::test]
async fn one_process_is_followed_to_its_exit() {
    let exit = frame(
        3,
        "exit",
        Some(1),
        r#"{"pid":2,"code":0,"signal":-1,"timed_out":false,"duration_ms":1,"resources":{
        "user_time_us":0,"sys_time_us":0,"max_rss_kb":0,"shared_memory":0,"unshared_memory":0,
        "swaps":0,"minor_faults":0,"major_faults":0,"voluntary_ctx_switches":0,
        "involuntary_ctx_switches":0,"block_input_ops":0,"block_output_ops":0,"ipc_msgs_sent":0,
        "ipc_msgs_received":0,"signals_received":0}}"#,
    )
    // A frame is one line.
    .replace("\n        ", "");
    let fake = Fake::start(vec![events(&[out(2, "x"), exit])]).await;
    let mut follow = fake.client().follow(operation_id()).spid(1).after(Some(1));
    assert_eq!(follow.next().await.unwrap().unwrap().id, Some(2));
    assert_eq!(follow.next().await.unwrap().unwrap().kind, "exit");
    assert_eq!(follow.next().await.unwrap(), None);
    assert_eq!(fake.lines().len(), 1);
    assert!(fake.lines()[0].ends_with("follow=1&spid=1"));
}

pub(crate) fn uploaded(sha256: &str, size: usize) -> Response {
    let body = format!(r#"{{"uuid":"{IMAGE}","sha256":"{sha256}","size":{size}}}"#);
    (StatusCode::CREATED, body).into_response()
}

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn what_the_server_has_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty");
    std::fs::write(&path, "").unwrap();
    let body = format!(
        r#"{{"uuid":"{IMAGE}","sha256":"{EMPTY_SHA256}","size":0,
        "created_at":"2026-06-08T20:00:00Z","updated_at":"2026-06-08T20:00:00Z"}}"#
    );
    let fake = Fake::start(vec![body.into_response()]).await;
    let file = fake.client().ensure_file(&path, |_| ()).await.unwrap();
    assert!(file.existed);
    assert_eq!(
        fake.lines(),
        [format!("GET /some/prefix/v1/files/{EMPTY_SHA256}")]
    );
}

#[tokio::test]
async fn a_file_is_streamed_and_sent_again_when_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &content).unwrap();
    let sha256: String = {
        use sha2::Digest as _;
        sha2::Sha256::digest(&content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let fake = Fake::start(vec![
        error(404, "no such file"),
        error(503, "disk nearly full"),
        uploaded(&sha256, content.len()),
    ])
    .await;
    let steps = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&steps);
    let file = fake
        .client()
        .ensure_file(&path, move |step| log.lock().unwrap().push(step))
        .await
        .unwrap();
    assert!(!file.existed);
    let sent = fake.seen(2);
    assert_eq!(sent.line, "POST /some/prefix/v1/files");
    assert_eq!(sent.header("content-length"), Some("4000000"));
    assert_eq!(
        sent.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(sent.body, content);
    let total = 4_000_000;
    let steps = steps.lock().unwrap();
    assert!(steps.contains(&UploadStep::Hashing { done: total, total }));
    assert_eq!(
        steps.last(),
        Some(&UploadStep::Sending { done: total, total })
    );
}

#[tokio::test]
async fn a_file_that_changes_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::write(&path, "x").unwrap();
    let fake = Fake::start(vec![error(404, "no such file"), uploaded(EMPTY_SHA256, 1)]).await;
    let failure = fake.client().ensure_file(&path, |_| ()).await.unwrap_err();
    assert!(matches!(failure, Error::File { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_download_that_is_cut_is_an_error() {
    let fake = Fake::start(vec![broken("half").into_response()]).await;
    let mut download = fake
        .client()
        .download(IMAGE.parse().unwrap(), "/etc/a b")
        .await
        .unwrap();
    assert_eq!(
        download.next().await.unwrap().as_deref(),
        Some(&b"half"[..])
    );
    assert!(matches!(
        download.next().await,
        Err(Error::Transport { .. })
    ));
    assert!(fake.lines()[0].ends_with("/download?path=/etc/a%20b"));
}

#[tokio::test]
async fn a_whole_file_is_begun_anew_when_it_breaks_off() {
    let whole = || "all of it".into_response();
    let cut = || broken("all").into_response();
    let answers = vec![cut(), whole(), cut(), whole(), error(404, "none"), whole()];
    let fake = Fake::start(answers).await;
    let client = fake.client();
    let image = IMAGE.parse().unwrap();
    let read = client.read_file(image, "/a").await.unwrap();
    assert_eq!(read, "all of it");
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("a");
    assert_eq!(client.save_file(image, "/a", &to).await.unwrap(), 9);
    assert_eq!(std::fs::read(&to).unwrap(), b"all of it");
    let to = folder.path().join("b");
    let missing = client.save_archive(image, "/b", &to);
    assert!(missing.await.unwrap_err().is_not_found());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // A link stays one; only what it leads to is written.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("c", &link).unwrap();
    assert_eq!(client.save_file(image, "/c", &link).await.unwrap(), 9);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        std::fs::read(folder.path().join("c")).unwrap(),
        b"all of it"
    );
}

#[tokio::test]
async fn what_was_there_stays_until_a_file_is_whole() {
    let cut = || broken("all").into_response();
    let fake = Fake::start(vec![cut(), cut()]).await;
    let mut config = Config::new(format!("http://{}", fake.address), "t");
    config.retry.max_attempts = 2;
    config.retry.delays = vec![Duration::ZERO];
    let client = Client::new(config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("a".repeat(255));
    std::fs::write(&to, "mine").unwrap();
    let failed = client.save_file(IMAGE.parse().unwrap(), "/a", &to).await;
    assert!(matches!(failed, Err(Error::Transport { .. })), "{failed:?}");
    assert_eq!(std::fs::read(&to).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// One INT asks a program to end, a second one not to clean up.
#[tokio::test]
async fn only_what_kills_is_sent_again() {
    let done = StatusCode::NO_CONTENT.into_response();
    let fake = Fake::start(vec![error(502, "away"), error(502, "away"), done]).await;
    let client = fake.client();
    let failed = client.signal(operation_id(), 1, Some("INT")).await;
    assert_eq!(failed.unwrap_err().status(), Some(502));
    assert_eq!(fake.lines().len(), 1);
    client.signal(operation_id(), 1, None).await.unwrap();
    assert_eq!(fake.lines().len(), 3);
}

/// A server that reads slowly, for much longer than it may stand still.
#[tokio::test]
async fn an_upload_takes_as_long_as_it_moves() {
    const SIZE: usize = 32 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("http://{}", listener.local_addr().unwrap()), "t");
    config.idle_timeout = Duration::from_millis(500);
    config.retry = RetryPolicy::never();
    let reads = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 512 << 10];
        let mut left = SIZE;
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        while left > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            left -= stream.read(&mut buffer).await.unwrap();
        }
        let body = format!(r#"{{"uuid":"{OPERATION}","sha256":"{EMPTY_SHA256}","size":{SIZE}}}"#);
        let answer = format!(
            "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        head
    };
    let client = Client::new(config).unwrap();
    let (sent, head) = tokio::join!(client.upload_bytes(vec![7; SIZE].into()), reads);
    sent.unwrap();
    let head = String::from_utf8(head).unwrap();
    assert!(
        head.contains(&format!("content-length: {SIZE}\r\n")),
        "{head}"
    );
}

#[tokio::test]
async fn processes_are_written_to_and_signalled() {
    let done = || StatusCode::NO_CONTENT.into_response();
    let fake = Fake::start(vec![done(), done(), done()]).await;
    let client = fake.client();
    client
        .write_stdin(operation_id(), 1, b"\xff", false)
        .await
        .unwrap();
    client.signal(operation_id(), 1, Some("INT")).await.unwrap();
    client.cancel(operation_id()).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&fake.seen(0).body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({ "value": "/w==", "encoding": "base64", "close": false })
    );
    let prefix = format!("/some/prefix/v1/operations/{OPERATION}");
    assert_eq!(
        fake.lines(),
        [
            format!("POST {prefix}/subprocesses/1/stdin"),
            format!("DELETE {prefix}/subprocesses/1?signal=INT"),
            format!("DELETE {prefix}"),
        ]
    );
}

#[tokio::test]
async fn bytes_are_sent_as_they_come() {
    let fake = Fake::start(vec![uploaded(EMPTY_SHA256, 5)]).await;
    let pieces = ["he", "llo"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
    let sent = fake
        .client()
        .upload_stream(futures_util::stream::iter(pieces))
        .await
        .unwrap();
    assert_eq!(sent.size, 5);
    assert_eq!(fake.seen(0).body, "hello");
    // Bytes that break off are no file, and nobody can send them again.
    let pieces = [
        Ok(Bytes::from("he")),
        Err(std::io::Error::other("the web is gone")),
    ];
    let error = fake
        .client()
        .upload_stream(futures_util::stream::iter(pieces))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
}
