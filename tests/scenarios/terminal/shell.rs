//! `contree shell`: lines, the prompt, and what the shell does by itself.

use contree_e2e::terminal::cursor_row;
use contree_e2e::{Contree, Key};

use super::{enter, shell, types};
use crate::session;

#[tokio::test]
async fn privileged_shell_runs_lines_and_says_how_they_ended() {
    let (_server, contree) = session().await;
    let mut terminal = shell(&contree);
    terminal.shows("session: test [1] image: ");

    enter(&mut terminal, "echo hello | cat; echo $((6 * 7)) > /answer");
    terminal.shows("\nhello");
    terminal.cursor_row_is("(main) / $");
    terminal.shows("session: test [2] image: ");
    enter(&mut terminal, "cat /answer; exit 3");
    terminal.cursor_row_is("(main) / [3] $");
    terminal.shows("\n42");
    // It stays until another command has run.
    terminal.press(Key::Enter);
    terminal.cursor_row_is("(main) / [3] $");

    enter(&mut terminal, "no-such-program");
    terminal.cursor_row_is("(main) / [127] $");
    enter(&mut terminal, "contree cat /none");
    terminal.cursor_row_is("(main) / [1] $");
    terminal.shows("error: could not read /none");
    enter(&mut terminal, "contree no-such-command");
    terminal.cursor_row_is("(main) / [2] $");
    enter(&mut terminal, "contree images --help");
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "contree shell");
    terminal.cursor_row_is("(main) / [1] $");
    terminal.shows("cannot be run within the shell");
    enter(&mut terminal, "contree cat /answer | wc -l");
    terminal.cursor_row_is("(main) / [1] $");
    terminal.shows("cannot be piped");

    enter(&mut terminal, "exit 4");
    assert_eq!(terminal.ended(), 4);
    contree.line("cat /answer").succeeds().shows("42");
    contree
        .line("session show")
        .succeeds()
        .shows("cat /answer; exit 3");
}

#[tokio::test]
async fn privileged_shell_shows_where_the_session_is() {
    let (_server, contree) = session().await;
    contree.line("env WHO=somebody").succeeds();
    let mut terminal = shell(&contree);
    enter(
        &mut terminal,
        "mkdir -p /srv/app && echo text > /srv/app/file",
    );
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "cd /srv");
    terminal.cursor_row_is("(main) /srv $");
    enter(&mut terminal, "cd app");
    terminal.cursor_row_is("(main) /srv/app $");
    enter(&mut terminal, "pwd; echo for $WHO");
    terminal.shows("\n/srv/app\nfor somebody");
    enter(&mut terminal, "cd -");
    terminal.cursor_row_is("(main) /srv $");
    enter(&mut terminal, "cd none");
    terminal.cursor_row_is("(main) /srv [1] $");
    terminal.shows("cd: /srv/none: no such directory");
    // Looked up in the image, without a run.
    let runs = contree.line("ps -a").succeeds().stdout.lines().count();
    enter(&mut terminal, "cat app/file");
    terminal.shows("\ntext");
    enter(&mut terminal, "ls");
    terminal.cursor_row_is("(main) /srv $");
    assert_eq!(
        contree.line("ps -a").succeeds().stdout.lines().count(),
        runs
    );
    // With an option it is run.
    enter(&mut terminal, "ls -a");
    terminal.cursor_row_is("(main) /srv $");
    let more = contree.line("ps -a").succeeds().stdout.lines().count();
    assert_eq!(more, runs + 1);

    enter(&mut terminal, "contree session branch side");
    terminal.cursor_row_is("(main) /srv $");
    enter(&mut terminal, "contree session checkout side");
    terminal.cursor_row_is("(side) /srv $");
    enter(&mut terminal, "cd");
    terminal.cursor_row_is("(side) / $");
    enter(&mut terminal, "contree session rollback");
    terminal.cursor_row_is("(side) /srv $");
    // A session of its own from here on; the line to be pasted elsewhere is not shown.
    enter(&mut terminal, "contree use -N tiny:latest");
    terminal.cursor_row_is("(main) / $");
    assert!(!terminal.screen_text().contains("export CONTREE_SESSION"));
    enter(&mut terminal, "touch /new");
    terminal.cursor_row_is("(main) / $");
    terminal.press(Key::Ctrl('d'));
    assert_eq!(terminal.ended(), 0);
    contree.line("session").succeeds().shows("side");
    contree.line("cat /new").ends_with(1);
}

#[tokio::test]
async fn privileged_shell_edits_lines_and_remembers_them() {
    let (_server, contree) = session().await;
    let mut terminal = shell(&contree);
    types(&mut terminal, "echo onr");
    terminal.press(Key::Backspace);
    types(&mut terminal, "e two");
    terminal.press(Key::Home);
    terminal.press(Key::Ctrl('d'));
    terminal.cursor_row_is("(main) / $ cho one two");
    terminal.type_text("e");
    terminal.cursor_row_is("(main) / $ echo one two");
    terminal.press(Key::Enter);
    terminal.shows("\none two");
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "echo first");
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "history ONE");
    terminal.shows("     1  echo one two");
    terminal.cursor_row_is("(main) / $");
    terminal.press(Key::Ctrl('d'));
    assert_eq!(terminal.ended(), 0);

    let mut terminal = shell(&contree);
    terminal.press(Key::Up);
    terminal.cursor_row_is("(main) / $ history ONE");
    terminal.press(Key::Up);
    terminal.cursor_row_is("(main) / $ echo first");
    terminal.press(Key::Ctrl('c'));
    terminal.cursor_row_is("(main) / $");
    terminal.press(Key::Ctrl('r'));
    terminal.type_text("two");
    terminal.shows("echo one two");
    terminal.press(Key::Enter);
    terminal.wait_for("the echo", |screen| {
        screen.contents().contains("\none two\n")
    });
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "help timeout");
    terminal.shows("timeout DURATION COMMAND");
    enter(&mut terminal, "clear");
    terminal.wait_for("nothing else", |screen| {
        !screen.contents().contains("DURATION") && cursor_row(screen) == "(main) / $"
    });
}

#[tokio::test]
async fn privileged_shell_lines_go_on_until_they_are_whole() {
    let (_server, contree) = session().await;
    let mut terminal = shell(&contree);
    enter(&mut terminal, "echo 'one");
    enter(&mut terminal, "two'");
    terminal.shows("\none\ntwo");
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "echo fo\\");
    enter(&mut terminal, "ur");
    terminal.shows("\nfour");
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "cat <<END > /file");
    enter(&mut terminal, "it's $((2 + 3))");
    enter(&mut terminal, "END");
    terminal.cursor_row_is("(main) / $");
    contree.line("cat /file").succeeds().shows("it's 5");
    // Ctrl-C gives a line up that is open.
    enter(&mut terminal, "echo \"never");
    types(&mut terminal, "ends");
    terminal.press(Key::Ctrl('c'));
    terminal.cursor_row_is("(main) / $");
    // All rows of a line are one line of the history.
    terminal.press(Key::Up);
    terminal.cursor_row_is("END");
}

#[tokio::test]
async fn privileged_shell_prints_in_the_format_that_was_chosen() {
    let (_server, contree) = session().await;
    let mut terminal = shell(&contree);
    enter(&mut terminal, "-o");
    terminal.shows("\ndefault");
    enter(&mut terminal, "--format json");
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "contree session branch");
    terminal.shows("\"branch\":");
    enter(&mut terminal, "contree -o csv session branch");
    terminal.shows("branch,");
    enter(&mut terminal, "-o nonsense");
    terminal.cursor_row_is("(main) / [1] $");
    enter(&mut terminal, "-o default");
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "echo plain");
    terminal.shows("\nplain");
}

#[tokio::test]
async fn privileged_shell_prompt_is_never_spoilt_by_output() {
    let (_server, contree) = session().await;
    let mut terminal = shell(&contree);
    enter(&mut terminal, "printf unfinished");
    terminal.shows("\nunfinished");
    terminal.cursor_row_is("(main) / $");
    enter(
        &mut terminal,
        "printf '\\033[?25l\\033[31m\\033[?1049hhidden'",
    );
    terminal.cursor_row_is("(main) / $");
    terminal.wait_for("a cursor on the ordinary screen", |screen| {
        !screen.hide_cursor() && !screen.alternate_screen()
    });
    // What was on the screen before.
    terminal.shows("\nunfinished");
    types(&mut terminal, "x");
    let screen = terminal.screen();
    let (row, column) = screen.cursor_position();
    let cell = screen.cell(row, column - 1).expect("a cell");
    assert_eq!(cell.contents(), "x");
    assert_eq!(cell.fgcolor(), contree_e2e::terminal::Color::Default);
}

#[tokio::test]
async fn privileged_shell_follows_the_size_of_the_terminal() {
    let (_server, contree) = session().await;
    let mut terminal = shell(&contree);
    types(&mut terminal, "echo some words that take their room");
    terminal.resize(24, 40);
    // The editor draws the line anew, in two rows.
    terminal.wait_for("the line in two rows", |screen| {
        screen
            .contents()
            .contains("(main) / $ echo some words that take the")
            && cursor_row(screen) == "ir room"
    });
    terminal.press(Key::Enter);
    terminal.shows("\nsome words that take their room");
}

#[tokio::test]
async fn privileged_shell_has_no_colours_when_none_are_wanted() {
    let (_server, contree) = session().await;
    let coloured = shell(&contree);
    assert!(coloured.printed().contains("\x1b[35m(main) \x1b[0m"));
    let mut command = contree.command(&["shell"]);
    command.env("NO_COLOR", "1");
    let plain = contree_e2e::Terminal::start(command);
    plain.cursor_row_is("(main) / $");
    assert!(!plain.printed().contains("\x1b[35m"), "{}", plain.printed());
}

#[tokio::test]
async fn privileged_shell_outlives_its_server() {
    let (mut server, contree) = session().await;
    let mut terminal = shell(&contree);
    let url = server.url().to_owned();
    server.stop();
    enter(&mut terminal, "echo nobody");
    terminal.shows("error: ");
    terminal.cursor_row_is("(main) / [1] $");
    server.start_again();
    assert_ne!(server.url(), url, "each start has a port of its own");
    contree.log_in(&server);
    enter(&mut terminal, "echo again | cat");
    terminal.shows("\nagain");
    terminal.cursor_row_is("(main) / $");
    // A token that is not valid is refused, and no more than that.
    enter(&mut terminal, "contree --token nonsense images");
    terminal.cursor_row_is("(main) / [1] $");
    enter(&mut terminal, "echo still here");
    terminal.shows("\nstill here");
}

#[tokio::test]
async fn privileged_shell_runs_scripts() {
    let (_server, contree) = session().await;
    let script = "\
# A comment
cd /tmp
echo 'two
rows' > file
cat <<END >> file
more
END
contree cat file
cat
false
";
    let output = contree.run_with_stdin(&["shell"], Some(script.as_bytes()));
    let output = output.ends_with(1);
    assert_eq!(output.stdout, "two\nrows\nmore\n");
    assert!(!output.stderr.contains("session: "), "{output:?}");
    let output = contree.run_with_stdin(&["sh"], Some(b"pwd\nexit 9\necho no"));
    assert_eq!(output.ends_with(9).stdout, "/tmp\n");
    let output = contree.run_with_stdin(&["shell"], Some(b"echo a |"));
    output.ends_with(2);
    let output = contree.run_with_stdin(&["shell"], Some(b"echo 'open"));
    output.ends_with(1).complains("within a quote");
    let stranger = Contree::stranger();
    let output = stranger.run_with_stdin(&["shell"], Some(b"echo"));
    output.ends_with(1).complains("contree auth");
}

#[tokio::test]
async fn privileged_shell_edits_files_of_the_image() {
    use std::os::unix::fs::PermissionsExt as _;

    let (_server, contree) = session().await;
    let tools = tempfile::tempdir().expect("a folder");
    let vim = tools.path().join("vim");
    std::fs::write(&vim, "#!/bin/sh\necho edited > \"$1\"\n").expect("an editor");
    std::fs::set_permissions(&vim, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = contree.command(&["shell"]);
    command.env("PATH", format!("{}:{path}", tools.path().display()));
    let mut terminal = contree_e2e::Terminal::start(command);
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "vim etc/motd");
    terminal.shows("Pending: /etc/motd");
    terminal.cursor_row_is("(main) / $");
    // What waits is not in the image yet, so this is run, and the file goes along.
    enter(&mut terminal, "cat /etc/motd");
    terminal.shows("\nedited");
    terminal.cursor_row_is("(main) / $");
    contree.line("cat /etc/motd").succeeds().shows("edited");
    enter(&mut terminal, "vim");
    terminal.cursor_row_is("(main) / [1] $");
}

#[tokio::test]
async fn privileged_shell_passes_its_options_on() {
    let (_server, contree) = session().await;
    let options = ["-S", "other", "-o", "json", "shell"];
    let mut terminal = contree.terminal(&options);
    terminal.cursor_row_is("/ $");
    terminal.shows("image: none");
    enter(&mut terminal, "true");
    terminal.shows("No active session");
    terminal.cursor_row_is("/ [1] $");
    enter(&mut terminal, "contree use tiny:latest");
    terminal.cursor_row_is("(main) / $");
    enter(&mut terminal, "contree session");
    terminal.shows("\"session_key\": \"other\"");
    // For one command only.
    enter(&mut terminal, "contree -S test -o csv session");
    terminal.shows("\ntest,main,");
    terminal.shows("session: other [1]");
}
