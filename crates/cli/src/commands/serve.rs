//! `contree serve`

use clap::Args;
use contree_server::ServeArgs;

use crate::failure::Failure;

/// Start a server
///
/// The first start creates the project `default` and a token with every permission in
/// DATA_DIR/admin.token. When requests are accepted one line `listening on http://HOST:PORT` goes
/// to standard output. SIGTERM and Ctrl-C let running operations end for a while, then stop.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree serve --data-dir /var/lib/contree
  contree serve --config /etc/contree.toml
  contree serve --listen 127.0.0.1:0 --data-dir ./data --allow-registry 127.0.0.1:5000")]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    args: ServeArgs,
}

/// Runs until a signal ends it, on threads of its own.
pub(crate) fn serve(command: ServeCommand) -> Result<u8, Failure> {
    contree_server::serve(command.args)
        .map(|()| 0)
        .map_err(|error| {
            Failure::new("the server did not start")
                .because(&error)
                .next("contree doctor")
        })
}
