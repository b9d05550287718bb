//! Images: lists, tags, imports, and looks inside.

use std::io::Write as _;

use serde_json::json;

use crate::fake::{BASE, Fake};
use crate::home::{Ended, Home};
use crate::interrupt;

#[test]
fn lists() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let listed = home.contree(&["images"]).code(0);
    assert_eq!(
        listed.stdout,
        format!(
            "UUID  TAG  CREATED_AT  OPERATION_UUID\n{BASE}  base:latest  2026-06-08 20:00:00  \n"
        )
    );
    home.contree(&[
        "images",
        "--prefix=my-app",
        "-a",
        "--since",
        "2025-04-01",
        "--until",
        "1d",
    ])
    .code(0);
    let asked = fake.requests().pop().unwrap();
    assert!(asked.starts_with("GET /images?limit=1000&offset=0&tag=my-app&since=2025-04-01T00%3A00%3A00%2B00%3A00&until="), "{asked}");
    home.contree(&["images", "list", "-i", BASE]).code(0);
    assert!(
        fake.requests()
            .pop()
            .unwrap()
            .contains(&format!("uuid={BASE}"))
    );
    home.contree(&["images", "-i", "nonsense"]).code(2);
    home.contree(&["images", "--limit", "0"]).code(2);
    home.contree(&["tag", BASE, "another"]).code(0);
    home.contree(&["images", "--limit", "1"])
        .code(0)
        .says("more than 1 images");
    let all = home.contree(&["images", "--limit", "2"]).code(0);
    assert_eq!(all.stderr, "", "these were all");
}

#[test]
fn prefixes_may_end_in_the_middle_and_options_stand_before_list() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    for tag in ["my-app:v1", "my-app", "my-application:v1"] {
        home.contree(&["tag", BASE, tag]).code(0);
    }
    let tags = |args: &[&str]| -> Vec<String> {
        let rows = home.rows(args);
        rows.iter()
            .map(|row| row["tag"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(tags(&["images", "--prefix", "my-app:"]), ["my-app:v1"]);
    assert_eq!(
        tags(&["images", "--prefix", "my-app:", "ls"]),
        ["my-app:v1"]
    );
    assert_eq!(
        tags(&[
            "images",
            "--prefix",
            "my",
            "ls",
            "--prefix",
            "my-application"
        ]),
        ["my-application:v1"]
    );
    home.contree(&["images", "-a", "import", "x"])
        .code(1)
        .says("do not go with import");
}

#[test]
fn tags() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    home.contree(&["tag", "my-app:v1"]).code(0).says("Tagged");
    assert_eq!(fake.tag_of("my-app:v1").as_deref(), Some(BASE));
    home.contree(&["tag", "tag:base:latest", "tag:other"])
        .code(0);
    assert_eq!(fake.tag_of("other").as_deref(), Some(BASE));
    for (flag, tag) in [("-d", "a"), ("-U", "b"), ("--delete", "c"), ("--rm", "d")] {
        home.contree(&["tag", BASE, tag]).code(0);
        home.contree(&["tag", flag, BASE, tag]).code(0);
        assert_eq!(fake.tag_of(tag), None);
    }
    // The tag alone says which image.
    home.contree(&["tag", "-d", "other"]).code(0);
    home.contree(&["tag", "-d", "other"])
        .code(1)
        .says("no image has this tag");
    home.contree(&["tag", "my..app"])
        .code(1)
        .says("is not a tag");
    home.contree(&["tag", "a", "b", "c"]).code(2);
    home.contree(&["tag"]).code(2);
}

#[test]
fn imports_run_at_once_and_fail_alone() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let args = [
        "-o",
        "json",
        "images",
        "import",
        "-t",
        "600",
        "ubuntu:{22.04,24.04}",
        "quay.io/x/broken",
    ];
    let ended = home
        .contree(&args)
        .code(1)
        .says("no such repository")
        .says("fetching layer 1/1");
    let mut rows = ended.rows();
    rows.sort_by_key(|row| row["tag"].as_str().unwrap().to_owned());
    let tags: Vec<_> = rows
        .iter()
        .map(|row| (&row["tag"], &row["status"]))
        .collect();
    assert_eq!(
        tags,
        [
            (&json!("ubuntu:22.04"), &json!("SUCCESS")),
            (&json!("ubuntu:24.04"), &json!("SUCCESS")),
            (&json!("x/broken"), &json!("FAILED")),
        ]
    );
    assert_eq!(
        rows[0]["registry_url"],
        "docker://docker.io/library/ubuntu:22.04"
    );
    assert_eq!(rows[0]["metadata"]["tag"], "ubuntu:22.04");
    assert_eq!(rows[0]["result"]["image"], rows[0]["image"]);
    assert_eq!(fake.bodies()[0]["timeout"], 600);
    assert!(fake.bodies()[0]["registry"].get("credentials").is_none());
    home.contree(&["images", "import", "a", "b", "--tag", "t"])
        .code(1)
        .says("?tag=");
    home.contree(&["images", "import", "UPPER@x", "--tag", "a..b"])
        .code(1);
    assert_eq!(fake.bodies().len(), 3, "nothing was started");
}

#[test]
fn passwords_are_sent_and_never_shown() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let args = [
        "images",
        "import",
        "--username=me",
        "--password=se-cret",
        "h.example/x:1",
    ];
    let ended = home
        .contree(&[&["-L", "debug", "-o", "json"], &args[..]].concat())
        .code(0);
    assert!(
        !ended.stdout.contains("se-cret") && !ended.stderr.contains("se-cret"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("Bearer"), "{ended:?}");
    let sent = &fake.bodies()[0]["registry"]["credentials"];
    assert_eq!(*sent, json!({"username": "me", "password": "se-cret"}));
    home.contree(&["images", "import", "--password=x", "a"])
        .code(2);
}

#[test]
fn archives_are_uploaded_once() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let path = home.folder.path().join("rootfs.tar.zst");
    std::fs::File::create(&path)
        .unwrap()
        .write_all(b"not really")
        .unwrap();
    for _ in 0..2 {
        home.contree(&[
            "images",
            "import",
            "./rootfs.tar.zst",
            "--username=x",
            "--password=y",
        ])
        .code(0);
    }
    assert_eq!(fake.uploads(), [b"not really"]);
    let uploads = fake
        .requests()
        .iter()
        .filter(|line| *line == "POST /files")
        .count();
    assert_eq!(uploads, 1);
    let body = &fake.bodies()[0];
    assert!(
        body["registry"]["url"]
            .as_str()
            .unwrap()
            .starts_with("upload:"),
        "{body}"
    );
    assert!(
        body["registry"].get("credentials").is_none(),
        "an archive has no registry"
    );
    assert!(fake.tag_of("rootfs").is_some());
    home.contree(&["images", "import", "rootfs.tar.zst?tag=my:own"])
        .code(0);
    assert!(fake.tag_of("my:own").is_some());
    home.contree(&["images", "import", "./missing.tar"])
        .code(1)
        .says("there is no file");
    home.contree(&["images", "import", "./"])
        .code(1)
        .says("tar -C");
}

#[test]
fn ctrl_c_cancels_every_import() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let child = home.start(
        &["images", "import", "slow/a", "slow/b"],
        std::process::Stdio::null(),
    );
    while fake
        .requests()
        .iter()
        .filter(|line| line.contains("/events"))
        .count()
        < 2
    {
        std::thread::yield_now();
    }
    interrupt(&child);
    Ended::of(child)
        .code(1)
        .says("Cancelled operation")
        .says("User interrupted");
    let cancelled = fake
        .requests()
        .iter()
        .filter(|line| line.starts_with("DELETE /operations/"))
        .count();
    assert_eq!(cancelled, 2);
}

#[test]
fn looks_inside() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    assert_eq!(
        home.contree(&["ls", "/srv"]).code(0).stdout,
        "-rw-r--r-- 1 root root 2 data\n"
    );
    let row = &home.rows(&["ls", "srv/../srv"])[0];
    assert_eq!(
        (&row["path"], &row["mode"], &row["type"]),
        (&json!("data"), &json!("100644"), &json!("-"))
    );
    home.contree(&["ls", "/none"])
        .code(1)
        .says("could not list /none: no such path in the image");
    let output = home
        .command(env!("CARGO_BIN_EXE_contree"), &["cat", "srv/data"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"\xff\x00");
    home.contree(&["cat", "/srv"])
        .code(1)
        .says("/srv is a folder");
    // Bytes that are no text stay off the screen.
    let shown = home.on_a_terminal(&["cat", "/srv/data"]).code(1);
    assert!(shown.stdout.contains("is not text"), "{shown:?}");
}

#[test]
fn imports_are_of_this_machine() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let import = ["images", "import", "slow/a"];
    let child = home.start(&import, std::process::Stdio::null());
    fake.wait_for_request("/events");
    home.contree(&["-S", "another", "kill", "--all"])
        .code(0)
        .says("Cancelled operation");
    Ended::of(child).code(1).says("CANCELLED");
}
