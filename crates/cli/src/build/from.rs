//! Images that a Dockerfile names: by UUID, by tag, or as they are called in a registry.
//!
//! A name is first looked for on the server. What it does not have is imported from the registry
//! that the name stands for, and tagged with the name as it was written, so that it is there the
//! next time.

use contree_api::image::{ImageImportRequest, Registry};
use contree_api::{ImageId, Tag};

use super::job::Build;
use super::progress::StepId;
use crate::failure::{Doing as _, Failure};
use crate::reference::registry_url;

/// What `FROM scratch` starts from, in the database.
const SCRATCH: &str = "build_scratch";
/// What was imported by a name that is no tag.
const IMPORT: &str = "build_import";

impl Build {
    /// The image of a name.
    pub(super) async fn resolve(&self, name: &str, step: StepId) -> Result<ImageId, Failure> {
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let is_tag = name.starts_with("tag:");
        let bare = name.strip_prefix("tag:").unwrap_or(name);
        let bare = bare.split_once("://").map_or(bare, |(_, rest)| rest);
        let tag: Option<Tag> = bare.parse().ok();
        match &tag {
            Some(tag) => match self.client.find_image(tag).await {
                Ok(id) => return Ok(id),
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    return Err(error).doing(|| format!("could not look for image {tag}"));
                }
            },
            // Names with a digest cannot be tags, and stand for the same for ever.
            None => {
                if let Some(id) = self.cache.known_image(name, IMPORT).await? {
                    return Ok(id);
                }
            }
        }
        if is_tag {
            return Err(Failure::new(format!("there is no image '{name}'"))
                .next("contree images   (list them), or FROM without tag: to import it"));
        }
        let url = registry_url(name);
        self.board.status(step, &format!("importing {url}"), true);
        let request = ImageImportRequest {
            registry: Registry {
                url: url.clone(),
                credentials: None,
            },
            tag,
            timeout: Some(self.timeout),
        };
        let ended = self.operations.import(&request, &self.board, step).await?;
        let id = ended.image(self.timeout).map_err(|failure| {
            let why = failure.to_string();
            let next = if why.contains("allow-registry") {
                "restart the server with --allow-registry HOST[:PORT]".to_owned()
            } else {
                format!("contree images import {name}   (with --username, where it is asked for)")
            };
            failure
                .while_doing(format!("could not import {url}"))
                .advise(next)
        })?;
        if request.tag.is_none() {
            self.cache.remember(name, IMPORT, &id).await?;
        }
        Ok(id)
    }

    /// The image that has nothing in it. Servers have none by themselves: an archive of nothing
    /// but a root is imported, which is the same image each time.
    pub(super) async fn scratch(&self, step: StepId) -> Result<ImageId, Failure> {
        if let Some(id) = self.cache.known_image("", SCRATCH).await? {
            return Ok(id);
        }
        let failed = || "could not make an empty image".to_owned();
        let uploaded = self.client.upload_bytes(empty_root().into()).await;
        let file = uploaded.doing(failed)?;
        let request = ImageImportRequest {
            registry: Registry {
                url: format!("upload:{}", file.uuid),
                credentials: None,
            },
            tag: None,
            timeout: Some(self.timeout),
        };
        let ended = self.operations.import(&request, &self.board, step).await?;
        let id = ended
            .image(self.timeout)
            .map_err(|failure| failure.while_doing(failed()))?;
        self.cache.remember("", SCRATCH, &id).await?;
        Ok(id)
    }
}

/// A tar with a root and nothing in it: one header and the end.
fn empty_root() -> Vec<u8> {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, b"./");
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, b"00000000000\0");
    put(136, b"00000000000\0");
    put(156, b"5");
    put(257, b"ustar\x0000");
    // The sum of all bytes, its own place counted as spaces.
    put(148, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    [&header[..], &[0; 1_024]].concat()
}
