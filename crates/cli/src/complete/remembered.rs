//! Answers of a server, remembered in the session database so that the next Tab need not wait.
//!
//! | id | kind | value |
//! | --- | --- | --- |
//! | image | `complete:PATH` | names in a folder of it |
//! | empty | `complete:tags:SERVER`, `complete:operations:SERVER` | lists, and when they were made |
//!
//! `SERVER` stands for address, project and token: what one token sees another may not.

use std::time::Duration;

use contree_api::ImageId;
use contree_api::inspect::FileItem;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::context::Context;
use crate::failure::Failure;
use crate::session::Store;

/// How long a list of tags is believed.
pub(super) const TAGS_TTL: Duration = Duration::from_mins(1);
/// How long a list of operations is believed.
pub(super) const OPERATIONS_TTL: Duration = Duration::from_secs(5);

/// What can be kept.
pub(super) trait Kept: Serialize + DeserializeOwned {}

impl<T: Serialize + DeserializeOwned> Kept for T {}

/// An operation of a list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Operation {
    pub(super) id: String,
    /// Its kind and status.
    pub(super) about: String,
    pub(super) has_ended: bool,
}

/// An entry of a folder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) is_folder: bool,
    /// Something that can be run, as far as a listing tells.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) is_program: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Entry {
    pub(super) fn of(item: &FileItem) -> Self {
        Self {
            name: item.path.clone(),
            is_folder: item.is_dir,
            is_program: item.is_symlink || (item.is_regular && item.mode & 0o111 != 0),
        }
    }
}

/// Where an answer is kept, and for how long it is believed.
#[derive(Debug)]
pub(super) struct Memory {
    id: String,
    kind: String,
    /// None: it never changes.
    ttl: Option<Duration>,
}

#[derive(Serialize, Deserialize)]
struct Dated<T> {
    /// Unix seconds.
    at: i64,
    value: T,
}

impl Memory {
    /// Of a list that one token sees.
    pub(super) fn of_server(context: &Context, list: &str, ttl: Duration) -> Self {
        let server = context.profile().map_or_else(
            |_| String::new(),
            |profile| {
                let project = profile.project.unwrap_or_default();
                let digest =
                    Sha256::digest(format!("{}\0{project}\0{}", profile.url, profile.token));
                digest
                    .iter()
                    .take(8)
                    .map(|byte| format!("{byte:02x}"))
                    .collect()
            },
        );
        Self {
            id: String::new(),
            kind: format!("complete:{list}:{server}"),
            ttl: Some(ttl),
        }
    }

    /// Of a folder of an image.
    pub(super) fn of_image(image: ImageId, path: &str) -> Self {
        Self {
            id: image.to_string(),
            kind: format!("complete:{path}"),
            ttl: None,
        }
    }

    /// What is kept and still to be believed.
    pub(super) async fn recall<T: Kept>(&self, store: &mut Store) -> Option<T> {
        let dated: Dated<T> = store.recall(&self.id, &self.kind).await.ok()??;
        let age = jiff::Timestamp::now().as_second() - dated.at;
        let is_fresh = self.ttl.is_none_or(|ttl| {
            // A clock that was set back makes no answer young.
            u64::try_from(age).is_ok_and(|age| age < ttl.as_secs())
        });
        is_fresh.then_some(dated.value)
    }

    /// Keeps an answer.
    pub(super) async fn keep(&self, store: &mut Store, value: &impl Kept) -> Result<(), Failure> {
        let at = jiff::Timestamp::now().as_second();
        store
            .remember(&self.id, &self.kind, &Dated { at, value })
            .await
    }
}
