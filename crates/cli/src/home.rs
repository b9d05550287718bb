//! Where things are kept: `$CONTREE_HOME`, else `$XDG_CONFIG_HOME/contree`, else
//! `~/.config/contree`.
//!
//! ```text
//! auth.ini                    profiles with their tokens, mode 0600
//! cli.ini                     settings without secrets, section [cli]
//! cli/sessions/PROFILE.db     sessions, branches and history of a profile
//! cli/skills.db               where skills for coding agents were installed
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

/// An environment variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// How long to wait for an answer that a command can do without: as long as is usual for it, or
/// `CONTREE_PATIENCE` seconds.
pub(crate) fn patience(usual: Duration) -> Duration {
    variable("CONTREE_PATIENCE")
        .and_then(|seconds| Duration::try_from_secs_f64(seconds.parse().ok()?).ok())
        .unwrap_or(usual)
}

/// The first of some variables that is set, with its name.
pub(crate) fn first_variable(names: &[&'static str]) -> Option<(&'static str, String)> {
    names
        .iter()
        .find_map(|name| variable(name).map(|value| (*name, value)))
}

/// The folders and files of this user.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
    auth: PathBuf,
}

impl Home {
    /// From the environment; `config` names another profile file.
    pub(crate) fn locate(config: Option<&Path>) -> Self {
        let root = match (variable("CONTREE_HOME"), variable("XDG_CONFIG_HOME")) {
            (Some(home), _) => expand_user(&home),
            (None, Some(config)) => expand_user(&config).join("contree"),
            (None, None) => expand_user("~/.config").join("contree"),
        };
        let auth = config.map_or_else(|| root.join("auth.ini"), Path::to_owned);
        Self { root, auth }
    }

    /// The folder of everything.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where skills were installed.
    pub(crate) fn skills_db(&self) -> PathBuf {
        self.root.join("cli").join("skills.db")
    }

    /// The profile file.
    pub(crate) fn auth_ini(&self) -> &Path {
        &self.auth
    }

    /// The settings beside it.
    pub(crate) fn cli_ini(&self) -> PathBuf {
        self.auth.with_file_name("cli.ini")
    }

    /// The session database of a profile; `CONTREE_SESSION_DB` beats it.
    pub(crate) fn session_db(&self, profile: &str) -> PathBuf {
        variable("CONTREE_SESSION_DB").map_or_else(
            || {
                self.root
                    .join("cli")
                    .join("sessions")
                    .join(format!("{profile}.db"))
            },
            |path| expand_user(&path),
        )
    }
}

/// `~` and `~/…` as shells read them.
pub(crate) fn expand_user(path: &str) -> PathBuf {
    let rest = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
        _ => return PathBuf::from(path),
    };
    std::env::home_dir().map_or_else(|| PathBuf::from(path), |home| home.join(rest))
}
