//! `contree auth`

use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use contree_api::whoami::{Permission, WhoAmI};

use crate::context::{Context, client_of};
use crate::failure::{Doing as _, Failure};
use crate::home::{first_variable, patience, variable};
use crate::output::{Columns, Row};
use crate::profile::{
    AuthType, IAM_URL, PROJECT_VARIABLES, Profile, Profiles, TOKEN_VARIABLES, check_name,
};
use crate::question;

/// Where a server of one's own listens by default.
const LOCAL_URL: &str = "http://127.0.0.1:9450";
/// How long `auth list` waits for each server, unless told otherwise.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Save a token, and manage saved ones
///
/// The token is checked with the server, saved as a profile, and the profile becomes the active
/// one. Without --token it comes from CONTREE_TOKEN, else it is asked for and not shown. Files are
/// readable by you alone.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  contree auth -u http://127.0.0.1:9450            asks for the token
  contree auth -u http://127.0.0.1:9450 --token \"$(cat DATA_DIR/admin.token)\"
  contree auth -p work -u https://contree.example.com
  contree auth --type iam -P PROJECT               the hosted service
  contree auth list                                what is saved
  contree auth switch work"
)]
pub(crate) struct AuthArgs {
    #[command(subcommand)]
    command: Option<AuthCommand>,
    /// jwt: token alone, any server; iam: token and project, the hosted service
    /// [default: iam when a project is known, else jwt]
    #[arg(long = "type", value_name = "TYPE", hide_possible_values = true)]
    auth_type: Option<AuthType>,
    /// Overwrite a saved profile without asking
    #[arg(short, visible_short_alias = 'y', long)]
    force: bool,
}

#[derive(Debug, Subcommand)]
enum AuthCommand {
    #[command(visible_aliases = ["ls", "profiles"])]
    List(ListArgs),
    Switch(SwitchArgs),
    #[command(visible_aliases = ["rm", "del"])]
    Remove(RemoveArgs),
}

/// List saved profiles and whether their tokens work
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree auth list
  contree auth list -O          without asking the servers")]
struct ListArgs {
    /// Do not ask the servers
    #[arg(short = 'O', long)]
    offline: bool,
}

/// Make a saved profile the active one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree auth switch work")]
struct SwitchArgs {
    /// Name of the profile
    name: String,
}

/// Forget a profile, its token and its sessions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree auth remove work
  contree auth remove -f work   without being asked")]
struct RemoveArgs {
    /// Name of the profile
    name: String,
    /// Do not ask
    #[arg(short, visible_short_alias = 'y', long)]
    force: bool,
}

pub(crate) async fn auth(context: &Context, args: AuthArgs) -> Result<u8, Failure> {
    match args.command {
        None => save(context, args.auth_type, args.force).await,
        Some(AuthCommand::List(args)) => list(context, args.offline).await,
        Some(AuthCommand::Switch(args)) => switch(context, &args.name),
        Some(AuthCommand::Remove(args)) => remove(context, &args.name, args.force),
    }
}

async fn save(context: &Context, kind: Option<AuthType>, force: bool) -> Result<u8, Failure> {
    let globals = &context.globals;
    let name = globals
        .profile
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    check_name(&name)?;
    let mut profiles = Profiles::load(&context.home)?;
    if profiles.contains(&name)
        && !force
        && !question::confirm(&format!("Profile '{name}' already exists. Overwrite?"))?
    {
        return Err(Failure::new("Aborted.").next("--force overwrites without asking"));
    }
    let url = globals.url.clone().or_else(|| variable("CONTREE_URL"));
    // Where only tokens count, a project is sent when it was typed, not because the environment of
    // something else has one.
    let project = match kind {
        Some(AuthType::Jwt) => None,
        Some(AuthType::Iam) | None => first_variable(&PROJECT_VARIABLES).map(|(_, id)| id),
    };
    let project = globals.project.clone().or(project);
    let auth_type = kind.unwrap_or(if project.is_some() {
        AuthType::Iam
    } else {
        AuthType::Jwt
    });
    let url = url.unwrap_or_else(|| {
        match auth_type {
            AuthType::Iam => IAM_URL,
            AuthType::Jwt => LOCAL_URL,
        }
        .to_owned()
    });
    let token = token(context, &url)?;
    let project = match (auth_type, project) {
        (AuthType::Iam, None) => question::ask("Project ID: ")?.filter(|id| !id.is_empty()),
        (_, project) => project,
    };
    if auth_type == AuthType::Iam && project.is_none() {
        return Err(Failure::new("a project is needed").next("--project ID   or   --type jwt"));
    }
    let profile = Profile {
        token,
        url: url.trim().trim_end_matches('/').to_owned(),
        auth_type,
        project,
        name,
    };
    profile.check()?;
    let whoami = client_of(&profile, &context.output)?
        .whoami()
        .await
        .map_err(|error| {
            let status = error.status();
            let url = &profile.url;
            let what = if status.is_some() {
                format!("{url} did not accept the token; nothing was saved")
            } else {
                format!("the token could not be checked with {url}; nothing was saved")
            };
            let failure = Failure::from(error);
            // The usual advice would be what was just tried.
            let failure = match status {
                Some(401 | 403) => failure
                    .advise("check the token: a server's first one is in DATA_DIR/admin.token"),
                Some(404) => failure.advise("check --url: it is the address without /v1"),
                _ => failure,
            };
            failure.while_doing(what)
        })?;
    warn_about(context, &whoami);
    let before = profiles.active();
    profiles.save(&profile)?;
    let Profile { name, url, .. } = &profile;
    let place = context.home.auth_ini().display();
    context
        .output
        .note(&format!("Saved profile '{name}' for {url} in {place}"));
    if before != *name && profiles.contains(&before) {
        context.output.note(&format!(
            "It is the active profile now; it was '{before}'   (contree auth switch {before})"
        ));
    }
    Ok(0)
}

fn warn_about(context: &Context, whoami: &WhoAmI) {
    let may = |permission: Permission| {
        whoami
            .permissions
            .get(permission.name())
            .copied()
            .unwrap_or(false)
    };
    if !may(Permission::List) {
        context
            .output
            .warn("the token is valid but has no 'list' permission: most commands will be refused");
    }
}

/// The token: from the command line, the environment, a pipe, or typed unseen.
fn token(context: &Context, url: &str) -> Result<String, Failure> {
    let token = if let Some(token) = &context.globals.token {
        token.clone()
    } else if let Some((name, token)) = first_variable(&TOKEN_VARIABLES) {
        context.output.note(&format!("Using the token from {name}"));
        token
    } else if std::io::stdin().is_terminal() {
        rpassword::prompt_password(format!("Token for {url}: "))
            .doing(|| "could not read the token".to_owned())?
    } else {
        line_of_stdin()?
    };
    let token = token.trim().to_owned();
    if token.is_empty() {
        return Err(Failure::new("no token was given")
            .next("contree auth --token TOKEN, CONTREE_TOKEN, or a pipe"));
    }
    Ok(token)
}

fn line_of_stdin() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .doing(|| "could not read the token".to_owned())?;
    Ok(line)
}

async fn list(context: &Context, offline: bool) -> Result<u8, Failure> {
    let profiles = &context.profiles;
    let active = context.profile_name();
    if profiles.names().is_empty() {
        context
            .output
            .note("No profiles are saved. Run `contree auth` to save one.");
    } else if !profiles.contains(&active) {
        context
            .output
            .warn(&format!("the active profile '{active}' does not exist"));
    }
    let known: Vec<Profile> = profiles
        .names()
        .iter()
        .filter_map(|name| profiles.get(name))
        .collect();
    let checks = known.iter().map(|profile| async move {
        if profile.token.is_empty() {
            "error"
        } else if offline {
            "offline mode"
        } else {
            check(context, profile).await
        }
    });
    let checks = futures_util::future::join_all(checks).await;
    let mut rows = context.output.rows(Columns::default());
    for (profile, status) in known.iter().zip(checks) {
        rows.push(
            Row::new()
                .with("name", profile.name.as_str())
                .with("type", profile.auth_type.name())
                .with("url", profile.url.as_str())
                .with("project", profile.project.clone().unwrap_or_default())
                .with("token_sha256", token_digest(&profile.token))
                .with("active", profile.name == active)
                .with("status", status),
        )?;
    }
    rows.finish()?;
    Ok(0)
}

/// What a server says to a token, in a word.
async fn check(context: &Context, profile: &Profile) -> &'static str {
    if profile.url.is_empty() {
        return "no url";
    }
    if profile.check().is_err() {
        return "error";
    }
    let Ok(client) = client_of(profile, &context.output) else {
        return "error";
    };
    match tokio::time::timeout(patience(CHECK_TIMEOUT), client.whoami()).await {
        Ok(Ok(whoami)) => {
            let may_list = whoami.permissions.get(Permission::List.name());
            if may_list == Some(&true) {
                "ok"
            } else {
                "inactive"
            }
        }
        Ok(Err(_)) => "error",
        Err(_) => "timeout",
    }
}

/// Enough to tell tokens apart, and nothing that could be used.
fn token_digest(token: &str) -> String {
    use sha2::{Digest as _, Sha256};

    if token.is_empty() {
        return "<no token>".to_owned();
    }
    let digest = Sha256::digest(token.as_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn existing(profiles: &Profiles, name: &str) -> Result<(), Failure> {
    if profiles.contains(name) {
        return Ok(());
    }
    Err(Failure::new(format!("profile '{name}' does not exist")).next("contree auth list"))
}

fn switch(context: &Context, name: &str) -> Result<u8, Failure> {
    let mut profiles = Profiles::load(&context.home)?;
    existing(&profiles, name)?;
    profiles.activate(name)?;
    context.output.note(&format!("Profile '{name}' is active"));
    Ok(0)
}

fn remove(context: &Context, name: &str, force: bool) -> Result<u8, Failure> {
    let mut profiles = Profiles::load(&context.home)?;
    existing(&profiles, name)?;
    check_name(name)?;
    if !force && !question::confirm(&format!("Forget profile '{name}' and its sessions?"))? {
        return Err(Failure::new("Aborted.").next("--force removes without asking"));
    }
    profiles.remove(name)?;
    let database = context.home.session_db(name);
    for suffix in ["", "-wal", "-shm"] {
        let mut path = database.clone().into_os_string();
        path.push(suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(
                    Failure::new("could not remove the sessions of the profile").because(&error)
                );
            }
            _ => {}
        }
    }
    context.output.note(&format!("Removed profile '{name}'"));
    Ok(0)
}
