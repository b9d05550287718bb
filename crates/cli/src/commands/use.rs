//! `contree use`

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::home::variable;
use crate::output::{Columns, Output, Row};
use crate::reference;
use crate::session::{Kind, Session, Store, no_session};

/// Set or show the image of the session
///
/// With IMAGE the session goes on from that image; a session that does not exist yet begins. The
/// line printed makes other shells and scripts share the session. Without IMAGE the session is
/// shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree use tag:debian:bookworm       go on from a tagged image
  contree use debian:bookworm           the same
  contree use 019e0000-…                from any image
  eval $(contree use -N debian)         in a new session, from now on in this shell
  contree use                           where am I?")]
pub(crate) struct UseArgs {
    /// UUID, tag:NAME or NAME
    image: Option<String>,
    /// Begin a new session
    #[arg(short = 'N', long)]
    new: bool,
}

impl UseArgs {
    /// Whether the session is to go on from another image.
    pub(crate) const fn has_image(&self) -> bool {
        self.image.is_some()
    }
}

pub(crate) async fn use_image(context: &Context, args: UseArgs) -> Result<u8, Failure> {
    if args.image.is_none() && !args.new {
        let session = context
            .store()
            .await?
            .session()
            .await?
            .ok_or_else(no_session)?;
        context
            .output
            .row(Columns::default(), session_row(&session))?;
        return Ok(0);
    }
    let store = choose(context, &args).await?;
    export(&context.output, store.key())?;
    if args.new && context.output.is_terminal() {
        context.output.warn(
            "the new session is not active in this shell: paste the line above, or use \
             eval $(contree use -N IMAGE)",
        );
    }
    Ok(0)
}

/// Goes on from the image that was named; the sessions, seen from the one that does.
pub(crate) async fn choose(context: &Context, args: &UseArgs) -> Result<Store, Failure> {
    let Some(image) = &args.image else {
        return Err(Failure::new("--new requires an IMAGE").next("contree use --new IMAGE"));
    };
    // Looked up first: what cannot be found must not begin a session.
    let id = reference::resolve(&context.client()?, image).await?;
    let mut store = context.store().await?;
    if args.new {
        store.select(uuid::Uuid::new_v4().to_string());
    }
    store.advance(&id.to_string(), Kind::Use, image, "").await?;
    Ok(store)
}

/// A session as a row.
pub(crate) fn session_row(session: &Session) -> Row {
    Row::new()
        .with("session_key", session.session_key.as_str())
        .with("active_branch", session.active_branch.as_str())
        .with("current_image", session.current_image.as_str())
        .with("last_kind", session.last_kind.as_str())
        .with("last_title", session.last_title.as_str())
        .with("updated_at", session.updated_at.as_str())
}

/// The line that makes a shell use the session.
fn export(output: &Output, key: &str) -> Result<(), Failure> {
    let shell = variable("SHELL").unwrap_or_default();
    let value = shell_word(key);
    if shell.rsplit('/').next() == Some("fish") {
        output.line(&format!("set -gx CONTREE_SESSION {value}"))
    } else {
        output.line(&format!("export CONTREE_SESSION={value}"))
    }
}

/// A word as a shell reads it back; quoted only when it has to be.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c));
    if is_plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(shell_word("work+1a"), "work+1a");
        assert_eq!(shell_word("my work+1a"), "'my work+1a'");
        assert_eq!(shell_word("it's"), "'it'\"'\"'s'");
        assert_eq!(shell_word(""), "''");
    }
}
