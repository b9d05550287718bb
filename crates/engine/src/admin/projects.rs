//! Projects: made, listed, removed.
//!
//! Removing is done in steps that a crash may come between: the records close the project, the
//! logs and files of it go from the disk, and the records forget it. A start goes on with what is
//! closed ([`Engine::remove_closed`]), and so does the next start after a removal offline, where
//! there is no store to remove files from. Layers go with the next sweep.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contree_api::admin::{MAX_PROJECT_NAME, Project, ProjectCreate};
use contree_api::{ErrorKind, ProjectId, Timestamp};
use contree_records::{Change, OperationFilter, PUBLIC, Page, Records};
use uuid::Uuid;

use super::{conflict, no_project};
use crate::events::log;
use crate::{Engine, Error, SweepError};

/// Name of the project that the first start makes.
pub(crate) const FIRST_PROJECT: &str = "default";
/// Name of the public namespace.
const PUBLIC_NAME: &str = "public";
/// Records removed in one transaction, so that runs do not wait for long.
const AT_ONCE: u32 = 500;

/// Projects that are being removed: nothing is accepted for them any more.
#[derive(Debug, Default)]
pub(crate) struct Closing(Mutex<HashSet<ProjectId>>);

/// A project in [`Closing`], until dropped.
#[derive(Debug)]
pub(crate) struct ClosingOne<'a> {
    all: &'a Closing,
    project: ProjectId,
}

impl Closing {
    fn lock(&self) -> MutexGuard<'_, HashSet<ProjectId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, project: ProjectId) -> Result<ClosingOne<'_>, Error> {
        if self.lock().insert(project) {
            return Ok(ClosingOne { all: self, project });
        }
        Err(conflict("the project is being removed already"))
    }

    pub(crate) fn contains(&self, project: ProjectId) -> bool {
        self.lock().contains(&project)
    }
}

impl Drop for ClosingOne<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.project);
    }
}

fn shown(project: contree_records::Project) -> Project {
    Project {
        id: project.id,
        name: project.name,
        created_at: project.created_at,
    }
}

pub(super) async fn create(records: &Records, request: ProjectCreate) -> Result<Project, Error> {
    let ProjectCreate { name } = request;
    check_name(&name)?;
    let project = Project {
        id: ProjectId::new(),
        name,
        created_at: Timestamp::now(),
    };
    let change = Change::NewProject {
        id: project.id,
        name: project.name.clone(),
        at: project.created_at,
    };
    match records.apply(change, true).await {
        Err(contree_records::Error::Taken { .. }) => Err(conflict(format!(
            "name: there is a project {:?} already",
            project.name
        ))),
        outcome => {
            outcome?;
            Ok(project)
        }
    }
}

/// Ids and names are used in the same places, so a name must not look like an id.
fn check_name(name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_good = name.len() <= MAX_PROJECT_NAME
        && name.bytes().all(plain)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && Uuid::parse_str(name).is_err();
    if is_good {
        return Ok(());
    }
    Err(Error::bad_request(format!(
        "name must have 1 to {MAX_PROJECT_NAME} letters, digits, '-', '_' or '.', begin with a \
         letter or digit, and be no UUID"
    )))
}

pub(super) async fn list(records: &Records) -> Result<Vec<Project>, Error> {
    let projects = records.projects().await?;
    Ok(projects.into_iter().map(shown).collect())
}

/// A project by id or name.
pub(super) async fn find(records: &Records, project: &str) -> Result<Project, Error> {
    if project == PUBLIC_NAME || project.parse() == Ok(PUBLIC) {
        return Err(Error::new(
            ErrorKind::Forbidden,
            "the public namespace is no project: it has no tokens and cannot be removed",
        ));
    }
    records
        .project(project)
        .await?
        .map(shown)
        .ok_or_else(|| no_project(project))
}

/// Closes a project that nothing is going on in.
pub(super) async fn close(records: &Records, project: &Project, force: bool) -> Result<(), Error> {
    let images = records.count_images(project.id).await?;
    if images > 0 && !force {
        return Err(conflict(format!(
            "project {:?} has {images} images; removing it with them takes force",
            project.name
        )));
    }
    let change = Change::CloseProject {
        project: project.id,
        at: Timestamp::now(),
    };
    match records.apply(change, true).await? {
        0 => Err(no_project(&project.name)),
        _ => Ok(()),
    }
}

pub(super) fn busy(project: &str, operations: usize) -> Error {
    conflict(format!(
        "project {project:?} has {operations} operations that have not ended; cancel them first"
    ))
}

impl Engine {
    /// Takes away what a closed project had, and forgets it.
    pub(crate) async fn remove_closed(&self, project: ProjectId) -> Result<(), SweepError> {
        let first = Page {
            limit: AT_ONCE,
            ..Page::default()
        };
        loop {
            let filter = OperationFilter {
                page: first,
                ..OperationFilter::default()
            };
            let operations = self.records().operations(project, &filter).await?;
            if operations.is_empty() {
                break;
            }
            let operations: Vec<_> = operations.iter().map(|operation| operation.id).collect();
            for operation in &operations {
                remove_log(&log::path(self.events_dir(), *operation))?;
            }
            let change = Change::RemoveOperations { operations };
            self.records().apply(change, false).await?;
        }
        loop {
            let files = self.records().files(project, &first).await?;
            if files.is_empty() {
                break;
            }
            let files: Vec<_> = files.iter().map(|file| file.uuid).collect();
            for file in &files {
                self.store().remove_file(*file)?;
            }
            let change = Change::RemoveFiles {
                files,
                unused_since: Timestamp::from_micros(i64::MAX),
            };
            self.records().apply(change, false).await?;
        }
        let change = Change::RemoveProject { project };
        self.records().apply(change, true).await?;
        Ok(())
    }
}

fn remove_log(path: &std::path::Path) -> Result<(), SweepError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(SweepError::Log {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "Team-1", "x.y_z", "0", &"a".repeat(64)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            ".a",
            "a b",
            "a/b",
            "é",
            &"a".repeat(65),
            "0190163d-8694-739b-aea5-966c26f8ad91",
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
