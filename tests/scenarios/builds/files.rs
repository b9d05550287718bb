//! What of a context is copied.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::Site;

#[tokio::test]
async fn privileged_only_dockerignore_leaves_files_out() {
    let site = Site::new().await;
    let built = site.build(&site.fixture("ignore"), &[]);
    assert_eq!(
        site.names(&built, "/all").await,
        [
            ".config/.hidden",
            ".config/settings",
            ".dockerignore",
            ".env",
            ".gitignore",
            ".secret-kept",
            "build/kept.o",
            "docs/guide.md",
            "keep.tmp",
            "src/c.c",
            "src/inner.log",
            "top.txt",
        ]
    );
    assert_eq!(site.names(&built, "/src").await, ["c.c", "inner.log"]);
    assert_eq!(site.names(&built, "/config").await, [".hidden", "settings"]);
    // What is left out cannot be named either.
    let context = site.folder.path().join("ignore");
    fs::write(context.join("Dockerfile"), "FROM tiny\nCOPY top.log /\n").expect("a Dockerfile");
    site.run(&context, &[])
        .ends_with(1)
        .complains("Dockerfile:2")
        .complains("top.log");
}

#[tokio::test]
async fn privileged_modes_links_and_empty_folders_are_kept() {
    let site = Site::new().await;
    let dockerfile = "\
FROM tiny
RUN mkdir -p /there && echo old > /there/file && echo stays > /there/other
COPY tree /tree
COPY tree/ /there
COPY link-to-file /followed
COPY link-to-folder /folder
COPY --chmod=u=rwX,go= tree /private
COPY [\"with space.txt\", \"/spaces/\"]
COPY tree/file new/deep/name
WORKDIR /work
COPY tree/file .
COPY tree/file sub/
COPY tree/file /there
";
    let context = site.context(
        "kept",
        &[
            ("Dockerfile", dockerfile),
            ("tree/file", "text\n"),
            ("tree/tool", "#!/bin/sh\n"),
            ("tree/empty/", ""),
            ("tree/.dot/.file", "hidden\n"),
            ("with space.txt", "spaces\n"),
        ],
    );
    let tree = context.join("tree");
    for (name, mode) in [
        ("file", 0o640),
        ("tool", 0o4755),
        ("empty", 0o1770),
        (".dot", 0o700),
        (".dot/.file", 0o600),
    ] {
        fs::set_permissions(tree.join(name), Permissions::from_mode(mode)).expect("a mode");
    }
    symlink("file", tree.join("inside")).expect("a link");
    symlink("/nowhere/at all", tree.join("dangling")).expect("a link");
    symlink("tree/file", context.join("link-to-file")).expect("a link");
    symlink("tree", context.join("link-to-folder")).expect("a link");
    let built = site.build(&context, &[]);

    let copied = site.tree(&built, "/tree").await;
    let expected = [
        (".dot", "700 0:0 /"),
        (".dot/.file", "600 0:0 hidden"),
        ("dangling", "777 0:0 -> /nowhere/at all"),
        ("empty", "1770 0:0 /"),
        ("file", "640 0:0 text"),
        ("inside", "777 0:0 -> file"),
        ("tool", "4755 0:0 #!/bin/sh"),
    ];
    let expected = expected.map(|(name, about)| (name.to_owned(), about.to_owned()));
    assert_eq!(copied.into_iter().collect::<Vec<_>>(), expected);
    // Folders merge.
    let there = site.tree(&built, "/there").await;
    assert_eq!(there["file"], "640 0:0 text");
    assert_eq!(there["other"], "644 0:0 stays");
    let private = site.tree(&built, "/private").await;
    assert_eq!(private[".dot"], "700 0:0 /");
    assert_eq!(private["file"], "600 0:0 text");
    assert_eq!(
        site.shell(
            &built,
            "cat /followed /folder/file '/spaces/with space.txt' /new/deep/name file sub/file"
        ),
        "text\ntext\nspaces\ntext\ntext\ntext\n"
    );

    for (line, why) in [
        ("COPY absent /", "absent"),
        ("COPY ../outside /", "outside"),
        ("COPY tree /there/file", "/there/file"),
        ("COPY --chown=nobody-knows tree /x", "nobody-knows"),
    ] {
        let text = format!("FROM tiny\nRUN mkdir /there && : > /there/file\n{line}\n");
        fs::write(context.join("Dockerfile"), text).expect("a Dockerfile");
        site.run(&context, &[])
            .ends_with(1)
            .complains("Dockerfile:3")
            .complains(why);
    }
}

#[tokio::test]
async fn privileged_thousands_of_files_and_odd_names() {
    let site = Site::new().await;
    let context = site.context("many", &[("Dockerfile", "FROM tiny\nCOPY . /many\n")]);
    let mut names = vec!["Dockerfile".to_owned()];
    for number in 0..3_000 {
        names.push(format!("d{}/e{}/f{number}.txt", number % 7, number % 31));
    }
    names.extend(
        [
            "a b",
            "ünï cödé",
            "new\nline",
            "-dash",
            "*star",
            "'quote\"",
            "back\\slash",
        ]
        .map(str::to_owned),
    );
    let long = "x".repeat(200);
    names.push(format!("{long}/{long}/{long}"));
    for (at, name) in names.iter().enumerate().skip(1) {
        super::write(&context.join(name), &format!("{at}\n"));
    }
    let built = site.build(&context, &[]);
    let tree = site.tree(&built, "/many").await;
    for (at, name) in names.iter().enumerate().skip(1) {
        assert_eq!(tree[name.as_str()], format!("644 0:0 {at}"));
    }
    names.sort();
    let copied: Vec<String> = site.names(&built, "/many").await;
    assert_eq!(copied, names);
    let again = site.build(&context, &[]);
    assert_eq!(again.carried_out(), [""; 0]);
}
