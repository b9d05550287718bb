//! Profiles: a server's address and a token under a name, in `auth.ini`.
//!
//! ```ini
//! [DEFAULT]
//! profile = default
//!
//! [profile:default]
//! url = http://127.0.0.1:9450
//! token = …
//! type = jwt
//! ```
//!
//! `type` is `jwt` (a bearer token and a URL) or `iam` (a bearer token and a project; the URL has
//! a default). Values of `auth.ini` win over those of `cli.ini` beside it.
//!
//! Section `[cli]` of either file sets defaults of global options: `output_format`, `log_level`,
//! `profile`, `session_key`, `url`, `token` and `project`, and `editor`. It is looked for beside
//! the profile file first, then in the home.

pub(crate) mod ini;
pub(crate) mod old_places;

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use crate::failure::{Doing as _, Failure};
use crate::home::{Home, first_variable, variable};
use ini::{DEFAULT, Ini};

/// Where `iam` profiles without a URL go.
pub(crate) const IAM_URL: &str = "https://api.tokenfactory.nebius.com/sandboxes";
/// Variables that hold a token, first one wins.
pub(crate) const TOKEN_VARIABLES: [&str; 2] = ["CONTREE_TOKEN", "NEBIUS_API_KEY"];
/// Variables that hold a project, first one wins.
pub(crate) const PROJECT_VARIABLES: [&str; 2] = ["CONTREE_PROJECT", "NEBIUS_AI_PROJECT"];

/// How a profile proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AuthType {
    /// Token and project, against the hosted service.
    Iam,
    /// Token alone, against any server.
    Jwt,
}

impl AuthType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Jwt => "jwt",
        }
    }
}

/// One saved access.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) auth_type: AuthType,
    pub(crate) project: Option<String>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Profile {
    /// From `CONTREE_TOKEN` and `CONTREE_URL`, for containers and CI, where nothing is saved.
    pub(crate) fn from_environment() -> Option<Self> {
        let (_, token) = first_variable(&TOKEN_VARIABLES)?;
        let url = variable("CONTREE_URL")?;
        let project = first_variable(&PROJECT_VARIABLES).map(|(_, project)| project);
        Some(Self {
            name: "environment".to_owned(),
            url: url.trim_end_matches('/').to_owned(),
            token,
            auth_type: if project.is_some() {
                AuthType::Iam
            } else {
                AuthType::Jwt
            },
            project,
        })
    }

    /// That everything is there which a request needs.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let missing = if self.token.is_empty() {
            "token"
        } else if self.url.is_empty() {
            "URL"
        } else if self.auth_type == AuthType::Iam
            && self.project.as_deref().unwrap_or("").is_empty()
        {
            "project"
        } else {
            return Ok(());
        };
        Err(Failure::new(format!("profile '{}' has no {missing}", self.name)).next("contree auth"))
    }
}

/// All profiles of a user.
#[derive(Debug)]
pub(crate) struct Profiles {
    auth: Ini,
    cli: Ini,
    /// The two of the home, where the profile file is elsewhere.
    home: Option<[Ini; 2]>,
    path: std::path::PathBuf,
}

impl Profiles {
    /// Reads what is there; missing files are empty.
    pub(crate) fn load(home: &Home) -> Result<Self, Failure> {
        let usual = home.root().join("auth.ini");
        let elsewhere = if home.auth_ini() == usual {
            None
        } else {
            Some([
                read_ini(&usual)?,
                read_ini(&usual.with_file_name("cli.ini"))?,
            ])
        };
        Ok(Self {
            auth: read_ini(home.auth_ini())?,
            cli: read_ini(&home.cli_ini())?,
            home: elsewhere,
            path: home.auth_ini().to_owned(),
        })
    }

    fn value(&self, section: &str, key: &str) -> Option<String> {
        self.auth
            .get(section, key)
            .or_else(|| self.cli.get(section, key))
    }

    /// A setting of section `[cli]`. What `[DEFAULT]` has is none: the name of the active profile
    /// stands there, which `CONTREE_PROFILE` beats.
    pub(crate) fn setting(&self, key: &str) -> Option<String> {
        [&self.auth, &self.cli]
            .into_iter()
            .chain(self.home.iter().flatten())
            .find_map(|ini| ini.own("cli", key))
            .filter(|value| !value.is_empty())
    }

    /// The name of the profile used when none is asked for.
    pub(crate) fn active(&self) -> String {
        self.value(DEFAULT, "profile")
            .unwrap_or_else(|| "default".to_owned())
    }

    /// Names in the order of the file.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for section in self.cli.sections().into_iter().chain(self.auth.sections()) {
            if let Some(name) = section.strip_prefix("profile:")
                && !names.iter().any(|known| known == name)
            {
                names.push(name.to_owned());
            }
        }
        names
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names().iter().any(|known| known == name)
    }

    /// A profile by name.
    pub(crate) fn get(&self, name: &str) -> Option<Profile> {
        if !self.contains(name) {
            return None;
        }
        let section = format!("profile:{name}");
        let is_iam = self
            .value(&section, "type")
            .is_some_and(|kind| kind == "iam");
        let (auth_type, default_url) = if is_iam {
            (AuthType::Iam, IAM_URL)
        } else {
            (AuthType::Jwt, "")
        };
        let url = self
            .value(&section, "url")
            .unwrap_or_else(|| default_url.to_owned());
        Some(Profile {
            name: name.to_owned(),
            url: url.trim_end_matches('/').to_owned(),
            token: self.value(&section, "token").unwrap_or_default(),
            auth_type,
            project: self
                .value(&section, "project")
                .filter(|project| !project.is_empty()),
        })
    }

    /// Writes a profile and makes it the active one.
    pub(crate) fn save(&mut self, profile: &Profile) -> Result<(), Failure> {
        let section = format!("profile:{}", profile.name);
        self.auth.set(DEFAULT, "profile", &profile.name);
        self.auth.set(&section, "url", &profile.url);
        self.auth.set(&section, "token", &profile.token);
        self.auth.set(&section, "type", profile.auth_type.name());
        match &profile.project {
            Some(project) => self.auth.set(&section, "project", project),
            None => self.auth.remove(&section, "project"),
        }
        self.write()
    }

    /// Makes a profile the active one.
    pub(crate) fn activate(&mut self, name: &str) -> Result<(), Failure> {
        self.auth.set(DEFAULT, "profile", name);
        self.write()
    }

    /// Removes a profile. When it was the active one, the first that is left becomes it.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Failure> {
        self.auth.remove_section(&format!("profile:{name}"));
        if self.active() == name {
            let next = self
                .names()
                .into_iter()
                .next()
                .unwrap_or_else(|| "default".to_owned());
            self.auth.set(DEFAULT, "profile", &next);
        }
        self.write()
    }

    /// Replaces the file in one step. It is never readable by others, not even while new.
    fn write(&self) -> Result<(), Failure> {
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = path.parent().unwrap_or(Path::new("."));
        let failed = || format!("could not save {}", path.display());
        std::fs::create_dir_all(folder).doing(failed)?;
        let temporary = folder.join(format!(".auth.ini.{}", std::process::id()));
        let result = write_private(&temporary, self.auth.text().as_bytes())
            .and_then(|()| std::fs::rename(&temporary, &path));
        if result.is_err() {
            // Nothing to be done about a second failure; the first one is reported.
            let _ = std::fs::remove_file(&temporary);
        }
        result.doing(failed)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    // What a dead process of the same id left would keep its own mode.
    let _ = std::fs::remove_file(path);
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read_ini(path: &Path) -> Result<Ini, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Ini::parse(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Ini::default()),
        Err(error) => Err(Failure::new(format!("could not read {}", path.display()))
            .because(&error)
            .next("it has to be a text file that you may read; -c PATH names another one")),
    }
}

/// That a name can be a section and a file name.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_good = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || "._-@+".contains(c));
    if is_good {
        return Ok(());
    }
    Err(Failure::new(format!(
        "'{name}' cannot name a profile: use letters, digits, '.', '_', '-', '@' and '+'"
    )))
}
