//! Looking into the session's image, and where the session is in it.

use serde_json::json;

use crate::fake::Fake;
use crate::home::Home;

/// A session that has begun.
fn session() -> (Fake, Home) {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    (fake, home)
}

#[test]
fn cd_moves_the_session_and_rolls_back() {
    let (fake, home) = session();
    let cwd = || home.contree(&["cd"]).code(0).stdout;
    assert_eq!(cwd(), "/\n");
    assert_eq!(home.contree(&["cd", "/srv"]).code(0).stdout, "");
    assert_eq!(cwd(), "/srv\n");
    // What looks into the image starts there.
    home.contree(&["ls"]).code(0);
    home.contree(&["ls", "../srv/./"]).code(0);
    home.contree(&["cat", "data"]).code(0);
    let asked = fake.requests();
    assert!(asked[asked.len() - 1].ends_with("/download?path=/srv/data"));
    assert!(asked[asked.len() - 2].ends_with("/list?path=/srv&text=1"));
    assert!(asked[asked.len() - 3].ends_with("/list?path=/srv&text=1"));
    // Runs too.
    home.contree(&["run", "echo"]).code(0);
    assert_eq!(fake.bodies().pop().unwrap()["cwd"], "/srv");

    home.contree(&["cd", "none"])
        .code(1)
        .says("cd: /srv/none: no such directory")
        .says("contree ls /srv");
    home.contree(&["cd", "data"])
        .code(1)
        .says("/srv/data is not a folder");
    assert_eq!(cwd(), "/srv\n");
    home.contree(&["cd", ".."]).code(0);
    assert_eq!(cwd(), "/\n");
    home.contree(&["session", "rollback"]).code(0);
    assert_eq!(cwd(), "/srv\n");
    let steps = home.rows(&["session", "show", "-a", "-k", "cd"]);
    assert_eq!(
        (steps.len(), &steps[0]["title"]),
        (2, &json!("/srv")),
        "{steps:?}"
    );
}

#[test]
fn cd_needs_a_session() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    assert_eq!(home.contree(&["cd"]).code(0).stdout, "/\n");
    home.contree(&["cd", "/srv"])
        .code(1)
        .says("No active session");
}

#[test]
fn env_is_set_for_every_run() {
    let (fake, home) = session();
    let none = "No session environment variables set.";
    assert_eq!(home.contree(&["env"]).code(0).stdout, format!("{none}\n"));
    let rows = home.contree(&["-o", "json", "env"]).code(0).says(none);
    assert_eq!(rows.stdout, "");
    home.contree(&["env", "B=x=y z", "A=", "C=3"])
        .code(0)
        .says("Set B=x=y z");
    home.contree(&["env", "C=4"]).code(0);
    assert_eq!(
        home.rows(&["env"]),
        [
            json!({"key": "A", "value": ""}),
            json!({"key": "B", "value": "x=y z"}),
            json!({"key": "C", "value": "4"}),
        ]
    );
    home.contree(&["run", "-e", "C=5", "echo"]).code(0);
    assert_eq!(
        fake.bodies().pop().unwrap()["env"],
        json!({"A": "", "B": "x=y z", "C": "5"})
    );
    home.contree(&["env", "-U", "A", "none"])
        .code(0)
        .says("Unset A");
    home.contree(&["env", "--rm", "C"]).code(0);
    assert_eq!(home.rows(&["env"]).len(), 1);
    // It is the session's, on whatever step it stands.
    assert_eq!(home.rows(&["-S", "second", "env"]).len(), 0);
}

#[test]
fn env_sets_all_or_nothing() {
    let (_fake, home) = session();
    home.contree(&["env", "A=1", "B"])
        .code(1)
        .says("'B' is no variable")
        .says("contree env B=VALUE");
    home.contree(&["env", "=1"]).code(1);
    home.contree(&["env", "-U"])
        .code(1)
        .says("contree env -U KEY");
    assert_eq!(home.rows(&["env"]).len(), 0);
}
