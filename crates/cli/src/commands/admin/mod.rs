//! `contree admin`: what operators of a server do.

mod project;
mod publish;
mod target;
mod token;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::Failure;
use target::Target;

/// Administer a server: projects, tokens, public images
///
/// Goes to the server of the profile (or of CONTREE_URL and CONTREE_TOKEN), whose token needs admin
/// rights, or with --data-dir to the server that has that folder open on this machine, with the
/// token in it; when none has, the folder itself is worked on.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  contree admin project create team-a
  contree admin token create --project team-a --expires 30d
  contree admin publish tag:debian:bookworm debian:bookworm
  contree admin --data-dir /var/lib/contree token list"
)]
pub(crate) struct AdminArgs {
    /// Data folder of a server on this machine, instead of a profile
    #[cfg(target_os = "linux")]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    Project(project::ProjectArgs),
    Token(token::TokenArgs),
    Publish(publish::PublishArgs),
    Unpublish(publish::UnpublishArgs),
}

pub(crate) async fn admin(context: &Context, args: AdminArgs) -> Result<u8, Failure> {
    #[cfg(target_os = "linux")]
    let data_dir = args.data_dir;
    #[cfg(not(target_os = "linux"))]
    let data_dir: Option<PathBuf> = None;
    let target = Target::open(context, data_dir.as_deref()).await?;
    let outcome = match args.command {
        AdminCommand::Project(args) => project::project(context, &target, args).await,
        AdminCommand::Token(args) => token::token(context, &target, args).await,
        AdminCommand::Publish(args) => publish::publish(context, &target, args).await,
        AdminCommand::Unpublish(args) => publish::unpublish(context, &target, args).await,
    };
    target.close().await;
    outcome.map(|()| 0)
}
