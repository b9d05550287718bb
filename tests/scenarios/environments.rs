//! "Reusing images across sessions": real packages from a real mirror, in a sandbox.

use contree_e2e::rootfs::{self, mirror_answers};
use contree_e2e::{Contree, Server, Settings};

#[tokio::test]
async fn privileged_python_is_installed_tagged_and_used_in_a_second_session() {
    if !mirror_answers().await {
        return;
    }
    let server = Server::start(Settings::default());
    server.import(&rootfs::debian(), "debian:bookworm").await;
    let contree = Contree::new(&server);

    contree.line("use tag:debian:bookworm").succeeds();
    contree.line("run -t 600 -- apt-get update -qq").succeeds();
    contree
        .line("run -t 600 -- apt-get install -y -qq --no-install-recommends python3")
        .succeeds()
        .shows("Setting up python3 ");
    contree.line("tag python-dev:latest").succeeds();
    contree
        .line("images --prefix=python-dev")
        .succeeds()
        .shows("python-dev:latest");

    let second = contree.session("second");
    second.line("use tag:python-dev:latest").succeeds();
    second
        .run(&["run", "python3", "-c", "print(6 * 7)"])
        .succeeds()
        .shows("42");
    // What the sandbox was given to reach the network is no part of the image.
    second
        .line("run --use tag:debian:bookworm ls /usr/bin/python3")
        .ends_with(2);
}

#[tokio::test]
async fn privileged_a_c_program_is_compiled_and_run() {
    if !mirror_answers().await {
        return;
    }
    let server = Server::start(Settings::default());
    server.import(&rootfs::debian(), "debian:bookworm").await;
    let contree = Contree::new(&server);

    contree.line("use tag:debian:bookworm").succeeds();
    let install =
        "apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev";
    contree
        .run(&["run", "-t", "900", "-s", install])
        .succeeds()
        .shows("Setting up gcc ");
    let program = b"#include <stdio.h>\nint main(void) { puts(\"compiled here\"); return 3; }\n";
    contree
        .run_with_stdin(
            &[
                "run",
                "-s",
                "cat > /root/p.c && cc -o /usr/local/bin/p /root/p.c",
            ],
            Some(program),
        )
        .succeeds();
    contree.line("run p").ends_with(3).shows("compiled here");
}

#[tokio::test]
async fn privileged_root_inside_may_do_what_root_does() {
    let server = Server::start(Settings::default());
    server.import(&rootfs::debian(), "debian:bookworm").await;
    let contree = Contree::new(&server);
    contree.line("use tag:debian:bookworm").succeeds();
    let work = "set -e
        useradd --create-home --uid 4711 someone
        touch /srv/file && chown 60000:60001 /srv/file && chmod 4755 /srv/file
        mkdir /mnt/fast && mount -t tmpfs none /mnt/fast && echo fleeting > /mnt/fast/x
        su someone -c 'id -u; touch ~/mine'";
    contree.run(&["run", "-s", work]).succeeds().shows("4711");
    contree
        .run(&[
            "run",
            "stat",
            "-c",
            "%u:%g %a",
            "/srv/file",
            "/home/someone/mine",
        ])
        .succeeds()
        .shows("60000:60001 4755")
        .shows("4711:4711 644");
    contree
        .run(&["run", "ls", "-A", "/mnt/fast"])
        .succeeds()
        .hides("x");
}
