//! A real Debian, where the test runner names one: `CONTREE_TEST_ROOTFS`.

use std::process::Command;

use crate::world::World;

#[tokio::test]
async fn privileged_debians_tools_work() {
    let Some(archive) = std::env::var_os("CONTREE_TEST_ROOTFS") else {
        println!("not run: CONTREE_TEST_ROOTFS names no tar of a Debian root");
        return;
    };
    let world = World::new().await;
    let layer = world.store().join("layers/debian");
    std::fs::create_dir(&layer).unwrap();
    let unpacked = Command::new("tar")
        .arg("-C")
        .arg(&layer)
        .arg("-xpf")
        .arg(archive)
        .status();
    assert!(unpacked.unwrap().success());
    let script = "set -e
        useradd -m someone; su someone -c 'id -un; touch ~/file'; stat -c %U:%G /home/someone/file
        chown nobody:nogroup /home/someone/file; chgrp tty /home/someone
        su someone -c 'passwd -S' | cut -d' ' -f1,2
        dpkg --audit; dpkg-query -W dpkg >/dev/null
        script -qec 'tty' /dev/null </dev/null | tr -d '\\r'
        mkdir /m; mount -t tmpfs none /m; df /m | tail -1 | cut -d' ' -f1
        perl -e 'print getppid(), qq(\\n)'; perl -e 'sleep 0.1; print qq(perl\\n)'
        ln -s /nowhere /tmp/l; mv /usr/share/doc/dpkg /tmp/doc; cp -a /etc /tmp/etc
        sync; echo done";
    let mut job = world.job(script);
    job.lowers = vec!["layers/debian".into(), "layers/skeleton".into()];
    job.process.env = vec![(b"PATH".to_vec(), b"/usr/sbin:/usr/bin:/sbin:/bin".to_vec())];
    let outcome = world.run(job).await.unwrap();
    let text = outcome.text();
    assert_eq!(outcome.exit.code, Some(0), "{text}");
    assert!(
        text.starts_with("someone\nsomeone:someone\nsomeone L\n/dev/pts/0\nnone\n"),
        "{text}"
    );
    assert!(text.ends_with("perl\ndone\n"), "{text}");
    world.end().await;
}
