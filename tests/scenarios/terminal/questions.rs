//! Questions that commands ask, and hints that only a person gets.

use contree_e2e::{Contree, Key, Server, Settings};

use crate::session;

#[test]
fn privileged_auth_asks_for_the_token_and_does_not_show_it() {
    let server = Server::start(Settings::default());
    let contree = Contree::stranger();
    let auth = ["auth", "--type", "jwt", "--url", server.url()];
    let mut terminal = contree.terminal(&auth);
    terminal.shows("Token for");
    terminal.hides_typing(true);
    terminal.type_text(&server.token());
    terminal.press(Key::Enter);
    assert_eq!(terminal.ended(), 0);
    terminal.shows("Saved profile 'default'");
    assert!(!terminal.printed().contains(&server.token()));
    contree.line("auth list").succeeds().shows("ok");

    // Asked again, it asks before it forgets the one there is.
    for (answer, code) in [("n", 1), ("y", 0)] {
        let mut terminal = contree.terminal(&[&auth[..], &["--token", &server.token()]].concat());
        terminal.shows("[y/N]");
        terminal.type_line(answer);
        assert_eq!(terminal.ended(), code, "{answer}");
    }
    // Ctrl-C is an answer too.
    let mut terminal = contree.terminal(&auth);
    terminal.shows("? [y/N]");
    terminal.press(Key::Ctrl('c'));
    assert_ne!(terminal.ended(), 0);
    contree.line("auth list").succeeds().shows("ok");
}

#[tokio::test]
async fn privileged_deletions_are_asked_about() {
    let (_server, contree) = session().await;
    let mut terminal = contree.terminal(&["session", "delete", "test"]);
    terminal.shows("test");
    terminal.type_line("n");
    assert_eq!(terminal.ended(), 1);
    contree.line("session").succeeds();
    let mut terminal = contree.terminal(&["session", "delete", "test"]);
    terminal.shows("test");
    terminal.type_line("y");
    assert_eq!(terminal.ended(), 0);
    contree.line("session").ends_with(1);

    let mut terminal = contree.terminal(&["auth", "remove", "default"]);
    terminal.shows("Forget profile 'default' and its sessions? [y/N]");
    terminal.type_line("y");
    assert_eq!(terminal.ended(), 0);
    contree.line("ps").ends_with(1).complains("contree auth");
}

#[tokio::test]
async fn privileged_imports_ask_for_the_password() {
    let (_server, contree) = session().await;
    let mut terminal = contree.terminal(&[
        "images",
        "import",
        "--username",
        "somebody",
        "127.0.0.1:1/a/b:c",
    ]);
    terminal.shows("Registry password of somebody:");
    terminal.hides_typing(true);
    terminal.type_line("secret");
    // Nobody listens there, and no such registry is allowed.
    assert_eq!(terminal.ended(), 1);
    assert!(!terminal.printed().contains("secret"));
}

#[tokio::test]
async fn privileged_a_new_session_comes_with_a_hint_on_a_terminal() {
    let (_server, contree) = session().await;
    let mut terminal = contree.terminal(&["use", "-N", "tiny:latest"]);
    assert_eq!(terminal.ended(), 0);
    terminal.shows("export CONTREE_SESSION=");
    terminal.shows("eval $(contree use -N IMAGE)");
    let piped = contree.line("use -N tiny:latest").succeeds();
    assert!(!piped.stderr.contains("eval"), "{piped:?}");
}
