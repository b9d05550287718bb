//! Looking into images without running them.

use contree_api::image::{Image, ImageRef};
use contree_api::inspect::DirectoryList;
use contree_api::{ImageId, Tag};
use reqwest::StatusCode;
use reqwest::header::LOCATION;

use crate::http::{Call, Download};
use crate::{Client, Error};

impl Client {
    /// `GET /inspect/?tag=`: the image that a tag names. The answer is a redirect that is read,
    /// not followed.
    ///
    /// # Errors
    /// [`Error`]; 404 when there is no such tag.
    pub async fn find_image(&self, tag: &Tag) -> Result<ImageId, Error> {
        let call = Call::get("/inspect/")
            .query("tag", tag)
            .expect(StatusCode::FOUND);
        let response = self.response(&call).await?;
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        location
            .and_then(|location| location.split(['?', '#']).next())
            .and_then(|location| location.trim_end_matches('/').rsplit('/').next())
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| call.answer(&"its Location does not end in an image id"))
    }

    /// The id behind a reference; ids pass through unasked.
    ///
    /// # Errors
    /// [`Error`]; 404 when there is no such tag.
    pub async fn resolve_image(&self, image: &ImageRef) -> Result<ImageId, Error> {
        match image {
            ImageRef::Id(id) => Ok(*id),
            ImageRef::Tag(tag) => self.find_image(tag).await,
        }
    }

    /// `GET /inspect/{uuid}/`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn image(&self, id: ImageId) -> Result<Image, Error> {
        self.json(&Call::get(format!("/inspect/{id}/"))).await
    }

    /// `GET /inspect/{uuid}/list`: the entries of a folder.
    ///
    /// # Errors
    /// [`Error`]; 404 when there is no such path, 422 when it is no folder.
    pub async fn list_directory(&self, id: ImageId, path: &str) -> Result<DirectoryList, Error> {
        self.json(&Call::get(format!("/inspect/{id}/list")).query("path", path))
            .await
    }

    /// The same as the server's own text, close to `ls -l`.
    ///
    /// # Errors
    /// As [`Client::list_directory`].
    pub async fn list_directory_text(&self, id: ImageId, path: &str) -> Result<String, Error> {
        let call = Call::get(format!("/inspect/{id}/list"))
            .query("path", path)
            .query("text", 1);
        let body = self.bytes(&call).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// `GET /inspect/{uuid}/download`: a file, piece by piece.
    ///
    /// # Errors
    /// [`Error`]; 404 when there is no such path, 422 when it is no file.
    pub async fn download(&self, id: ImageId, path: &str) -> Result<Download, Error> {
        let call = Call::get(format!("/inspect/{id}/download")).query("path", path);
        let response = self.response(&call).await?;
        Ok(Download::new(self, &call, response))
    }
}
