//! `contree admin token`

use clap::{Args, Subcommand};
use contree_api::TokenId;
use contree_api::admin::{TokenCreate, TokenLimits};
use contree_api::whoami::Permission;

use super::Target;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::Span;
use crate::output::{Columns, Row};

/// Make, list and revoke tokens
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  contree admin token create --project team-a --expires 30d
  contree admin token list
  contree admin token revoke TOKEN_ID"
)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Create(CreateArgs),
    #[command(visible_alias = "ls")]
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a token, and print it
///
/// The token goes to standard output, alone on its line. It is not stored: this is the one time
/// that it is shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree admin token create --project team-a
  contree admin token create --project team-a --permissions list,spawn_disposable --expires 30d
  contree admin token create --project ci --name nightly --limit instance_max_concurrency=4
  contree admin token create --all-projects --admin --name operators")]
struct CreateArgs {
    /// Project that it is for, by name or id
    #[arg(
        short = 'P',
        long,
        value_name = "PROJECT",
        required_unless_present = "all_projects"
    )]
    project: Option<String>,
    /// For all projects instead: each request then names one in its header `Project`
    #[arg(long, conflicts_with = "project")]
    all_projects: bool,
    /// What it may do: import, spawn, spawn_disposable, list, cancel, set_image_tag
    /// [default: everything]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = parse_permission)]
    permissions: Option<Vec<Permission>>,
    /// How long it works, such as 12h, 30d or 1y [default: until it is revoked]
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    /// What it is for, in your words
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    name: String,
    /// A limit below the server's: instance_max_timeout, instance_max_concurrency,
    /// instance_max_layer_bytes, images_import_max_concurrency or images_import_max_timeout;
    /// seconds, bytes and counts; may be repeated
    #[arg(long = "limit", value_name = "NAME=NUMBER", value_parser = parse_limit)]
    limits: Vec<(String, u64)>,
    /// It may also administer the server
    #[arg(long)]
    admin: bool,
}

/// List tokens, by age, without their texts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree admin token list
  contree admin token list --project team-a")]
struct ListArgs {
    /// Only those of this project, by name or id
    #[arg(short = 'P', long, value_name = "PROJECT")]
    project: Option<String>,
}

/// Make a token stop working, at once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree admin token revoke TOKEN_ID     as `contree admin token list` shows it")]
struct RevokeArgs {
    /// Its id, as `contree admin token list` shows it
    #[arg(value_name = "TOKEN_ID")]
    id: TokenId,
}

fn parse_permission(text: &str) -> Result<Permission, String> {
    Permission::named(text).ok_or_else(|| {
        format!(
            "one of {} is expected",
            Permission::ALL.map(Permission::name).join(", ")
        )
    })
}

fn parse_limit(text: &str) -> Result<(String, u64), String> {
    let limit = text
        .split_once('=')
        .and_then(|(name, number)| Some((name.to_owned(), number.parse().ok()?)))
        .ok_or("NAME=NUMBER is expected")?;
    limits(std::slice::from_ref(&limit))?;
    Ok(limit)
}

/// Limits by name; which there are is known to their type alone.
fn limits(named: &[(String, u64)]) -> Result<TokenLimits, String> {
    let object = named
        .iter()
        .map(|(name, number)| (name.clone(), (*number).into()))
        .collect();
    serde_json::from_value(serde_json::Value::Object(object)).map_err(|error| error.to_string())
}

pub(super) async fn token(
    context: &Context,
    target: &Target,
    args: TokenArgs,
) -> Result<(), Failure> {
    match args.command {
        TokenCommand::Create(args) => create(context, target, args).await,
        TokenCommand::List(args) => {
            let mut rows = context.output.rows(COLUMNS);
            for token in target.tokens(args.project.as_deref()).await? {
                rows.push(Row::of(&token))?;
            }
            rows.finish()
        }
        TokenCommand::Revoke(RevokeArgs { id }) => {
            target
                .revoke_token(id)
                .await
                .map_err(|failure| failure.while_doing(format!("could not revoke {id}")))?;
            context.output.note(&format!("Revoked token {id}"));
            Ok(())
        }
    }
}

const COLUMNS: Columns = Columns {
    head: &[],
    tail: &[],
    keep: &["id", "name", "project", "expires_at"],
    hidden: &[],
};

async fn create(context: &Context, target: &Target, args: CreateArgs) -> Result<(), Failure> {
    let request = TokenCreate {
        project: args.project,
        all_projects: args.all_projects,
        name: args.name,
        permissions: args.permissions,
        limits: limits(&args.limits).map_err(Failure::new)?,
        admin: args.admin,
        expires_in: args.expires.map(Span::seconds),
    };
    let made = target
        .create_token(request)
        .await
        .map_err(|failure| failure.while_doing("could not make a token"))?;
    if !context.output.is_default() {
        return context.output.row(COLUMNS, Row::of(&made));
    }
    let scope = match &made.info.project {
        Some(project) => format!("project {project}"),
        None => "all projects".to_owned(),
    };
    context.output.note(&format!(
        "Made token {} for {scope}; this is the one time that it is shown:",
        made.info.id
    ));
    context.output.line(&made.token)
}
