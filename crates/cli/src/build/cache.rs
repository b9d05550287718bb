//! What was built before: layers in the profile's session database.
//!
//! Each build context has a session of its own, `build:` and sixteen hex digits of the sha256 of
//! its absolute path, as contree-cli has it. A step's result is a branch of that session,
//! `layer:` and sixteen digits of the step's [`Key`]. A key covers all that the result depends on:
//! the image that the step starts from (by its id, so a step is never taken for one that started
//! from something else), what the instruction says once its variables are expanded, and what it
//! takes in: digests of files, ids of images. Times are in no key.
//!
//! A branch says what a step made, not that the image is still on the server. Asking for each
//! would cost a request a step, so only the last image of a build is asked for. When it, or one
//! that a step starts from, is gone, the build begins again and asks for each.

use std::cell::Cell;
use std::sync::{Arc, Mutex as SyncMutex};

use contree_api::ImageId;
use contree_client::Client;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::context::Hashes;
use super::state::Stored;
use crate::failure::{Doing as _, Failure};
use crate::session::{Kind, NewLayer, Store};

/// In every key: another number forgets all that was built before.
const VERSION: u32 = 1;

/// Name of the digests of files, in the database.
const HASHES: &str = "build_hashes:";

/// What a step's result depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    /// A step that starts from an image.
    pub(super) fn step(from: ImageId, what: &Value) -> Self {
        Self(hex(&format!("contree {VERSION}\0{from}\0{what}")))
    }

    /// A base, as contree-cli names it.
    pub(super) fn base(image: &str) -> Self {
        Self(hex(&format!("FROM:{image}")))
    }

    /// The branch that stands for it.
    fn branch(&self) -> String {
        format!("layer:{}", &self.0[..16])
    }
}

/// The key of the session that belongs to a context, by its absolute path.
pub(super) fn session_key(context: &str) -> String {
    format!("build:{}", &hex(context)[..16])
}

fn hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What was built before, and what is known of files and images.
#[derive(Debug)]
pub(super) struct Cache {
    client: Client,
    store: Mutex<Store>,
    session: String,
    /// Whether nothing is looked up: `--no-cache`.
    is_skipped: bool,
    /// Whether images are asked for before they count as found.
    is_careful: Cell<bool>,
    hits: Cell<usize>,
    hashes: Arc<SyncMutex<Hashes>>,
    /// The digests as they were read, to be written only when there are more.
    hashes_read: String,
}

impl Cache {
    /// The cache of a session.
    pub(super) async fn open(
        client: Client,
        mut store: Store,
        session: String,
        is_skipped: bool,
    ) -> Result<Self, Failure> {
        store.select(session.clone());
        let hashes_read = store
            .recall_json("", &format!("{HASHES}{session}"))
            .await?
            .unwrap_or_default();
        let hashes: Hashes = serde_json::from_str(&hashes_read).unwrap_or_default();
        Ok(Self {
            client,
            store: Mutex::new(store),
            session,
            is_skipped,
            is_careful: Cell::new(false),
            hits: Cell::new(0),
            hashes: Arc::new(SyncMutex::new(hashes)),
            hashes_read,
        })
    }

    /// The same database once more, for what takes long: others do not wait for it.
    pub(super) async fn another_store(&self) -> Result<Store, Failure> {
        self.store.lock().await.another().await
    }

    /// Digests of files, by their state.
    pub(super) fn hashes(&self) -> Arc<SyncMutex<Hashes>> {
        Arc::clone(&self.hashes)
    }

    /// Whether anything was taken as found without asking for it.
    pub(super) fn was_trusting(&self) -> bool {
        self.hits.get() > 0 && !self.is_careful.get()
    }

    /// Asks for every image from now on.
    pub(super) fn be_careful(&self) {
        self.is_careful.set(true);
    }

    /// What the step made when it was last carried out.
    pub(super) async fn find(&self, key: &Key) -> Result<Option<ImageId>, Failure> {
        if self.is_skipped {
            return Ok(None);
        }
        let found = self.store.lock().await.layer(&key.branch()).await?;
        let Some(image) = found.and_then(|image| image.parse().ok()) else {
            return Ok(None);
        };
        if self.is_careful.get() && !self.is_there(image).await? {
            return Ok(None);
        }
        self.hits.set(self.hits.get() + 1);
        Ok(Some(image))
    }

    /// Whether the server has an image.
    pub(super) async fn is_there(&self, image: ImageId) -> Result<bool, Failure> {
        match self.client.image(image).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error).doing(|| format!("could not ask for image {image}")),
        }
    }

    /// Notes what a step made.
    pub(super) async fn add(&self, layer: Made<'_>) -> Result<(), Failure> {
        let above = layer.above.map(Key::branch);
        let layer = NewLayer {
            branch: &layer.key.branch(),
            above: above.as_deref(),
            image: &layer.image.to_string(),
            kind: layer.kind,
            title: layer.title,
            operation: &layer.operation,
        };
        self.store.lock().await.add_layer(layer).await
    }

    /// Makes what was built the session's image, and keeps what was learned of files.
    pub(super) async fn finish(&self, key: &Key) -> Result<(), Failure> {
        let mut store = self.store.lock().await;
        store.activate_layer(&key.branch()).await?;
        let hashes = self.hashes_json();
        if hashes != self.hashes_read {
            let kind = format!("{HASHES}{}", self.session);
            store.remember_json("", &kind, &hashes).await?;
        }
        Ok(())
    }

    fn hashes_json(&self) -> String {
        let hashes = self
            .hashes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        serde_json::to_string(&*hashes).unwrap_or_default()
    }

    /// What runs from an image start with; nothing when there is no such image. Images do not
    /// change, so it is asked once.
    pub(super) async fn stored(&self, image: ImageId) -> Result<Option<Stored>, Failure> {
        let id = image.to_string();
        if let Some(stored) = self.store.lock().await.recall(&id, "build_base").await? {
            return Ok(Some(stored));
        }
        let shown = match self.client.image(image).await {
            Err(error) if error.is_not_found() => return Ok(None),
            shown => shown.doing(|| format!("could not ask for image {image}"))?,
        };
        let is_told = shown.env.is_some();
        let stored = Stored {
            env: shown.env.unwrap_or_default(),
            cwd: shown.cwd,
        };
        if is_told {
            self.remember(&id, "build_base", &stored).await?;
        }
        Ok(Some(stored))
    }

    /// An image that is remembered under a name.
    pub(super) async fn known_image(
        &self,
        id: &str,
        kind: &str,
    ) -> Result<Option<ImageId>, Failure> {
        let known: Option<ImageId> = self.store.lock().await.recall(id, kind).await?;
        let Some(image) = known else { return Ok(None) };
        if self.is_careful.get() && !self.is_there(image).await? {
            return Ok(None);
        }
        self.hits.set(self.hits.get() + 1);
        Ok(Some(image))
    }

    /// Remembers under a name.
    pub(super) async fn remember(
        &self,
        id: &str,
        kind: &str,
        value: &impl Serialize,
    ) -> Result<(), Failure> {
        self.store.lock().await.remember(id, kind, value).await
    }
}

/// What a step made.
#[derive(Debug)]
pub(super) struct Made<'a> {
    pub(super) key: &'a Key,
    /// The key of what it was made from.
    pub(super) above: Option<&'a Key>,
    pub(super) image: ImageId,
    pub(super) kind: Kind,
    pub(super) title: &'a str,
    /// Empty when none made it.
    pub(super) operation: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by contree-cli 0.9.4.
    #[test]
    fn names_are_those_of_the_other_program() {
        assert_eq!(session_key("/srv/app"), "build:dae668e4084f07b6");
        let base = Key::base("12345678-9abc-4aba-9eda-0123456789ab");
        assert_eq!(base.branch(), "layer:92d21a6f3db44ca0");
    }

    #[test]
    fn a_key_covers_the_image_and_the_step() {
        let (one, other) = (ImageId::new(), ImageId::new());
        let what = serde_json::json!({"run": "make"});
        assert_eq!(Key::step(one, &what), Key::step(one, &what));
        assert_ne!(Key::step(one, &what), Key::step(other, &what));
        let more = serde_json::json!({"run": "make test"});
        assert_ne!(Key::step(one, &what), Key::step(one, &more));
    }
}
