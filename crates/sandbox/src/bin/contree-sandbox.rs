//! The resident launcher; see [`contree_sandbox::launcher`].
//!
//! Made to be started by the server, with a socket as standard input: `contree-sandbox
//! namespaces` makes namespaces, `contree-sandbox sandboxes` also sandboxes, over the layer store
//! in its working directory.
//!
//! It should be linked statically. It is cloned for every sandbox, and a dynamic one has more
//! pages to copy; and it must start whatever libraries the host has. No musl target is needed:
//!
//! ```text
//! cargo rustc --release -p contree-sandbox --bin contree-sandbox -- -C target-feature=+crt-static
//! ```
//!
//! (`cargo rustc` gives the flag to this one crate, so nothing else is built again.)

use std::error::Error;
use std::process::ExitCode;

use contree_sandbox::launcher::Role;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let Some(role) = Role::named(&argument) else {
        say("started by `contree serve`; there is nothing to do by hand");
        return ExitCode::FAILURE;
    };
    match contree_sandbox::launcher::run(role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let cause = failure
                .source()
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            say(&format!("{failure}{cause}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is a program, and its last word")]
fn say(text: &str) {
    eprintln!("contree-sandbox: {text}");
}
