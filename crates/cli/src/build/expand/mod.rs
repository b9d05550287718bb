//! Variables: which have a value at a line of a Dockerfile, and words that name them.
//!
//! [`Globals`] is what is known before the first stage: `--build-arg`, the platform, and the `ARG`s
//! before `FROM`, which only `FROM` sees. [`Scope`] is what a stage knows at one of its lines:
//!
//! - `ARG x=default` is known from its line on. `--build-arg x=…` goes before the default, and an
//!   `ARG x` without one takes the value of the `ARG x` before `FROM`.
//! - `ENV` is known from its line on, and goes before an `ARG` of the same name wherever that
//!   stands. It becomes part of the image, `ARG` does not.
//! - A stage built `FROM` another one begins with what was known at that one's end.
//! - Proxies (`HTTP_PROXY` and so on) may be given without an `ARG`; they are in the environment of
//!   `RUN` and nowhere else.
//!
//! How a word is expanded is in [`word`].

mod wildcards;
mod word;

use std::collections::BTreeMap;

use super::dockerfile::{ArgDefault, Copy, GlobalArgs, Source};
use word::Text;

/// `--build-arg`s that need no `ARG`.
const PROXIES: [&str; 5] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "all_proxy",
];

/// What is built for, for `TARGETPLATFORM` and its like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    /// `linux`.
    pub(crate) os: String,
    /// `amd64`, `arm64`.
    pub(crate) arch: String,
    /// `v7` of `linux/arm/v7`; mostly empty.
    pub(crate) variant: String,
}

/// What is known before the first stage.
#[derive(Debug, Clone)]
pub(crate) struct Globals {
    given: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
    escape: char,
}

/// What a stage knows at one of its lines.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    args: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    escape: char,
}

/// Whether `--build-arg name` needs no `ARG`.
pub(crate) fn is_predefined(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

impl Globals {
    /// `given` is what `--build-arg` says, `declared` the `ARG`s before `FROM`. An error is the
    /// line of one of those, and what is wrong there.
    pub(crate) fn new(
        given: BTreeMap<String, String>,
        platform: &Platform,
        escape: char,
        declared: &[GlobalArgs],
    ) -> Result<Self, (usize, String)> {
        let Platform { os, arch, variant } = platform;
        let mut whole = format!("{os}/{arch}");
        if !variant.is_empty() {
            whole = format!("{whole}/{variant}");
        }
        let mut values = BTreeMap::new();
        for role in ["TARGET", "BUILD"] {
            for (part, value) in [
                ("PLATFORM", &whole),
                ("OS", os),
                ("ARCH", arch),
                ("VARIANT", variant),
            ] {
                let name = format!("{role}{part}");
                let value = given.get(&name).unwrap_or(value).clone();
                values.insert(name, value);
            }
        }
        let mut globals = Self {
            given,
            values,
            escape,
        };
        for GlobalArgs { line, args } in declared {
            for ArgDefault { name, default } in args {
                let value = match (globals.given.get(name), default) {
                    (Some(given), _) => given.clone(),
                    (None, Some(default)) => {
                        globals.expand(default).map_err(|error| (*line, error))?
                    }
                    (None, None) => continue,
                };
                globals.values.insert(name.clone(), value);
            }
        }
        Ok(globals)
    }

    /// Expands a word of `FROM`: the image, or `--platform`.
    pub(crate) fn expand(&self, text: &str) -> Result<String, String> {
        word::expand(text, Text::Word, self.escape, &|name| {
            self.values.get(name).map(String::as_str)
        })
    }

    /// What a stage knows at its first line; `env` are the variables of its image.
    pub(crate) fn stage(&self, env: BTreeMap<String, String>) -> Scope {
        Scope {
            args: BTreeMap::new(),
            env,
            escape: self.escape,
        }
    }

    /// The proxies among the `--build-arg`s.
    fn proxies(&self) -> impl Iterator<Item = (&String, &String)> {
        self.given.iter().filter(|(name, _)| is_predefined(name))
    }
}

impl Scope {
    fn expand_text(&self, text: &str, kind: Text, escape: char) -> Result<String, String> {
        word::expand(text, kind, escape, &|name| {
            let value = self.env.get(name).or_else(|| self.args.get(name));
            value.map(String::as_str)
        })
    }

    /// Expands one word, such as the folder of `WORKDIR`; what is wrong with it, if it cannot be.
    pub(crate) fn expand(&self, text: &str) -> Result<String, String> {
        self.expand_text(text, Text::Word, self.escape)
    }

    /// `ARG`.
    pub(crate) fn declare(&mut self, globals: &Globals, args: &[ArgDefault]) -> Result<(), String> {
        for ArgDefault { name, default } in args {
            let value = match (globals.given.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(default)?),
                (None, None) => globals.values.get(name).cloned(),
            };
            // Without any value an earlier one stays, as an inherited one.
            if let Some(value) = value {
                self.args.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    /// `ENV`; what it set, in the order of the line. All its words are expanded with the values
    /// from before the line.
    pub(crate) fn set_env(
        &mut self,
        pairs: &[(String, String)],
    ) -> Result<Vec<(String, String)>, String> {
        let mut set = Vec::new();
        for (name, value) in pairs {
            let name = self.expand(name)?;
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(format!("`{name}` cannot name a variable"));
            }
            set.push((name, self.expand(value)?));
        }
        self.env.extend(set.iter().cloned());
        Ok(set)
    }

    /// The variables of the image: those it began with and what `ENV` set.
    pub(crate) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The environment that a `RUN` has besides the image's: `ARG`s, `ENV`s over them, and proxies.
    pub(crate) fn run_env(&self, globals: &Globals) -> BTreeMap<String, String> {
        let mut all: BTreeMap<_, _> = globals
            .proxies()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        all.extend(self.args.clone());
        all.extend(self.env.clone());
        all
    }

    /// `COPY` and `ADD` with everything expanded that is.
    pub(crate) fn expand_copy(&self, copy: &Copy) -> Result<Copy, String> {
        let each =
            |text: &Option<String>| text.as_deref().map(|text| self.expand(text)).transpose();
        let mut sources = Vec::new();
        for source in &copy.sources {
            sources.push(match source {
                Source::Path(path) => Source::Path(self.expand(path)?),
                Source::Heredoc(doc) if doc.is_expanded => {
                    let mut doc = doc.clone();
                    // Here the escape character is a shell's, whatever the directive says.
                    doc.text = self.expand_text(&doc.text, Text::Heredoc, '\\')?;
                    Source::Heredoc(doc)
                }
                Source::Heredoc(doc) => Source::Heredoc(doc.clone()),
            });
        }
        let is_of_web = matches!(&sources[..], [Source::Path(path)] if path.contains("://"));
        if copy.checksum.is_some() && !is_of_web {
            return Err("--checksum is for one URL".to_owned());
        }
        Ok(Copy {
            sources,
            dest: self.expand(&copy.dest)?,
            chown: each(&copy.chown)?,
            chmod: each(&copy.chmod)?,
            checksum: each(&copy.checksum)?,
            exclude: copy
                .exclude
                .iter()
                .map(|pattern| self.expand(pattern))
                .collect::<Result<_, _>>()?,
            ..copy.clone()
        })
    }
}

#[cfg(test)]
mod tests;
