//! `contree agent`, beside contree-cli 0.9.4.

use crate::compat::peer;
use crate::home::{Ended, Home};

/// What contree-cli takes, and ours takes too.
const TOPICS: &[&str] = &[
    "all",
    "all_commands",
    "command",
    "command_safety",
    "core",
    "core_workflow",
    "execution",
    "execution_modes",
    "files",
    "files_and_directories",
    "images",
    "images_and_tags",
    "output",
    "output_formats",
    "profiles",
    "sessions",
];

#[test]
fn compat_0_9_4_topics_are_the_same() {
    let home = Home::empty();
    let program = peer().to_str().unwrap().to_owned();
    let theirs = |args: &[&str]| Ended::of(home.command(&program, args).spawn().unwrap());
    let fields = |ended: Ended, name: &str| {
        let rows = ended.code(0).rows();
        rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>()
    };
    for topic in TOPICS {
        let args = ["-o", "json", "agent", topic];
        let (ours, theirs) = (home.contree(&args).code(0), theirs(&args).code(0));
        let keys = |ended: &Ended| {
            let row = ended.rows().remove(0);
            let keys = row.as_object().unwrap().keys().cloned();
            keys.collect::<Vec<_>>()
        };
        assert_eq!(keys(&ours), keys(&theirs));
        if *topic != "all" {
            // The texts differ, what they are about does not.
            for name in [
                "command",
                "topic",
                "section",
                "section_index",
                "section_count",
            ] {
                assert_eq!(
                    ours.rows()
                        .iter()
                        .map(|row| row[name].clone())
                        .collect::<Vec<_>>(),
                    theirs
                        .rows()
                        .iter()
                        .map(|row| row[name].clone())
                        .collect::<Vec<_>>(),
                    "{topic}"
                );
            }
        }
    }
    // Ours has all of their sections, and more.
    let all = ["-o", "json", "man"];
    let ours = fields(home.contree(&all), "section");
    for section in fields(theirs(&all), "section") {
        assert!(ours.contains(&section), "{section}");
    }
    for wrong in [&["agent", "none"][..], &["agent", "Sessions"]] {
        theirs(wrong).code(2).says("sessions");
        home.contree(wrong).code(2).says("sessions");
    }
}

#[test]
fn the_manual_needs_no_profile_and_is_markdown() {
    let home = Home::empty();
    let manual = home.contree(&["agent"]).code(0).stdout;
    assert!(manual.starts_with("# The contree manual\n\n## Core workflow\n"));
    let sessions = home.contree(&["man", "sessions"]).code(0).stdout;
    assert!(manual.contains(sessions.split_once("## ").unwrap().1.trim_end()));
    for format in ["table", "csv", "tsv", "plain", "json-pretty", "toml"] {
        let rows = home.contree(&["-o", format, "agent", "images"]).code(0);
        assert!(rows.stdout.contains("Images and tags"), "{format}");
    }
    // Nothing was made in the home.
    assert_eq!(std::fs::read_dir(home.folder.path()).unwrap().count(), 0);
}

#[test]
fn terminals_get_the_manual_wrapped() {
    let home = Home::empty();
    let longest = |text: &str| {
        let prose = text.lines().filter(|line| !line.starts_with("    "));
        let prose = prose.filter(|line| !line.contains("\u{1b}[36m"));
        prose.map(|line| line.trim_end().chars().count()).max()
    };
    let program = env!("CARGO_BIN_EXE_contree");
    let wrapped = |choice: &str| {
        let mut command = home.command(program, &["agent", "sessions"]);
        command
            .env("CONTREE_WRAP_TEXT", choice)
            .env("COLUMNS", "40");
        Ended::of(command.spawn().unwrap()).code(0).stdout
    };
    assert!(longest(&wrapped("1")) <= Some(40), "{}", wrapped("1"));
    assert!(longest(&wrapped("0")) > Some(80));
    let shown = home.on_a_terminal(&["agent", "sessions"]).code(0).stdout;
    assert!(shown.contains("\u{1b}[1mSessions\u{1b}[0m"), "{shown}");
}
