//! Runs: what may be asked for, and what comes of it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::raw::Raw;
use crate::runs::{exit_code, plain, stdout};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A server with the tiny image, tagged `base`.
async fn start() -> (Server, Raw, String) {
    let server = Server::start(Settings::default());
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    (server, raw, image)
}

#[tokio::test]
async fn privileged_a_run_is_shown_with_every_default() {
    let (_server, raw, base) = start().await;
    let answer = raw
        .post(
            "/v1/instances",
            &json!({"command": "true", "image": "tag:base"}),
        )
        .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let mut shown = answer.json();
    let uuid = shown["uuid"].as_str().expect("a uuid").to_owned();
    assert_eq!(answer.headers["location"], format!("/v1/operations/{uuid}"));
    let mut expected = json!({
        "uuid": uuid, "command": "true", "image": base, "disposable": false,
        "hostname": "linuxkit", "args": [], "shell": false, "env": {}, "preserve_env": false,
        "preserve_cwd": false, "cwd": "", "uid": 0, "gid": 0,
        "resources_limits": {"max_layer_bytes": 12_884_901_888_u64},
        "networking": {"enabled": true},
        "stdin": {"value": "", "encoding": "ascii", "close": true},
        "timeout": 600, "truncate_output_at": 1_048_576, "files": {}, "result": null,
    });
    assert_eq!(shown, expected);

    // The operation has the same for metadata, and then its result.
    let operation = raw.ended(&uuid).await;
    let mut metadata = operation["metadata"].clone();
    assert!(metadata["result"].is_object(), "{operation}");
    for object in [&mut shown, &mut expected, &mut metadata] {
        let object = object.as_object_mut().expect("an object");
        object.remove("uuid");
        object.remove("result");
    }
    assert_eq!(metadata, expected);
    // Nothing changed, so there is no new image.
    assert_eq!(operation["result"], json!({"image": base, "tag": null}));
    assert_eq!(operation["image_size"], 0);

    // What is asked for is shown as it was asked for; what is not known is not looked at.
    let request = json!({
        "command": "printenv", "args": ["A"], "image": base, "hostname": "some-host_1.x",
        "env": {"A": "1", "B": null, "C": "", "MY_TOKEN": "s3cret"}, "cwd": "/made/here",
        "uid": 65_535, "gid": 1, "timeout": 3_600, "truncate_output_at": 0, "disposable": true,
        "stdin": {"value": "aGk=", "encoding": "base64", "truncated": false},
        "networking": {}, "resources_limits": {}, "unknown": {"key": 1},
    });
    let operation = raw.run(request.clone()).await;
    for key in [
        "args",
        "hostname",
        "env",
        "cwd",
        "uid",
        "gid",
        "timeout",
        "truncate_output_at",
    ] {
        assert_eq!(operation["metadata"][key], request[key], "{key}");
    }
    assert_eq!(operation["metadata"]["stdin"]["value"], "aGk=");
    assert_eq!(operation["result"], json!({"image": null, "tag": null}));
    assert_eq!(operation["image_size"], Value::Null);
    let result = &operation["metadata"]["result"];
    assert_eq!(
        result["stdout"],
        json!({"value": "", "encoding": "ascii", "truncated": true})
    );
    // Secrets are masked in the log, and in the log only.
    let log = raw
        .events(operation["uuid"].as_str().expect("a uuid"), "")
        .await;
    let spawn = log
        .iter()
        .find(|frame| frame.kind == "spawn")
        .expect("it was started");
    assert_eq!(
        spawn.data()["env"],
        json!({"A": "1", "C": "", "MY_TOKEN": "<MASKED>", "PATH": PATH})
    );
}

#[tokio::test]
async fn privileged_bounds_of_a_run() {
    let (_server, raw, base) = start().await;
    let long = "x".repeat(131_072);
    let many: Vec<String> = (0..30).map(|_| "x".repeat(100_000)).collect();
    let mut crowd = serde_json::Map::new();
    for number in 0..10_001 {
        crowd.insert(format!("/{number}"), json!({"uuid": base}));
    }
    for (key, value) in [
        ("command", json!("a\u{0}b")),
        ("args", json!([long])),
        ("args", json!(many)),
        ("env", json!({"": "x"})),
        ("env", json!({"A=B": "x"})),
        ("env", json!({"A": long})),
        ("cwd", json!("relative")),
        ("cwd", json!(format!("/{}", "x".repeat(4_096)))),
        ("uid", json!(65_536)),
        ("uid", json!(-1)),
        ("gid", json!(4_294_967_295_u32)),
        ("hostname", json!("")),
        ("hostname", json!("with space")),
        ("hostname", json!("x".repeat(65))),
        ("timeout", json!(0)),
        ("timeout", json!(3_601)),
        ("truncate_output_at", json!(10_485_761)),
        ("truncate_output_at", json!(-1)),
        ("resources_limits", json!({"max_layer_bytes": 0})),
        ("stdin", json!({"value": "?", "encoding": "base64"})),
        ("stdin", json!({"encoding": "ascii"})),
        ("networking", json!({"enabled": "yes"})),
        ("files", json!({"/x": {"uuid": "no-uuid"}})),
        ("files", Value::Object(crowd)),
    ] {
        let mut request = json!({"command": "true", "image": base});
        request[key] = value;
        let sentence = raw.post("/v1/instances", &request).await.refused(400);
        assert!(sentence.contains(key), "{key}: {sentence}");
    }
    // The largest that are taken.
    let request = json!({
        "command": "true", "args": ["x".repeat(131_000)], "image": base, "cwd": "/",
        "hostname": "x".repeat(64), "uid": 65_535, "gid": 65_535, "timeout": 3_600,
        "truncate_output_at": 10_485_760,
    });
    assert_eq!(exit_code(&raw.run(request).await), 0);
}

#[tokio::test]
async fn privileged_what_a_command_finds() {
    let (_server, raw, base) = start().await;
    let made = raw
        .run(json!({
            "command": "mkdir -p /opt/bin && printf '#!/bin/sh\necho mine $# $1\n' > /opt/bin/tool \
                        && chmod 755 /opt/bin/tool",
            "image": base, "shell": true,
        }))
        .await;
    let image = made["result_image_uuid"].as_str().expect("an image");
    let run = async |more: Value| {
        let mut request = json!({"command": "tool", "image": image});
        for (key, value) in more.as_object().expect("keys") {
            request[key] = value.clone();
        }
        raw.run(request).await
    };
    // Programs are looked up in PATH, which is there in any case.
    let lost = run(json!({})).await;
    assert_eq!(lost["status"], "FAILED");
    assert_eq!(
        lost["error"],
        "spawn failed: exec tool: no such file or directory"
    );
    assert_eq!(lost.get("result"), None);
    let found = run(json!({"env": {"PATH": "/opt/bin:/bin"}, "args": ["a b", ""]})).await;
    assert_eq!(stdout(&found), "mine 2 a b\n");
    assert_eq!(
        stdout(&run(json!({"command": "printenv"})).await),
        format!("PATH={PATH}\n")
    );
    // A shell is the environment's, else /bin/sh.
    let line = "echo $0; echo \"$HOSTNAME_TEST\"; pwd; id -u; id -g; uname -n";
    let asked = json!({
        "command": line, "shell": true, "env": {"SHELL": "/usr/bin/dash", "HOSTNAME_TEST": "x y"},
        "cwd": "/new/folder", "uid": 1_000, "gid": 1_001, "hostname": "named",
    });
    let shell = run(asked).await;
    assert_eq!(
        stdout(&shell),
        "/usr/bin/dash\nx y\n/new/folder\n1000\n1001\nnamed\n"
    );
    let folder = shell["result_image_uuid"].as_str().expect("an image");
    assert_eq!(
        raw.sh(folder, "stat -c '%u %g' /new/folder").await,
        "1000 1001\n"
    );
    assert_eq!(
        stdout(&run(json!({"command": "echo $0", "shell": true})).await),
        "/bin/sh\n"
    );

    // Loopback is always there, an interface to the outside unless it is switched off.
    let interfaces = json!({"command": "cat", "args": ["/proc/net/dev"]});
    let on = run(interfaces.clone()).await;
    let log = raw.events(on["uuid"].as_str().expect("a uuid"), "").await;
    let network = log.iter().find(|frame| frame.kind == "network");
    assert_eq!(stdout(&on).contains("eth0:"), network.is_some());
    let mut without = interfaces;
    without["networking"] = json!({"enabled": false});
    let off = run(without).await;
    assert!(
        stdout(&off).contains("lo:") && !stdout(&off).contains("eth0:"),
        "{off}"
    );
    let log = raw.events(off["uuid"].as_str().expect("a uuid"), "").await;
    assert!(log.iter().all(|frame| frame.kind != "network"));
}

#[tokio::test]
async fn privileged_environment_and_folder_stay_with_an_image() {
    let (_server, raw, base) = start().await;
    let keep = async |image: &str, env: Value, more: Value| {
        let mut request = json!({"command": "true", "image": image, "env": env});
        for (key, value) in more.as_object().expect("keys") {
            request[key] = value.clone();
        }
        let operation = raw.run(request).await;
        assert_eq!(exit_code(&operation), 0, "{operation}");
        operation["result_image_uuid"].as_str().map(str::to_owned)
    };
    let preserve = json!({"preserve_env": true});
    let set = json!({"A": "1", "B": "2", "C": "3"});
    // No file changed, and still the image is another.
    let first = keep(&base, set.clone(), preserve.clone())
        .await
        .expect("an image");
    assert_ne!(first, base);
    // Applied without a shell too; the request wins.
    let shown = raw
        .run(json!({"command": "printenv", "args": ["A", "B"], "image": first, "env": {"B": "9"}}))
        .await;
    assert_eq!(stdout(&shown), "1\n9\n");
    // Not asked to be kept, it is not.
    assert_eq!(
        keep(&first, json!({"D": "4"}), json!({})).await.as_ref(),
        Some(&first)
    );
    assert_eq!(
        keep(&first, json!(null), preserve.clone()).await.as_ref(),
        Some(&first)
    );
    // `null` and the empty text remove, the rest is merged.
    let merged = keep(
        &first,
        json!({"A": null, "B": "", "D": "4"}),
        preserve.clone(),
    )
    .await;
    let merged = merged.expect("an image");
    assert_eq!(
        raw.sh(&merged, "echo ${A-no} ${B-no} $C $D").await,
        "no no 3 4\n"
    );
    // Disposable runs keep nothing.
    let gone = json!({"preserve_env": true, "preserve_cwd": true, "disposable": true});
    assert_eq!(keep(&first, json!({"E": "5"}), gone).await, None);

    let there = json!({"preserve_cwd": true, "cwd": "/var/tmp"});
    let moved = keep(&base, json!({}), there).await.expect("an image");
    assert_ne!(moved, base);
    assert_eq!(raw.sh(&moved, "pwd").await, "/var/tmp\n");
    let stays = keep(&moved, json!({}), json!({"preserve_cwd": true})).await;
    assert_eq!(stays.as_ref(), Some(&moved));
}

#[tokio::test]
async fn privileged_input_of_tens_of_megabytes() {
    let (_server, raw, base) = start().await;
    let mut text = String::new();
    for number in 0..4_000_000 {
        let _ = writeln!(text, "{number}");
    }
    assert!(text.len() > 30_000_000);
    let digest = |bytes: &[u8]| {
        let digest = Sha256::digest(bytes);
        digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    for stdin in [
        json!({"value": text, "encoding": "ascii"}),
        json!({"value": STANDARD.encode(&text), "encoding": "base64", "close": true}),
    ] {
        let request = json!({
            "command": "sha256sum", "image": base, "stdin": stdin, "disposable": true,
            "truncate_output_at": 1_000,
        });
        let answer = raw.post("/v1/instances", &request).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let operation = answer.json()["uuid"].as_str().expect("a uuid").to_owned();
        let log = raw.events(&operation, "?follow=1").await;
        let told: Vec<_> = log.iter().filter(|frame| frame.kind == "stdout").collect();
        let sum = plain(told[0].data());
        assert_eq!(
            sum.split(' ').next(),
            Some(digest(text.as_bytes()).as_str())
        );
        // Only what is recorded of it is capped.
        let cut: Vec<_> = log
            .iter()
            .filter(|frame| frame.kind == "truncated")
            .collect();
        assert_eq!(
            cut[0].data(),
            &json!({"stream": "stdin", "bytes_emitted": 1_000, "bytes_dropped": text.len() - 1_000})
        );
    }
    // Other text than ASCII means its UTF-8 bytes.
    let request = json!({
        "command": "cat", "image": base, "stdin": {"value": "é\n", "encoding": "ascii"},
    });
    let operation = raw.run(request).await;
    let expected =
        json!({"value": STANDARD.encode("é\n"), "encoding": "base64", "truncated": false});
    assert_eq!(operation["metadata"]["result"]["stdout"], expected);
}

#[tokio::test]
async fn privileged_files_are_put_in_place() {
    let (_server, raw, base) = start().await;
    let upload = async |content: &'static str| {
        let answer = raw.send(Method::POST, "/v1/files", content).await;
        answer.json()["uuid"].as_str().expect("a uuid").to_owned()
    };
    let script = upload("#!/bin/sh\necho run\n").await;
    let empty = upload("").await;
    let files = json!({
        "/opt/deep/tool": {"uuid": script, "mode": "4755", "uid": 7, "gid": 8},
        "bin/app": {"uuid": script, "mode": "0o100755"},
        "/etc/passwd": {"uuid": empty, "mode": "100600"},
        "/plain": {"uuid": script},
    });
    let request = json!({
        "command": "app; stat -c '%a %u %g %s' /opt/deep/tool /bin/app /etc/passwd /plain",
        "image": base, "shell": true, "files": files, "cwd": "/var",
    });
    let operation = raw.run(request).await;
    assert_eq!(
        stdout(&operation),
        "run\n4755 7 8 19\n755 0 0 19\n600 0 0 0\n644 0 0 19\n"
    );
    // They are changes like any other, and the base has none of them.
    let image = operation["result_image_uuid"].as_str().expect("an image");
    assert_ne!(image, base);
    assert_eq!(raw.sh(image, "/opt/deep/tool").await, "run\n");
    raw.sh(&base, "test -s /etc/passwd && ! test -e /plain")
        .await;

    let unknown = "01890000-0000-7000-8000-000000000000";
    let ask = async |files: Value| {
        let request = json!({"command": "true", "image": base, "files": files});
        raw.post("/v1/instances", &request).await
    };
    let sentence = ask(json!({"/x": {"uuid": unknown}})).await.refused(404);
    assert!(sentence.starts_with("files[\"/x\"].uuid"), "{sentence}");
    for dest in ["", "/", "/a/", "/a/../b", ".", "/."] {
        let sentence = ask(json!({dest: {"uuid": script}})).await.refused(400);
        assert!(sentence.starts_with("files["), "{dest}: {sentence}");
    }
    for mode in ["", "rw-r--r--", "0o", "9", "1000000"] {
        let sentence = ask(json!({"/x": {"uuid": script, "mode": mode}})).await;
        let sentence = sentence.refused(400);
        assert!(
            sentence.starts_with("files[\"/x\"].mode"),
            "{mode}: {sentence}"
        );
    }
    for (key, value) in [
        ("uid", json!(65_536)),
        ("gid", json!(-1)),
        ("mode", json!(420)),
    ] {
        let mut file = json!({"uuid": script});
        file[key] = value;
        let sentence = ask(json!({"/x": file})).await.refused(400);
        assert!(
            sentence.contains("files") && sentence.contains(key),
            "{key}: {sentence}"
        );
    }
    let twice = json!({"/a": {"uuid": script}, "a": {"uuid": empty}});
    let sentence = ask(twice).await.refused(400);
    assert!(sentence.contains("same destination"), "{sentence}");
}

#[tokio::test]
async fn privileged_a_run_that_writes_too_much_is_ended() {
    let (server, raw, base) = start().await;
    let request = json!({
        "command": "dd", "args": ["if=/dev/zero", "of=/endless", "bs=1M"], "image": base,
        "resources_limits": {"max_layer_bytes": 8_388_608},
    });
    let operation = raw.run(request).await;
    assert_eq!(operation["status"], "FAILED");
    assert_eq!(
        operation["error"],
        "the run wrote more than max_layer_bytes (8388608 bytes)"
    );
    assert_eq!(operation["result_image_uuid"], Value::Null);
    assert_eq!(operation.get("result"), None);
    let uppers = std::fs::read_dir(server.data_dir().join("store/uppers"));
    assert_eq!(uppers.expect("the store").count(), 0);
}
