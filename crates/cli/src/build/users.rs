//! Names of users and groups, as an image's own `/etc/passwd` and `/etc/group` have them.

use contree_api::ImageId;
use contree_client::Client;

use crate::failure::{Doing as _, Failure};

/// More than any account file has.
const MAX_BYTES: usize = 4 << 20;

/// Who a command runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// What `HOME` is when nothing says otherwise.
    pub(super) home: String,
}

impl User {
    /// Whom nothing has to be looked up for.
    pub(super) fn root() -> Self {
        Self {
            uid: 0,
            gid: 0,
            home: "/root".to_owned(),
        }
    }
}

/// The accounts of an image.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads them.
    pub(super) async fn read(client: &Client, image: ImageId) -> Result<Self, Failure> {
        Ok(Self {
            passwd: text(client, image, "/etc/passwd").await?,
            group: text(client, image, "/etc/group").await?,
        })
    }

    /// `USER`: a name or number, with or without `:GROUP`. A number needs no account, and without
    /// one it is in the group 0.
    pub(super) fn user(&self, spec: &str) -> Result<User, Failure> {
        let (user, group) = split(spec);
        let account = self.account(user);
        let uid = match (number(user), &account) {
            (_, Some(account)) => account.uid,
            (Some(uid), None) => uid,
            (None, None) => return Err(missing("user", user, "/etc/passwd")),
        };
        let gid = match group {
            Some(group) => self.group(group)?,
            None => account.as_ref().map_or(0, |account| account.gid),
        };
        let home = account.map(|account| account.home);
        Ok(User {
            uid,
            gid,
            home: home
                .filter(|home| !home.is_empty())
                .unwrap_or_else(|| "/".to_owned()),
        })
    }

    /// `--chown`: as [`Accounts::user`], but without a group, a number stands for both.
    pub(super) fn owner(&self, spec: &str) -> Result<(u32, u32), Failure> {
        let (user, group) = split(spec);
        if group.is_none()
            && let Some(id) = number(user)
        {
            return Ok((id, id));
        }
        let user = self.user(spec)?;
        Ok((user.uid, user.gid))
    }

    fn group(&self, name: &str) -> Result<u32, Failure> {
        let named = self.group.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next()? == name;
            let gid = fields.nth(1)?.parse().ok()?;
            is_it.then_some(gid)
        });
        named
            .or_else(|| number(name))
            .ok_or_else(|| missing("group", name, "/etc/group"))
    }

    fn account(&self, user: &str) -> Option<User> {
        let uid = number(user);
        self.passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let account = User {
                uid: fields.get(2)?.parse().ok()?,
                gid: fields.get(3)?.parse().ok()?,
                home: (*fields.get(5)?).to_owned(),
            };
            let is_it = fields.first() == Some(&user) || uid == Some(account.uid);
            is_it.then_some(account)
        })
    }
}

/// Whether `USER` or `--chown` says nothing that has to be looked up.
pub(super) fn numeric_owner(spec: &str) -> Option<(u32, u32)> {
    let (user, group) = split(spec);
    let uid = number(user)?;
    let gid = match group {
        Some(group) => number(group)?,
        None => uid,
    };
    Some((uid, gid))
}

fn split(spec: &str) -> (&str, Option<&str>) {
    match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    }
}

fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn missing(what: &str, name: &str, file: &str) -> Failure {
    Failure::new(format!("the image has no {what} '{name}' in {file}"))
        .next("add it by a RUN before, or give a number")
}

/// A file of the image; nothing when it has none.
async fn text(client: &Client, image: ImageId, path: &str) -> Result<String, Failure> {
    let failed = || format!("could not read {path} of image {image}");
    let mut download = match client.download(image, path).await {
        Ok(download) => download,
        Err(error) if matches!(error.status(), Some(404 | 422)) => return Ok(String::new()),
        Err(error) => return Err(error).doing(failed),
    };
    let mut bytes = Vec::new();
    while let Some(piece) = download.next().await.doing(failed)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_BYTES {
            return Err(Failure::new(failed()).while_doing("it is too large"));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\n\
                     broken line\n\
                     app:x:1000:1001:App:/home/app:/bin/sh\n\
                     daemon:x:1:1::/nonexistent:/usr/sbin/nologin\n"
                .to_owned(),
            group: "root:x:0:\nstaff:x:50:app\napp:x:1001:\n".to_owned(),
        }
    }

    #[test]
    fn users() {
        let user = |spec: &str| {
            let found = accounts().user(spec);
            found.map(|user| (user.uid, user.gid, user.home)).ok()
        };
        let home = |uid, gid, home: &str| Some((uid, gid, home.to_owned()));
        assert_eq!(user("app"), home(1000, 1001, "/home/app"));
        assert_eq!(user("1000"), home(1000, 1001, "/home/app"));
        assert_eq!(user("app:staff"), home(1000, 50, "/home/app"));
        assert_eq!(user("app:7"), home(1000, 7, "/home/app"));
        assert_eq!(user("1234"), home(1234, 0, "/"));
        assert_eq!(user("1234:staff"), home(1234, 50, "/"));
        assert_eq!(user("root"), home(0, 0, "/root"));
        assert_eq!(user("nobody"), None);
        assert_eq!(user("app:nogroup"), None);
        let none = Accounts::default();
        assert_eq!(none.user("5").map(|user| user.gid).ok(), Some(0));
        assert!(none.user("app").is_err());
    }

    #[test]
    fn owners() {
        let owner = |spec: &str| accounts().owner(spec).ok();
        assert_eq!(owner("12"), Some((12, 12)));
        assert_eq!(owner("12:34"), Some((12, 34)));
        assert_eq!(owner("app"), Some((1000, 1001)));
        assert_eq!(owner("app:staff"), Some((1000, 50)));
        assert_eq!(owner("nobody"), None);
        assert_eq!(numeric_owner("12"), Some((12, 12)));
        assert_eq!(numeric_owner("12:34"), Some((12, 34)));
        assert_eq!(numeric_owner("12:app"), None);
        assert_eq!(numeric_owner("app"), None);
    }
}
