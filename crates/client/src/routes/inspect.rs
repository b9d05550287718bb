//! Looking into images without running them.

use std::path::Path;

use bytes::Bytes;
use contree_api::image::{Image, ImageRef};
use contree_api::inspect::{DirectoryList, GrepQuery, GrepResult};
use contree_api::{ImageId, Tag};
use reqwest::StatusCode;
use reqwest::header::LOCATION;

use crate::call::Call;
use crate::download::Download;
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
        let call = download_call(id, path);
        self.again(&call, || self.begun(&call)).await
    }

    /// The same, whole and in memory. It is begun anew when the connection breaks.
    ///
    /// # Errors
    /// As [`Client::download`].
    pub async fn read_file(&self, id: ImageId, path: &str) -> Result<Bytes, Error> {
        self.whole(&download_call(id, path)).await
    }

    /// The same, into a file of this machine, as [`Download::save`]. It is begun anew when the
    /// connection breaks.
    ///
    /// # Errors
    /// As [`Client::download`] and [`Download::save`].
    pub async fn save_file(&self, id: ImageId, path: &str, to: &Path) -> Result<u64, Error> {
        self.saved(&download_call(id, path), to).await
    }

    /// `HEAD /inspect/{uuid}/download`: whether there is a file.
    ///
    /// # Errors
    /// [`Error`], but not for 404; 422 when the path is no file.
    pub async fn can_download(&self, id: ImageId, path: &str) -> Result<bool, Error> {
        let call = Call::head(format!("/inspect/{id}/download")).query("path", path);
        self.is_there(&call).await
    }

    /// `HEAD /inspect/{uuid}/archive`: whether there is a file or folder.
    ///
    /// # Errors
    /// [`Error`], but not for 404; 422 when the path is neither.
    pub async fn can_archive(&self, id: ImageId, path: &str) -> Result<bool, Error> {
        let call = Call::head(format!("/inspect/{id}/archive")).query("path", path);
        self.is_there(&call).await
    }

    /// `GET /inspect/{uuid}/archive`: a file or folder as a tar archive, piece by piece. An archive
    /// that was not read to the [`Download`]'s end is not whole.
    ///
    /// # Errors
    /// [`Error`]; 404 when there is no such path, 422 when it is neither a file nor a folder.
    pub async fn archive(&self, id: ImageId, path: &str) -> Result<Download, Error> {
        let call = archive_call(id, path);
        self.again(&call, || self.begun(&call)).await
    }

    /// The same, into a file of this machine, as [`Download::save`]. It is begun anew when the
    /// connection breaks.
    ///
    /// # Errors
    /// As [`Client::archive`] and [`Download::save`].
    pub async fn save_archive(&self, id: ImageId, path: &str, to: &Path) -> Result<u64, Error> {
        self.saved(&archive_call(id, path), to).await
    }

    /// The same in memory. It is begun anew when the connection breaks.
    ///
    /// # Errors
    /// As [`Client::archive`].
    pub async fn read_archive(&self, id: ImageId, path: &str) -> Result<Bytes, Error> {
        self.whole(&archive_call(id, path)).await
    }

    /// The same, compressed with gzip where the server can: [`Download::is_gzip`] tells. The bytes
    /// come as they are sent, so those of a compressed archive are a `.tar.gz`.
    ///
    /// # Errors
    /// As [`Client::archive`].
    pub async fn archive_gzip(&self, id: ImageId, path: &str) -> Result<Download, Error> {
        let call = archive_call(id, path).accept_gzip();
        self.again(&call, || self.begun(&call)).await
    }

    /// [`Client::archive_gzip`] into a file of this machine, as [`Client::save_archive`].
    ///
    /// # Errors
    /// As [`Client::archive`] and [`Download::save`].
    pub async fn save_archive_gzip(
        &self,
        id: ImageId,
        path: &str,
        to: &Path,
    ) -> Result<u64, Error> {
        self.saved(&archive_call(id, path).accept_gzip(), to).await
    }

    /// [`Client::archive_gzip`] in memory, as [`Client::read_archive`].
    ///
    /// # Errors
    /// As [`Client::archive`].
    pub async fn read_archive_gzip(&self, id: ImageId, path: &str) -> Result<Bytes, Error> {
        self.whole(&archive_call(id, path).accept_gzip()).await
    }

    async fn whole(&self, call: &Call) -> Result<Bytes, Error> {
        self.again(call, || async { self.begun(call).await?.bytes().await })
            .await
    }

    async fn saved(&self, call: &Call, to: &Path) -> Result<u64, Error> {
        self.again(call, || async { self.begun(call).await?.save(to).await })
            .await
    }

    /// One attempt at a download, up to its first byte.
    async fn begun(&self, call: &Call) -> Result<Download, Error> {
        let response = self.once(call).await?;
        Ok(Download::new(self, call, response))
    }

    /// `GET /inspect/{uuid}/grep`: lines that match, in files of the image.
    ///
    /// # Errors
    /// [`Error`]; 404 when there is no such path, 400 when a pattern or glob is none or there are
    /// too many.
    pub async fn grep(&self, id: ImageId, query: &GrepQuery) -> Result<GrepResult, Error> {
        let mut call = Call::get(format!("/inspect/{id}/grep"));
        for pattern in &query.patterns {
            call = call.query("pattern", pattern);
        }
        for path in &query.paths {
            call = call.query("path", path);
        }
        for glob in &query.globs {
            call = call.query("glob", glob);
        }
        let call = call
            .query_some("max_count", query.max_count)
            .query_some("max_total", query.max_total)
            .query("case", query.case.name())
            .query("before", query.before)
            .query("after", query.after);
        self.json(&call).await
    }
}

fn download_call(id: ImageId, path: &str) -> Call {
    Call::get(format!("/inspect/{id}/download")).query("path", path)
}

fn archive_call(id: ImageId, path: &str) -> Call {
    Call::get(format!("/inspect/{id}/archive")).query("path", path)
}
