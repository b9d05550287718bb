//! The event log of an operation, as it comes over the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::raw::{Raw, keys};
use crate::runs::{Frame, plain};

fn kinds(log: &[Frame]) -> Vec<&str> {
    log.iter().map(|frame| frame.kind.as_str()).collect()
}

fn of_kind<'a>(log: &'a [Frame], kind: &str) -> Vec<&'a Frame> {
    log.iter().filter(|frame| frame.kind == kind).collect()
}

/// `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`.
fn is_precise(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 30 && text.ends_with('Z') && text.as_bytes()[19] == b'.'
}

#[tokio::test]
async fn privileged_a_log_tells_everything_in_order() {
    let server = Server::start(Settings::default());
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let request = json!({
        "command": "cat; sleep 0.1; echo err >&2; yes | head -c 5000; exit 4", "image": image,
        "shell": true, "stdin": {"value": "héllo"}, "truncate_output_at": 1_000, "timeout": 77,
        "env": {"MY_API_KEY": "s3cret", "github_token": "s3cret", "PLAIN": "x"},
    });
    let operation = raw.spawn(request).await;
    let log = raw.events(&operation, "?follow=1").await;

    let service = ["stdin", "stdout", "stderr"];
    let order: Vec<_> = kinds(&log)
        .into_iter()
        .filter(|kind| !service.contains(kind))
        .collect();
    let networked = order.contains(&"network");
    let mut expected = vec![
        "init",
        "network",
        "spawn",
        "truncated",
        "exit",
        "shutdown",
        "completion",
    ];
    expected.retain(|kind| networked || *kind != "network");
    assert_eq!(order, expected);
    for stream in service {
        assert!(!of_kind(&log, stream).is_empty(), "{stream}");
    }
    let mut last = None;
    for frame in &log {
        assert!(last < Some(frame.id), "ids grow");
        last = Some(frame.id);
        assert!(is_precise(&frame.json["ts"]), "{frame:?}");
        let spid = match frame.kind.as_str() {
            "init" | "network" | "shutdown" => json!(0),
            "completion" => {
                assert_eq!(keys(&frame.json), ["data", "id", "ts", "type"]);
                continue;
            }
            _ => json!(1),
        };
        assert_eq!(frame.json["spid"], spid, "{frame:?}");
    }

    let init = log[0].data();
    assert_eq!(
        (&init["init_pid"], &init["verbose"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(init["hostname"], "linuxkit");
    assert!(is_precise(&init["started_at"]), "{init}");
    for text in ["runtime_path", "kernel", "machine", "boot_id"] {
        assert!(init[text].is_string(), "{text}: {init}");
    }
    if networked {
        let network = of_kind(&log, "network")[0].data();
        let interfaces = network["interfaces"].as_array().expect("a list");
        let names: Vec<_> = interfaces.iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, [json!("lo"), json!("eth0")]);
        for interface in interfaces {
            assert_eq!(
                keys(interface),
                [
                    "name",
                    "rx_bytes",
                    "rx_drop",
                    "rx_errs",
                    "rx_packets",
                    "tx_bytes",
                    "tx_drop",
                    "tx_errs",
                    "tx_packets",
                ]
            );
        }
        let configured = &network["configured"];
        assert!(
            configured["ip4"]
                .as_str()
                .is_some_and(|ip| ip.ends_with("/32")),
            "{network}"
        );
        assert!(configured["ip4_gw"].is_string(), "{network}");
    }
    let spawn = of_kind(&log, "spawn")[0].data();
    assert_eq!(
        keys(spawn),
        [
            "args",
            "command",
            "cwd",
            "env",
            "gid",
            "pid",
            "shell",
            "timeout",
            "truncate_at",
            "uid"
        ]
    );
    assert_eq!(
        (&spawn["command"], &spawn["args"][0]),
        (&json!("/bin/sh"), &json!("-c"))
    );
    assert_eq!(
        (&spawn["timeout"], &spawn["truncate_at"]),
        (&json!(77), &json!(1_000))
    );
    for (name, shown) in [
        ("MY_API_KEY", "<MASKED>"),
        ("github_token", "<MASKED>"),
        ("PLAIN", "x"),
    ] {
        assert_eq!(spawn["env"][name], shown);
    }
    // Plain text as it is, everything else in base64.
    let stdin = of_kind(&log, "stdin")[0].data();
    assert_eq!(
        stdin,
        &json!({"value": STANDARD.encode("héllo"), "encoding": "base64", "truncated": false})
    );
    assert_eq!(of_kind(&log, "stdout")[0].data()["encoding"], "base64");
    assert_eq!(plain(of_kind(&log, "stderr")[0].data()), "err\n");
    let cut = of_kind(&log, "truncated")[0].data();
    // "héllo" and 5,000 bytes, of which 1,000 are kept.
    assert_eq!(
        cut,
        &json!({"stream": "stdout", "bytes_emitted": 1_000, "bytes_dropped": 4_006})
    );
    let exit = of_kind(&log, "exit")[0].data();
    assert_eq!((&exit["code"], &exit["signal"]), (&json!(4), &json!(-1)));
    assert_eq!(
        (&exit["timed_out"], &exit["core_dump"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(exit["pid"], spawn["pid"]);
    assert!(exit["duration_ms"].as_u64() >= Some(100), "{exit}");
    let resources = exit["resources"].as_object().expect("an object");
    assert_eq!(resources.len(), 15);
    for real in ["max_rss_kb", "minor_faults", "voluntary_ctx_switches"] {
        assert!(resources[real].as_i64() > Some(0), "{real}: {exit}");
    }
    assert!(
        resources["user_time_us"].as_i64().unwrap_or(0)
            + resources["sys_time_us"].as_i64().unwrap_or(0)
            > 0
    );
    let shutdown = of_kind(&log, "shutdown")[0].data();
    assert_eq!(shutdown["reason"], "job_complete");
    assert!(is_precise(&shutdown["stopped_at"]), "{shutdown}");
    let completion = log.last().expect("an event").data();
    assert_eq!(
        completion,
        &json!({
            "status": "SUCCESS", "result_image_uuid": image, "error": null,
            "duration_ms": completion["duration_ms"], "image_size_bytes": 0,
        })
    );

    // The same from then on, with and without following it.
    for query in ["", "?follow=0", "?follow", "?follow=1"] {
        assert_eq!(raw.events(&operation, query).await, log, "{query}");
    }
    // From a place, of a process; the header counts more than the query.
    let after = |seen: u64| {
        log.iter()
            .filter(|frame| frame.id > seen)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(raw.events(&operation, "?since=2").await, after(2));
    assert_eq!(raw.events_after(&operation, "", 3).await, after(3));
    assert_eq!(
        raw.events_after(&operation, "?since=0&follow=1", 3).await,
        after(3)
    );
    let end = log.last().expect("an event").id;
    assert_eq!(raw.events(&operation, &format!("?since={end}")).await, []);
    for spid in [0, 1, 2] {
        let of_it: Vec<_> = log
            .iter()
            .filter(|frame| frame.json["spid"] == spid)
            .cloned()
            .collect();
        assert_eq!(
            raw.events(&operation, &format!("?spid={spid}")).await,
            of_it
        );
    }
    for bad in ["?since=x", "?spid=-1", "?follow=2", "?since=-1"] {
        let path = format!("/v1/operations/{operation}/events{bad}");
        raw.get(&path).await.refused(400);
    }
    let request = raw.request(Method::GET, &format!("/v1/operations/{operation}/events"));
    let answer = request
        .header("Last-Event-Id", "x")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn privileged_every_log_ends_with_completion() {
    let mut server = Server::start(Settings::with(&["--instance-max-concurrency", "1"]));
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let imports = raw.json("/v1/operations?kind=image_import").await;
    let import = imports[0]["uuid"].as_str().expect("a uuid");
    let log = raw.events(import, "").await;
    let told = kinds(&log);
    assert_eq!((told[0], told[told.len() - 1]), ("init", "completion"));
    assert_eq!(log.last().expect("an event").data()["status"], "SUCCESS");

    // One that cannot start.
    let failed = raw
        .run(json!({"command": "/no/such", "image": image}))
        .await;
    let log = raw
        .events(failed["uuid"].as_str().expect("a uuid"), "")
        .await;
    assert_eq!(kinds(&log), ["init", "shutdown", "completion"]);
    assert_eq!(log[1].data()["reason"], "spawn_failed");
    assert_eq!(
        log[2].data()["error"],
        "spawn failed: exec /no/such: no such file or directory"
    );

    // Following what waits for its turn holds the stream until the end.
    let sleep = |seconds: &str| json!({"command": "sleep", "args": [seconds], "image": image});
    let first = raw.spawn(sleep("600")).await;
    let waits = raw
        .spawn(json!({"command": "echo", "args": ["here"], "image": image}))
        .await;
    let doomed = raw.spawn(sleep("600")).await;
    let followed = tokio::join!(
        join_all((0..3).map(|_| raw.events(&waits, "?follow=1"))),
        raw.events(&doomed, "?follow=1"),
        async {
            assert_eq!(raw.events(&waits, "").await, []);
            for operation in [&doomed, &first] {
                let path = format!("/v1/operations/{operation}");
                assert_eq!(raw.delete(&path).await.status, StatusCode::ACCEPTED);
            }
        }
    );
    for log in &followed.0 {
        assert_eq!(kinds(log).last(), Some(&"completion"));
        assert_eq!(plain(of_kind(log, "stdout")[0].data()), "here\n");
    }
    assert_eq!(kinds(&followed.1), ["completion"]);
    assert_eq!(followed.1[0].data()["status"], "CANCELLED");
    let cut_short = raw.ended(&first).await;
    let log = raw
        .events(cut_short["uuid"].as_str().expect("a uuid"), "")
        .await;
    assert_eq!(of_kind(&log, "shutdown")[0].data()["reason"], "signal");

    // Also when the server dies in the middle.
    let running = raw
        .spawn(json!({"command": "echo up; sleep 600", "image": image, "shell": true}))
        .await;
    while of_kind(&raw.events(&running, "").await, "stdout").is_empty() {}
    let before = raw.events(&running, "").await;
    server.kill();
    server.start_again();
    let raw = Raw::new(&server);
    let log = raw.events(&running, "?follow=1").await;
    assert_eq!(log[..before.len()], before);
    let last = log.last().expect("an event");
    assert_eq!(
        (last.kind.as_str(), &last.data()["status"]),
        ("completion", &json!("FAILED"))
    );
    assert_eq!(log.len(), before.len() + 1);
}

#[tokio::test]
async fn privileged_a_full_log_keeps_what_is_not_output() {
    let server = Server::start(Settings::with(&["--event-log-cap", "200000"]));
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let request = json!({
        "command": "seq 100000; echo err >&2; exit 9", "image": image, "shell": true,
        "truncate_output_at": 10_485_760,
    });
    let operation = raw.run(request).await;
    let log = raw
        .events(operation["uuid"].as_str().expect("a uuid"), "")
        .await;
    let caps = of_kind(&log, "size_cap");
    assert_eq!(caps.len(), 1);
    assert_eq!(caps[0].data()["limit_bytes"], 200_000);
    assert!(
        caps[0].data()["file_size"].as_u64() >= Some(200_000),
        "{caps:?}"
    );
    assert_eq!(caps[0].json["spid"], 0);
    let after: Vec<_> = log
        .iter()
        .filter(|frame| frame.id > caps[0].id)
        .cloned()
        .collect();
    // Once for each stream that lost something, with what it lost.
    let mut ends = kinds(&after);
    ends.sort_unstable();
    assert_eq!(
        ends,
        ["completion", "exit", "shutdown", "truncated", "truncated"]
    );
    let whole: usize = (1..=100_000)
        .map(|number: u32| number.to_string().len() + 1)
        .sum();
    for cut in of_kind(&after, "truncated") {
        let cut = cut.data();
        let total =
            cut["bytes_emitted"].as_u64().unwrap_or(0) + cut["bytes_dropped"].as_u64().unwrap_or(0);
        let expected = if cut["stream"] == "stdout" { whole } else { 4 };
        assert_eq!(total, expected as u64, "{cut}");
    }
    assert_eq!(operation["metadata"]["result"]["state"]["exit_code"], 9);
    assert_eq!(operation["metadata"]["result"]["stdout"]["truncated"], true);
}
