//! `contree admin publish` and `contree admin unpublish`

use clap::Args;
use contree_api::admin::Publish;
use contree_api::image::ImageRef;

use super::Target;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Row};
use crate::reference;

/// Make an image public: every project sees it under a tag
///
/// A project that has the tag itself goes on seeing its own. Publishing another image under the
/// same tag moves the tag. The public image stays when its project removes its own or goes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree admin publish tag:debian:bookworm debian:bookworm
  contree admin publish --project team-a UUID common/python:3.11")]
pub(super) struct PublishArgs {
    /// The image: its UUID, or tag:NAME
    image: String,
    /// The public tag
    tag: String,
    /// Project that has the image, by name or id [default: the token's]
    #[arg(short = 'P', long, value_name = "PROJECT")]
    project: Option<String>,
}

/// Take a public tag back
///
/// The image goes too, unless another tag names it, a project's own or a public one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree admin unpublish debian:bookworm")]
pub(super) struct UnpublishArgs {
    /// The public tag
    tag: String,
}

const COLUMNS: Columns = Columns {
    head: &[],
    tail: &[],
    keep: &[],
    hidden: &["operation_uuid", "parent_uuid"],
};

pub(super) async fn publish(
    context: &Context,
    target: &Target,
    args: PublishArgs,
) -> Result<(), Failure> {
    let tag = reference::parse_tag(&args.tag)?;
    let image: ImageRef = args
        .image
        .parse()
        .or_else(|_| reference::parse_tag(&args.image).map(ImageRef::Tag))?;
    let request = Publish {
        image,
        tag: tag.clone(),
        project: args.project,
    };
    let image = target
        .publish(request)
        .await
        .map_err(|failure| failure.while_doing(format!("could not publish {}", args.image)))?;
    context.output.row(COLUMNS, Row::of(&image))
}

pub(super) async fn unpublish(
    context: &Context,
    target: &Target,
    args: UnpublishArgs,
) -> Result<(), Failure> {
    let tag = reference::parse_tag(&args.tag)?;
    target
        .unpublish(&tag)
        .await
        .map_err(|failure| failure.while_doing(format!("could not take {tag} back")))?;
    context
        .output
        .note(&format!("{tag} is no public tag any more"));
    Ok(())
}
