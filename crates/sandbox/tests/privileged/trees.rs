//! Trees put in place instead of a command.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

use contree_sandbox::{
    EntryKind, Job, Program, SpawnError, StdinPipe, Target, TreeEntry, TreeWriter, What,
};

use crate::world::{World, finish, process, within};

fn job(world: &World) -> Job {
    let mut job = world.job("");
    job.process.program = Program::Trees;
    job.process.stdin = true;
    job
}

fn entry(path: &str, kind: EntryKind<'static>, uid: u32) -> TreeEntry<'static> {
    TreeEntry {
        path: path.as_bytes().to_vec().into(),
        kind,
        uid,
        gid: uid,
        mode: 0o4751,
        mtime: (1_000_000_000, 7),
        xattrs: vec![(b"user.note".to_vec(), b"kept".to_vec())].into(),
    }
}

fn writer(stdin: Option<StdinPipe>) -> TreeWriter<File> {
    let pipe = stdin.expect("a pipe").into_blocking_fd().expect("a pipe");
    TreeWriter::new(File::from(pipe))
}

fn to(path: &str) -> Target {
    Target {
        to: path.as_bytes().to_vec(),
        what: What::Entries,
        uid: 9,
        gid: 9,
    }
}

#[tokio::test]
async fn privileged_trees_become_part_of_the_upper_folder() {
    let world = World::new().await;
    let job = job(&world);
    let upper = world.upper(&job);
    let (sandbox, mut running) = world.host.spawn(job).await.expect("it starts");
    assert!(running.argv.is_empty());
    let mut out = writer(running.stdin.take());
    out.target(&to("/made/here")).unwrap();
    out.entry(&entry("file", EntryKind::File(5), 1000)).unwrap();
    out.data(0, b"hello").unwrap();
    // Where a command would find mounts there is the image alone.
    out.target(&to("/")).unwrap();
    for path in ["proc/file", "sys/file", "dev/file", "etc/hosts"] {
        out.entry(&entry(path, EntryKind::File(0), 65_535)).unwrap();
    }

    // Meanwhile nothing else can be started: not a command, and not the same again.
    let mut same = process(&["true"]);
    same.program = Program::Trees;
    for other in [process(&["true"]), same] {
        let refused = within(sandbox.exec(other)).await;
        assert!(matches!(refused, Err(SpawnError::Setup(_))), "{refused:?}");
    }
    out.end().unwrap();
    let outcome = finish(running).await;
    within(sandbox.gone()).await;
    assert_eq!(
        (outcome.ok(), outcome.text()),
        (String::new(), String::new())
    );

    let file = upper.join("made/here/file");
    assert_eq!(std::fs::read(&file).unwrap(), b"hello");
    let facts = std::fs::metadata(&file).unwrap();
    assert_eq!((facts.uid(), facts.mode() & 0o7777), (1000, 0o4751));
    assert_eq!((facts.mtime(), facts.mtime_nsec()), (1_000_000_000, 7));
    assert_eq!(std::fs::metadata(upper.join("made")).unwrap().uid(), 9);
    for path in ["proc/file", "sys/file", "dev/file", "etc/hosts"] {
        assert_eq!(std::fs::metadata(upper.join(path)).unwrap().uid(), 65_535);
    }
    world.end().await;
}

#[tokio::test]
async fn privileged_a_stream_that_breaks_off_is_no_success() {
    let world = World::new().await;
    let (sandbox, mut running) = world.host.spawn(job(&world)).await.expect("it starts");
    let mut out = writer(running.stdin.take());
    out.target(&to("/")).unwrap();
    out.entry(&entry("file", EntryKind::File(5), 0)).unwrap();
    drop(out);
    let outcome = finish(running).await;
    within(sandbox.gone()).await;
    assert_eq!(outcome.exit.code, Some(1));
    let told = "copy: the server ended the stream before all was there\n";
    assert_eq!(outcome.text(), told);

    // As a command may not be what puts trees in place later on.
    let (sandbox, running) = world.spawn("sleep 100").await;
    let mut later = process(&[]);
    later.program = Program::Trees;
    let refused = within(sandbox.exec(later)).await;
    assert!(matches!(refused, Err(SpawnError::Setup(_))), "{refused:?}");
    sandbox.kill();
    finish(running).await;
    world.end().await;
}
