//! Putting trees in place: what a sandbox's first process does instead of a command
//! ([`crate::Program::Trees`]).
//!
//! The server reads a tree, from an image's layers or an uploaded archive, and writes it to the
//! process's standard input ([`stream`]); the process makes the files ([`put`]). It is confined
//! like a command: a child of init with the sandbox's root, user namespace, system call filter,
//! capabilities and control group. So the kernel's rules and the sandbox's limits hold for what
//! it does, and the worst that a hostile tree can do is to its own sandbox. Unlike a command it
//! does not exec: it goes on in the program that init is, so it works where the image has no
//! program at all.
//!
//! In such a sandbox **nothing of the guest ever runs**: init refuses to start anything else. The
//! process has no descriptor but its standard streams, and like init it cannot be traced or
//! looked into. `/proc`, `/sys`, `/dev` and the files that are shown over `/etc/hosts` and
//! `/etc/resolv.conf` are not mounted, so that what a tree has there becomes part of the image.
//!
//! On speed: docs/performance.md puts it beside `cp -a` in a sandbox. Many small files take less
//! time than there, since reading and making go on side by side; a large one takes up to twice as
//! long, as its content passes through a pipe.
//!
//! What goes wrong is said in one line on the error output, and the exit code is 1. What was
//! made before stays, as with a command that fails half-way.

mod folders;
mod put;
pub(crate) mod stream;

use std::fs::File;

use rustix::fs::{Mode, OFlags};
use rustix::process::umask;

use self::put::{Putter, Trouble};
use self::stream::TreeReader;

/// Does what standard input says, and gives the exit code.
pub(crate) fn run() -> i32 {
    umask(Mode::empty());
    match follow() {
        Ok(()) => 0,
        Err(trouble) => {
            say(&trouble.to_string());
            1
        }
    }
}

fn follow() -> Result<(), Trouble> {
    let failed = |what: &str, error: rustix::io::Errno| Trouble::new(what, error);
    let input = rustix::io::dup(rustix::stdio::stdin())
        .map_err(|error| failed("standard input could not be used", error))?;
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", folder, Mode::empty())
        .map_err(|error| failed("the root could not be opened", error))?;
    let mut putter = Putter::new(root, say);
    putter.follow(&mut TreeReader::new(File::from(input)))
}

/// One line on the error output.
fn say(text: &str) {
    let line = format!("copy: {text}\n");
    // Nobody may be reading any more.
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
}
