//! What commands work with, made when it is first needed.

use std::time::Duration;

use contree_client::{Client, Config, OnRetry, Retrying};

use crate::args::Globals;
use crate::failure::Failure;
use crate::home::{Home, variable};
use crate::output::{Format, LogLevel, Output};
use crate::profile::{Profile, Profiles, old_places};
use crate::session::{Store, session_key};

/// The options of every command, and what follows from them.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) globals: Globals,
    pub(crate) home: Home,
    pub(crate) profiles: Profiles,
    pub(crate) output: Output,
}

impl Context {
    /// Reads the settings.
    pub(crate) fn new(globals: Globals) -> Result<Self, Failure> {
        let home = Home::locate(globals.config.as_deref());
        let moved = old_places::move_old(home.root())?;
        let profiles = Profiles::load(&home)?;
        let format = setting(&profiles, globals.output, "output_format")?;
        let level = setting(&profiles, globals.log_level, "log_level")?;
        let output = Output::new(format, level);
        for moved in moved {
            output.note(&moved);
        }
        Ok(Self {
            output,
            globals,
            home,
            profiles,
        })
    }

    /// What was typed, else what section `[cli]` has.
    fn chosen(&self, typed: Option<&String>, key: &str) -> Option<String> {
        typed.cloned().or_else(|| self.profiles.setting(key))
    }

    /// The profile that is asked for by name.
    fn named_profile(&self) -> Option<String> {
        self.chosen(self.globals.profile.as_ref(), "profile")
    }

    /// The name of the profile that is asked for, whether or not there is one.
    pub(crate) fn profile_name(&self) -> String {
        self.named_profile()
            .or_else(|| variable("CONTREE_PROFILE"))
            .unwrap_or_else(|| self.profiles.active())
    }

    /// The profile: the saved one, else what the environment says; single fields of it from the
    /// command line.
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        let name = self.profile_name();
        let saved = self.profiles.get(&name);
        let found = match saved {
            Some(profile) => Some(profile),
            // Asked for by name, nothing else will do.
            None if self.named_profile().is_some() => None,
            None => Profile::from_environment(),
        };
        let Some(mut profile) = found else {
            return Err(Failure::new(format!(
                "Profile '{name}' does not exist. Run `contree auth` first."
            ))
            .next(if self.profiles.names().is_empty() {
                "contree auth --url URL   or set CONTREE_URL and CONTREE_TOKEN".to_owned()
            } else {
                format!("contree auth list   (those there are), or contree auth -p {name}")
            }));
        };
        let Globals {
            token,
            url,
            project,
            ..
        } = &self.globals;
        if let Some(token) = self.chosen(token.as_ref(), "token") {
            profile.token = token;
        }
        if let Some(url) = self.chosen(url.as_ref(), "url") {
            url.trim_end_matches('/').clone_into(&mut profile.url);
        }
        if let Some(project) = self.chosen(project.as_ref(), "project") {
            profile.project = Some(project);
        }
        profile.check()?;
        Ok(profile)
    }

    /// A client of the profile's server.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        client_of(&self.profile()?, &self.output)
    }

    /// The name that the sessions are kept under.
    pub(crate) fn store_name(&self) -> String {
        let name = self.profile_name();
        if !self.profiles.contains(&name)
            && self.named_profile().is_none()
            && let Some(profile) = Profile::from_environment()
        {
            return profile.name;
        }
        name
    }

    /// Whether sessions are kept already.
    pub(crate) fn has_store(&self) -> bool {
        self.home.session_db(&self.store_name()).is_file()
    }

    /// The sessions of the profile, seen from the one that this command belongs to.
    pub(crate) async fn store(&self) -> Result<Store, Failure> {
        let name = self.store_name();
        crate::profile::check_name(&name)?;
        let chosen = self.chosen(self.globals.session.as_ref(), "session_key");
        let key = session_key(&name, chosen.as_deref());
        Store::open(&self.home.session_db(&name), key).await
    }
}

/// A client of a profile's server.
pub(crate) fn client_of(profile: &Profile, output: &Output) -> Result<Client, Failure> {
    let mut config = Config::new(&profile.url, &profile.token);
    config.project.clone_from(&profile.project);
    config.user_agent = user_agent();
    let output = output.clone();
    config.on_retry = Some(OnRetry::new(move |retrying| tell(&output, retrying)));
    Client::new(config).map_err(|error| {
        Failure::from(error)
            .while_doing(format!("profile '{}'", profile.name))
            .next("an address is given as http://HOST:PORT, without /v1")
    })
}

/// Failures in a row that nobody needs to hear of: about two seconds.
const SILENT_FAILURES: u32 = 4;
/// A wait that nobody needs to hear of.
const SILENT_WAIT: Duration = Duration::from_secs(3);

/// Says why it takes so long. Once for a row of failures, and for each long wait that the server
/// asks for.
fn tell(output: &Output, retrying: Retrying<'_>) {
    let Retrying {
        error,
        failures,
        wait,
        ..
    } = retrying;
    let is_asked = error.retry_after().is_some() && wait > SILENT_WAIT;
    if failures != SILENT_FAILURES + 1 && !is_asked {
        return;
    }
    let failure = Failure::from_client(error);
    let again = if is_asked {
        format!("trying again in {} s, as the server asks", wait.as_secs())
    } else {
        "trying again for a while".to_owned()
    };
    output.warn(&format!("{failure}; {again} (Ctrl-C to stop)"));
}

fn user_agent() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "contree/{version} ({}; {})",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

fn setting<T: clap::ValueEnum + Default>(
    profiles: &Profiles,
    chosen: Option<T>,
    key: &str,
) -> Result<T, Failure> {
    if let Some(value) = chosen {
        return Ok(value);
    }
    let Some(text) = profiles.setting(key) else {
        return Ok(T::default());
    };
    T::from_str(&text, true).map_err(|_| {
        let values = T::value_variants()
            .iter()
            .filter_map(clap::ValueEnum::to_possible_value);
        let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        Failure::new(format!("cli.ini: '{text}' is no value of {key}"))
            .next(format!("set {key} to one of {}", names.join(", ")))
    })
}

/// The settings when the real ones cannot be read.
pub(crate) fn fallback_output(globals: &Globals) -> Output {
    let level = globals.log_level.unwrap_or(LogLevel::Info);
    Output::new(globals.output.unwrap_or(Format::Default), level)
}
