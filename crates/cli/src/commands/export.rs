//! `contree export`
//!
//! The server makes the archive, and compresses it on request: those bytes are a `.tar.gz` as they
//! come. Servers are free not to compress, or to do so unasked; then it is done, or undone, here,
//! so that what is written is always what the name says.

use std::io::IsTerminal as _;
use std::path::Path;

use clap::Args;

use super::cd::parent;
use super::transfer::{Coding, Sink, Telling, transfer};
use crate::context::Context;
use crate::failure::Failure;
use crate::reference;

/// Write the current image, or a part of it, as a tar archive
///
/// The archive is compressed with gzip, and not with --decompress or into a FILE that ends in
/// .tar. It is written as it comes; nothing is run. Relative paths start at the working directory
/// of the session. Names in the archive begin with the last one of PATH.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree export -F rootfs.tar.gz             the whole image
  contree export /etc -F etc.tar.gz           a folder
  contree export /opt/app -F app.tar          not compressed
  contree export /etc | tar -tzf -            into a pipe
  contree export /srv | tar -xzf - -C out     files of a folder to this machine
  contree export --decompress | docker import - my-image")]
pub(crate) struct ExportArgs {
    /// Folder or file inside the image [default: /]
    path: Option<String>,
    /// File to write [default: standard output]
    #[arg(short = 'F', long, value_name = "FILE")]
    file: Option<String>,
    /// Do not compress
    #[arg(long)]
    decompress: bool,
}

pub(crate) async fn export(context: &Context, args: ExportArgs) -> Result<u8, Failure> {
    if !context.output.is_default() {
        context
            .output
            .warn("export writes an archive as it is; the output format is ignored");
    }
    let typed = args.path.as_deref().unwrap_or("/");
    let target = args.file.as_deref().filter(|file| !file.is_empty());
    // A real one: colours may be forced on a pipe.
    if target.is_none() && std::io::stdout().is_terminal() {
        return Err(
            Failure::new("the archive is not text, and is not written to a terminal").next(
                format!("contree export {typed} -F rootfs.tar.gz   or   contree export {typed} | tar -tzf -"),
            ),
        );
    }
    let is_plain = args.decompress || target.is_some_and(|file| file.ends_with(".tar"));
    let client = context.client()?;
    let mut store = context.store().await?;
    let session = store.active().await?;
    let path = store.resolve_path(Some(typed)).await?;
    let image = reference::resolve(&client, &session.current_image).await?;
    let failed = format!("could not export {path}");
    let asked = if is_plain {
        client.archive(image, &path).await
    } else {
        client.archive_gzip(image, &path).await
    };
    let archive = asked.map_err(|error| {
        if error.is_not_found() {
            return Failure::new(format!("export: {path}: not found in image"))
                .next(format!("contree ls {}", parent(&path)));
        }
        Failure::from(error).while_doing(failed.as_str())
    })?;
    let coding = match (archive.is_gzip(), is_plain) {
        (true, true) => Coding::decompress(),
        (false, false) => Coding::compress(),
        (true, false) | (false, true) => Coding::AsTheyAre,
    };
    let to = match target {
        Some(file) => Sink::file(Path::new(file))?,
        None => Sink::stdout(),
    };
    let dest = to.name();
    let telling = Telling {
        path: &path,
        past: "exported",
        failed: &failed,
    };
    let (amount, speed) = transfer(context, archive, coding, to, telling).await?;
    context.output.note(&format!(
        "Exported {amount} from {path} to {dest} ({speed})"
    ));
    Ok(0)
}
