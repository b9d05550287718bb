//! Progress: drawn on a terminal while something takes a while, and gone when it is done.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Contree, Server, Settings};

use crate::session;

#[tokio::test]
async fn privileged_imports_show_what_they_are_at() {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    let contree = Contree::new(&server);
    let tar = tiny.tar().display().to_string();
    let mut terminal = contree.terminal(&["images", "import", &format!("{tar}?tag=tiny:latest")]);
    assert_eq!(terminal.ended(), 0);
    terminal.shows("tiny:latest");
    // It was drawn over itself, and nothing of it is left.
    let printed = terminal.printed();
    assert!(printed.contains("tiny.tar"), "{printed:?}");
    let frames = [
        '⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏', '⠁', '⠂', '⠄',
    ];
    assert!(printed.contains(frames), "{printed:?}");
    let screen = terminal.screen_text();
    assert!(!screen.contains(frames), "{screen}");
}

#[tokio::test]
async fn privileged_downloads_leave_a_clean_screen() {
    let (_server, contree) = session().await;
    contree
        .run(&["run", "-s", "head -c 30000000 /dev/zero > /large"])
        .succeeds();
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("large").display().to_string();
    let mut terminal = contree.terminal(&["cp", "/large", &target]);
    assert_eq!(terminal.ended(), 0);
    let screen = terminal.screen_text();
    assert!(!screen.contains('━'), "{screen}");
    let size = std::fs::metadata(&target).expect("the file").len();
    assert_eq!(size, 30_000_000);
    // Into a pipe nothing is drawn at all.
    let again = contree.run(&["cp", "/large", &target]).succeeds();
    assert!(!again.stderr.contains('\x1b'), "{again:?}");
}
