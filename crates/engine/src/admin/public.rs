//! The public namespace: images that every project sees.
//!
//! A public image is a record of its own beside the one that it was published from, on the same
//! layer. Its id is derived from the other's (UUID version 5), so that publishing twice gives one
//! image; it says nothing of where it comes from, and it stays when its source goes.

use contree_api::admin::Publish;
use contree_api::image::{Image, ImageRef};
use contree_api::{ImageId, ProjectId, Tag, Timestamp};
use contree_records::{Change, NewImage, PUBLIC, Records};
use uuid::Uuid;

use super::projects;
use crate::Error;

pub(super) async fn publish(
    records: &Records,
    own_project: Option<ProjectId>,
    request: Publish,
) -> Result<Image, Error> {
    let project = match (&request.project, own_project) {
        (Some(project), _) => projects::find(records, project).await?.id,
        (None, Some(own)) => own,
        (None, None) => {
            return Err(Error::bad_request(
                "project is required: the token is for all projects, so say which has the image",
            ));
        }
    };
    let source = match &request.image {
        ImageRef::Id(id) => *id,
        ImageRef::Tag(tag) => records
            .tagged_image(project, tag)
            .await?
            .ok_or_else(|| Error::not_found(format!("image: there is no image tagged {tag}")))?,
    };
    let missing = || Error::not_found(format!("image: there is no image {source}"));
    let now = Timestamp::now();
    let public = match records.own_image(project, source).await? {
        Some(own) => NewImage {
            id: public_id(source),
            project: PUBLIC,
            parent: None,
            operation: None,
            created_at: now,
            ..own
        },
        // One that is public already gets one more tag.
        None => records
            .own_image(PUBLIC, source)
            .await?
            .ok_or_else(missing)?,
    };
    let id = public.id;
    let change = Change::Publish {
        image: Box::new(public),
        tag: request.tag.clone(),
        at: now,
    };
    match records.apply(change, true).await {
        // The image and its layer went in between.
        Err(contree_records::Error::Reference { .. }) => return Err(missing()),
        outcome => drop(outcome?),
    }
    let mut shown = records.image(PUBLIC, id).await?.ok_or_else(missing)?;
    shown.tag = Some(request.tag);
    Ok(shown)
}

fn public_id(source: ImageId) -> ImageId {
    ImageId::from_uuid(Uuid::new_v5(&PUBLIC.uuid(), source.uuid().as_bytes()))
}

pub(super) async fn unpublish(records: &Records, tag: &Tag) -> Result<(), Error> {
    let change = Change::Unpublish { tag: tag.clone() };
    match records.apply(change, true).await? {
        0 => Err(Error::not_found(format!(
            "tag: there is no public tag {tag}"
        ))),
        _ => Ok(()),
    }
}
