//! `contree cat`

use std::io::IsTerminal as _;

use clap::Args;

use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::reference;

/// Print a file of the current image
///
/// Nothing is run. Relative paths start at the working directory of the session. The bytes are
/// written as they are; what is not text is not written to a terminal.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree cat /etc/os-release
  contree cat /srv/data.bin > data.bin")]
pub(crate) struct CatArgs {
    /// File inside the image
    path: String,
}

pub(crate) async fn cat(context: &Context, args: CatArgs) -> Result<u8, Failure> {
    if !context.output.is_default() {
        context
            .output
            .warn("cat prints a file as it is; the output format is ignored");
    }
    let client = context.client()?;
    let mut store = context.store().await?;
    let session = store.active().await?;
    let path = store.resolve_path(Some(&args.path)).await?;
    let image = reference::resolve(&client, &session.current_image).await?;
    let failed = || format!("could not read {path}");
    // A real one: colours may be forced on a pipe, and bytes belong into it.
    let is_terminal = std::io::stdout().is_terminal();
    let mut file = client
        .download(image, &path)
        .await
        .doing(failed)
        .map_err(|failure| failure.next(format!("contree ls {}", super::cd::parent(&path))))?;
    // A character may be cut between two pieces.
    let mut rest = Vec::new();
    while let Some(piece) = file.next().await.doing(failed)? {
        if is_terminal {
            rest.extend_from_slice(&piece);
            let text = match std::str::from_utf8(&rest) {
                Ok(_) => rest.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => return Err(binary(&path)),
            };
            if rest[..text].contains(&0) {
                return Err(binary(&path));
            }
            context.output.bytes(&rest[..text])?;
            rest.drain(..text);
        } else {
            context.output.bytes(&piece)?;
        }
    }
    if rest.is_empty() {
        Ok(0)
    } else {
        Err(binary(&path))
    }
}

fn binary(path: &str) -> Failure {
    Failure::new(format!(
        "{path} is not text, and is not written to a terminal"
    ))
    .next(format!("contree cat {path} > FILE"))
}
