//! Who asks: tokens, the project behind them and what they may do.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contree_api::operation::OperationStatus;
use contree_api::whoami::{Permission, WhoAmI};
use contree_api::{ErrorKind, ProjectId, Timestamp, TokenId};
use contree_records::{Change, NewToken, Records, Token};
use sha2::{Digest as _, Sha256};

use crate::engine::{FirstStart, StartError};
use crate::{Engine, Error};

/// What every token begins with, so that a leaked one can be recognised.
const TOKEN_PREFIX: &str = "contree_";
/// Name of the project that the first start makes.
const FIRST_PROJECT: &str = "default";
/// Longest text that is looked up as a token.
const LONGEST_TOKEN: usize = 1_024;
/// Tokens remembered at most.
const REMEMBERED: usize = 10_000;

/// A token that was accepted.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The token.
    pub token_id: TokenId,
    /// The project all calls are scoped to.
    pub project_id: ProjectId,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Unix seconds; none: never.
    pub expires_at: Option<i64>,
}

impl Identity {
    /// Checks that the token may do this.
    ///
    /// # Errors
    /// `Forbidden`, naming the permission.
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        self.require_any(&[permission])
    }

    /// Checks that the token may do one of these.
    ///
    /// # Errors
    /// `Forbidden`, naming them.
    pub fn require_any(&self, permissions: &[Permission]) -> Result<(), Error> {
        if permissions
            .iter()
            .any(|permission| self.permissions.contains(permission))
        {
            return Ok(());
        }
        let mut names = String::new();
        for permission in permissions {
            let between = if names.is_empty() { "" } else { " or " };
            // Writing to a String cannot fail.
            let _ = write!(names, "{between}\"{}\"", permission.name());
        }
        Err(Error::new(
            ErrorKind::Forbidden,
            format!("this token lacks the permission {names}"),
        ))
    }
}

/// Tokens that were looked up, by the SHA-256 of their text. Nothing but this engine changes the
/// tokens on record, so what is remembered stays true.
#[derive(Debug, Default)]
pub(crate) struct KnownTokens(Mutex<HashMap<[u8; 32], Token>>);

impl KnownTokens {
    fn get(&self, hash: &[u8; 32]) -> Option<Token> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(hash)
            .cloned()
    }

    fn add(&self, hash: [u8; 32], token: Token) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(hash, token);
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Makes the first project and its token when there is no project yet.
pub(crate) async fn first_start(
    records: &Records,
    data_dir: &Path,
) -> Result<Option<FirstStart>, StartError> {
    if !records
        .projects()
        .await
        .map_err(StartError::Records)?
        .is_empty()
    {
        return Ok(None);
    }
    let mut secret = [0_u8; 32];
    let filled = rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty());
    if filled.map_err(|error| StartError::Random(error.into()))? != secret.len() {
        return Err(StartError::Random(std::io::ErrorKind::UnexpectedEof.into()));
    }
    let token = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));

    // The file first: a crash in between leaves a token that does not work and a data folder
    // that counts as new.
    let token_path = data_dir.join("admin.token");
    write_private(&token_path, &token).map_err(|source| StartError::Token {
        path: token_path.clone(),
        source,
    })?;
    let (project, at) = (ProjectId::new(), Timestamp::now());
    let name = FIRST_PROJECT.to_owned();
    let made = records
        .submit(
            Change::NewProject {
                id: project,
                name,
                at,
            },
            true,
        )
        .await;
    let stored = NewToken {
        id: TokenId::new(),
        project,
        hash: hash(&token),
        permissions: Permission::ALL.to_vec(),
        created_at: at,
        expires_at: None,
    };
    let stored = records
        .submit(Change::NewToken(Box::new(stored)), true)
        .await;
    made.wait().await.map_err(StartError::Records)?;
    stored.wait().await.map_err(StartError::Records)?;
    Ok(Some(FirstStart {
        project: FIRST_PROJECT.to_owned(),
        token,
        token_path,
    }))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("token.new");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

impl Engine {
    /// Looks a bearer token up.
    ///
    /// # Errors
    /// `Unauthorized` when it is unknown or expired.
    pub async fn authenticate(&self, token: &str) -> Result<Identity, Error> {
        let unknown = || Error::new(ErrorKind::Unauthorized, "the token is not valid");
        if token.is_empty() || token.len() > LONGEST_TOKEN {
            return Err(unknown());
        }
        let hash = hash(token);
        let known = self.known_tokens().get(&hash);
        let token = match known {
            Some(token) => token,
            None => {
                let token = self.records().token(&hash).await?.ok_or_else(unknown)?;
                self.known_tokens().add(hash, token.clone());
                token
            }
        };
        if token.expires_at.is_some_and(|at| at <= Timestamp::now()) {
            return Err(Error::new(ErrorKind::Unauthorized, "the token has expired"));
        }
        Ok(Identity {
            token_id: token.id,
            project_id: token.project,
            permissions: token.permissions,
            expires_at: token
                .expires_at
                .map(|at| at.as_micros().div_euclid(1_000_000)),
        })
    }

    /// What the token is told about itself.
    ///
    /// # Errors
    /// `Internal` when the records cannot be read.
    pub async fn whoami(&self, identity: &Identity) -> Result<WhoAmI, Error> {
        let permissions = Permission::ALL
            .into_iter()
            .map(|permission| {
                (
                    permission.name().to_owned(),
                    identity.permissions.contains(&permission),
                )
            })
            .collect();
        let limits = &self.config().limits;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let limits = BTreeMap::from([
            (
                "instance_max_timeout".to_owned(),
                i64::from(limits.instance_max_timeout),
            ),
            (
                "instance_max_concurrency".to_owned(),
                count(limits.instance_max_concurrency),
            ),
            (
                "instance_max_layer_bytes".to_owned(),
                i64::try_from(limits.instance_max_layer_bytes).unwrap_or(i64::MAX),
            ),
            (
                "images_import_max_concurrency".to_owned(),
                count(limits.images_import_max_concurrency),
            ),
            (
                "images_import_max_timeout".to_owned(),
                i64::from(limits.images_import_max_timeout),
            ),
        ]);
        let mut operations_stat: BTreeMap<String, i64> = OperationStatus::ALL
            .iter()
            .map(|status| (status.name().to_owned(), 0))
            .collect();
        for (status, count) in self.records().operation_counts(identity.project_id).await? {
            operations_stat.insert(status.to_owned(), count);
        }
        // On record a live operation is PENDING.
        for status in self.live_statuses(identity.project_id) {
            if status != OperationStatus::Pending && !status.is_terminal() {
                *operations_stat.entry(status.name().to_owned()).or_default() += 1;
                if let Some(pending) = operations_stat.get_mut(OperationStatus::Pending.name()) {
                    *pending = (*pending - 1).max(0);
                }
            }
        }
        Ok(WhoAmI {
            token_uuid: identity.token_id,
            token_expiration: identity.expires_at,
            permissions,
            limits,
            operations_stat,
        })
    }
}
