//! The history of a session, drawn.

use contree_e2e::{Contree, Terminal};

use crate::session;

/// The rows of `session show` on a terminal so wide.
fn drawn(contree: &Contree, columns: u16) -> Vec<String> {
    let show = contree.command(&["session", "show"]);
    let mut terminal = Terminal::sized(show, 24, columns);
    assert_eq!(terminal.ended(), 0);
    terminal.shows("(HEAD -> main)");
    let screen = terminal.screen();
    let rows = screen.rows(0, columns).map(|row| row.trim_end().to_owned());
    rows.filter(|row| !row.is_empty()).collect()
}

#[tokio::test]
async fn privileged_history_is_drawn_with_branches_tags_and_exit_codes() {
    let (server, contree) = session().await;
    contree.run(&["run", "-s", "echo one > /file"]).succeeds();
    contree.line("tag work:done").succeeds();
    contree.line("session branch side").succeeds();
    contree.line("session checkout side").succeeds();
    contree.run(&["run", "-s", "rm /file; exit 3"]).ends_with(3);
    contree.line("session checkout main").succeeds();
    contree.line("cd /srv").ends_with(1);
    contree.line("cd /tmp").succeeds();
    contree
        .run(&["run", "-s", "printf '\\033[2J' > /made && echo make it so"])
        .succeeds();

    let rows = drawn(&contree, 90);
    assert_eq!(rows[0], "test · 5 steps, 2 branches");
    let ends: Vec<&str> = rows[1..]
        .iter()
        .map(|row| {
            row.split_once("ago")
                .map_or_else(|| row.split_once("now").unwrap().1, |(_, end)| end)
        })
        .collect();
    assert_eq!(
        ends,
        [
            "  ◆ use  tag:tiny:latest (tag: tiny:latest)",
            "  ● run  echo one > /file (tag: work:done)",
            "  ├─● run  rm /file; exit 3 exit 3 (side)",
            "  · cd   /tmp",
            "  ◉ run  printf '\\033[2J' > /made && echo make it so (HEAD -> main)",
        ]
    );
    // Narrow, and without the server: what is local is drawn.
    drop(server);
    let rows = drawn(&contree, 60);
    assert!(rows[5].ends_with("(HEAD -> main)"), "{rows:#?}");
    assert!(!rows.iter().any(|row| row.contains("tag: ")), "{rows:#?}");

    // Not on a terminal there is nothing to draw.
    let rows = contree.line("session show").succeeds().stdout;
    assert!(rows.starts_with("ID  IMAGE  PARENT_ID  KIND"), "{rows}");
}
