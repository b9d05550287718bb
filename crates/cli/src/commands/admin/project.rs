//! `contree admin project`

use clap::{Args, Subcommand};
use contree_api::admin::ProjectCreate;

use super::Target;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Row};

/// Make, list and remove projects
///
/// A project is the scope of everything: images, tags, files, operations. Nothing of one is seen
/// from another.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  contree admin project create team-a
  contree admin project list
  contree admin project delete team-a"
)]
pub(super) struct ProjectArgs {
    #[command(subcommand)]
    command: ProjectCommand,
}

#[derive(Debug, Subcommand)]
enum ProjectCommand {
    Create(CreateArgs),
    #[command(visible_alias = "ls")]
    List(ListArgs),
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
}

/// Make a project
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree admin project create team-a")]
struct CreateArgs {
    /// Its name: letters, digits, `-`, `_` and `.`, at most 64
    name: String,
}

/// List projects, by age
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree admin project list
  contree admin --data-dir /var/lib/contree project list     with or without a server")]
struct ListArgs {}

/// Remove a project with everything in it
///
/// Its tokens stop working at once. Its tags, images, files, operations and logs go; what was
/// published from it stays. Refused while operations of it have not ended, and without --force
/// while it has images.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree admin project delete team-a")]
struct DeleteArgs {
    /// Its name or id
    project: String,
    /// Although it has images
    #[arg(short, long)]
    force: bool,
}

pub(super) async fn project(
    context: &Context,
    target: &Target,
    args: ProjectArgs,
) -> Result<(), Failure> {
    let output = &context.output;
    match args.command {
        ProjectCommand::Create(CreateArgs { name }) => {
            let project = target
                .create_project(ProjectCreate { name: name.clone() })
                .await
                .map_err(|failure| failure.while_doing(format!("could not make project {name}")))?;
            output.row(Columns::default(), Row::of(&project))
        }
        ProjectCommand::List(ListArgs {}) => {
            let mut rows = output.rows(Columns::default());
            for project in target.projects().await? {
                rows.push(Row::of(&project))?;
            }
            rows.finish()
        }
        ProjectCommand::Delete(DeleteArgs { project, force }) => {
            target
                .delete_project(&project, force)
                .await
                .map_err(|failure| {
                    failure.while_doing(format!("could not remove project {project}"))
                })?;
            output.note(&format!("Removed project {project}"));
            Ok(())
        }
    }
}
