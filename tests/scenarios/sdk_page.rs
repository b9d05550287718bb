//! docs/rust-sdk.md: every example of it, as it stands there.

use std::path::Path;

use contree_client::{Contree, ImageFilter, Upload, blocking};
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};

type Done = Result<(), Box<dyn std::error::Error>>;

/// This file, where the examples are between lines that say so.
const CODE: &str = include_str!("sdk_page.rs");
const PAGE: &str = include_str!("../../docs/rust-sdk.md");

/// Lines without what stands before and after them, and without empty ones.
fn lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_page_shows_what_is_run_here() {
    let run: Vec<_> = CODE
        .split("// As on the page:\n")
        .skip(1)
        .map(|rest| lines(rest.split("// End.\n").next().expect("a first part")))
        .collect();
    let shown: Vec<_> = PAGE
        .split("```rust\n")
        .skip(1)
        .map(|rest| lines(rest.split("```").next().expect("a first part")))
        .collect();
    for (shown, run) in shown.iter().zip(&run) {
        assert_eq!(shown.join("\n"), run.join("\n"));
    }
    assert_eq!(shown.len(), run.len());
}

#[rustfmt::skip] // Lines are as long as those of the page.
async fn page(url: &str, token: &str, folder: &Path) -> Done {
    // As on the page:
    let contree = Contree::connect(url, token)?;
    let outcome = contree.image("tag:debian").run("echo hello; exit 3").await?;
    assert_eq!(outcome.stdout.text(), "hello\n");
    assert_eq!(outcome.exit_code, Some(3));
    // End.
    // As on the page:
    let base = contree.image("tag:debian");
    let built = base.run("mkdir /app && echo 1 > /app/version").tag("app:1").await?;
    let app = built.image.expect("a run that is not disposable has one");
    let outcome = app.program("cat").arg("/app/version").disposable().await?;
    assert_eq!(outcome.stdout.text(), "1\n");
    // End.
    let data = folder.join("data");
    std::fs::write(&data, "one\ntwo\n")?;
    // As on the page:
    let outcome = contree
        .image("tag:debian")
        .program("/app/run.sh")
        .file("/app/run.sh", Upload::bytes("#!/bin/sh\nwc -l < /app/data\n").mode(0o755))
        .file("/app/data", Upload::path(&data).owner(1000, 1000))
        .await?;
    assert_eq!(outcome.stdout.text(), "2\n");
    // End.
    // As on the page:
    let run = contree
        .image("tag:debian")
        .run("while read name; do echo \"hello $name\"; done")
        .stdin_open()
        .send()
        .await?;
    run.write_stdin(b"Ada\nGrace\n").await?;
    run.close_stdin().await?;
    let mut output = run.stream();
    let mut text = String::new();
    while let Some(chunk) = output.next().await? {
        text.push_str(&chunk.text());
    }
    assert_eq!(text, "hello Ada\nhello Grace\n");
    assert!(run.wait().await?.success());
    // End.
    // As on the page:
    let run = contree.image("tag:debian").run("exec sleep 600").send().await?;
    let outcome = run.exec("echo $$ > /tmp/pid; cat /tmp/pid").await?;
    assert!(outcome.success());
    let shell = run.exec_program("sh").stdin_open().send().await?;
    shell.write(b"exit 5\n").await?;
    assert_eq!(shell.wait().await?.exit_code, Some(5));
    run.signal("TERM").await?;
    assert_eq!(run.wait().await?.signal, Some(15));
    // End.
    // As on the page:
    let session = contree.session("tag:debian");
    session.run("echo one > /notes").await?;
    let branch = session.branch();
    session.run("echo two >> /notes").await?;
    assert_eq!(session.tip().read("/notes").await?, "one\ntwo\n");
    assert_eq!(branch.tip().read("/notes").await?, "one\n");
    session.rollback(1)?;
    assert_eq!(session.tip().read("/notes").await?, "one\n");
    // End.
    // As on the page:
    let image = contree.image("tag:debian").resolve().await?;
    let folders = image.ls("/usr").await?;
    assert!(folders.iter().any(|entry| entry.path == "bin" && entry.is_dir));
    image.download("/etc/passwd", folder.join("passwd")).await?;
    image.download_archive("/etc", folder.join("etc.tar")).await?;
    image.tag("debian:mine").await?;
    let mut tagged = ImageFilter::default();
    tagged.tag_prefix = Some("debian".into());
    assert_eq!(contree.images(tagged).all().await?.len(), 2);
    // End.
    // As on the page:
    let image = contree.image("tag:debian");
    let runs = (0..200).map(|n| image.program("echo").arg(n.to_string()).disposable().output());
    for (n, outcome) in futures_util::future::join_all(runs).await.into_iter().enumerate() {
        assert_eq!(outcome?.stdout.text(), format!("{n}\n"));
    }
    // End.
    Ok(())
}

fn page_without_async(url: &str, token: &str) -> Result<(), contree_client::Error> {
    // As on the page:
    let contree = blocking::Contree::connect(url, token)?;
    let outcome = contree.image("tag:debian").run("echo hello").output()?;
    assert_eq!(outcome.stdout.text(), "hello\n");
    // End.
    Ok(())
}

#[rustfmt::skip] // Lines are as long as those of the page.
async fn page_again(contree: Contree) -> Done {
    // As on the page:
    let error = contree.image("tag:nothing").id().await.expect_err("there is none");
    assert!(error.is_not_found());
    assert_eq!(error.refusal().expect("an answer").method, "GET");
    // End.
    // As on the page:
    let client = contree.client();
    let me = client.whoami().await?;
    assert!(me.permissions["spawn"]);
    let text = client.list_directory_text(client.find_image(&"debian".parse()?).await?, "/").await?;
    assert!(text.contains("etc"));
    // End.
    Ok(())
}

#[tokio::test]
async fn privileged_the_page_of_the_rust_sdk_is_true() {
    let server = Server::start(Settings::default());
    server.import(&Tiny::new().tar(), "debian").await;
    let folder = tempfile::tempdir().expect("a folder");
    let (url, token) = (server.url().to_owned(), server.token());
    let done = page(&url, &token, folder.path()).await;
    done.expect("the first part is true");
    let without = tokio::task::spawn_blocking(move || page_without_async(&url, &token));
    let done = without.await.expect("no panic");
    done.expect("the part without async is true");
    let done = page_again(Contree::new(server.client())).await;
    done.expect("the last part is true");
}
