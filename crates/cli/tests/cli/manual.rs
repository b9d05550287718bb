//! Help and manual pages of every command.

use std::process::Command;

use crate::home::Home;

/// All commands, as `docs/cli.md` has them.
fn commands() -> Vec<String> {
    let text = include_str!("../../../../docs/cli.md");
    let names = text.lines().filter_map(|line| line.strip_prefix("## "));
    names.map(ToOwned::to_owned).collect()
}

#[test]
fn every_command_has_a_manual_page_that_man_can_read() {
    let home = Home::empty();
    let folder = home.folder.path().join("man/man1");
    home.contree(&["manual", folder.to_str().unwrap()])
        .code(0)
        .says("Wrote");
    let mut expected: Vec<String> = commands()
        .iter()
        .map(|name| format!("{}.1", name.replace(' ', "-")))
        .collect();
    let mut pages: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    expected.sort();
    pages.sort();
    assert_eq!(pages, expected);
    let run = std::fs::read_to_string(folder.join("contree-run.1")).unwrap();
    assert!(
        run.contains(".SH EXAMPLES") && !run.contains("log\\-level"),
        "{run}"
    );
    let root = std::fs::read_to_string(folder.join("contree.1")).unwrap();
    assert!(root.contains("log\\-level"), "{root}");

    // Formatted with all warnings on, where there is a formatter.
    for page in pages {
        let mut groff = Command::new("groff");
        groff
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(folder.join(&page));
        let Ok(ended) = groff.output() else { return };
        assert!(
            ended.status.success() && ended.stderr.is_empty(),
            "{page}: {ended:?}"
        );
    }
}

#[test]
fn every_command_has_examples() {
    let text = include_str!("../../../../docs/cli.md");
    for section in text.split("\n## ").skip(1) {
        let (name, help) = section.split_once('\n').unwrap();
        assert!(
            help.contains("\nExamples:\n  "),
            "{name} --help has no examples"
        );
    }
}

#[test]
fn short_help_is_short_and_mistyped_commands_are_guessed() {
    let home = Home::empty();
    let short = home.contree(&["run", "-h"]).code(0).stdout;
    let long = home.contree(&["run", "--help"]).code(0).stdout;
    assert!(short.lines().count() < long.lines().count());
    assert_eq!(home.contree(&["help", "run"]).code(0).stdout, long);
    assert_eq!(
        home.contree(&["help", "session", "branch"]).code(0).stdout,
        home.contree(&["session", "branch", "--help"])
            .code(0)
            .stdout
    );
    home.contree(&["help", "sessoin"]).code(2).says("'session'");
    home.contree(&["sessoin"]).code(2).says("'session'");
    home.contree(&["images", "--prefixx", "a"])
        .code(2)
        .says("'--prefix'");
}
