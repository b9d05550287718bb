//! `operation`: wait and events; what `--all` means.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::fake::Fake;
use crate::home::{Ended, Home};
use crate::interrupt;

fn session() -> (Fake, Home) {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    (fake, home)
}

fn detached(home: &Home, command: &[&str]) -> String {
    let rows = home.rows(&[&["run", "-d", "-H", "later"], command].concat());
    rows[0]["uuid"].as_str().unwrap().to_owned()
}

fn field<'a>(rows: &'a [Value], name: &str) -> Vec<&'a Value> {
    rows.iter().map(|row| &row[name]).collect()
}

#[test]
fn operation_has_the_short_commands_and_their_aliases() {
    let (_fake, home) = session();
    let id = detached(&home, &["sleep"]);
    for list in ["list", "ls"] {
        let listed = home.contree(&["operation", list, "-q"]).code(0);
        assert_eq!(listed.stdout, format!("{id}\n"));
    }
    for show in ["show", "sh"] {
        assert_eq!(home.rows(&["op", show, "2"])[0]["status"], "EXECUTING");
    }
    home.contree(&["op", "k", &id]).code(0).says("Cancelled");
    home.contree(&["op", "kill", &id]).code(1).says("has ended");
    home.contree(&["op", "cancel", "--all"]).code(0);
    home.contree(&["op"]).code(2);
    for nothing in [
        &["op", "wait"][..],
        &["op", "wait", ""],
        &["kill"],
        &["kill", " "],
    ] {
        home.contree(nothing).code(1).says("or use --all");
    }
    home.contree(&["op", "events"]).code(2);
    for one in [
        ["op", "wait"],
        ["op", "events"],
        ["op", "show"],
        ["op", "k"],
    ] {
        home.contree(&[&one[..], &["-1", "@0", "x"]].concat())
            .code(1)
            .says("-1 (not a UUID, @N, @-N, HEAD~N or history id)")
            .says("@0 (N is a number from 1)")
            .says("x (not a UUID");
    }
}

#[test]
fn wait_prints_a_row_per_end_and_ends_with_the_worst_code() {
    let (fake, home) = session();
    let fine = detached(&home, &["echo", "x"]);
    let three = detached(&home, &["exit", "3"]);
    let rows = home.rows(&["op", "wait", &fine, &fine]);
    assert_eq!(rows.len(), 1, "each once");
    assert_eq!(
        (&rows[0]["status"], &rows[0]["timed_out"]),
        (&json!("SUCCESS"), &json!(false))
    );
    assert_eq!(rows[0]["metadata"]["command"], "echo");
    // Several in one word, as `$(contree ps -q)` gives them.
    let both = format!("{fine} {three}");
    let ended = home.contree(&["-o", "json", "op", "w", &both]).code(3);
    assert_eq!(ended.rows().len(), 2);
    assert_eq!(field(&ended.rows(), "exit_code").len(), 2);
    let failed = detached(&home, &["nothing"]);
    home.contree(&["op", "wait", &failed]).code(1);
    let killed = detached(&home, &["late"]);
    home.contree(&["op", "wait", &killed]).code(255);
    home.contree(&["op", "wait", crate::fake::BASE])
        .code(1)
        .says("no such operation");

    // One that goes on.
    let id = detached(&home, &["sleep"]);
    let late = home
        .contree(&["-o", "json", "op", "wait", "-t", "1", &id, &fine])
        .code(1)
        .says("Timeout: 1 operation(s) did not finish in 1s");
    assert_eq!(
        field(&late.rows(), "timed_out"),
        [&json!(false), &json!(true)]
    );
    let child = home.start(&["-o", "json", "op", "wait", &id], Stdio::null());
    fake.wait_for_request(&format!("{id}/events?follow=1&spid=0"));
    home.contree(&["kill", &id]).code(0);
    let ended = Ended::of(child).code(1);
    assert_eq!(ended.rows()[0]["status"], "CANCELLED");
    assert!(
        !fake
            .requests()
            .iter()
            .any(|request| request.contains("inflight")),
        "nothing was asked for that nobody sees"
    );
}

#[test]
fn ctrl_c_ends_the_waiting_not_the_operation() {
    let (fake, home) = session();
    let id = detached(&home, &["sleep"]);
    for command in [vec!["op", "wait"], vec!["op", "events", "--follow"]] {
        let seen = fake.requests().len();
        let child = home.start(&[&command[..], &[&id]].concat(), Stdio::null());
        while !fake.requests()[seen..]
            .iter()
            .any(|r| r.contains("follow=1"))
        {
            std::thread::yield_now();
        }
        interrupt(&child);
        Ended::of(child).code(1).says("User interrupted");
    }
    assert_eq!(home.rows(&["show", &id])[0]["status"], "EXECUTING");
}

#[test]
fn all_is_what_was_started_from_here_unless_more_is_asked_for() {
    let (fake, home) = session();
    let other = Home::of(&fake);
    other.contree(&["use", "base:latest"]).code(0);
    let theirs = detached(&other, &["sleep"]);
    home.contree(&["op", "wait", "--all"])
        .code(0)
        .says("No active operations")
        .says("--whole-project");
    let ours = detached(&home, &["sleep"]);
    // One that is waited for in another terminal is of this machine too.
    let child = home.start(
        &["-S", "second", "run", "--use", "base:latest", "sleep"],
        Stdio::null(),
    );
    fake.wait_for_request("events?follow=1");
    home.contree(&["kill", "--all"])
        .code(0)
        .says("1 active operation of the project not started from here left alone");
    Ended::of(child).code(1);
    assert_eq!(home.rows(&["show", &ours])[0]["status"], "CANCELLED");
    assert_eq!(other.rows(&["show", &theirs])[0]["status"], "EXECUTING");
    home.contree(&["kill", "--whole-project"]).code(2);
    home.contree(&["kill", "-a", "--whole-project"]).code(0);
    assert_eq!(other.rows(&["show", &theirs])[0]["status"], "CANCELLED");
}

#[test]
fn events_are_listed_filtered_followed_and_raw() {
    let (fake, home) = session();
    let id = detached(&home, &["both"]);
    let rows = home.rows(&["op", "events", &id]);
    assert_eq!(
        field(&rows, "type"),
        ["novelty", "spawn", "stdout", "stderr", "exit", "completion"]
    );
    assert_eq!(rows[0]["uuid"], id.as_str());
    assert_eq!(rows[0]["data"], json!({"of": "a later version"}));
    assert_eq!(rows[2]["data"]["value"], "out\n");
    assert!(rows[5].get("spid").is_none());
    let some = home.rows(&["op", "ev", "--spid", "1", "--since", "2", &id]);
    assert_eq!(field(&some, "type"), ["stderr", "exit"]);
    let raw = home.contree(&["op", "ev", "--raw", &id]).code(0).rows();
    assert!(raw[0].get("uuid").is_none());
    assert_eq!(raw[3]["data"]["value"], "err\n");
    let table = home.contree(&["op", "events", &id]).code(0).stdout;
    assert!(
        table.starts_with("UUID  ID  TS  TYPE  SPID  DATA\n"),
        "{table}"
    );
    home.contree(&["op", "events", crate::fake::BASE, &id])
        .code(1)
        .says("no such operation");

    let id = detached(&home, &["sleep"]);
    // What there is so far, without waiting.
    assert_eq!(home.rows(&["op", "events", &id]).len(), 2);
    let mut child = home.start(&["op", "events", "--raw", "--follow", &id], Stdio::null());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("novelty"));
    assert!(lines.next().unwrap().unwrap().contains("spawn"));
    home.contree(&["kill", &id]).code(0);
    assert!(lines.next().unwrap().unwrap().contains("CANCELLED"));
    assert!(lines.next().is_none());
    Ended::of(child).code(0);
    drop(fake);
}

#[test]
fn raw_keeps_what_this_version_does_not_know() {
    let (_fake, home) = session();
    let id = detached(&home, &["echo", "x"]);
    assert_eq!(home.contree(&["show", &id]).code(0).stderr, "");
    let raw = home.contree(&["op", "show", "--raw", &id]).code(0);
    assert_eq!(raw.stdout.lines().count(), 1);
    assert_eq!(raw.rows()[0]["novelty"]["of"], "a later version");
}
