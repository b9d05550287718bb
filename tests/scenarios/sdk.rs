//! The Rust SDK's objects against a real server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contree_api::event::StreamName;
use contree_api::inspect::GrepQuery;
use contree_api::operation::{OperationKind, OperationStatus};
use contree_client::{
    Client, Config, Contree, Error, ImageFilter, OperationFilter, Outcome, Upload, blocking,
};
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};

/// A server with a small image under `tag:debian`, and a connection to it.
async fn server() -> (Server, Contree) {
    let server = Server::start(Settings::default());
    server.import(&Tiny::new().tar(), "debian").await;
    let contree = Contree::new(server.client());
    (server, contree)
}

fn printed(outcome: &Outcome) -> String {
    assert!(outcome.success(), "{outcome:?}");
    outcome.stdout.text().into_owned()
}

#[tokio::test]
async fn privileged_a_run_streams_takes_input_execs_and_is_signalled() {
    let (_server, contree) = server().await;
    let command = "read line; echo \"got $line\"; echo oops >&2; exec sleep 1000";
    let run = contree
        .image("tag:debian")
        .run(command)
        .stdin_open()
        .send()
        .await
        .expect("it starts");
    let mut output = run.stream();
    run.write_stdin("a line\n".as_bytes())
        .await
        .expect("input is taken");
    let mut seen = (String::new(), String::new());
    while !seen.0.contains('\n') || !seen.1.contains('\n') {
        let chunk = output.next().await.expect("output comes");
        let chunk = chunk.expect("the run goes on");
        match chunk.stream {
            StreamName::Stderr => seen.1.push_str(&chunk.text()),
            _ => seen.0.push_str(&chunk.text()),
        }
    }
    assert_eq!(seen, ("got a line\n".to_owned(), "oops\n".to_owned()));

    // Further processes see what the run does, and have streams of their own.
    let outcome = run.exec("echo \"$A\" > /here; cat /here").env("A", "seen");
    assert_eq!(printed(&outcome.await.expect("it runs")), "seen\n");
    let cat = run.exec_program("cat").stdin("one ").stdin_open();
    let cat = cat.send().await.expect("it starts");
    cat.write(b"two\n").await.expect("input is taken");
    cat.close_stdin().await.expect("input ends");
    let chunks: Vec<_> = cat
        .stream()
        .into_stream()
        .try_collect()
        .await
        .expect("output");
    let text: String = chunks
        .iter()
        .map(|chunk| chunk.text().into_owned())
        .collect();
    assert_eq!(text, "one two\n");
    assert_eq!(printed(&cat.wait().await.expect("it ended")), "one two\n");
    let sleeper = run.exec("exec sleep 1000").send().await.expect("it starts");
    sleeper.signal("SIGINT").await.expect("it is signalled");
    assert_eq!(sleeper.wait().await.expect("it ended").signal, Some(2));

    // From its id alone there is a handle again.
    let again = contree.attach(run.id());
    again.signal("TERM").await.expect("it is signalled");
    let outcome = run.wait().await.expect("it ended");
    assert_eq!((outcome.exit_code, outcome.signal), (None, Some(15)));
    assert!(!outcome.timed_out);
    assert_eq!(output.next().await.expect("a clean end"), None);
    let kept = outcome.image.expect("an image").read("/here").await;
    assert_eq!(kept.expect("a file"), "seen\n");
}

#[tokio::test]
async fn privileged_what_a_run_is_given_arrives_and_what_it_leaves_can_be_looked_into() {
    let (_server, contree) = server().await;
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("script");
    std::fs::write(
        &script,
        "#!/bin/sh\necho \"$0 $1 $KEY $PWD $(id -u):$(id -g) $(cat)\"\n",
    )
    .expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o750);
    std::fs::set_permissions(&script, mode).expect("its mode");
    let large = vec![7_u8; 300_000];
    let outcome = contree
        .image("tag:debian")
        .program("/opt/script")
        .arg("argument")
        .env("KEY", "value")
        .cwd("/work/here")
        .stdin("input")
        .user(0, 7)
        .timeout(Duration::from_millis(59_500))
        .file("/opt/script", script.as_path())
        .files([
            ("/opt/large", Upload::bytes(large.clone()).mode(0o600)),
            ("/opt/owned", Upload::bytes("x").owner(5, 6)),
        ])
        .tag("made/here:1")
        .await
        .expect("it runs");
    assert_eq!(
        printed(&outcome),
        "/opt/script argument value /work/here 0:7 input\n"
    );
    assert!(outcome.elapsed() > Duration::ZERO);

    let image = contree.image("tag:made/here:1").resolve().await;
    let image = image.expect("the tag is set");
    assert_eq!(
        image.to_string(),
        outcome.image.expect("an image").to_string()
    );
    let entries = image.ls("/opt").await.expect("a folder");
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.path.as_str(),
                entry.mode & 0o7777,
                entry.uid,
                entry.gid,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("large", 0o600, 0, 0),
            ("owned", 0o644, 5, 6),
            ("script", 0o750, 0, 0)
        ]
    );
    assert_eq!(image.read("/opt/large").await.expect("a file"), large);
    for (path, there) in [("/opt/large", true), ("/opt", true), ("/opt/none", false)] {
        assert_eq!(
            image.exists(path).await.expect("an answer"),
            there,
            "{path}"
        );
    }
    let to = folder.path().join("large");
    assert_eq!(
        image.download("/opt/large", &to).await.expect("saved"),
        300_000
    );
    assert_eq!(std::fs::read(&to).expect("it is there"), large);
    let missing = image
        .download("/opt/none", folder.path().join("none"))
        .await;
    assert!(missing.expect_err("no such file").is_not_found());
    let tar = folder.path().join("opt.tar");
    image.download_archive("/opt", &tar).await.expect("saved");
    let mut archive = tar::Archive::new(std::fs::File::open(&tar).expect("it is there"));
    assert!(archive.entries().expect("a tar").count() >= 3);
    let query = GrepQuery {
        patterns: vec!["K[A-Z]Y".into()],
        paths: vec!["/opt/script".into()],
        ..GrepQuery::default()
    };
    assert_eq!(image.grep(&query).await.expect("a search").matches.len(), 1);

    image.tag("other").await.expect("a tag");
    image.untag("made/here:1").await.expect("it is removed");
    let mut filter = ImageFilter::default();
    filter.tagged = true;
    let listed = contree.images(filter).all().await.expect("a list");
    let tags: Vec<_> = listed.iter().flat_map(|image| &image.tag).collect();
    assert_eq!(
        tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(),
        ["other", "debian"]
    );
    let stream = contree.operations(OperationFilter::default()).into_stream();
    let operations: Vec<_> = stream.try_collect().await.expect("a list");
    assert_eq!(operations.len(), 2, "an import and a run");
}

#[tokio::test]
async fn privileged_failures_are_told_apart() {
    let (_server, contree) = server().await;
    let image = contree.image("tag:debian");
    let outcome = image
        .run("echo no >&2; exit 7")
        .tag("never")
        .await
        .expect("it runs");
    assert_eq!((outcome.exit_code, outcome.success()), (Some(7), false));
    assert_eq!(outcome.stderr.text(), "no\n");
    let untagged = contree.image("tag:never").id().await;
    assert!(untagged.expect_err("no such tag").is_not_found());

    let limited = image.run("exec sleep 1000").timeout(Duration::from_secs(1));
    let outcome = limited.disposable().await.expect("it runs");
    assert!(outcome.timed_out && outcome.image.is_none(), "{outcome:?}");
    let output = image.run("head -c 4000 /dev/zero").truncate_output_at(9);
    let outcome = output.await.expect("it runs");
    assert_eq!(
        (outcome.stdout.bytes.len(), outcome.stdout.truncated),
        (9, true)
    );

    let failed = image.program("/no/such/program").await;
    assert!(matches!(failed, Err(Error::Failed { .. })), "{failed:?}");
    let unnamed = contree.image("debian").run("true").await;
    assert!(
        matches!(unnamed, Err(Error::Reference { .. })),
        "{unnamed:?}"
    );
    let missing = contree.image("tag:none").run("true").await;
    let missing = missing.expect_err("no such image");
    assert!(missing.is_not_found(), "{missing:?}");
    let refusal = missing.refusal().expect("an answer");
    assert_eq!(refusal.method, "POST");
    assert!(refusal.url.ends_with("/v1/instances"), "{refusal:?}");
    assert!(
        refusal
            .headers
            .iter()
            .any(|(name, _)| name == "content-type")
    );
    let unreadable = image.run("true").file("/x", Upload::path("/no/such/file"));
    assert!(matches!(unreadable.await, Err(Error::File { .. })));
}

#[tokio::test]
async fn privileged_a_dropped_run_is_cancelled_only_when_that_was_asked_for() {
    let (_server, contree) = server().await;
    let image = contree.image("tag:debian");
    let started = async |cancels: bool| {
        let run = image.run("echo up; exec sleep 1000");
        let run = if cancels { run.cancel_on_drop() } else { run };
        let run = run.send().await.expect("it starts");
        let chunk = run.stream().next().await.expect("output comes");
        assert_eq!(chunk.expect("it runs").text(), "up\n");
        run.operation().clone()
    };
    let status = async |operation: &contree_client::Operation| {
        let answer = operation.status().await.expect("it is known");
        answer.summary.status
    };
    let goes_on = started(false).await;
    let cancelled = started(true).await;
    let ended = cancelled.wait().await.expect("it ended");
    assert_eq!(ended.summary.status, OperationStatus::Cancelled);
    assert_eq!(status(&goes_on).await, OperationStatus::Executing);
    let kept = contree.attach(goes_on.id());
    kept.cancel().await.expect("it is cancelled");
    assert!(matches!(kept.wait().await, Err(Error::Cancelled { .. })));

    // A future that is dropped while it starts the run, or waits for it.
    let run = image.run("exec sleep 1000").cancel_on_drop();
    let waits = tokio::time::timeout(Duration::from_millis(1), run.output()).await;
    assert!(waits.is_err());
    loop {
        let operations = contree.operations(OperationFilter::default()).all().await;
        let operations = operations.expect("a list");
        let runs = operations
            .iter()
            .filter(|o| o.kind == OperationKind::Instance);
        let (over, going): (Vec<_>, Vec<_>) = runs.partition(|run| run.status.is_terminal());
        assert!(
            over.iter()
                .all(|run| run.status == OperationStatus::Cancelled)
        );
        if going.is_empty() {
            break;
        }
        for operation in operations {
            let ended = contree.operation(operation.uuid).wait().await;
            ended.expect("it ends");
        }
    }
}

/// The last handle goes right after the run, and with it what sends requests.
#[tokio::test]
async fn privileged_a_dropped_run_is_cancelled_without_async() {
    let (server, contree) = server().await;
    let (url, token) = (server.url().to_owned(), server.token());
    let work = move || {
        let contree = blocking::Contree::connect(url, token).expect("a connection");
        let image = contree.image("tag:debian");
        let run = image.run("echo up; exec sleep 1000").cancel_on_drop();
        let run = run.send().expect("it starts");
        let up = run.stream().next().expect("output").expect("it comes");
        assert_eq!(up.text(), "up\n");
        run.id()
    };
    let id = tokio::task::spawn_blocking(work).await.expect("no panic");
    let ended = contree.operation(id).wait().await.expect("it ended");
    assert_eq!(ended.summary.status, OperationStatus::Cancelled);
}

#[tokio::test]
async fn privileged_what_cannot_be_tagged_is_not_lost() {
    let (server, contree) = server().await;
    let grants = "admin token create --project default --permissions list,spawn";
    let made = contree_e2e::Contree::new(&server).line(grants).succeeds();
    let narrow = Contree::new(server.client_with(made.stdout.trim()));
    let session = narrow.session("tag:debian");
    let run = session.run("echo kept > /file").tag("kept").send();
    let run = run.await.expect("it starts");
    let Err(Error::NotTagged { image, source, .. }) = run.wait().await else {
        panic!("it was tagged");
    };
    assert_eq!(source.status(), Some(403));
    assert_eq!(session.tip().id().await.expect("an id"), image);
    let kept = contree.image(image).read("/file").await.expect("a file");
    assert_eq!(kept, "kept\n");
    // The session has taken its step, and takes no second one for the same run.
    session.rollback(1).expect("there is one before");
    assert!(matches!(run.wait().await, Err(Error::NotTagged { .. })));
    assert_eq!(session.tip().to_string(), "tag:debian");
}

#[tokio::test]
async fn privileged_a_session_goes_on_branches_and_goes_back() {
    let (_server, contree) = server().await;
    let session = contree.session("tag:debian");
    let step = async |session: &contree_client::Session, command: &str| {
        session.run(command).await.expect("it runs")
    };
    printed(&step(&session, "echo one > /file").await);
    let branch = session.branch();
    printed(&step(&session, "echo two >> /file").await);
    printed(&step(&branch, "echo three >> /file").await);
    assert_eq!(printed(&step(&session, "cat /file").await), "one\ntwo\n");
    assert_eq!(printed(&step(&branch, "cat /file").await), "one\nthree\n");
    // What failed, and what changed nothing, is no step.
    assert!(!step(&session, "echo lost > /file; exit 1").await.success());
    assert_eq!(session.history().len(), 3);
    session.rollback(1).expect("there are steps");
    assert_eq!(printed(&step(&session, "cat /file").await), "one\n");
    assert!(matches!(session.rollback(9), Err(Error::Rollback { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_many_runs_of_one_connection_all_end() {
    let (_server, contree) = server().await;
    let image = contree.image("tag:debian");
    let runs = (0..1_000).map(|number| {
        let run = image.program("echo").arg(number.to_string()).disposable();
        async move { (number, run.await) }
    });
    for (number, outcome) in join_all(runs).await {
        let outcome = outcome.expect("it ran");
        assert_eq!(printed(&outcome), format!("{number}\n"));
    }
}

/// An address that stays while the servers behind it come and go.
struct Door {
    address: SocketAddr,
    behind: Arc<Mutex<Option<String>>>,
}

impl Door {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let behind = Arc::new(Mutex::new(None::<String>));
        let target = Arc::clone(&behind);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let target = target.lock().expect("a target").clone();
                tokio::spawn(async move {
                    if let Some(target) = target
                        && let Ok(mut far) = TcpStream::connect(target).await
                    {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self { address, behind }
    }

    fn leads_to(&self, url: Option<&str>) {
        let host = url.and_then(|url| url.strip_prefix("http://"));
        *self.behind.lock().expect("a target") = host.map(ToOwned::to_owned);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privileged_waits_outlive_a_killed_server() {
    let (mut server, _) = server().await;
    let door = Door::open().await;
    door.leads_to(Some(server.url()));
    let config = Config::new(format!("http://{}", door.address), server.token());
    let contree = Contree::new(Client::new(config).expect("a client"));
    let image = contree.image("tag:debian");
    let mut waits = Vec::new();
    for _ in 0..5 {
        let run = image.run("echo up; exec sleep 1000").send().await;
        let run = run.expect("it starts");
        run.stream().next().await.expect("it runs");
        waits.push(tokio::spawn(async move { run.wait().await }));
    }
    server.kill();
    door.leads_to(None);
    server.start_again();
    door.leads_to(Some(server.url()));
    // What ran when the server was killed has failed, and every wait hears of it.
    for wait in waits {
        let ended = wait.await.expect("no panic");
        assert!(matches!(ended, Err(Error::Failed { .. })), "{ended:?}");
    }
    // The connection is as good as new.
    let outcome = image.run("echo again").await.expect("it runs");
    assert_eq!(printed(&outcome), "again\n");
}

#[tokio::test]
async fn privileged_everything_is_there_without_async() {
    let (server, _) = server().await;
    let (url, token) = (server.url().to_owned(), server.token());
    let work = move || {
        let contree = blocking::Contree::connect(url, token).expect("a connection");
        let image = contree.image("tag:debian");
        let run = image.run("cat; exec sleep 1000").stdin_open().send();
        let run = run.expect("it starts");
        run.write_stdin(b"hello\n").expect("input is taken");
        let mut output = run.stream();
        let chunk = output.next().expect("output").expect("it comes");
        assert_eq!(chunk.text(), "hello\n");
        let process = run.exec("exit 3").send().expect("it starts");
        assert_eq!(process.wait().expect("it ended").exit_code, Some(3));
        run.kill().expect("it is killed");
        assert_eq!(run.wait().expect("it ended").signal, Some(9));
        assert!(output.all(|chunk| chunk.is_ok()));
        let session = contree.session("tag:debian");
        let outcome = session.run("echo kept > /file").tag("kept").output();
        assert!(outcome.expect("it runs").success());
        let mut text = String::new();
        let mut file = session.tip().open("/file").expect("a file");
        std::io::Read::read_to_string(&mut file, &mut text).expect("it is read");
        assert_eq!(text, "kept\n");
        let images = contree.images(ImageFilter::default());
        let images: Result<Vec<_>, Error> = images.collect();
        assert!(images.expect("a list").len() >= 2);
        let missing = contree.attach(contree_api::OperationId::new()).wait();
        assert!(missing.expect_err("no such operation").is_not_found());
    };
    tokio::task::spawn_blocking(work).await.expect("no panic");
}
