//! Building again: nothing when nothing changed, and what changed from there on.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};

use super::Site;

const DOCKERFILE: &str = "\
ARG BASE=tiny
FROM $BASE AS build
ARG WHO=you
ENV MODE=fast
WORKDIR /srv
COPY a.txt b.txt ./
RUN cat a.txt b.txt > one
COPY dir dir
RUN echo $WHO $MODE > two
FROM $BASE
COPY --from=build /srv /srv
COPY --from=tiny /etc/passwd /passwd
RUN date > /last
";

/// The instructions that are carried out, in the order in which they can change.
const ALL: [&str; 7] = [
    "COPY a.txt b.txt ./",
    "RUN cat a.txt b.txt > one",
    "COPY dir dir",
    "RUN echo $WHO $MODE > two",
    "COPY --from=build /srv /srv",
    "COPY --from=tiny /etc/passwd /passwd",
    "RUN date > /last",
];

#[tokio::test]
async fn privileged_a_change_is_built_from_where_it_is() {
    let site = Site::new().await;
    let context = site.context(
        "again",
        &[
            ("Dockerfile", DOCKERFILE),
            (".dockerignore", "*.log\n"),
            ("a.txt", "a\n"),
            ("b.txt", "b\n"),
            ("dir/c.txt", "c\n"),
            ("dir/deep/d.txt", "d\n"),
        ],
    );
    let write = |name: &str, text: &str| super::write(&context.join(name), text);
    let mode = |name: &str, mode| {
        let permissions = Permissions::from_mode(mode);
        fs::set_permissions(context.join(name), permissions).expect("a mode");
    };
    let first = site.build(&context, &[]);
    assert_eq!(first.carried_out(), ALL);

    // Nothing changed, or nothing that counts.
    let same = |what: &str| {
        let again = site.build(&context, &[]);
        assert_eq!(again.carried_out(), [""; 0], "{what}");
        assert_eq!(again.image, first.image, "{what}");
    };
    same("nothing changed");
    for name in ["a.txt", "b.txt", "dir/c.txt", "dir", "Dockerfile"] {
        let file = File::open(context.join(name)).expect("a file");
        let moment = SystemTime::now() - Duration::from_secs(1_000_000);
        file.set_modified(moment).expect("a time");
    }
    same("only times changed");
    write("x.log", "ignored\n");
    same("a file that is ignored");
    write("unused.txt", "not copied\n");
    same("a file that nothing copies");
    write(
        "Dockerfile",
        &DOCKERFILE.replace("COPY dir", "# A comment.\nCOPY dir"),
    );
    same("a comment");
    write("Dockerfile", DOCKERFILE);
    write("a.txt", "A\n");
    write("a.txt", "a\n");
    same("changed and changed back");

    // Each change, and the first instruction that sees it.
    let changed = |what: &str, args: &[&str], from: usize| {
        let built = site.build(&context, args);
        assert_eq!(built.carried_out(), ALL[from..], "{what}");
        let again = site.build(&context, args);
        assert_eq!(again.carried_out(), [""; 0], "{what}, again");
    };
    write("a.txt", "changed\n");
    changed("a file", &[], 0);
    mode("b.txt", 0o755);
    changed("a file's mode", &[], 0);
    write("dir/deep/e.txt", "e\n");
    changed("a new file", &[], 2);
    fs::rename(context.join("dir/deep"), context.join("dir/other")).expect("a rename");
    changed("a folder's name", &[], 2);
    fs::remove_file(context.join("dir/other/e.txt")).expect("a file less");
    changed("a file less", &[], 2);
    changed("an argument", &["--build-arg", "WHO=me"], 1);
    write("Dockerfile", &DOCKERFILE.replace("MODE=fast", "MODE=slow"));
    changed("a variable", &[], 1);
    write(
        "Dockerfile",
        &DOCKERFILE.replace("/passwd /passwd", "/passwd /elsewhere"),
    );
    let moved = site.build(&context, &[]);
    assert_eq!(
        moved.carried_out(),
        [
            "COPY --from=tiny /etc/passwd /elsewhere",
            "RUN date > /last"
        ]
    );
    write("Dockerfile", DOCKERFILE);

    // Another image of the same name.
    let other = site
        .contree
        .run(&["run", "--use", "tag:tiny", "-s", "echo other > /other"]);
    other.succeeds();
    site.contree.line("tag tiny").succeeds();
    changed("the base", &[], 0);

    // Everything anew, and what came of it is what the next build finds.
    let anew = site.build(&context, &["--no-cache"]);
    assert_eq!(anew.carried_out(), ALL);
    let again = site.build(&context, &[]);
    assert_eq!((again.image, again.carried_out().len()), (anew.image, 0));
}

#[tokio::test]
async fn privileged_what_the_server_lost_is_built_again() {
    let mut site = Site::new().await;
    let dockerfile = "\
FROM tiny AS first
RUN echo one > /one
RUN echo two > /two
RUN echo three > /three
FROM scratch
COPY --from=first /one /two /
";
    let context = site.context("lost", &[("Dockerfile", dockerfile)]);
    let first = site.build(&context, &[]);
    // The last image of a build, and one in the middle that a step will start from.
    lose(&site, &format!("image_uuid = '{}'", first.image));
    let again = site.build(&context, &[]);
    assert_eq!(
        again.carried_out(),
        ["COPY --from=first /one /two /"],
        "{}",
        again.told
    );
    assert!(
        again.told.contains("not on the server any more"),
        "{}",
        again.told
    );
    assert_eq!(site.names(&again, "/").await, ["one", "two"]);
    lose(&site, "title LIKE 'RUN echo two%'");
    let text = dockerfile.replace("three", "drei");
    std::fs::write(context.join("Dockerfile"), text).expect("a Dockerfile");
    let third = site.build(&context, &["--tag", "third:1"]);
    let lost = [
        // In vain: what it starts from is not there.
        "RUN echo drei > /drei",
        "RUN echo two > /two",
        "RUN echo drei > /drei",
        "COPY --from=first /one /two /",
    ];
    assert_eq!(third.carried_out(), lost, "{}", third.told);
    assert_eq!(site.build(&context, &[]).image, third.image);
    // What is copied from.
    lose(&site, "title LIKE 'RUN echo drei%'");
    let text = dockerfile
        .replace("three", "drei")
        .replace("/one /two /", "/on[e] /two /");
    std::fs::write(context.join("Dockerfile"), text).expect("a Dockerfile");
    let fourth = site.build(&context, &[]);
    assert!(
        fourth.told.contains("not on the server any more"),
        "{}",
        fourth.told
    );
    assert_eq!(site.names(&fourth, "/").await, ["one", "two"]);

    // Another server that has the base and nothing else.
    site.server = Server::start(Settings::default());
    site.server.import(&Tiny::new().tar(), "tiny").await;
    site.contree.log_in(&site.server);
    let elsewhere = site.build(&context, &[]);
    assert_eq!(
        elsewhere.carried_out()[..3].join("\n"),
        "RUN echo one > /one\nRUN echo two > /two\nRUN echo drei > /drei"
    );
    assert_eq!(site.names(&elsewhere, "/").await, ["one", "two"]);
}

/// Makes images that the cache knows such that the server does not have them.
fn lose(site: &Site, which: &str) {
    let database = site.contree.home().join("cli/sessions/default.db");
    let script = format!(
        "import sqlite3, sys\n\
         with sqlite3.connect(sys.argv[1]) as database:\n    \
             lost = database.execute(\"UPDATE session_history SET image_uuid = \"\n        \
                 \"'01234567-0123-7123-8123-0123456789ab' WHERE {which}\")\n\
         assert lost.rowcount > 0\n"
    );
    let done = std::process::Command::new("python3")
        .args(["-c", &script])
        .arg(database)
        .status()
        .expect("python3 starts");
    assert!(done.success());
}
