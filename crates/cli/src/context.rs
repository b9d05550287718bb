//! What commands work with, made when it is first needed.

use contree_client::{Client, Config};

use crate::args::Globals;
use crate::failure::Failure;
use crate::home::{Home, variable};
use crate::output::{Format, LogLevel, Output};
use crate::profile::{Profile, Profiles};
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
        let profiles = Profiles::load(&home)?;
        let format = setting(&profiles, globals.output, "output_format")?;
        let level = setting(&profiles, globals.log_level, "log_level")?;
        Ok(Self {
            output: Output::new(format, level),
            globals,
            home,
            profiles,
        })
    }

    /// The name of the profile that is asked for, whether or not there is one.
    pub(crate) fn profile_name(&self) -> String {
        self.globals
            .profile
            .clone()
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
            None if self.globals.profile.is_some() => None,
            None => Profile::from_environment(),
        };
        let Some(mut profile) = found else {
            return Err(Failure::new(format!(
                "Profile '{name}' does not exist. Run `contree auth` first."
            ))
            .next("contree auth --url URL   or set CONTREE_URL and CONTREE_TOKEN"));
        };
        if let Some(token) = &self.globals.token {
            profile.token.clone_from(token);
        }
        if let Some(url) = &self.globals.url {
            url.trim_end_matches('/').clone_into(&mut profile.url);
        }
        if let Some(project) = &self.globals.project {
            profile.project = Some(project.clone());
        }
        profile.check()?;
        Ok(profile)
    }

    /// A client of the profile's server.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        client_of(&self.profile()?)
    }

    /// The name that the sessions are kept under.
    pub(crate) fn store_name(&self) -> String {
        let name = self.profile_name();
        if !self.profiles.contains(&name)
            && self.globals.profile.is_none()
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
        let key = session_key(&name, self.globals.session.as_deref());
        Store::open(&self.home.session_db(&name), key).await
    }
}

/// A client of a profile's server.
pub(crate) fn client_of(profile: &Profile) -> Result<Client, Failure> {
    let mut config = Config::new(&profile.url, &profile.token);
    config.project.clone_from(&profile.project);
    config.user_agent = user_agent();
    Client::new(config)
        .map_err(|error| Failure::from(error).while_doing(format!("profile '{}'", profile.name)))
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
    T::from_str(&text, true)
        .map_err(|_| Failure::new(format!("cli.ini: '{text}' is no value of {key}")))
}

/// The settings when the real ones cannot be read.
pub(crate) fn fallback_output(globals: &Globals) -> Output {
    let level = globals.log_level.unwrap_or(LogLevel::Info);
    Output::new(globals.output.unwrap_or(Format::Default), level)
}
