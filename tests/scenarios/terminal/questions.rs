//! Questions that commands ask.

use contree_e2e::{Contree, Key, Server, Settings};

#[test]
fn privileged_auth_asks_for_the_token_and_does_not_show_it() {
    let server = Server::start(Settings::default());
    let contree = Contree::stranger();
    let mut terminal = contree.terminal(&["auth", "--type", "jwt", "--url", server.url()]);
    terminal.shows("Token for");
    terminal.hides_typing(true);
    terminal.type_text(&server.token());
    terminal.press(Key::Enter);
    assert_eq!(terminal.ended(), 0);
    terminal.shows("Saved profile 'default'");
    assert!(!terminal.printed().contains(&server.token()));
    contree.line("auth list").succeeds().shows("ok");
}
