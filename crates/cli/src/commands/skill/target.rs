//! Where each agent tool looks for skills, and what a SPEC names.

use std::path::{Component, Path, PathBuf};

use super::NAME;
use crate::failure::{Doing as _, Failure};
use crate::home::{expand_user, variable};

/// An agent tool, and what of it the skill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Codex,
    Claude,
    OpenCode,
    Amp,
    Cline,
    ClaudeSubagent,
    ClaudeAgent,
}

impl Kind {
    /// In the order in which they are installed.
    pub(super) const ALL: [Self; 7] = [
        Self::Codex,
        Self::OpenCode,
        Self::Amp,
        Self::Cline,
        Self::Claude,
        Self::ClaudeSubagent,
        Self::ClaudeAgent,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Codex => "codex",
            Self::Claude => "claude",
            Self::OpenCode => "opencode",
            Self::Amp => "amp",
            Self::Cline => "cline",
            Self::ClaudeSubagent => "claude-subagent",
            Self::ClaudeAgent => "claude-agent",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it is one file instead of a folder.
    pub(super) const fn is_file(self) -> bool {
        matches!(self, Self::ClaudeSubagent | Self::ClaudeAgent)
    }

    /// Only where the tool is in use: its folder is not made for it.
    const fn is_claude(self) -> bool {
        matches!(
            self,
            Self::Claude | Self::ClaudeSubagent | Self::ClaudeAgent
        )
    }

    /// The place below a project's folder.
    const fn in_project(self) -> &'static str {
        match self {
            Self::Codex => ".agents/skills/contree",
            Self::Claude => ".claude/skills/contree",
            Self::OpenCode => ".opencode/skills/contree",
            Self::Amp => ".amp/skills/contree",
            Self::Cline => ".cline/skills/contree",
            Self::ClaudeSubagent => ".claude/agents/contree-subagent.md",
            Self::ClaudeAgent => ".claude/agents/contree.md",
        }
    }

    /// What a path is most likely for.
    fn guessed(path: &Path) -> Self {
        if path.extension().is_some_and(|extension| extension == "md") {
            let is_agent = path.file_name().is_some_and(|name| name == "contree.md");
            return if is_agent {
                Self::ClaudeAgent
            } else {
                Self::ClaudeSubagent
            };
        }
        let has = |name: &str| path.components().any(|part| part.as_os_str() == name);
        [
            (".claude", Self::Claude),
            (".codex", Self::Codex),
            (".agents", Self::Codex),
            ("opencode", Self::OpenCode),
            ("agents", Self::Amp),
            (".cline", Self::Cline),
        ]
        .into_iter()
        .find(|(name, _)| has(name))
        .map_or(Self::Claude, |(_, kind)| kind)
    }
}

/// A skill's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    kind: Kind,
    path: PathBuf,
}

impl Target {
    /// As the registry has it.
    pub(super) fn remembered(kind: &str, path: &str) -> Self {
        let path = PathBuf::from(path);
        Self {
            kind: Kind::named(kind).unwrap_or_else(|| Kind::guessed(&path)),
            path,
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The folder, or the file of kinds that are one.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The project that it lies in, when it lies where its kind is in projects. A project may be
    /// somebody else's work: a link in it must not lead out of it.
    pub(super) fn project(&self) -> Option<&Path> {
        let below = Path::new(self.kind.in_project());
        if !self.path.ends_with(below) {
            return None;
        }
        self.path.ancestors().nth(below.components().count())
    }
}

/// Where the user's own folders of the agent tools are.
#[derive(Debug)]
pub(super) struct Users {
    home: PathBuf,
    codex: PathBuf,
    opencode: PathBuf,
    cline: PathBuf,
}

impl Users {
    /// From the environment.
    pub(super) fn locate() -> Result<Self, Failure> {
        let Some(home) = std::env::home_dir().filter(|home| home.is_absolute()) else {
            return Err(Failure::new("there is no home folder").next("set HOME"));
        };
        let folder = |name: &str, default: &str| {
            variable(name).map_or_else(|| home.join(default), |path| expand_user(&path))
        };
        Ok(Self {
            codex: folder("CODEX_HOME", ".codex"),
            opencode: folder("OPENCODE_HOME", ".config/opencode"),
            cline: folder("CLINE_DIR", ".cline"),
            home,
        })
    }

    /// The place of a kind for this user, in every project.
    fn place(&self, kind: Kind) -> PathBuf {
        let skill = |folder: &Path| folder.join("skills").join(NAME);
        match kind {
            Kind::Codex | Kind::Claude | Kind::ClaudeSubagent | Kind::ClaudeAgent => {
                self.home.join(kind.in_project())
            }
            Kind::OpenCode => skill(&self.opencode),
            Kind::Amp => skill(&self.home.join(".config/agents")),
            Kind::Cline => skill(&self.cline),
        }
    }

    /// The kinds meant when none is named.
    fn kinds(&self) -> impl Iterator<Item = Kind> {
        let has_claude = self.home.join(".claude").is_dir();
        let all = Kind::ALL.into_iter();
        all.filter(move |kind| has_claude || !kind.is_claude())
    }

    /// For this user, in every project.
    pub(super) fn everywhere(&self) -> Vec<Target> {
        self.kinds()
            .map(|kind| Target {
                kind,
                path: self.place(kind),
            })
            .collect()
    }

    /// What a SPEC names.
    pub(super) fn targets(&self, spec: &str) -> Result<Vec<Target>, Failure> {
        if let Some((name, hint)) = spec.split_once(':')
            && let Some(kind) = Kind::named(name)
        {
            return Ok(vec![self.of_kind(kind, hint)?]);
        }
        if Kind::named(spec).is_some() && !Path::new(spec).exists() {
            return Err(
                Failure::new(format!("'{spec}' does not say where")).next(format!(
                    "{spec}:~ for you in every project, or {spec}: for the project in this folder"
                )),
            );
        }
        let path = resolved(&expand_user(spec))?;
        if is_skill(&path) {
            let kind = Kind::guessed(&path);
            return Ok(vec![Target { kind, path }]);
        }
        Ok(self
            .kinds()
            .map(|kind| Target {
                kind,
                path: path.join(kind.in_project()),
            })
            .collect())
    }

    fn of_kind(&self, kind: Kind, hint: &str) -> Result<Target, Failure> {
        let path = match hint {
            "~" => self.place(kind),
            "" => resolved(Path::new("."))?.join(kind.in_project()),
            hint => {
                let path = resolved(&expand_user(hint))?;
                if is_skill(&path) {
                    path
                } else {
                    path.join(kind.in_project())
                }
            }
        };
        Ok(Target { kind, path })
    }

    /// Whether the user's own folders may lead anywhere: they are nobody else's.
    pub(super) fn owns(&self, target: &Target) -> bool {
        target.path == self.place(target.kind)
    }

    /// The rule that goes with it.
    pub(super) fn rules(&self, target: &Target) -> Option<PathBuf> {
        (target.kind == Kind::Codex).then(|| self.codex.join("rules/contree.rules"))
    }

    /// A path as people write it.
    pub(super) fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(rest) => Path::new("~").join(rest).display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }
}

/// Whether a path is a skill itself and not the project that it is for.
fn is_skill(path: &Path) -> bool {
    let named = |path: Option<&Path>, name: &str| {
        path.and_then(Path::file_name)
            .is_some_and(|last| last == name)
    };
    path.extension().is_some_and(|extension| extension == "md")
        || (named(Some(path), NAME) && named(path.parent(), "skills"))
        || path.join("SKILL.md").is_file()
}

/// The path without links and `..`, as far as it exists.
pub(super) fn resolved(path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path)
        .doing(|| format!("could not find out what '{}' is", path.display()))?;
    for above in path.ancestors() {
        let (Ok(mut real), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) else {
            continue;
        };
        for part in rest.components() {
            match part {
                Component::ParentDir => {
                    real.pop();
                }
                part => real.push(part),
            }
        }
        return Ok(real);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_guessed() {
        for (path, kind) in [
            ("/p/.claude/skills/contree", Kind::Claude),
            ("/p/.agents/skills/contree", Kind::Codex),
            ("/h/.config/opencode/skills/contree", Kind::OpenCode),
            ("/h/.config/agents/skills/contree", Kind::Amp),
            ("/p/.cline/skills/contree", Kind::Cline),
            ("/p/.claude/agents/contree.md", Kind::ClaudeAgent),
            (
                "/p/.claude/agents/contree-subagent.md",
                Kind::ClaudeSubagent,
            ),
            ("/p/skills/contree", Kind::Claude),
        ] {
            assert_eq!(Kind::guessed(Path::new(path)), kind, "{path}");
        }
    }

    #[test]
    fn projects_are_told_by_the_place() {
        let project = |kind, path: &str| {
            let target = Target {
                kind,
                path: path.into(),
            };
            target.project().map(Path::to_owned)
        };
        assert_eq!(
            project(Kind::Claude, "/p/.claude/skills/contree"),
            Some("/p".into())
        );
        assert_eq!(
            project(Kind::ClaudeAgent, "/p/.claude/agents/contree.md"),
            Some("/p".into())
        );
        assert_eq!(project(Kind::Claude, "/p/skills/contree"), None);
    }
}
