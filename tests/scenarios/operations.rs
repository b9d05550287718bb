//! Operations: what they tell of themselves, and calling them off at every moment.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::raw::{Raw, is_timestamp, keys};
use crate::runs::{plain, stdout};

const UNKNOWN: &str = "01890000-0000-7000-8000-000000000000";

#[tokio::test]
async fn privileged_what_a_run_came_to() {
    let server = Server::start(Settings::with(&["--cpu-price", "2"]));
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let work = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo out; echo err >&2; \
                seq 1000 > /numbers; exit 3";
    let operation = raw
        .run(json!({"command": work, "image": image, "shell": true}))
        .await;
    assert_eq!(
        keys(&operation),
        [
            "consumed_cpu",
            "consumed_memory",
            "created_at",
            "duration",
            "error",
            "image_size",
            "image_uuid",
            "kind",
            "metadata",
            "result",
            "result_image_uuid",
            "status",
            "uuid",
        ]
    );
    assert_eq!(operation["status"], "SUCCESS");
    assert_eq!(
        (&operation["kind"], &operation["error"]),
        (&json!("instance"), &Value::Null)
    );
    assert_eq!(operation["image_uuid"], image);
    assert_eq!(operation["result"]["image"], operation["result_image_uuid"]);
    assert!(is_timestamp(&operation["created_at"]), "{operation}");
    assert!(
        operation["image_size"].as_u64() > Some(3_000),
        "{operation}"
    );
    let result = &operation["metadata"]["result"];
    assert_eq!(keys(result), ["resources", "state", "stderr", "stdout"]);
    assert_eq!(stdout(&operation), "out\n");
    assert_eq!(plain(&result["stderr"]), "err\n");
    let state = result["state"].clone();
    assert!(state["pid"].as_i64() > Some(1), "{state}");
    assert_eq!(
        state,
        json!({
            "continued": false, "core_dump": false, "exit_code": 3, "pid": state["pid"],
            "signal": -1, "stopped": false, "timed_out": false,
        })
    );
    let used = &result["resources"];
    let number = |key: &str| {
        used[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key}: {used}"))
    };
    assert_eq!(
        keys(used),
        [
            "block_input",
            "block_output",
            "cost",
            "elapsed_time",
            "involuntary_switches",
            "max_rss",
            "monotonic_time",
            "page_faults",
            "page_faults_io",
            "shared_memory",
            "signals",
            "swaps",
            "system_cpu_time",
            "unshared_memory",
            "user_cpu_time",
            "voluntary_switches",
        ]
    );
    for real in [
        "elapsed_time",
        "monotonic_time",
        "max_rss",
        "page_faults",
        "user_cpu_time",
        "voluntary_switches",
    ] {
        assert!(number(real) > 0.0, "{real}: {used}");
    }
    let cpu = number("user_cpu_time") + number("system_cpu_time");
    assert!((operation["consumed_cpu"].as_f64().expect("seconds") - cpu).abs() < 1e-9);
    assert!((number("cost") - 2.0 * cpu).abs() < 1e-9, "{used}");
    assert_eq!(operation["consumed_memory"], used["max_rss"]);
    assert!(operation["duration"].as_f64() >= Some(number("elapsed_time") - 0.001));

    // A time limit, and a signal, are ways to end well.
    let late = raw
        .run(json!({"command": "sleep", "args": ["600"], "image": image, "timeout": 1}))
        .await;
    assert_eq!(late["status"], "SUCCESS");
    let state = &late["metadata"]["result"]["state"];
    assert_eq!(
        (&state["timed_out"], &state["signal"], &state["exit_code"]),
        (&json!(true), &json!(9), &json!(-1))
    );

    // An import tells of itself in the same shape.
    let import = raw.json("/v1/operations?kind=image_import").await[0].clone();
    let import = raw
        .json(&format!(
            "/v1/operations/{}",
            import["uuid"].as_str().expect("a uuid")
        ))
        .await;
    assert_eq!(keys(&import), keys(&operation));
    assert_eq!(import["result"], json!({"image": image, "tag": "base"}));
    assert_eq!(keys(&import["metadata"]), ["registry", "tag", "timeout"]);
    assert_eq!(keys(&import["metadata"]["registry"]), ["url"]);

    for path in [
        format!("/v1/operations/{UNKNOWN}"),
        format!("/v1/operations/{UNKNOWN}/events"),
    ] {
        assert!(raw.get(&path).await.refused(404).contains(UNKNOWN));
    }
    assert!(
        raw.get("/v1/operations/nonsense")
            .await
            .refused(400)
            .contains("operation")
    );
}

#[tokio::test]
async fn privileged_runs_are_cancelled_at_every_moment() {
    let server = Server::start(Settings::with(&["--instance-max-concurrency", "1"]));
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let line = "trap '' TERM INT; echo up; while true; do sleep 600; done";
    let asleep = json!({"command": line, "image": image, "shell": true});
    let running = raw.spawn(asleep.clone()).await;
    raw.reaches(&running, "EXECUTING").await;
    let queued = raw.spawn(asleep).await;
    let path = |operation: &str| format!("/v1/operations/{operation}");

    // What is known while they go on.
    let answer = raw.get(&path(&queued)).await;
    assert_eq!(answer.headers["retry-after"], "1");
    let shown = answer.json();
    assert_eq!(
        (&shown["status"], &shown["duration"]),
        (&json!("PENDING"), &json!(0.0))
    );
    assert_eq!(shown["metadata"]["result"], Value::Null);
    assert_eq!(shown.get("result"), None);
    let shown = loop {
        let shown = raw.json(&format!("{}?inflight=1", path(&running))).await;
        if shown["result"]["stdout"]["value"] == "up\n" {
            break shown;
        }
    };
    assert_eq!(plain(&shown["metadata"]["result"]["stdout"]), "up\n");
    let state = &shown["metadata"]["result"]["state"];
    assert_eq!(
        (&state["exit_code"], &state["signal"]),
        (&json!(-1), &json!(-1))
    );
    for quiet in ["", "?inflight=0"] {
        let shown = raw.json(&format!("{}{quiet}", path(&running))).await;
        assert_eq!(
            (shown.get("result"), &shown["metadata"]["result"]),
            (None, &Value::Null)
        );
    }
    raw.json(&format!("{}?inflight", path(&queued))).await;

    // Queued, then running; a second time is no fault.
    for operation in [&queued, &running] {
        let accepted = raw.delete(&path(operation)).await;
        assert_eq!(accepted.status, StatusCode::ACCEPTED);
        assert!(accepted.body.is_empty());
        let again = raw.delete(&path(operation)).await.status;
        assert!(again == StatusCode::ACCEPTED || again == StatusCode::CONFLICT);
        let ended = raw.ended(operation).await;
        assert_eq!(ended["status"], "CANCELLED");
        assert_eq!(ended["error"], "the operation was cancelled");
        assert_eq!(
            (ended.get("result"), &ended["result_image_uuid"]),
            (None, &Value::Null)
        );
        assert!(ended["duration"].is_f64());
        assert_eq!(
            raw.delete(&path(operation)).await.refused(409),
            "the operation has already ended"
        );
    }
    // The log is kept.
    let kinds: Vec<_> = raw
        .events(&queued, "")
        .await
        .into_iter()
        .map(|f| f.kind)
        .collect();
    assert_eq!(kinds, ["completion"]);
    assert_eq!(stdout(&raw.json(&path(&running)).await), "up\n");

    // Starting and committing are short: whatever is met, a cancellation that is accepted happens.
    for wait in 0..15 {
        let request = json!({"command": "echo x > /x", "image": image, "shell": true});
        let operation = raw.spawn(request).await;
        tokio::time::sleep(Duration::from_micros(wait * 700)).await;
        let cancelled = raw.delete(&path(&operation)).await.status;
        let status = raw.ended(&operation).await["status"].clone();
        let expected = if cancelled == StatusCode::ACCEPTED {
            "CANCELLED"
        } else {
            assert_eq!(cancelled, StatusCode::CONFLICT);
            "SUCCESS"
        };
        assert_eq!(status, expected);
    }
    assert!(
        raw.delete(&path(UNKNOWN))
            .await
            .refused(404)
            .contains(UNKNOWN)
    );
}

/// A registry that knows one image, and stops in the middle of an answer.
struct Stalling {
    address: String,
}

/// Where it stops.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Manifest,
    Layer,
}

impl Stalling {
    fn start(at: At) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a port").to_string();
        // Ends with the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                std::thread::spawn(move || serve(stream, at));
            }
        });
        Self { address }
    }
}

fn serve(mut stream: TcpStream, at: At) {
    let digest = |text: &str| format!("sha256:{}", sha256(text));
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest("a tar")]},
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(), "digest": digest(&config),
        },
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "size": 1_000_000, "digest": digest("a layer"),
        }],
    })
    .to_string();
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let text = String::from_utf8_lossy(&head);
        let path = text.split(' ').nth(1).unwrap_or_default();
        let (kind, body, stalls) = if path.contains("/manifests/") {
            let kind = "application/vnd.docker.distribution.manifest.v2+json";
            (kind, manifest.as_str(), at == At::Manifest)
        } else if path.ends_with(&digest(&config)) {
            ("application/octet-stream", config.as_str(), false)
        } else if path.contains("/blobs/") {
            ("application/octet-stream", "\u{1f}", true)
        } else {
            ("application/json", "{}", false)
        };
        let length = if stalls { 1_000_000 } else { body.len() };
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        let body = if text.starts_with("HEAD ") { "" } else { body };
        if stream
            .write_all(answer.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .is_err()
        {
            return;
        }
        // What stalls waits for the other side to hang up.
        if stalls && !text.starts_with("HEAD ") {
            let _ = stream.read(&mut [0]);
            return;
        }
    }
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn privileged_imports_are_cancelled_at_every_moment() {
    let (looking, fetching) = (Stalling::start(At::Manifest), Stalling::start(At::Layer));
    let server = Server::start(Settings::with(&[
        "--images-import-max-concurrency",
        "2",
        "--allow-registry",
        &looking.address,
        "--allow-registry",
        &fetching.address,
    ]));
    let raw = Raw::new(&server);
    let import = async |registry: &Stalling| {
        let request = json!({
            "registry": {
                "url": format!("docker://{}/some/image:1", registry.address),
                "credentials": {"username": "me", "password": "s3cret"},
            },
            "tag": "never",
        });
        let answer = raw.post("/v1/images/import", &request).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.json()["uuid"].as_str().expect("a uuid").to_owned()
    };
    let looks = import(&looking).await;
    let fetches = import(&fetching).await;
    let waits = import(&looking).await;
    for operation in [&looks, &fetches] {
        raw.reaches(operation, "EXECUTING").await;
    }
    // Until it has found the image and waits for the layer.
    let mut said = String::new();
    while !said.contains("found sha256:") {
        let log = raw.events(&fetches, "").await;
        assert!(
            log.iter().all(|frame| frame.kind != "completion"),
            "{log:?}"
        );
        said = log
            .iter()
            .filter(|frame| frame.kind == "stderr")
            .map(|frame| plain(frame.data()))
            .collect();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let shown = raw.json(&format!("/v1/operations/{waits}")).await;
    assert_eq!(shown["status"], "PENDING");
    assert_eq!(
        shown["metadata"]["registry"]["credentials"],
        json!({"username": "me", "password": "<MASKED>"})
    );
    for operation in [&waits, &looks, &fetches] {
        let path = format!("/v1/operations/{operation}");
        assert_eq!(raw.delete(&path).await.status, StatusCode::ACCEPTED);
        let ended = raw.ended(operation).await;
        assert_eq!(
            (&ended["status"], ended.get("result")),
            (&json!("CANCELLED"), None)
        );
        assert_eq!(ended["result_image_uuid"], Value::Null);
        raw.delete(&path).await.refused(409);
    }
    assert_eq!(raw.json("/v1/images").await["images"], json!([]));
    // Nothing half-fetched is left.
    let layers = std::fs::read_dir(server.data_dir().join("store/layers")).expect("the store");
    let names: Vec<_> = layers
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(names.iter().all(|name| name == "skeleton"), "{names:?}");
}
