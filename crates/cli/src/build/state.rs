//! Where a stage is: its image, and what its instructions have said so far.

use std::collections::BTreeMap;

use contree_api::ImageId;
use contree_api::limits::DEFAULT_PATH;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cache::Key;
use super::expand::Scope;
use crate::path::normalized;

/// What `RUN` runs a text with when no `SHELL` says otherwise.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// What runs from an image start with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
}

/// A folder that `WORKDIR` named and no step has made yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Folder {
    pub(super) path: String,
    /// The `USER` whose it will be.
    pub(super) user: Option<String>,
}

/// A stage between two of its instructions.
///
/// `ENV` and `WORKDIR` change nothing in the image at once: every later step is told of them, and
/// the end of a build leaves them with the image, all in one go.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) image: ImageId,
    /// Of the step that made the image.
    pub(super) key: Key,
    pub(super) scope: Scope,
    /// Absolute.
    pub(super) workdir: String,
    pub(super) user: Option<String>,
    pub(super) shell: Vec<String>,
    /// What the image has, as opposed to what was said.
    pub(super) stored: Stored,
    pub(super) folders: Vec<Folder>,
}

impl Stored {
    /// The variables that a stage begins with: there is a `PATH` in any case.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        env.entry("PATH".to_owned())
            .or_insert_with(|| DEFAULT_PATH.to_owned());
        env
    }
}

impl State {
    /// At the first line of a stage.
    pub(super) fn new(image: ImageId, key: Key, scope: Scope, stored: Stored) -> Self {
        Self {
            image,
            key,
            scope,
            workdir: stored.cwd.clone().unwrap_or_else(|| "/".to_owned()),
            user: None,
            shell: SHELL.map(str::to_owned).to_vec(),
            stored,
            folders: Vec::new(),
        }
    }

    /// A step was taken: all folders are there now.
    pub(super) fn advance(&mut self, image: ImageId, key: Key) {
        self.image = image;
        self.key = key;
        self.folders.clear();
    }

    /// `WORKDIR`, expanded.
    pub(super) fn set_workdir(&mut self, path: &str) {
        self.workdir = normalized(&self.absolute(path));
        if self.workdir == "/" {
            return;
        }
        let folder = Folder {
            path: self.workdir.clone(),
            user: self.user.clone(),
        };
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
    }

    /// A path as the stage sees it; its end stays as it is, for a slash there means a folder.
    pub(super) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{}/{path}", self.workdir.trim_end_matches('/'))
        }
    }

    /// Whether a run in the working directory makes all folders there are to be made: it is made
    /// when it is missing, and is root's.
    pub(super) fn run_makes_folders(&self) -> bool {
        let is_above = |folder: &Folder| {
            let workdir = format!("{}/", self.workdir);
            folder.user.is_none() && workdir.starts_with(&format!("{}/", folder.path))
        };
        self.folders.iter().all(is_above)
    }

    /// What is to be left with the image, and is not yet: variables, and the working directory.
    pub(super) fn unsaved(&self) -> (BTreeMap<String, String>, Option<String>) {
        let is_news = |name: &String, value: &String| {
            match self.stored.env.get(name) {
                Some(stored) => stored != value,
                // No image keeps an empty variable, and each run has this one.
                None => !value.is_empty() && (name != "PATH" || value != DEFAULT_PATH),
            }
        };
        let env = self.scope.env().iter();
        let env = env
            .filter(|(name, value)| is_news(name, value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let stored = self.stored.cwd.as_deref().unwrap_or("/");
        let cwd = (self.workdir != stored).then(|| self.workdir.clone());
        (env, cwd)
    }

    /// The folders, for a key.
    pub(super) fn folders_json(&self) -> Value {
        json!(self.folders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::expand::{Globals, Platform};

    fn state(stored: Stored) -> State {
        let platform = Platform {
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            variant: String::new(),
        };
        let globals = Globals::new(BTreeMap::new(), &platform, '\\', &[]).unwrap();
        let scope = globals.stage(stored.variables());
        State::new(ImageId::new(), Key::base("x"), scope, stored)
    }

    #[test]
    fn folders_wait_for_a_step() {
        let mut state = state(Stored::default());
        assert_eq!(state.workdir, "/");
        state.set_workdir("/srv");
        state.set_workdir("app/../web");
        assert_eq!(state.workdir, "/srv/web");
        assert!(state.run_makes_folders());
        assert_eq!(state.absolute("x/"), "/srv/web/x/");
        state.set_workdir("/srv");
        assert!(
            !state.run_makes_folders(),
            "/srv/web is not made on the way"
        );
        state.folders.clear();
        state.user = Some("app".to_owned());
        state.set_workdir("/home/app");
        assert!(!state.run_makes_folders(), "it would be root's");
    }

    #[test]
    fn only_what_is_new_is_saved() {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let cwd = Some("/srv".to_owned());
        let mut state = state(Stored { env, cwd });
        assert_eq!(state.unsaved(), (BTreeMap::new(), None));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        state
            .scope
            .set_env(&[pair("A", "1"), pair("B", "2"), pair("C", "")])
            .unwrap();
        state.set_workdir("app");
        let news = BTreeMap::from([pair("B", "2")]);
        assert_eq!(state.unsaved(), (news, Some("/srv/app".to_owned())));
    }
}
