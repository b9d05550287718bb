//! What can stand at a place of the command line: for the completion of shells ([`request`]) and of
//! the interactive shell.
//!
//! Each source takes what is typed so far and returns what may stand there, best first. Sources
//! never fail and never keep a user waiting: what cannot be had within [`PATIENCE`] is left out
//! without a word. Nothing is made on the way: where there is no session database yet, none is
//! made, and nothing is remembered.
//!
//! Answers of the server are remembered in the session database ([`remembered`]): tags for a
//! minute, operations for seconds, folders of an image for good, as an image never changes. A list
//! that has nothing for what is typed is asked for again, so that what was made a moment ago is
//! found.

mod places;
mod remembered;
mod request;
mod shells;
mod words;

use std::collections::HashSet;
use std::time::Duration;

use contree_api::ImageId;
use contree_client::{Client, ImageFilter, OperationFilter};
use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::home::patience;
use crate::session::Store;
use remembered::{Memory, OPERATIONS_TTL, TAGS_TTL};

pub(crate) use request::{answer, arguments};
pub(crate) use shells::{Shell, registration};

/// How long somebody who pressed Tab waits, at most, unless told otherwise.
const PATIENCE: Duration = Duration::from_millis(700);
/// So many tags are asked for: one page of the server, and more than anybody looks through.
const TAGS: u32 = 1_000;
/// So many operations are asked for.
const OPERATIONS: u32 = 50;
/// So many steps of the session are offered.
const STEPS: usize = 20;
/// Where programs are in images that do not say otherwise, in the order they are looked for.
const PROGRAM_FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Something that may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The whole word, with what is typed already.
    pub(crate) value: String,
    /// What it is, in a few words; may be empty.
    pub(crate) about: String,
}

impl Candidate {
    fn new(value: impl Into<String>, about: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            about: about.into(),
        }
    }
}

/// Which operations are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All.
    All,
    /// Those that have not ended.
    Active,
}

/// Which entries of a folder are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entries {
    /// All.
    All,
    /// Folders.
    Folders,
}

/// Names of images: tags, as they are or after `tag:`, and for what looks like one the UUIDs that
/// the session has seen.
pub(crate) async fn images(context: &Context, typed: &str) -> Vec<Candidate> {
    let mut asked = Asked::new(context).await;
    let bare = typed.strip_prefix("tag:");
    let mut found = asked.tags(bare.unwrap_or(typed)).await;
    if bare.is_some() {
        for candidate in &mut found {
            candidate.value.insert_str(0, "tag:");
        }
    }
    if !typed.is_empty() && found.is_empty() {
        found = asked.seen_images().await;
    }
    matching(found, typed)
}

/// Tags.
pub(crate) async fn tags(context: &Context, typed: &str) -> Vec<Candidate> {
    let found = Asked::new(context).await.tags(typed).await;
    matching(found, typed)
}

/// Keys of sessions, the one changed last first.
pub(crate) async fn sessions(context: &Context, typed: &str) -> Vec<Candidate> {
    let found = Asked::new(context).await.sessions().await;
    matching(found, typed)
}

/// Branches of the session.
pub(crate) async fn branches(context: &Context, typed: &str) -> Vec<Candidate> {
    let found = Asked::new(context).await.branches().await;
    matching(found, typed)
}

/// Operations: steps of the session as `@N`, then UUIDs, newest first.
pub(crate) async fn operations(context: &Context, wanted: Wanted, typed: &str) -> Vec<Candidate> {
    let found = Asked::new(context).await.operations(wanted, typed).await;
    matching(found, typed)
}

/// Paths inside the current image. Relative ones start at the session's working directory; folders
/// end in `/`.
pub(crate) async fn paths(context: &Context, entries: Entries, typed: &str) -> Vec<Candidate> {
    let found = Asked::new(context).await.paths(entries, typed).await;
    matching(found.unwrap_or_default(), typed)
}

/// Programs of the current image, by name or by path.
pub(crate) async fn programs(context: &Context, typed: &str) -> Vec<Candidate> {
    if typed.contains('/') {
        return paths(context, Entries::All, typed).await;
    }
    let found = Asked::new(context).await.programs().await;
    matching(found, typed)
}

/// Saved profiles.
pub(crate) fn profiles(context: &Context, typed: &str) -> Vec<Candidate> {
    let names = context.profiles.names().into_iter();
    let found = names.map(|name| {
        let url = context.profiles.get(&name).map(|profile| profile.url);
        Candidate::new(name, url.unwrap_or_default())
    });
    matching(found.collect(), typed)
}

/// Those that go on from what is typed, each once. What no shell could take in a line is left out.
fn matching(found: Vec<Candidate>, typed: &str) -> Vec<Candidate> {
    let mut known = HashSet::new();
    let mut found = found;
    found.retain(|candidate| {
        candidate.value.starts_with(typed)
            && !candidate.value.contains(|c: char| c.is_control())
            && known.insert(candidate.value.clone())
    });
    found
}

/// One question, with what it is answered from.
struct Asked<'a> {
    context: &'a Context,
    /// None where nothing is kept yet, or it cannot be read.
    store: Option<Store>,
    deadline: Instant,
}

impl<'a> Asked<'a> {
    async fn new(context: &'a Context) -> Self {
        let deadline = Instant::now() + patience(PATIENCE);
        let store = async {
            if context.has_store() {
                context.store().await.ok()
            } else {
                None
            }
        };
        let store = timeout_at(deadline, store).await.ok().flatten();
        Self {
            context,
            store,
            deadline,
        }
    }

    async fn tags(&mut self, typed: &str) -> Vec<Candidate> {
        let Ok(client) = self.context.client() else {
            return Vec::new();
        };
        let memory = Memory::of_server(self.context, "tags", TAGS_TTL);
        let is_enough = |tags: &Vec<String>| tags.iter().any(|tag| tag.starts_with(typed));
        let ask = async || {
            let mut filter = ImageFilter::default();
            filter.limit = Some(TAGS);
            filter.tagged = true;
            let images = client.list_images(&filter).await.ok()?;
            Some(tag_names(images))
        };
        let tags = self.remembered(&memory, is_enough, ask).await;
        let found = tags.unwrap_or_default().into_iter();
        found.map(|tag| Candidate::new(tag, "")).collect()
    }

    async fn seen_images(&mut self) -> Vec<Candidate> {
        let entries = self.history().await.into_iter().rev();
        entries
            .map(|entry| {
                Candidate::new(entry.image_uuid, format!("{} {}", entry.kind, entry.title))
            })
            .collect()
    }

    async fn sessions(&mut self) -> Vec<Candidate> {
        let deadline = self.deadline;
        let Some(store) = &mut self.store else {
            return Vec::new();
        };
        let sessions = timeout_at(deadline, store.sessions()).await;
        let sessions = sessions.ok().and_then(Result::ok).unwrap_or_default();
        let about = |session: &crate::session::Session| {
            format!(
                "{}: {} {}",
                session.active_branch, session.last_kind, session.last_title
            )
        };
        sessions
            .iter()
            .map(|session| Candidate::new(session.session_key.as_str(), about(session)))
            .collect()
    }

    async fn branches(&mut self) -> Vec<Candidate> {
        let deadline = self.deadline;
        let Some(store) = &mut self.store else {
            return Vec::new();
        };
        let branches = timeout_at(deadline, store.branches()).await;
        let branches = branches.ok().and_then(Result::ok).unwrap_or_default();
        branches
            .into_iter()
            .map(|(name, is_active)| Candidate::new(name, if is_active { "active" } else { "" }))
            .collect()
    }

    async fn history(&mut self) -> Vec<crate::session::Entry> {
        let deadline = self.deadline;
        let Some(store) = &mut self.store else {
            return Vec::new();
        };
        let key = store.key().to_owned();
        let history = timeout_at(deadline, store.history(&key)).await;
        let (entries, _) = history.ok().and_then(Result::ok).unwrap_or_default();
        entries
    }

    async fn operations(&mut self, wanted: Wanted, typed: &str) -> Vec<Candidate> {
        let history = self.history().await;
        let listed = match self.context.client() {
            Ok(client) => self.listed_operations(&client, typed).await,
            Err(_) => Vec::new(),
        };
        let is_active = |id: &str| {
            let known = listed.iter().find(|operation| operation.id == id);
            known.is_some_and(|operation| !operation.has_ended)
        };
        let mut found: Vec<Candidate> = history
            .iter()
            .rev()
            .filter(|entry| !entry.operation_uuid.is_empty())
            .filter(|entry| wanted == Wanted::All || is_active(&entry.operation_uuid))
            .take(STEPS)
            .map(|entry| Candidate::new(format!("@{}", entry.id), entry.title.as_str()))
            .collect();
        let title = |operation: &remembered::Operation| {
            let mut steps = history.iter();
            let step = steps.find(|entry| entry.operation_uuid == operation.id);
            step.map_or_else(
                || operation.about.clone(),
                |entry| format!("{}  {}", operation.about, entry.title),
            )
        };
        found.extend(
            listed
                .iter()
                .filter(|operation| wanted == Wanted::All || !operation.has_ended)
                .map(|operation| Candidate::new(operation.id.as_str(), title(operation))),
        );
        found
    }

    async fn listed_operations(
        &mut self,
        client: &Client,
        typed: &str,
    ) -> Vec<remembered::Operation> {
        let memory = Memory::of_server(self.context, "operations", OPERATIONS_TTL);
        let is_enough = |list: &Vec<remembered::Operation>| {
            let mut ids = list.iter().map(|operation| &operation.id);
            ids.any(|id| id.starts_with(typed))
        };
        let ask = async || {
            let mut filter = OperationFilter::default();
            filter.limit = Some(OPERATIONS);
            let list = client.list_operations(&filter).await.ok()?;
            let operations = list.iter().map(|operation| remembered::Operation {
                id: operation.uuid.to_string(),
                about: format!("{} {}", operation.kind.name(), operation.status.name()),
                has_ended: operation.status.is_terminal(),
            });
            Some(operations.collect::<Vec<_>>())
        };
        let list = self.remembered(&memory, is_enough, ask).await;
        list.unwrap_or_default()
    }

    /// None when there is no session, or no such folder.
    async fn paths(&mut self, entries: Entries, typed: &str) -> Option<Vec<Candidate>> {
        let (folder, _) = match typed.rfind('/') {
            Some(slash) => typed.split_at(slash + 1),
            None => ("", typed),
        };
        let client = self.context.client().ok()?;
        let (image, path) = self.place(folder).await?;
        let listed = self.listed_folder(&client, image, &path).await?;
        let wanted = listed
            .into_iter()
            .filter(|entry| entry.is_folder || entries == Entries::All);
        let candidates = wanted.map(|entry| {
            let slash = if entry.is_folder { "/" } else { "" };
            Candidate::new(format!("{folder}{}{slash}", entry.name), "")
        });
        Some(candidates.collect())
    }

    async fn programs(&mut self) -> Vec<Candidate> {
        let Ok(client) = self.context.client() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for folder in PROGRAM_FOLDERS {
            let Some((image, path)) = self.place(folder).await else {
                return found;
            };
            let listed = self.listed_folder(&client, image, &path).await;
            let programs = listed.unwrap_or_default().into_iter();
            found.extend(
                programs
                    .filter(|entry| entry.is_program)
                    .map(|entry| Candidate::new(entry.name, folder)),
            );
        }
        found.sort_by(|a, b| a.value.cmp(&b.value));
        found
    }

    /// The session's image, and a path inside it from its working directory.
    async fn place(&mut self, path: &str) -> Option<(ImageId, String)> {
        let deadline = self.deadline;
        let store = self.store.as_mut()?;
        let place = async {
            let session = store.session().await.ok()??;
            let path = store.resolve_path(Some(path)).await.ok()?;
            Some((session.current_image.parse().ok()?, path))
        };
        timeout_at(deadline, place).await.ok()?
    }

    async fn listed_folder(
        &mut self,
        client: &Client,
        image: ImageId,
        path: &str,
    ) -> Option<Vec<remembered::Entry>> {
        let memory = Memory::of_image(image, path);
        let ask = async || {
            let list = match client.list_directory(image, path).await {
                Ok(list) => list.files,
                // That there is no such folder never changes either.
                Err(error) if error.is_not_found() => Vec::new(),
                Err(_) => return None,
            };
            let entries = list.iter().map(remembered::Entry::of);
            Some(entries.collect::<Vec<_>>())
        };
        self.remembered(&memory, |_| true, ask).await
    }

    /// What is remembered, if that is enough, else what `ask` returns in time.
    async fn remembered<T: remembered::Kept>(
        &mut self,
        memory: &Memory,
        is_enough: impl FnOnce(&T) -> bool,
        ask: impl AsyncFnOnce() -> Option<T>,
    ) -> Option<T> {
        let deadline = self.deadline;
        let store = &mut self.store;
        let known = async {
            match store {
                Some(store) => memory.recall(store).await,
                None => None,
            }
        };
        let known: Option<T> = timeout_at(deadline, known).await.ok().flatten();
        if let Some(known) = known
            && is_enough(&known)
        {
            return Some(known);
        }
        let answer = timeout_at(deadline, ask()).await.ok().flatten()?;
        if let Some(store) = store {
            // Not remembered is asked for again.
            let _ = timeout_at(deadline, memory.keep(store, &answer)).await;
        }
        Some(answer)
    }
}

/// The tags of some images by name.
fn tag_names(images: Vec<contree_api::image::Image>) -> Vec<String> {
    let tags = images.into_iter().filter_map(|image| image.tag);
    let mut tags: Vec<String> = tags.map(|tag| tag.to_string()).collect();
    tags.sort();
    tags.dedup();
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_goes_on_from_what_is_typed() {
        let found = ["base:1", "debian", "base:1", "base\n2"];
        let found = found.map(|value| Candidate::new(value, "")).to_vec();
        assert_eq!(matching(found, "ba"), [Candidate::new("base:1", "")]);
    }
}
