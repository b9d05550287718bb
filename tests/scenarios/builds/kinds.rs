//! Dockerfiles of different kinds, and what is in the images that come of them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::Site;

#[tokio::test]
async fn privileged_interpreters_and_compilers_in_several_stages() {
    let site = Site::with_tools().await;

    let python = site.build(&site.fixture("python"), &["--tag", "greeter:1"]);
    assert_eq!(
        site.shell(&python, "greet you; cat greeting.txt; pwd"),
        "Hello, you!\nHello, world!\n/app\n"
    );
    assert_eq!(
        site.shell(&python, "echo ${VIRTUAL_ENV-none} $GREETING"),
        "none Hello\n"
    );
    assert!(python.told.contains("test_greeting"), "{}", python.told);
    let tagged = site
        .contree
        .line("run --use tag:greeter:1 -D greet tag")
        .succeeds();
    assert_eq!(tagged.stdout, "Hello, tag!\n");
    let other = site.build(&site.fixture("python"), &["--build-arg", "GREETING=Hey"]);
    assert_eq!(site.shell(&other, "greet you"), "Hey, you!\n");
    // What does not depend on the argument was not done again.
    assert_eq!(other.carried_out(), ["RUN greet world > greeting.txt"]);

    let node = site.build(&site.fixture("node"), &[]);
    assert_eq!(
        site.shell(&node, "node server.js --check"),
        "HELLO PRODUCTION! 1.2.3 on 8080\n"
    );
    assert_eq!(
        site.shell(&node, "ls node_modules; ls"),
        "shout\nlib\nnode_modules\npackage.json\nserver.js\n"
    );
    assert!(node.told.contains("ENTRYPOINT"), "{}", node.told);

    let gcc = site.build(&site.fixture("gcc"), &[]);
    assert_eq!(
        site.shell(&gcc, "sum 1 2; add 20 22"),
        "3 (sum 2.0)\n42 (sum 2.0)\n"
    );
    let binaries = site.tree(&gcc, "/usr/local/bin").await;
    assert_eq!(binaries["add"], "777 0:0 -> sum");
    assert_eq!(
        site.shell(&gcc, "test -e /usr/bin/cc || test -e /src || echo neither"),
        "neither\n"
    );

    let make = site.build(&site.fixture("make"), &[]);
    assert_eq!(site.shell(&make, "words a b c; count"), "3\n0\n");
}

#[tokio::test]
async fn privileged_an_image_of_one_static_program() {
    let site = Site::with_tools().await;
    let built = site.build(&site.fixture("static"), &[]);
    assert!(
        built.told.contains("hello from a RUN: uid 65534 in /data"),
        "{}",
        built.told
    );
    // The working directory stays with the image; the user cannot.
    assert_eq!(
        site.program(&built, &["/bin/hello"]),
        "hello world: uid 0 in /data\n"
    );
    let names = site.names(&built, "/").await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(names, ["bin/hello", "data/motd", "etc/group", "etc/passwd"]);
    let etc = site.tree(&built, "/etc").await;
    assert!(
        etc["passwd"].starts_with("644 65534:65534 root:x:0"),
        "{etc:?}"
    );
    // Nothing is done again, the empty image included.
    let again = site.build(&site.fixture("static"), &[]);
    assert_eq!(again.image, built.image);
    assert_eq!(again.carried_out(), [""; 0]);
}

#[tokio::test]
async fn privileged_heredocs_shells_and_users() {
    let site = Site::with_tools().await;
    let built = site.build(&site.fixture("heredocs"), &[]);
    let made = site.tree(&built, "/srv").await;
    let made = |name: &str| made[name].as_str();
    assert_eq!(made("made"), "644 0:0 made by builder");
    assert_eq!(made("lines"), "644 0:0 line 1\nline 2\nline 3");
    assert_eq!(made("cat"), "644 0:0 kept as it is: $NAME and builder");
    assert_eq!(made("python"), "644 0:0 python says 42 /srv");
    assert_eq!(made("script"), "644 0:0 script in /");
    assert_eq!(made("both"), "644 0:0 the second");
    assert_eq!(made("docs/a.txt"), "644 0:0 first");
    assert_eq!(made("docs/b.txt"), "644 0:0 second");
    assert_eq!(
        site.shell(&built, "cat /etc/app/app.conf"),
        "name = builder\nhome = /home/builder\n"
    );
    // The script has the name of the variable, which is not the image's.
    assert_eq!(site.shell(&built, "tool"), "tool of \n");
    assert_eq!(site.shell(&built, "ls /dev/shm"), "");

    let context = site.fixture("users");
    let mode = |name: &str, mode| {
        let path = context.join("home").join(name);
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    };
    mode(".bashrc", 0o640);
    mode("profile", 0o644);
    let built = site.build(&context, &[]);
    let home = site.tree(&built, "/home/app").await;
    let home = |name: &str| home[name].as_str();
    assert_eq!(
        home("who"),
        "644 1500:2000 app:team /home/app /home/app/work app"
    );
    assert_eq!(home("work"), "755 1500:2000 /");
    assert_eq!(home(".bashrc"), "640 1500:2000 set -o vi");
    assert_eq!(home("profile"), "644 1500:2000 export X=1");
    assert_eq!(home("work/plain"), "644 0:0 export X=1");
    assert_eq!(home("work/numbers"), "600 1234:5678 export X=1");
    assert_eq!(home("work/names"), "644 65534:2000 export X=1");
    assert_eq!(home("work/group"), "644 1500:0 group 0");
    assert_eq!(
        site.shell(&built, "cat /tmp/number /where /by-python; pwd"),
        "uid 4242 home /\n/var/local\npython was the shell\n/var/local\n"
    );
}

#[tokio::test]
async fn privileged_variables_have_their_scopes() {
    let site = Site::new().await;
    let context = site.fixture("scopes");
    let built = site.build(&context, &[]);
    let report = "\
OUTSIDE=unset
OUTSIDE=seen-by-from-only
FULL=v1.0-seen-by-from
VERSION=2.0
A=new B=old C=old and default D=$A E=$A
PATH=/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SINGLE=and all of the rest
GIVEN=unset
child: A=new VERSION=2.0 /srv/new
stranger: A=unset GIVEN=own OUTSIDE=unset
";
    assert_eq!(site.shell(&built, "cat /report"), report);
    assert_eq!(
        site.shell(&built, "pwd; echo $KEPT; cat new/given-none.txt"),
        "/srv\nyes: own\nthe report of 2.0\n"
    );
    let given = site.build(
        &context,
        &["--build-arg", "GIVEN=x", "--build-arg", "NOBODY=y"],
    );
    assert!(given.told.contains("NOBODY: no ARG"), "{}", given.told);
    let report = site.shell(&given, "cat /report");
    assert!(
        report.contains("\nGIVEN=x\n") && report.contains("stranger: A=unset GIVEN=x"),
        "{report}"
    );
    assert_eq!(
        site.shell(&given, "echo $KEPT; ls new"),
        "yes: x\ngiven-x.txt\n"
    );
    site.run(&context, &["--build-arg", "SUFFIX=none"])
        .ends_with(1)
        .complains("Dockerfile:4");
}

#[tokio::test]
async fn privileged_copies_from_images_take_wildcards() {
    let site = Site::with_tools().await;
    let built = site.build(&site.fixture("wildcard"), &[]);
    let from = site.names(&built, "/from").await;
    assert_eq!(from, ["debian_version", "os-release"]);
    assert!(site.shell(&built, "cat /from/os-release").contains("NAME="));
    assert_eq!(
        site.names(&built, "/json").await,
        ["decoder.py", "encoder.py"]
    );
    assert!(site.shell(&built, "cat /group").starts_with("root:x:0:"));
    assert_eq!(
        site.names(&built, "/local").await,
        ["a.txt", "b.txt", "part-1", "part-2"]
    );
    let programs = site.names(&built, "/bin-of-a-link").await;
    assert!(programs.iter().any(|name| name == "gcc"), "{programs:?}");
    for (line, why) in [
        (
            "COPY --from=tools /usr/lib/nothing-like-it* /x",
            "nothing in the image matches",
        ),
        ("COPY --from=tools /no/such/file /x", "/no/such/file"),
        ("COPY --from=tag:none /x /x", "tag:none"),
    ] {
        let context = site.context("wrong", &[("Dockerfile", &format!("FROM tiny\n{line}\n"))]);
        site.run(&context, &[])
            .ends_with(1)
            .complains("Dockerfile:2")
            .complains(why);
    }
}

#[tokio::test]
async fn privileged_only_what_the_target_needs_is_built() {
    let site = Site::new().await;
    let context = site.fixture("target");
    let built = site.build(
        &context,
        &["--target", "test", "--tag", "a:1", "--tag", "a:2"],
    );
    assert_eq!(site.shell(&built, "cat /base /test"), "base\ntest\n");
    assert_eq!(built.carried_out().len(), 2);
    for tag in ["tag:a:1", "tag:a:2"] {
        let run = ["run", "--use", tag, "-D", "cat", "/test"];
        assert_eq!(site.contree.run(&run).succeeds().stdout, "test\n");
    }
    let first = site.build(&context, &["--target", "0"]);
    assert_eq!(first.carried_out(), [""; 0]);
    assert_eq!(
        site.shell(&first, "cat /base; test -e /test || echo without"),
        "base\nwithout\n"
    );
    site.run(&context, &[])
        .ends_with(1)
        .complains("Dockerfile:8: RUN exit 9: exited with code 9");
    site.run(&context, &["--target", "nowhere"])
        .ends_with(1)
        .complains("base, test, unrelated, release");

    // The session of the build is a session like any other.
    let shown = site
        .contree
        .run(&["-S", &built.session, "run", "-D", "cat", "/base"]);
    assert_eq!(shown.succeeds().stdout, "base\n");
    // A Dockerfile by itself, and one from elsewhere.
    let alone = site
        .contree
        .run_with_stdin(
            &["-o", "json", "build", "-"],
            Some(b"FROM tiny\nENV SET=1\n"),
        )
        .succeeds();
    let row: serde_json::Value = serde_json::from_str(&alone.stdout).expect("a row");
    let image = row["image"].as_str().expect("an image");
    let set = ["run", "--use", image, "-D", "printenv", "SET"];
    assert_eq!(site.contree.run(&set).succeeds().stdout, "1\n");
    let other = context.join("Dockerfile");
    let other = other.to_str().expect("a plain name");
    let empty = site.context("empty", &[]);
    site.build(&empty, &["--file", other, "--target", "base"]);
    site.run(&empty, &[]).ends_with(1).complains("Dockerfile");
}
