//! Images, tags and imports.

use contree_api::image::{Image, ImageImportRequest, ImageImportResponse, ImageList, TagUpdate};
use contree_api::{ImageId, OperationId, Tag};
use reqwest::Method;

use crate::call::Call;
use crate::{Client, Error};

/// Which images a list has. Left out: all of the project and the public ones, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageFilter {
    /// At most so many, 1 to 1000; the server's default is 100.
    pub limit: Option<u32>,
    /// So many are skipped.
    pub offset: Option<u32>,
    /// Only images that have a tag.
    pub tagged: bool,
    /// Only tags that begin with this.
    pub tag_prefix: Option<String>,
    /// Only this one.
    pub uuid: Option<ImageId>,
    /// Only results of runs (0) or only imported images (1).
    pub kind: Option<u8>,
    /// Made at or after this moment (any form that the API takes).
    pub since: Option<String>,
    /// Made before this moment.
    pub until: Option<String>,
}

impl Client {
    /// `GET /images`: one page.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_images(&self, filter: &ImageFilter) -> Result<Vec<Image>, Error> {
        let call = Call::get("/images")
            .query_some("limit", filter.limit)
            .query_some("offset", filter.offset)
            .query_some("tagged", filter.tagged.then_some(1))
            .query_some("tag", filter.tag_prefix.as_deref())
            .query_some("uuid", filter.uuid)
            .query_some("kind", filter.kind)
            .query_some("since", filter.since.as_deref())
            .query_some("until", filter.until.as_deref());
        self.json::<ImageList>(&call).await.map(|list| list.images)
    }

    /// `PATCH /images/{uuid}/tag`: sets a tag, moving it here from another image if need be.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_tag(&self, image: ImageId, tag: &Tag) -> Result<Image, Error> {
        let call = Call::new(Method::PATCH, format!("/images/{image}/tag"))
            .json_body(&TagUpdate { tag: tag.clone() })
            // The tag is there afterwards, however often it was set.
            .repeatable();
        self.json(&call).await
    }

    /// `DELETE /images/{uuid}/tag`: removes one tag, or all of them.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete_tag(&self, image: ImageId, tag: Option<&Tag>) -> Result<(), Error> {
        let call = Call::delete(format!("/images/{image}/tag")).query_some("tag", tag);
        self.done(&call).await
    }

    /// `POST /images/import`: starts an import.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn import_image(
        &self,
        request: &ImageImportRequest,
    ) -> Result<ImageImportResponse, Error> {
        self.json(&import_call(request)).await
    }

    /// The same, unless `gone` is done before the server has taken it: `None`, and nothing was
    /// started. A request that is on its way is waited for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn import_unless(
        &self,
        request: &ImageImportRequest,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<OperationId>, Error> {
        self.start_unless(&import_call(request), gone).await
    }
}

pub(crate) fn import_call(request: &ImageImportRequest) -> Call {
    Call::post("/images/import")
        .json_body(request)
        .starts_operation()
}
