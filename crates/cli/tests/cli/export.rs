//! Files and archives from the session's image to this machine.

use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::process::Stdio;

use flate2::read::GzDecoder;
use rustix::process::Signal;

use crate::fake::Fake;
use crate::fake_image::LONG;
use crate::home::{Ended, Home};
use crate::interrupt;

fn session() -> (Fake, Home) {
    let fake = Fake::start();
    let home = Home::of(&fake);
    home.contree(&["use", "base:latest"]).code(0);
    (fake, home)
}

impl Home {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn content(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Names of what is there, but for what the program keeps.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["auth.ini", "cli"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }

    /// Standard output as it is.
    fn printed(&self, args: &[&str]) -> Vec<u8> {
        let mut command = self.command(env!("CARGO_BIN_EXE_contree"), args);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        output.stdout
    }
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn cp_brings_a_file() {
    let (_fake, home) = session();
    home.contree(&["cd", "/srv"]).code(0);
    home.contree(&["cp", "data", "here"])
        .code(0)
        .says("Written 2.0 B to here");
    assert_eq!(home.content("here"), b"\xff\x00");
    // As any other new file.
    std::fs::write(home.path("other"), "").unwrap();
    let mode = |name: &str| home.path(name).metadata().unwrap().mode();
    assert_eq!(mode("here"), mode("other"));
    // Into a folder under its own name, and over what is there.
    std::fs::create_dir(home.path("folder")).unwrap();
    home.contree(&["cp", "/srv/long", "folder"]).code(0);
    assert_eq!(home.content("folder/long").len(), LONG);
    home.contree(&["cp", "long", "here"])
        .code(0)
        .says("512.0 KiB");
    assert_eq!(home.content("here").len(), LONG);
    home.contree(&["-o", "json", "cp", "data", "."])
        .code(0)
        .says("format is ignored");
    assert_eq!(home.files(), ["data", "folder", "here", "other"]);
}

#[test]
fn cp_writes_into_what_is_no_plain_file() {
    let (_fake, home) = session();
    std::fs::write(home.path("target"), "a longer text").unwrap();
    std::os::unix::fs::symlink("target", home.path("link")).unwrap();
    home.contree(&["cp", "/srv/data", "link"]).code(0);
    assert_eq!(home.content("target"), b"\xff\x00");
    assert!(home.path("link").is_symlink());
    assert_eq!(
        home.printed(&["cp", "/srv/data", "/dev/stdout"]),
        b"\xff\x00"
    );
    home.contree(&["cp", "/srv/data", "/dev/null"]).code(0);
    let null = std::fs::metadata("/dev/null").unwrap().file_type();
    assert!(null.is_char_device());
}

#[test]
fn cp_that_fails_leaves_nothing() {
    let (_fake, home) = session();
    home.contree(&["cp", "/srv/none", "x"])
        .code(1)
        .says("could not copy /srv/none: no such path in the image")
        .says("contree ls /srv");
    home.contree(&["cp", "/srv", "x"])
        .code(1)
        .says("/srv is a folder")
        .says("contree export /srv");
    home.contree(&["cp", "/srv/data", "none/x"])
        .code(1)
        .says("mkdir -p none");
    std::fs::write(home.path("kept"), "kept").unwrap();
    home.contree(&["cp", "/srv/broken", "kept"])
        .code(1)
        .says("could not copy /srv/broken");
    assert_eq!(home.content("kept"), b"kept");
    home.contree(&["cp", "/srv/data"]).code(2);
    assert_eq!(home.files(), ["kept"]);
}

#[test]
fn an_interrupted_copy_leaves_nothing() {
    let (_fake, home) = session();
    for (args, signal, code) in [
        (&["cp", "/srv/flood", "x"][..], Signal::INT, 1),
        (
            &["export", "/srv/flood", "--decompress", "-F", "x"],
            Signal::INT,
            1,
        ),
        (&["cp", "/srv/flood", "x"], Signal::TERM, 143),
        (&["cp", "/srv/flood", "x"], Signal::HUP, 129),
    ] {
        let child = home.start(args, Stdio::null());
        // Once something is on the disk, signals are listened to.
        while !home.files().iter().any(|name| {
            let size = home.path(name).metadata().map(|metadata| metadata.len());
            name.starts_with(".x.") && size.is_ok_and(|size| size > 0)
        }) {
            std::thread::yield_now();
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        let ended = Ended::of(child).code(code);
        assert_eq!(ended.stderr.contains("User interrupted"), code == 1);
        assert_eq!(home.files(), [""; 0]);
    }
}

#[test]
fn export_is_compressed_unless_told_otherwise() {
    let (fake, home) = session();
    assert_eq!(unpacked(&home.printed(&["export"])), "archive of /");
    assert!(fake.requests().pop().unwrap().ends_with("/archive?path=/"));
    home.contree(&["cd", "/srv"]).code(0);
    // The whole image none the less.
    assert_eq!(unpacked(&home.printed(&["export"])), "archive of /");
    assert_eq!(unpacked(&home.printed(&["export", "."])), "archive of /srv");
    home.contree(&["export", "/srv", "-F", "srv.tgz"])
        .code(0)
        .says("Exported ")
        .says(" from /srv to srv.tgz");
    assert_eq!(unpacked(&home.content("srv.tgz")), "archive of /srv");
    home.contree(&["export", "/srv", "--file", "srv.tar"])
        .code(0);
    assert_eq!(home.content("srv.tar"), b"archive of /srv");
    home.contree(&["export", "/srv", "--decompress", "-F", "srv"])
        .code(0);
    assert_eq!(home.content("srv"), b"archive of /srv");
    assert_eq!(
        home.printed(&["export", "/srv", "--decompress", "-F", ""]),
        b"archive of /srv"
    );
    assert_eq!(home.files(), ["srv", "srv.tar", "srv.tgz"]);
}

#[test]
fn export_is_what_its_name_says_whatever_the_server_does() {
    let (_fake, home) = session();
    let packed = home.printed(&["export", "/srv/unpacked"]);
    assert_eq!(unpacked(&packed), "archive of /srv/unpacked");
    let plain = home.printed(&["export", "/srv/packed", "--decompress"]);
    assert_eq!(plain, b"archive of /srv/packed");
}

#[test]
fn export_stays_off_the_screen() {
    let (fake, home) = session();
    let before = fake.requests().len();
    let refused = home.on_a_terminal(&["export", "/srv"]).code(1);
    assert!(
        refused.stdout.contains("terminal") && refused.stdout.contains("contree export /srv -F"),
        "{refused:?}"
    );
    assert_eq!(fake.requests().len(), before);
    home.on_a_terminal(&["export", "/srv", "-F", "x.tar"])
        .code(0);
    assert_eq!(home.content("x.tar"), b"archive of /srv");
}

#[test]
fn export_that_fails_leaves_nothing() {
    let (_fake, home) = session();
    home.contree(&["export", "/none"])
        .code(1)
        .says("export: /none: not found in image")
        .says("contree ls /");
    home.contree(&["export", "/srv/broken", "-F", "x.tar"])
        .code(1)
        .says("could not export /srv/broken");
    home.contree(&["export", "/srv/broken"]).code(1);
    home.contree(&["export", "/srv", "-F", "."])
        .code(1)
        .says("is a folder");
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn export_into_a_pipe_that_breaks_is_quiet() {
    let (_fake, home) = session();
    for decompress in [
        &["export", "/srv/flood"][..],
        &["export", "/srv/flood", "--decompress"],
    ] {
        let mut child = home.start(decompress, Stdio::null());
        let mut some = [0; 10];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut some).unwrap();
        drop(stdout);
        assert_eq!(Ended::of(child).code(141).stderr, "");
    }
    // Its reader is there, and reads nothing: Ctrl-C is heard.
    let mut child = home.start(&["export", "/srv/flood", "--decompress"], Stdio::null());
    let mut some = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut some).unwrap();
    interrupt(&child);
    let ended = Ended::of(child).code(1).says("User interrupted");
    drop(stdout);
    assert_eq!(ended.stdout, "");
}
