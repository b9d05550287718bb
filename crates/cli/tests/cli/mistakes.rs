//! What goes wrong most often: what failed, why, and the next command, held to a golden file.
//! `UPDATE_GOLDEN=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use crate::fake::{BASE, Fake};
use crate::home::Home;

#[test]
fn golden_mistakes() {
    let fake = Fake::start();
    let mut text = String::new();
    let mut tell = |about: &str, home: &Home, args: &[&str]| {
        let ended = home.contree(args).code(1);
        let folder = home.folder.path().display().to_string();
        let said = ended
            .stderr
            .replace(&folder, "HOME")
            .replace(&fake.url(), "SERVER");
        let line = args.join(" ").replace(&fake.url(), "SERVER");
        let _ = write!(text, "# {about}\n$ contree {line}\n{said}\n");
    };
    let none = Home::empty();
    tell("no profile", &none, &["images"]);
    let home = Home::of(&fake);
    tell("no session", &home, &["run", "true"]);
    tell("no session to show", &home, &["session"]);
    tell("unknown profile", &home, &["-p", "work", "images"]);
    tell(
        "a token that is none",
        &home,
        &["--token", "wrong", "images"],
    );
    tell(
        "no server there",
        &home,
        &["-u", "http://127.0.0.1:1", "ps"],
    );
    tell("an address that is none", &home, &["-u", "server:1", "ps"]);
    tell("unknown tag", &home, &["use", "none:such"]);
    tell("a tag that is none", &home, &["use", "tag:a b"]);
    home.contree(&["use", BASE]).code(0);
    tell("unknown operation", &home, &["show", BASE]);
    tell("no such step", &home, &["show", "@99"]);
    tell("a step without an operation", &home, &["show", "@1"]);
    tell("unknown branch", &home, &["session", "checkout", "none"]);
    tell("unknown session", &home, &["session", "use", "none"]);
    tell("too far back", &home, &["session", "rollback", "-5"]);
    tell("no such folder in the image", &home, &["cd", "/none"]);
    tell("no such file in the image", &home, &["cat", "/none"]);
    tell("no such file here", &home, &["file", "cp", "none", "/a"]);
    tell(
        "a file to attach that is not there",
        &home,
        &["run", "-F", "none", "true"],
    );
    tell(
        "no such archive",
        &home,
        &["images", "import", "./none.tar"],
    );
    std::fs::write(
        home.folder.path().join("cli.ini"),
        "[cli]\nlog_level = loud\n",
    )
    .unwrap();
    tell("a setting that is none", &home, &["images"]);

    let unreadable = Home::empty();
    std::fs::create_dir(unreadable.folder.path().join("auth.ini")).unwrap();
    tell("profiles that cannot be read", &unreadable, &["images"]);
    let corrupt = Home::of(&fake);
    let sessions = corrupt.folder.path().join("cli/sessions");
    std::fs::create_dir_all(&sessions).unwrap();
    std::fs::write(sessions.join("default.db"), vec![b'x'; 8_192]).unwrap();
    tell("a session database that is none", &corrupt, &["session"]);

    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/mistakes.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(text == expected, "what is said has changed:\n{text}");
}
