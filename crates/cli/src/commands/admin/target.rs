//! Where an administrator's command goes: over HTTP to a server, or to a data folder that no
//! server has open.

use std::path::Path;
#[cfg(target_os = "linux")]
use std::time::Duration;

use contree_api::admin::{Project, ProjectCreate, Publish, TokenCreate, TokenCreated, TokenInfo};
use contree_api::image::Image;
use contree_api::{Tag, TokenId};
use contree_client::Client;
#[cfg(target_os = "linux")]
use contree_server::admin::{ADMIN_TOKEN, Offline, OfflineError};

use crate::context::Context;
use crate::failure::Failure;

/// How often and how long to look again while the folder is held by someone who is not (yet) a
/// server that listens: one that starts, or another command.
#[cfg(target_os = "linux")]
const LOOKS: u32 = 200;
#[cfg(target_os = "linux")]
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

pub(super) enum Target {
    Server(Client),
    #[cfg(target_os = "linux")]
    Folder(Offline),
}

/// Calls the method of that name on whatever the target is.
macro_rules! ask {
    ($target:expr, $server:ident($($server_arg:expr),*), $folder:ident($($folder_arg:expr),*)) => {
        match $target {
            Self::Server(client) => client.$server($($server_arg),*).await.map_err(Failure::from),
            #[cfg(target_os = "linux")]
            Self::Folder(folder) => folder
                .$folder($($folder_arg),*)
                .await
                .map_err(|error| Failure::new(error.to_string()).because(&error)),
        }
    };
}

impl Target {
    /// The profile's server, or whoever has the data folder.
    pub(super) async fn open(context: &Context, data_dir: Option<&Path>) -> Result<Self, Failure> {
        match data_dir {
            None => context.client().map(Self::Server),
            #[cfg(target_os = "linux")]
            Some(data_dir) => in_folder(data_dir).await,
            #[cfg(not(target_os = "linux"))]
            Some(_) => Err(Failure::new("data folders are worked on on Linux alone")),
        }
    }

    /// Lets a data folder go.
    pub(super) async fn close(self) {
        match self {
            Self::Server(_) => {}
            #[cfg(target_os = "linux")]
            Self::Folder(folder) => folder.close().await,
        }
    }

    pub(super) async fn projects(&self) -> Result<Vec<Project>, Failure> {
        ask!(self, list_projects(), projects())
    }

    pub(super) async fn create_project(&self, request: ProjectCreate) -> Result<Project, Failure> {
        ask!(self, create_project(&request), create_project(request))
    }

    pub(super) async fn delete_project(&self, project: &str, force: bool) -> Result<(), Failure> {
        ask!(
            self,
            delete_project(project, force),
            delete_project(project, force)
        )
    }

    pub(super) async fn tokens(&self, project: Option<&str>) -> Result<Vec<TokenInfo>, Failure> {
        ask!(self, list_tokens(project), tokens(project))
    }

    pub(super) async fn create_token(&self, request: TokenCreate) -> Result<TokenCreated, Failure> {
        ask!(self, create_token(&request), create_token(request))
    }

    pub(super) async fn revoke_token(&self, token: TokenId) -> Result<(), Failure> {
        ask!(self, revoke_token(token), revoke_token(token))
    }

    pub(super) async fn publish(&self, request: Publish) -> Result<Image, Failure> {
        ask!(self, publish(&request), publish(request))
    }

    pub(super) async fn unpublish(&self, tag: &Tag) -> Result<(), Failure> {
        ask!(self, unpublish(tag), unpublish(tag))
    }
}

/// The server that has the folder open, with the folder's own token; else the folder itself.
#[cfg(target_os = "linux")]
async fn in_folder(data_dir: &Path) -> Result<Target, Failure> {
    use contree_client::Config;

    let failed = |error: &OfflineError| {
        Failure::new(format!(
            "could not open the data folder {}",
            data_dir.display()
        ))
        .because(error)
    };
    for _ in 0..LOOKS {
        match Offline::open(data_dir).await {
            Ok(folder) => return Ok(Target::Folder(folder)),
            Err(OfflineError::InUse {
                server: Some(url), ..
            }) => {
                let path = data_dir.join(ADMIN_TOKEN);
                let token = std::fs::read_to_string(&path).map_err(|error| {
                    Failure::new(format!("could not read {}", path.display())).because(&error)
                })?;
                return Ok(Target::Server(Client::new(Config::new(url, token.trim()))?));
            }
            Err(OfflineError::InUse { server: None, .. }) => {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            Err(error @ OfflineError::None { .. }) => {
                return Err(failed(&error).next("contree serve   (makes one at its first start)"));
            }
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(Failure::new(format!(
        "the data folder {} is in use, and whoever uses it does not listen",
        data_dir.display()
    ))
    .next("try again later"))
}
