//! `contree session list`, `use` and `delete`

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Row};
use crate::question;
use crate::session::{Kind, Store};

/// List all sessions of the profile
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree session list
  contree session list --filter app")]
pub(crate) struct ListArgs {
    /// Only keys that have this in them
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// Take over the current image of another session
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree session use app+7521a664
  contree session use 7521a664          the end of a key is enough")]
pub(crate) struct UseArgs {
    /// Key of the other session, or how it ends
    #[arg(value_name = "KEY")]
    key: String,
}

/// Delete sessions with their history
///
/// Images on the server are not touched.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree session delete app+7521a664
  contree session delete -f one two     without being asked")]
pub(crate) struct DeleteArgs {
    /// Keys of the sessions, or how they end; with --force whole keys
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// Do not ask
    #[arg(short, visible_short_alias = 'y', long)]
    force: bool,
}

pub(super) async fn list(
    context: &Context,
    store: &mut Store,
    args: ListArgs,
) -> Result<u8, Failure> {
    let mut rows = context.output.rows(Columns::default());
    let wanted = args.filter.unwrap_or_default();
    for session in store.sessions().await? {
        if !session.session_key.contains(&wanted) {
            continue;
        }
        let is_active = session.session_key == store.key();
        let active = if context.output.is_default() && context.output.is_terminal() {
            serde_json::Value::from(if is_active { "*" } else { "" })
        } else {
            serde_json::Value::from(is_active)
        };
        rows.push(
            Row::new()
                .with("active", active)
                .with("session_key", session.session_key)
                .with("active_branch", session.active_branch)
                .with("current_image", session.current_image)
                .with("updated_at", session.updated_at),
        )?;
    }
    rows.finish()?;
    Ok(0)
}

pub(super) async fn use_session(
    context: &Context,
    store: &mut Store,
    args: UseArgs,
) -> Result<u8, Failure> {
    let other = store.find(&args.key).await?;
    store
        .advance(
            &other.current_image,
            Kind::SessionUse,
            &other.session_key,
            "",
        )
        .await?;
    let row = Row::new()
        .with("image", other.current_image)
        .with("from_session", other.session_key);
    context.output.row(Columns::default(), row)?;
    Ok(0)
}

pub(super) async fn delete(
    context: &Context,
    store: &mut Store,
    args: DeleteArgs,
) -> Result<u8, Failure> {
    let mut code = 0;
    for name in args.keys {
        let key = match named(store, &name, args.force).await {
            Ok(key) => key,
            Err(failure) => {
                context.output.failure(&failure);
                code = 1;
                continue;
            }
        };
        if !args.force
            && !question::confirm(&format!("Delete session '{key}' with all its history?"))?
        {
            let kept = Failure::new(format!("session '{key}' is kept"));
            context.output.failure(&kept.next("--force does not ask"));
            code = 1;
            continue;
        }
        store.delete(&key).await?;
        context.output.note(&format!("Deleted session '{key}'"));
    }
    Ok(code)
}

/// The session of that key, or with a key that ends so. Unasked it takes the whole key: a suffix may
/// fit what nobody thought of.
async fn named(store: &mut Store, name: &str, whole: bool) -> Result<String, Failure> {
    let key = store.find(name).await?.session_key;
    if whole && key != name {
        return Err(
            Failure::new(format!("there is no session '{name}'; '{key}' ends so"))
                .next(format!("contree session delete --force {key}")),
        );
    }
    Ok(key)
}
