//! `contree images`

mod import;
mod list;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::Failure;

/// List images, or import new ones
///
/// Images with a tag are listed, newest first; -a lists those without one too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree images                            those with a tag
  contree images --prefix=python            whose tag starts so
  contree images -a --since 1d              all of the last day
  contree images import debian:bookworm     get one from a registry
  contree images import ./rootfs.tar.zst    or from a file")]
pub(crate) struct ImagesArgs {
    #[command(subcommand)]
    command: Option<ImagesCommand>,
    #[command(flatten)]
    list: list::ListArgs,
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    Import(import::ImportArgs),
}

pub(crate) async fn images(context: &Context, args: ImagesArgs) -> Result<u8, Failure> {
    match args.command {
        None => list::list(context, args.list).await,
        Some(ImagesCommand::List(after)) => list::list(context, after.or(args.list)).await,
        Some(ImagesCommand::Import(_)) if args.list != list::ListArgs::default() => {
            Err(Failure::new("options of the list do not go with import")
                .next("contree images import --help"))
        }
        Some(ImagesCommand::Import(args)) => import::import(context, args).await,
    }
}
