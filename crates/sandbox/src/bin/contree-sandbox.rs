//! The resident launcher; see [`contree_sandbox::launcher`].
//!
//! Made to be started by the server, with a socket as standard input.

use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    match contree_sandbox::launcher::run() {
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
