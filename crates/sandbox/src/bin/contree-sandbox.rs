//! The resident launcher; see [`contree_sandbox::launcher`].
//!
//! Made to be started by the server, with a socket as standard input: `contree-sandbox` makes
//! namespaces, `contree-sandbox STORE` also sandboxes over the layer store in the folder STORE.
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
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let store = std::env::args_os().nth(1);
    match contree_sandbox::launcher::run(store.as_deref().map(Path::new)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let cause = failure
                .source()
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            #[expect(clippy::print_stderr, reason = "this is a program, and its last word")]
            {
                eprintln!("contree-sandbox: {failure}{cause}");
            }
            ExitCode::FAILURE
        }
    }
}
