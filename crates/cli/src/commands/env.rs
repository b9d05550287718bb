//! `contree env`

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Row};

/// Set, show or unset variables of the session
///
/// They are set for every run of the session, on all its branches; `contree run -e` sets one for a
/// single run, and wins.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree env                          all variables
  contree env DEBUG=1 DB_HOST=db       set some
  contree env -U DEBUG DB_HOST         unset some
  contree -o json env | jq -r .key")]
pub(crate) struct EnvArgs {
    /// Variables to set; with --delete names of those to unset
    #[arg(value_name = "KEY=VALUE")]
    variables: Vec<String>,
    /// Unset the variables
    #[arg(short = 'U', long, visible_alias = "rm")]
    delete: bool,
}

pub(crate) async fn env(context: &Context, args: EnvArgs) -> Result<u8, Failure> {
    let mut store = context.store().await?;
    if args.delete {
        if args.variables.is_empty() {
            return Err(Failure::new("there is no name of a variable to unset")
                .next("contree env -U KEY   (contree env lists them)"));
        }
        store.unset_env(&args.variables).await?;
        for name in &args.variables {
            context.output.note(&format!("Unset {name}"));
        }
        return Ok(0);
    }
    // All are looked at before any is set.
    let variables = args
        .variables
        .iter()
        .map(|text| assignment(text))
        .collect::<Result<Vec<_>, _>>()?;
    if !variables.is_empty() {
        store.set_env(&variables).await?;
        for (name, value) in variables {
            context.output.note(&format!("Set {name}={value}"));
        }
        return Ok(0);
    }
    let variables = store.env().await?;
    if variables.is_empty() {
        let none = "No session environment variables set.";
        if context.output.is_default() {
            context.output.line(none)?;
        } else {
            // Not among the rows, which a program reads.
            context.output.note(none);
        }
        return Ok(0);
    }
    let mut rows = context.output.rows(Columns::default());
    for (key, value) in variables {
        rows.push(Row::new().with("key", key).with("value", value))?;
    }
    rows.finish()?;
    Ok(0)
}

fn assignment(text: &str) -> Result<(&str, &str), Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => Err(
            Failure::new(format!("'{text}' is no variable: KEY=VALUE is expected"))
                .next(format!("contree env {text}=VALUE   (-U {text} unsets it)")),
        ),
    }
}
