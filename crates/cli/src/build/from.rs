//! Images that a Dockerfile names: by UUID, by tag, or as they are called in a registry.
//!
//! A name is first looked for on the server. What it does not have is imported from the registry
//! that the name stands for, and tagged with the name as it was written, so that it is there the
//! next time.

use std::rc::Rc;

use contree_api::image::{ImageImportRequest, Registry};
use contree_api::{ImageId, Tag};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::job::Build;
use super::progress::StepId;
use crate::failure::{Doing as _, Failure};
use crate::reference::registry_url;

/// What `FROM scratch` starts from, in the database.
const SCRATCH: &str = "build_scratch";
/// What was imported by a name that is no tag.
const IMPORT: &str = "build_import";

impl Build {
    /// The image of a name. Several stages may name one: it is looked for, and imported, once.
    pub(super) async fn resolve(&self, name: &str, step: StepId) -> Result<ImageId, Failure> {
        let found = Rc::clone(
            self.resolved
                .borrow_mut()
                .entry(name.to_owned())
                .or_default(),
        );
        let found = found.get_or_try_init(|| self.look_up(name, step)).await;
        found.copied()
    }

    async fn look_up(&self, name: &str, step: StepId) -> Result<ImageId, Failure> {
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

    /// The image that has nothing in it. Servers have none by themselves: one without layers is
    /// imported, which is the same image each time.
    pub(super) async fn scratch(&self, step: StepId) -> Result<ImageId, Failure> {
        if let Some(id) = self.cache.known_image("", SCRATCH).await? {
            return Ok(id);
        }
        let failed = || "could not make an empty image".to_owned();
        let archive = empty_image(&self.platform.arch).doing(failed)?;
        let file = self.client.upload_bytes(archive.into()).await;
        let file = file.doing(failed)?;
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

/// An image without layers, as `docker save` writes them.
fn empty_image(arch: &str) -> std::io::Result<Vec<u8>> {
    let config = json!({
        "architecture": arch,
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [] },
    })
    .to_string();
    let digest = Sha256::digest(config.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{digest}.json");
    let manifest = json!([{ "Config": name, "RepoTags": null, "Layers": [] }]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [(name.as_str(), config), ("manifest.json", manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    archive.into_inner()
}
