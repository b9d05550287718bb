//! The filesystem that a sandbox sees, and what of it stays.

use std::os::unix::fs::MetadataExt;

use contree_sandbox::{Attachment, SpawnError};

use crate::world::{World, command};

fn entries(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn privileged_a_run_that_changes_nothing_leaves_nothing() {
    let world = World::new().await;
    let job = world.job(
        "cat /etc/resolv.conf /etc/hosts /etc/passwd >/dev/null; ls -lR /etc /proc/self /dev >/dev/null; \
         echo x > /dev/shm/file; echo x > /dev/null; touch /dev/new; hostname; sync; true",
    );
    let upper = world.upper(&job);
    world.run(job).await.unwrap().ok();
    assert_eq!(entries(&upper), [""; 0]);
    world.end().await;
}

#[tokio::test]
async fn privileged_shared_memory_is_capped_and_what_covers_folders_is_read_only() {
    let world = World::new().await;
    let size = world.sh("stat -f -c '%b %S' /dev/shm").await.ok();
    let numbers: Vec<u64> = size
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    assert_eq!(numbers.iter().product::<u64>(), 1 << 30);
    if std::path::Path::new("/proc/acpi").is_dir() {
        let mounts = world
            .sh("ls -A /proc/acpi; cat /proc/self/mounts")
            .await
            .ok();
        let cover = mounts
            .lines()
            .find(|line| line.contains(" /proc/acpi "))
            .unwrap();
        assert!(cover.contains(" tmpfs ro,"), "{cover}");
        // And nothing was listed in it.
        let mut words = mounts.lines().map(|line| line.split(' ').count());
        assert!(words.all(|count| count == 6), "{mounts}");
    }
    world.end().await;
}

#[tokio::test]
async fn privileged_changes_are_kept_with_plain_ids() {
    let world = World::new().await;
    let mut job = world.job(
        "mkdir sub && echo text > sub/file && chown 1234:65535 sub/file && chmod 4711 sub/file; \
         rm /etc/passwd; ln -s /etc sub/link; chown 33:33 /bin/true",
    );
    job.process.cwd = b"/root".to_vec();
    let upper = world.upper(&job);
    world.run(job).await.unwrap().ok();
    let file = std::fs::symlink_metadata(upper.join("root/sub/file")).unwrap();
    assert_eq!(
        (file.uid(), file.gid(), file.mode() & 0o7777),
        (1234, 65_535, 0o4711)
    );
    assert_eq!(
        std::fs::symlink_metadata(upper.join("root/sub"))
            .unwrap()
            .uid(),
        0
    );
    assert_eq!(
        std::fs::symlink_metadata(upper.join("bin/true"))
            .unwrap()
            .uid(),
        33
    );
    let whiteout = std::fs::symlink_metadata(upper.join("etc/passwd")).unwrap();
    assert_eq!(
        (whiteout.mode() & 0o170_000, whiteout.rdev()),
        (0o020_000, 0)
    );
    let base = world.store().join("layers/base");
    assert!(
        base.join("etc/passwd").exists() && base.join("bin/true").metadata().unwrap().uid() == 0
    );
    world.end().await;
}

#[tokio::test]
async fn privileged_an_upper_becomes_a_layer() {
    let world = World::new().await;
    let job = world.job("echo one > /file; rm /etc/passwd");
    let upper = world.upper(&job);
    world.run(job).await.unwrap().ok();
    std::fs::rename(upper, world.store().join("layers/one")).unwrap();
    let mut job = world.job("cat /file; ls /etc/passwd; echo two > /file");
    job.lowers.insert(0, "layers/one".into());
    let upper = world.upper(&job);
    let outcome = world.run(job).await.unwrap();
    assert!(outcome.text().starts_with("one\n"), "{}", outcome.text());
    assert!(
        outcome.text().contains("No such file"),
        "{}",
        outcome.text()
    );
    assert_eq!(entries(&upper), ["file"]);
    world.end().await;
}

#[tokio::test]
async fn privileged_deep_chains_work_and_too_deep_ones_say_so() {
    let world = World::new().await;
    let mut lowers = Vec::new();
    for number in 0..90 {
        let name = format!("layers/{number:032}");
        std::fs::create_dir(world.store().join(&name)).unwrap();
        std::fs::write(world.store().join(&name).join(format!("f{number}")), "").unwrap();
        lowers.push(name);
    }
    let mut job = world.job("ls /f*|wc -l");
    job.lowers.splice(..0, lowers.clone());
    assert_eq!(world.run(job).await.unwrap().ok().trim(), "90");
    let mut job = world.job("true");
    job.lowers
        .splice(..0, lowers.iter().cycle().take(200).cloned());
    match world.run(job).await {
        Err(SpawnError::Setup(failure)) => {
            assert!(failure.step.contains("202 layers"), "{failure:?}");
        }
        other => panic!("{other:?}"),
    }
    world.end().await;
}

#[tokio::test]
async fn privileged_names_that_leave_the_store_are_refused() {
    let world = World::new().await;
    for name in [
        "../etc",
        "/etc",
        "layers/a:b",
        "layers/a,upperdir=x",
        "layers//a",
        "",
        "a/./..",
        "a\\b",
    ] {
        let mut job = world.job("true");
        job.lowers.insert(0, name.into());
        assert!(
            matches!(world.run(job).await, Err(SpawnError::Name { .. })),
            "{name}"
        );
    }
    world.end().await;
}

#[tokio::test]
async fn privileged_setuid_programs_and_mounts_work() {
    let world = World::new().await;
    let mut job = world.job("id -u; id -ru");
    job.process.uid = 1000;
    job.process.gid = 1000;
    // A copy of `id` that runs as root whoever starts it.
    job.files.push(Attachment {
        source: "files/id".into(),
        dest: b"/usr/local/bin/rootid".to_vec(),
        uid: 0,
        gid: 0,
        mode: 0o4755,
    });
    std::fs::copy(
        world.store().join("layers/base/bin/id"),
        world.store().join("files/id"),
    )
    .unwrap();
    job.process.program = command(&[
        "sh",
        "-c",
        "/usr/local/bin/rootid -u; /usr/local/bin/rootid -ru",
    ]);
    assert_eq!(world.run(job).await.unwrap().ok(), "0\n1000\n");

    let script = "mkdir /m && mount -t tmpfs none /m && echo x > /m/f && umount /m && ls /m | wc -l; \
                  mkdir /a /b && mount --bind /a /b && touch /b/f && ls /a; \
                  unshare --mount --pid --fork --net --uts --ipc true && echo namespaces; \
                  ln -s x /l; mknod /fifo p && echo fifo; setsid true; \
                  cat /proc/sys/kernel/hostname; ls /dev /dev/pts; stat -c '%a %u %t:%T' /dev/null /dev/tty";
    let text = world.sh(script).await.ok();
    assert_eq!(
        text,
        "0\nf\nnamespaces\nfifo\nlinuxkit\n/dev:\nfd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n\n/dev/pts:\nptmx\n666 0 1:3\n666 0 5:0\n"
    );
    world.end().await;
}

#[tokio::test]
async fn privileged_supplied_files_cover_what_an_image_has_there() {
    let world = World::new().await;
    let base = world.store().join("layers/base/etc");
    std::os::unix::fs::symlink(
        "../run/systemd/resolve/stub-resolv.conf",
        base.join("resolv.conf"),
    )
    .unwrap();
    std::fs::write(base.join("hosts"), "of the image\n").unwrap();
    let job = world
        .job("cat /etc/resolv.conf /etc/hosts; echo x >> /etc/hosts; rm -f /etc/resolv.conf; true");
    let upper = world.upper(&job);
    let text = world.run(job).await.unwrap().text();
    assert!(text.contains("# no name server"), "{text}");
    assert!(
        text.contains("127.0.1.1\tlinuxkit") && !text.contains("of the image"),
        "{text}"
    );
    assert!(text.contains("Read-only file system"), "{text}");
    assert_eq!(entries(&upper), [""; 0]);

    // A layer that has hidden them both.
    let opaque = world.store().join("layers/opaque");
    std::fs::create_dir_all(opaque.join("etc")).unwrap();
    rustix::fs::setxattr(
        opaque.join("etc"),
        "user.overlay.opaque",
        b"y",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    let mut job = world.job("cat /etc/hosts");
    job.lowers.insert(0, "layers/opaque".into());
    assert!(world.run(job).await.unwrap().ok().contains("localhost"));
    world.end().await;
}

#[tokio::test]
async fn privileged_attached_files_are_put_in_place() {
    let world = World::new().await;
    std::fs::create_dir(world.store().join("files/aa")).unwrap();
    std::fs::write(world.store().join("files/aa/one"), "content").unwrap();
    let base = world.store().join("layers/base");
    std::os::unix::fs::symlink("/root", base.join("home")).unwrap();
    std::os::unix::fs::symlink("/../../etc/target", base.join("root/link")).unwrap();
    let file = |dest: &str, mode: u32| Attachment {
        source: "files/aa/one".into(),
        dest: dest.into(),
        uid: 7,
        gid: 8,
        mode,
    };
    let mut job = world.job(
        "for f in /opt/x/y/plain /bin/relative /root/through /etc/target /etc/passwd /up; do \
         stat -c '%n %a %u:%g %s' $f; done; stat -c '%a %u' /opt/x",
    );
    job.files = vec![
        file("/opt/x/y/plain", 0o644),
        file("bin/relative", 0o2755),
        file("/home/through", 0o600),
        file("/root/link", 0o444),
        file("/etc/passwd", 0o640),
        file("/../../up", 0o600),
    ];
    assert_eq!(
        world.run(job).await.unwrap().ok(),
        "/opt/x/y/plain 644 7:8 7\n/bin/relative 2755 7:8 7\n/root/through 600 7:8 7\n\
         /etc/target 444 7:8 7\n/etc/passwd 640 7:8 7\n/up 600 7:8 7\n755 0\n"
    );
    assert!(!base.join("etc/target").exists());
    world.end().await;
}

#[tokio::test]
async fn privileged_attached_files_with_hostile_places_are_refused() {
    let world = World::new().await;
    std::fs::write(world.store().join("files/one"), "content").unwrap();
    let base = world.store().join("layers/base");
    std::os::unix::fs::symlink("/proc/self/fd/4", base.join("magic")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", base.join("dangling")).unwrap();
    let before = entries(world.store());
    for dest in [
        "",
        "/",
        "/etc",
        "/etc/",
        "/opt/..",
        "/proc/self/fd/4/x",
        "/proc/1/root/x",
        "/magic/x",
        "/magic",
        "/dangling/x",
        "/etc/passwd/x",
        "/proc/sys/kernel/hostname",
        "/sys/x",
        "/dev/null",
        "/fifo",
    ] {
        let mut job = world.job("true");
        if dest == "/fifo" {
            std::process::Command::new("mkfifo")
                .arg(base.join("fifo"))
                .status()
                .unwrap();
        }
        job.files = vec![Attachment {
            source: "files/one".into(),
            dest: dest.into(),
            uid: 0,
            gid: 0,
            mode: 0o644,
        }];
        match world.run(job).await {
            Err(SpawnError::File { path, .. }) => assert_eq!(path, dest),
            other => panic!("{dest}: {other:?}"),
        }
    }
    assert_eq!(entries(world.store()), before);
    for (source, uid) in [("files/none", 0), ("files/one", 65_536)] {
        let mut job = world.job("true");
        job.files = vec![Attachment {
            source: source.into(),
            dest: b"/x".to_vec(),
            uid,
            gid: 0,
            mode: 0o644,
        }];
        assert!(matches!(world.run(job).await, Err(SpawnError::File { .. })));
    }
    world.end().await;
}

#[tokio::test]
async fn privileged_the_store_is_out_of_sight() {
    let world = World::new().await;
    let store = world.store().to_str().unwrap().to_owned();
    let text = world
        .sh("cat /proc/self/mountinfo /proc/*/cmdline /proc/*/stat; ls -la /proc/self/fd/; ls /")
        .await
        .ok();
    assert!(
        !text.contains("contree-test") && !text.contains(env!("CARGO_MANIFEST_DIR")),
        "{text}"
    );
    assert!(!text.contains("/store") && !text.contains(&store), "{text}");
    assert!(
        !text.contains("/scratch ") && !text.contains("/layers "),
        "{text}"
    );
    world.end().await;
}
