//! Saving tokens, and finding them again.

use std::os::unix::fs::PermissionsExt as _;

use crate::fake::Fake;
use crate::home::Home;

#[test]
fn a_token_is_checked_then_saved_for_the_user_alone() {
    let (fake, home) = (Fake::start(), Home::empty());
    let url = fake.url();
    home.contree(&["auth", "-u", &url, "--token", "wrong"])
        .code(1)
        .says("nothing was saved");
    assert!(!home.folder.path().join("auth.ini").exists());

    // From a pipe, as from a password manager.
    home.contree_with(&["auth", "-u", &format!("{url}/")], b"secret\n")
        .code(0)
        .says("Saved");
    let path = home.folder.path().join("auth.ini");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        format!(
            "[DEFAULT]\nprofile = default\n\n[profile:default]\nurl = {url}\ntoken = secret\ntype = jwt\n"
        )
    );
    let listed = home.rows(&["auth", "list"]);
    assert_eq!(listed[0]["status"], "ok");
    assert_eq!(listed[0]["token_sha256"], "2bb80d537b1da3e3", "{listed:?}");
    assert_eq!(
        home.rows(&["auth", "list", "-O"])[0]["status"],
        "offline mode"
    );

    // Nobody can be asked whether to overwrite it.
    home.contree(&["auth", "-u", &url, "--token", "secret"])
        .code(1)
        .says("--force");
    home.contree(&["auth", "-u", &url, "--token", "secret", "-f"])
        .code(0);
    // Answers may come from a pipe, and the token after them.
    home.contree_with(&["auth", "-u", &url], b"y\nsecret\n")
        .code(0)
        .says("Overwrite? [y/N]");
}

#[test]
fn a_project_makes_it_iam() {
    let (fake, home) = (Fake::start(), Home::empty());
    let url = fake.url();
    let auth = |name: &str, more: &[&str]| {
        let args = ["auth", "-p", name, "-u", &url, "--token", "secret"];
        home.command(env!("CARGO_BIN_EXE_contree"), &[&args, more].concat())
    };
    let ended =
        |command: &mut std::process::Command| crate::home::Ended::of(command.spawn().unwrap());
    ended(&mut auth("typed", &["-P", "it"])).code(0);
    ended(auth("set", &[]).env("NEBIUS_AI_PROJECT", "it")).code(0);
    // Where only tokens count, the environment's project is of something else.
    ended(auth("own", &["--type", "jwt"]).env("CONTREE_PROJECT", "it")).code(0);
    ended(&mut auth("both", &["--type", "jwt", "-P", "it"])).code(0);
    ended(&mut auth("none", &["--type", "iam"]))
        .code(1)
        .says("--project ID");
    home.contree_with(
        &["auth", "-p", "asked", "--type", "iam", "-u", &url],
        b"secret\nit\n",
    )
    .code(0)
    .says("Project ID:");
    let rows = home.rows(&["auth", "list", "-O"]);
    let told: Vec<_> = rows
        .iter()
        .map(|row| ["name", "type", "project"].map(|field| row[field].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ["typed", "iam", "it"],
            ["set", "iam", "it"],
            ["own", "jwt", ""],
            ["both", "jwt", "it"],
            ["asked", "iam", "it"],
        ]
    );
}

#[test]
fn profiles_are_switched_and_removed_and_comments_stay() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let path = home.folder.path().join("auth.ini");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("# mine\n{text}; end\n")).unwrap();
    home.contree(&["auth", "-p", "work", "-u", &fake.url(), "--token", "secret"])
        .code(0)
        .says("it was 'default'   (contree auth switch default)");
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("# mine\n[DEFAULT]\nprofile = work\n")
    );
    home.contree(&["auth", "switch", "nobody"])
        .code(1)
        .says("contree auth list");
    home.contree(&["auth", "switch", "default"]).code(0);

    home.contree(&["-p", "work", "use", "base:latest"]).code(0);
    let database = home.folder.path().join("cli/sessions/work.db");
    assert!(database.exists());
    home.contree(&["auth", "remove", "work"])
        .code(1)
        .says("--force");
    home.contree(&["auth", "remove", "work", "-y"]).code(0);
    assert!(!database.exists());
    assert!(!std::fs::read_to_string(&path).unwrap().contains("work"));
    home.contree(&[
        "auth",
        "-p",
        "../evil",
        "-u",
        &fake.url(),
        "--token",
        "secret",
    ])
    .code(1);
}

#[test]
fn without_a_profile_the_environment_will_do() {
    let (fake, home) = (Fake::start(), Home::empty());
    home.contree(&["images"])
        .code(1)
        .says("Profile 'default' does not exist. Run `contree auth` first.");
    let run = |args: &[&str]| {
        let mut command = home.command(env!("CARGO_BIN_EXE_contree"), args);
        command
            .env("CONTREE_URL", fake.url())
            .env("CONTREE_TOKEN", "secret");
        crate::home::Ended::of(command.spawn().unwrap())
    };
    run(&["use", "base:latest"]).code(0);
    assert_eq!(run(&["run", "echo", "hi"]).code(0).stdout, "hi\n");
    assert!(
        home.folder
            .path()
            .join("cli/sessions/environment.db")
            .exists()
    );
    // Asked for by name, nothing else will do.
    run(&["-p", "work", "images"])
        .code(1)
        .says("Profile 'work' does not exist");
    // A saved one is stronger.
    let home = Home::of(&fake);
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["images"]);
    command
        .env("CONTREE_URL", "http://127.0.0.1:1")
        .env("CONTREE_TOKEN", "x");
    crate::home::Ended::of(command.spawn().unwrap()).code(0);
}

#[test]
fn fields_of_a_profile_can_be_overridden() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["--token", "wrong", "images"])
        .code(1)
        .says("no such token")
        .says("contree auth");
    home.contree(&["-u", "http://127.0.0.1:1", "images"])
        .code(1)
        .says("could not connect to http://127.0.0.1:1")
        .says("contree serve");
    home.contree(&["-u", "not a url", "images"])
        .code(1)
        .says("not an http or https URL");
}

#[test]
fn settings_come_from_cli_ini() {
    let fake = Fake::start();
    let home = Home::of(&fake);
    let ini = home.folder.path().join("cli.ini");
    std::fs::write(&ini, "[cli]\noutput_format = csv\nlog_level = error\n").unwrap();
    let listed = home.contree(&["images"]).code(0);
    assert!(
        listed
            .stdout
            .starts_with("uuid,tag,created_at,operation_uuid"),
        "{listed:?}"
    );
    let tagged = home.contree(&["tag", crate::fake::BASE, "a:b"]).code(0);
    assert_eq!(tagged.stderr, "", "notes are below errors");
    // Which profile and session, too; the command line is stronger.
    std::fs::write(&ini, "[cli]\nprofile = work\nsession_key = here\n").unwrap();
    home.contree(&["images"])
        .code(1)
        .says("Profile 'work' does not exist");
    home.contree(&["-p", "default", "use", "base:latest"])
        .code(0);
    let rows = home.rows(&["-p", "default", "session", "list"]);
    assert_eq!(rows[0]["session_key"], "here");
    home.contree(&["-p", "default", "-S", "other", "use"])
        .code(1);
    // With a profile file elsewhere the home's settings stay.
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("auth.ini");
    std::fs::copy(home.folder.path().join("auth.ini"), &moved).unwrap();
    let moved = moved.to_str().unwrap();
    std::fs::write(&ini, "[cli]\noutput_format = csv\n").unwrap();
    let listed = home.contree(&["-c", moved, "images"]).code(0);
    assert!(listed.stdout.starts_with("uuid,tag"), "{listed:?}");
    std::fs::write(&ini, "[cli]\noutput_format = morse\n").unwrap();
    home.contree(&["images"])
        .code(1)
        .says("'morse' is no value of output_format");
    home.contree(&["-o", "tsv", "images"]).code(0);
}

#[test]
fn what_old_versions_left_is_found() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let home = Home::of(&fake);
    let old = folder.path().join("contree-cli");
    std::fs::create_dir(&old).unwrap();
    let auth = home.folder.path().join("auth.ini");
    std::fs::rename(&auth, old.join("config.ini")).unwrap();
    let new = folder.path().join("contree");
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["use", "base:latest"]);
    let command = command
        .env_remove("CONTREE_HOME")
        .env("XDG_CONFIG_HOME", folder.path());
    crate::home::Ended::of(command.spawn().unwrap())
        .code(0)
        .says("Moved ");
    assert!(!old.exists());
    let mode = std::fs::metadata(new.join("auth.ini"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert!(new.join("cli/sessions/default.db").exists());
}
