//! `contree tag`

use clap::Args;

use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::reference;

/// Name an image, or remove a name
///
/// With one argument the current image of the session gets the tag; with two, the first says
/// which image. A tag that another image has moves here. Tags are made of letters, digits, `_`
/// and `-` with single `:`, `/` or `.` between them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree tag my-app:v1.0                   the session's current image
  contree tag UUID my-app:v1.0              any image
  contree tag tag:alpine:latest my-alpine   one that has a tag already
  contree tag -d UUID my-app:v1.0           remove a tag
  contree tag -d my-app:v1.0                the same, from whatever image has it")]
pub(crate) struct TagArgs {
    /// TAG, or IMAGE TAG
    #[arg(required = true, num_args = 1..=2, value_name = "ARG")]
    args: Vec<String>,
    /// Remove the tag
    #[arg(short = 'd', visible_short_alias = 'U', long, visible_alias = "rm")]
    delete: bool,
}

pub(crate) async fn tag(context: &Context, args: TagArgs) -> Result<u8, Failure> {
    let (image, name) = match &args.args[..] {
        [image, name] => (Some(image.as_str()), name.as_str()),
        [name] => (None, name.as_str()),
        _ => unreachable!("clap takes one or two"),
    };
    let tag = reference::parse_tag(name)?;
    let client = context.client()?;
    let id = match image {
        Some(image) => reference::resolve(&client, image).await?,
        // The name alone says which image; the session's may be another one.
        None if args.delete => reference::resolve(&client, &format!("tag:{tag}")).await?,
        None => {
            let session = context.store().await?.active().await?;
            reference::resolve(&client, &session.current_image).await?
        }
    };
    if args.delete {
        client
            .delete_tag(id, Some(&tag))
            .await
            .doing(|| format!("could not remove tag {tag}"))?;
        context
            .output
            .note(&format!("Removed tag {tag} from image {id}"));
    } else {
        client
            .set_tag(id, &tag)
            .await
            .doing(|| format!("could not set tag {tag}"))?;
        context.output.note(&format!("Tagged image {id} as {tag}"));
    }
    Ok(0)
}
