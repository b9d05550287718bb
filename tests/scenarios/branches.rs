//! Branching, breaking everything, and going back.

use contree_e2e::rootfs::{self, Tiny};
use contree_e2e::{Contree, Server, Settings, tree_digests};

#[tokio::test]
async fn privileged_a_destructive_run_leaves_its_parent_byte_for_byte() {
    let server = Server::start(Settings::default());
    server.import(&rootfs::debian(), "debian:bookworm").await;
    let contree = Contree::new(&server);
    contree.line("use tag:debian:bookworm").succeeds();
    contree
        .run(&["run", "-s", "mkdir /work && seq 10000 > /work/numbers"])
        .succeeds();
    let layers = server.data_dir().join("store/layers");
    let before = tree_digests(&layers);
    assert!(before.keys().any(|path| path.ends_with("work/numbers")));

    contree.line("session branch experiment").succeeds();
    contree.line("session checkout experiment").succeeds();
    contree
        .run(&[
            "run",
            "-s",
            "rm -rf /bin /etc /home /lib* /opt /root /sbin /srv /usr /var /work; echo gone",
        ])
        .succeeds()
        .shows("gone");
    contree
        .line("run ls /")
        .ends_with(1)
        .complains("no such file");

    let after = tree_digests(&layers);
    let changed: Vec<_> = before
        .iter()
        .filter(|(path, digest)| after.get(*path) != Some(digest))
        .collect();
    assert!(changed.is_empty(), "{changed:#?}");

    contree.line("session checkout main").succeeds();
    contree
        .line("run tail -n 1 /work/numbers")
        .succeeds()
        .shows("10000");
}

#[tokio::test]
async fn privileged_branches_go_their_own_ways_and_roll_back() {
    let tiny = Tiny::new();
    let server = Server::start(Settings::default());
    server.import(&tiny.tar(), "tiny:latest").await;
    let contree = Contree::new(&server);
    contree.line("use tag:tiny:latest").succeeds();
    contree.run(&["run", "-s", "echo base > /file"]).succeeds();

    contree.line("session branch left").succeeds();
    contree.line("session branch right").succeeds();
    contree.line("session").succeeds().shows("main");
    for side in ["left", "right"] {
        contree.line(&format!("session checkout {side}")).succeeds();
        contree
            .run(&["run", "-s", &format!("echo {side} >> /file")])
            .succeeds();
    }
    contree
        .line("run cat /file")
        .succeeds()
        .shows("base\nright\n");
    contree.line("session checkout left").succeeds();
    contree
        .line("run cat /file")
        .succeeds()
        .shows("base\nleft\n")
        .hides("right");
    contree.line("cat /file").succeeds().shows("base\nleft\n");

    contree.run(&["run", "-s", "echo more >> /file"]).succeeds();
    contree.line("run cat /file").succeeds().shows("more");
    contree.line("session rollback -- -2").succeeds();
    contree
        .line("run cat /file")
        .succeeds()
        .shows("base\nleft\n")
        .hides("more");
    contree.line("session checkout main").succeeds();
    contree
        .line("run cat /file")
        .succeeds()
        .shows("base\n")
        .hides("left");

    contree
        .line("session branch")
        .succeeds()
        .shows("left")
        .shows("right")
        .shows("main");
    contree
        .line("session show")
        .succeeds()
        .shows("tag:tiny:latest")
        .shows("echo base > /file");
    contree.line("session list").succeeds().shows("test");
}
