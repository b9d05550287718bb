//! `contree session branch` and `contree session checkout`

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Row, Style};
use crate::session::Store;

/// List branches, or create or delete one
///
/// A new branch starts at the current step and is not switched to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree session branch                     list; * marks the active one
  contree session branch try                 a branch at the current step
  contree session branch try --from main     at the tip of another branch
  contree session branch -U try              delete
  contree session branch --prune             delete those of detached and disposable runs")]
pub(crate) struct BranchArgs {
    /// Name of the branch
    name: Option<String>,
    /// Start at the tip of this branch [default: the active one]
    #[arg(long = "from", value_name = "BRANCH", requires = "name")]
    from: Option<String>,
    /// Delete the branch; its steps stay
    #[arg(short = 'U', long, visible_alias = "rm", conflicts_with = "from")]
    delete: bool,
    /// Delete the branches of detached and disposable runs
    #[arg(long, conflicts_with_all = ["name", "from", "delete"])]
    prune: bool,
}

/// Switch to a branch
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree session checkout try")]
pub(crate) struct CheckoutArgs {
    /// Name of the branch
    name: String,
}

pub(super) async fn branch(
    context: &Context,
    store: &mut Store,
    args: BranchArgs,
) -> Result<u8, Failure> {
    let output = &context.output;
    if args.prune {
        let removed = store.prune_branches().await?;
        if removed.is_empty() {
            output.line("No disposable/detached branches to prune.")?;
        }
        for name in removed {
            output.line(&format!("Pruned branch '{name}'"))?;
        }
        return Ok(0);
    }
    match args.name {
        None if args.delete => {
            return Err(Failure::new("--delete needs the name of a branch")
                .next("contree session branch -U NAME   (contree session branch lists them)"));
        }
        None => list(context, store).await?,
        Some(name) if args.delete => {
            store.delete_branch(&name).await?;
            output.line(&format!("Deleted branch '{name}'"))?;
        }
        Some(name) => {
            check_name(&name)?;
            store.create_branch(&name, args.from.as_deref()).await?;
            output.line(&format!("Created branch '{name}'"))?;
        }
    }
    Ok(0)
}

async fn list(context: &Context, store: &mut Store) -> Result<(), Failure> {
    let branches = store.branches().await?;
    if branches.is_empty() {
        context.output.note("No branches (no active session).");
        return Ok(());
    }
    if context.output.is_default() && context.output.is_terminal() {
        for (name, is_active) in branches {
            let line = if is_active {
                context.output.paint(Style::Good, &format!("* {name}"))
            } else {
                format!("  {name}")
            };
            context.output.line(&line)?;
        }
        return Ok(());
    }
    let mut rows = context.output.rows(Columns::default());
    for (name, is_active) in branches {
        rows.push(if context.output.is_default() {
            let marker = if is_active { "* " } else { "  " };
            Row::new().with("marker", marker).with("branch", name)
        } else {
            Row::new().with("branch", name).with("active", is_active)
        })?;
    }
    rows.finish()
}

/// What can be typed, and told from an option or a reference.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_good = !name.is_empty()
        && !name.starts_with('-')
        && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    if is_good {
        Ok(())
    } else {
        Err(Failure::new(format!("'{name}' cannot name a branch")))
    }
}

pub(super) async fn checkout(
    context: &Context,
    store: &mut Store,
    args: CheckoutArgs,
) -> Result<u8, Failure> {
    let tip = store.checkout(&args.name).await?;
    let row = Row::new()
        .with("branch", args.name)
        .with("image", tip.image_uuid);
    context.output.row(Columns::default(), row)?;
    Ok(0)
}
