//! Files of this machine that go into the sandbox: `HOST[:/PATH][:uUSER][:gGROUP][:mMODE]`.
//!
//! Without PATH a file keeps its own; owner and mode are its own unless given. A folder stands for
//! the regular files below it (links to files are followed), without what is hidden, built or
//! installed: see [`EXCLUDES`].
//!
//! What was uploaded from here within [`MEMORY_DAYS`] and has not changed since is not even asked
//! after: its id is remembered by path, inode, time of change and size. When the server turns out
//! not to have it any more, everything is uploaded again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contree_api::FileId;
use contree_api::instance::AttachedFile;
use contree_client::Client;
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::SignedDuration;

use super::RunArgs;
use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::home::variable;
use crate::session::Store;

/// Names that are left out of folders, at any depth.
const EXCLUDES: [&str; 9] = [
    ".*",
    "*.pyc",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".venv",
    "node_modules",
    "dist",
    "build",
];

/// Uploads at the same time.
const CONCURRENCY: usize = 8;

/// How long an upload is taken to be still there: half of what servers keep files for.
const MEMORY_DAYS: i64 = 90;

/// Files that are on the server.
#[derive(Debug)]
pub(super) struct Attached {
    /// By their paths inside.
    pub(super) files: BTreeMap<String, AttachedFile>,
    /// Whether the server was asked after all of them.
    pub(super) is_certain: bool,
}

/// What one `--file` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spec {
    host: PathBuf,
    inside: Option<String>,
    user: Option<String>,
    group: Option<String>,
    mode: Option<u32>,
}

/// A file to upload and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attachment {
    host: PathBuf,
    inside: String,
    uid: u32,
    gid: u32,
    mode: u32,
}

/// Uploads all files that are not there. `remembers` allows to believe what was uploaded earlier.
pub(super) async fn attach(
    context: &Context,
    client: &Client,
    store: &mut Store,
    args: &RunArgs,
    remembers: bool,
) -> Result<Attached, Failure> {
    let mut attachments = Vec::new();
    for text in &args.file {
        let spec = Spec::parse(text)?;
        attachments.extend(spec.files(context, &args.file_excludes)?);
    }
    let age = SignedDuration::from_hours(24 * MEMORY_DAYS);
    let mut known: Vec<Option<FileId>> = Vec::new();
    for attachment in &attachments {
        known.push(match remembers {
            true => store.uploaded(&attachment.host, age).await?,
            false => None,
        });
    }
    let concurrency = variable("CONTREE_CONCURRENCY")
        .and_then(|count| count.parse().ok())
        .filter(|count| *count > 0)
        .unwrap_or(CONCURRENCY);
    let uploads = attachments
        .iter()
        .zip(&known)
        .map(|(attachment, known)| async move {
            if let Some(id) = known {
                return Ok(*id);
            }
            let uploaded = client.ensure_file(&attachment.host, |_| ()).await;
            let uploaded =
                uploaded.doing(|| format!("could not attach {}", attachment.host.display()));
            Ok::<_, Failure>(uploaded?.file.uuid)
        });
    let ids: Vec<FileId> = futures_util::stream::iter(uploads)
        .buffered(concurrency)
        .try_collect()
        .await?;
    let mut files = BTreeMap::new();
    for ((attachment, id), known) in attachments.into_iter().zip(ids).zip(&known) {
        if known.is_none() {
            store.note_upload(&attachment.host, &id.to_string()).await?;
        }
        let file = AttachedFile {
            uuid: id,
            uid: attachment.uid,
            gid: attachment.gid,
            mode: Some(format!("{:04o}", attachment.mode)),
        };
        // Of two for one path the later one is meant.
        files.insert(attachment.inside, file);
    }
    Ok(Attached {
        files,
        is_certain: known.iter().all(Option::is_none),
    })
}

impl Spec {
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::new(format!("--file {text}: {why}"))
                .next("HOST[:/PATH][:uUSER][:gGROUP][:mMODE]")
        };
        let mut parts = text.split(':');
        let host = parts.next().filter(|host| !host.is_empty());
        let mut spec = Self {
            host: host
                .ok_or_else(|| wrong("a path on this machine comes first"))?
                .into(),
            inside: None,
            user: None,
            group: None,
            mode: None,
        };
        for part in parts {
            let slot_is_taken = match part.as_bytes() {
                [b'/', ..] => spec.inside.replace(part.to_owned()).is_some(),
                [b'u', ..] => spec.user.replace(part[1..].to_owned()).is_some(),
                [b'g', ..] => spec.group.replace(part[1..].to_owned()).is_some(),
                [b'm', ..] => {
                    let mode = u32::from_str_radix(&part[1..], 8)
                        .ok()
                        .filter(|m| *m <= 0o7777);
                    let mode = mode.ok_or_else(|| wrong("a mode is octal, such as m0755"))?;
                    spec.mode.replace(mode).is_some()
                }
                _ => {
                    return Err(wrong(&format!(
                        "'{part}' is not /PATH, uUSER, gGROUP or mMODE"
                    )));
                }
            };
            if slot_is_taken {
                return Err(wrong(&format!("'{part}' says something a second time")));
            }
        }
        Ok(spec)
    }

    /// The files that it stands for.
    fn files(&self, context: &Context, excludes: &[String]) -> Result<Vec<Attachment>, Failure> {
        let failed = || format!("could not attach {}", self.host.display());
        let metadata = std::fs::metadata(&self.host).doing(failed)?;
        let inside = match &self.inside {
            Some(path) => path.clone(),
            None => {
                let path = std::path::absolute(&self.host).doing(failed)?;
                path.to_str().map(ToOwned::to_owned).ok_or_else(|| {
                    Failure::new(failed()).next("give it a path inside: HOST:/PATH")
                })?
            }
        };
        if metadata.is_file() {
            return Ok(vec![self.attachment(
                context,
                self.host.clone(),
                inside,
                &metadata,
            )]);
        }
        if !metadata.is_dir() {
            return Err(Failure::new(format!(
                "{}: it is neither file nor folder",
                failed()
            )));
        }
        let mut files = Vec::new();
        let mut folders = vec![(self.host.clone(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in std::fs::read_dir(&folder).doing(failed)? {
                let entry = entry.doing(failed)?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else {
                    context
                        .output
                        .warn(&format!("left out, not UTF-8: {}", entry.path().display()));
                    continue;
                };
                let relative = format!("{prefix}{name}");
                if is_excluded(&relative, excludes) {
                    continue;
                }
                let kind = entry.file_type().doing(failed)?;
                if kind.is_dir() {
                    folders.push((entry.path(), format!("{relative}/")));
                } else if let Ok(metadata) = std::fs::metadata(entry.path())
                    && metadata.is_file()
                {
                    let path = format!("{}/{relative}", inside.trim_end_matches('/'));
                    files.push(self.attachment(context, entry.path(), path, &metadata));
                }
            }
        }
        Ok(files)
    }

    fn attachment(
        &self,
        context: &Context,
        host: PathBuf,
        inside: String,
        metadata: &std::fs::Metadata,
    ) -> Attachment {
        let (uid, gid, mode) = owner_and_mode(metadata);
        let named = |name: &Option<String>, own: u32, file: &str| match name {
            Some(name) => number_of(name, file).unwrap_or_else(|| {
                context
                    .output
                    .warn(&format!("'{name}' is not known on this machine, using 0"));
                0
            }),
            None => own,
        };
        Attachment {
            host,
            inside,
            uid: named(&self.user, uid, "/etc/passwd"),
            gid: named(&self.group, gid, "/etc/group"),
            mode: self.mode.unwrap_or(mode),
        }
    }
}

#[cfg(unix)]
fn owner_and_mode(metadata: &std::fs::Metadata) -> (u32, u32, u32) {
    use std::os::unix::fs::MetadataExt as _;

    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

#[cfg(not(unix))]
fn owner_and_mode(_: &std::fs::Metadata) -> (u32, u32, u32) {
    (0, 0, 0o644)
}

/// A number as it is, or the one that a file like `/etc/passwd` gives to a name.
fn number_of(name: &str, file: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = std::fs::read_to_string(Path::new(file)).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

fn is_excluded(relative: &str, more: &[String]) -> bool {
    let name = relative.rsplit('/').next().unwrap_or(relative);
    EXCLUDES
        .into_iter()
        .chain(more.iter().map(String::as_str))
        .any(|pattern| matches(pattern, name) || matches(pattern, relative))
}

/// Shell patterns over a whole text: `*`, `?`, `[a-z]`, `[!a-z]`. A `*` goes over slashes too.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what was tried after the last `*` does not fit.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            None if t == text.len() => return true,
            Some(_) if t < text.len() => one(&pattern[p..], text[t]),
            _ => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                p += length;
                t += 1;
            }
            (None, Some((after, from))) if from < text.len() => {
                p = after;
                t = from + 1;
                retry = Some((after, t));
            }
            _ => return false,
        }
    }
}

/// Whether the first item of a pattern fits a character; how long the item is.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern[0] {
        '?' => Some(1),
        '[' => {
            let negated = matches!(pattern.get(1), Some('!'));
            let start = 1 + usize::from(negated);
            // A bracket in the first place is meant as itself.
            let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
            let set = &pattern[start..end];
            let mut found = false;
            let mut at = 0;
            while at < set.len() {
                if let (Some('-'), Some(last)) = (set.get(at + 1), set.get(at + 2)) {
                    found |= (set[at]..=*last).contains(&c);
                    at += 3;
                } else {
                    found |= set[at] == c;
                    at += 1;
                }
            }
            (found != negated).then_some(end + 1)
        }
        literal => (literal == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs() {
        let spec = Spec::parse("./a:g5:m0755:/srv/a:uroot").unwrap();
        assert_eq!(
            spec,
            Spec {
                host: "./a".into(),
                inside: Some("/srv/a".into()),
                user: Some("root".into()),
                group: Some("5".into()),
                mode: Some(0o755),
            }
        );
        for bad in ["", ":/a", "a:b", "a:/b:/c", "a:m9", "a:m77777", "a:"] {
            assert!(Spec::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*.log", "a.log", true),
            ("*.log", "a.log.1", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbY", false),
            ("[a-c]?", "b1", true),
            ("[!a-c]?", "b1", false),
            ("[]x]", "]", true),
            ("src/*", "src/a/b", true),
            ("", "", true),
            ("*", "", true),
            ("[", "[", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(is_excluded("a/.git", &[]));
        assert!(is_excluded("x/node_modules", &[]));
        assert!(!is_excluded("src/main.py", &[]));
        assert!(is_excluded("src/main.py", &["src/*".into()]));
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(number_of("0", "/etc/passwd"), Some(0));
        assert_eq!(number_of("root", "/etc/passwd"), Some(0));
        assert_eq!(number_of("no such user", "/etc/passwd"), None);
    }
}
