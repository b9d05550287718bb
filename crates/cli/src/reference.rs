//! The ways to name an image: for commands that use one, and for imports.

use std::path::{Path, PathBuf};

use contree_api::image::ImageRef;
use contree_api::{ImageId, Tag};
use contree_client::Client;

use crate::failure::Failure;

/// Docker Hub, under the name that image references give it.
const HUB: &str = "docker.io";

/// What a user calls an image: a UUID, `tag:NAME`, or a bare tag.
pub(crate) fn parse_image(text: &str) -> Result<ImageRef, Failure> {
    if let Ok(id) = text.parse::<ImageId>() {
        return Ok(ImageRef::Id(id));
    }
    let name = text.strip_prefix("tag:").unwrap_or(text);
    parse_tag(name)
        .map(ImageRef::Tag)
        .map_err(|failure| failure.next("contree images   (list those there are)"))
}

/// A tag as it is typed.
pub(crate) fn parse_tag(text: &str) -> Result<Tag, Failure> {
    let text = text.strip_prefix("tag:").unwrap_or(text);
    text.parse().map_err(|error| {
        Failure::new(format!("'{text}' is not a tag"))
            .because(&error)
            .next("contree images   (list those there are)")
    })
}

/// The id of an image that a user names.
pub(crate) async fn resolve(client: &Client, text: &str) -> Result<ImageId, Failure> {
    let image = parse_image(text)?;
    client.resolve_image(&image).await.map_err(|error| {
        let is_missing = error.is_not_found();
        let failure = Failure::from(error);
        if is_missing {
            failure
                .while_doing(format!("image '{text}'"))
                .next("contree images   (list them), or contree images import REF   (get one)")
        } else {
            failure
        }
    })
}

/// What is to be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// From a registry, by its full URL.
    Registry(String),
    /// A file of this machine.
    Archive(PathBuf),
}

/// One import that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) source: Source,
    /// As typed or derived; checked when it is used.
    pub(crate) tag: String,
}

impl Import {
    /// Reads one argument, which may stand for several imports: `ubuntu:{latest,noble}`.
    pub(crate) fn parse(argument: &str) -> Result<Vec<Self>, Failure> {
        if Path::new(argument).is_file() {
            return Ok(vec![Self::archive(argument)]);
        }
        expand_braces(argument)
            .iter()
            .map(|text| Self::parse_one(text))
            .collect()
    }

    fn parse_one(text: &str) -> Result<Self, Failure> {
        let (reference, tag) = match text.split_once("?tag=") {
            Some((reference, tag)) => (reference, Some(tag)),
            None => (text, None),
        };
        let mut import = if is_path(reference) {
            let path = Path::new(reference);
            if path.is_dir() {
                return Err(
                    Failure::new(format!("{reference} is a folder, not an archive")).next(format!(
                        "tar -C {reference} -cf image.tar . && contree images import ./image.tar"
                    )),
                );
            }
            if !path.is_file() {
                return Err(Failure::new(format!("there is no file {reference}"))
                    .next("what ends as an archive does is a file; registries take NAME:TAG"));
            }
            Self::archive(reference)
        } else {
            Self {
                tag: derived_tag(reference),
                source: Source::Registry(registry_url(reference)),
            }
        };
        if let Some(tag) = tag {
            tag.clone_into(&mut import.tag);
        }
        Ok(import)
    }

    fn archive(path: &str) -> Self {
        Self {
            tag: archive_tag(path),
            source: Source::Archive(PathBuf::from(path)),
        }
    }
}

/// Whether a reference can only be a file: it starts like a path, or ends like an archive.
fn is_path(reference: &str) -> bool {
    const STARTS: [&str; 4] = ["/", "./", "../", "~/"];
    const ENDS: [&str; 6] = [
        ".tar",
        ".tar.gz",
        ".tgz",
        ".tar.zst",
        ".tar.zstd",
        ".tar.xz",
    ];
    STARTS.iter().any(|start| reference.starts_with(start))
        || (!reference.contains("://") && ENDS.iter().any(|end| reference.ends_with(end)))
}

/// `a{b,c}d` as `abd` and `acd`; several pairs give all combinations.
fn expand_braces(text: &str) -> Vec<String> {
    let Some(start) = text.find('{') else {
        return vec![text.to_owned()];
    };
    let Some(length) = text[start..].find('}') else {
        return vec![text.to_owned()];
    };
    let (head, choices) = (&text[..start], &text[start + 1..start + length]);
    let tails = expand_braces(&text[start + length + 1..]);
    choices
        .split(',')
        .flat_map(|choice| {
            tails
                .iter()
                .map(move |tail| format!("{head}{choice}{tail}"))
        })
        .collect()
}

/// A reference in full: registry, `library/` for official images, and a tag. What has a scheme is
/// taken as it is.
pub(crate) fn registry_url(reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let (registry, path) = match reference.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (HUB, reference),
    };
    let library = if registry == HUB && !path.contains('/') {
        "library/"
    } else {
        ""
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let tag = if name.contains([':', '@']) {
        ""
    } else {
        ":latest"
    };
    format!("docker://{registry}/{library}{path}{tag}")
}

fn is_registry(name: &str) -> bool {
    name.contains(['.', ':']) || name == "localhost"
}

/// The tag that an import gets by itself: the reference as it was typed, without scheme, registry,
/// `library/` and digest.
fn derived_tag(typed: &str) -> String {
    let reference = typed.split_once("://").map_or(typed, |(_, rest)| rest);
    let path = match reference.split_once('/') {
        Some((first, rest)) if is_registry(first) => rest,
        _ => reference,
    };
    let path = path.split('@').next().unwrap_or(path);
    path.strip_prefix("library/").unwrap_or(path).to_owned()
}

/// A tag from a file's name: its endings dropped, and what a tag cannot hold replaced by `-`.
fn archive_tag(path: &str) -> String {
    let name = Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let mut stem = name;
    for end in [".zstd", ".zst", ".gz", ".xz", ".bz2", ".tgz", ".tar"] {
        stem = stem.strip_suffix(end).unwrap_or(stem);
    }
    let words: Vec<String> = stem
        .split('.')
        .map(|word| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            word.chars()
                .map(|c| if plain(c) { c } else { '-' })
                .collect::<String>()
        })
        .filter(|word| !word.is_empty())
        .collect();
    let tag = words.join(".");
    tag.trim_start_matches(['-', '_', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images() {
        let id = "eb1ea259-fac9-5a79-9ffd-000000000001";
        assert_eq!(parse_image(id).unwrap().to_string(), id);
        assert_eq!(parse_image("ubuntu").unwrap().to_string(), "tag:ubuntu");
        assert_eq!(parse_image("tag:a/b:c").unwrap().to_string(), "tag:a/b:c");
        assert!(parse_image("tag:a..b").is_err());
        assert!(parse_image("").is_err());
    }

    /// What contree-cli 0.9.4 makes of the same references, but for the last four: there it keeps
    /// hosts without a dot and digests in tags, and adds `:latest` to digests.
    #[test]
    fn references_in_full_and_their_tags() {
        for (reference, url, tag) in [
            ("ubuntu", "docker.io/library/ubuntu:latest", "ubuntu"),
            (
                "ubuntu:22.04",
                "docker.io/library/ubuntu:22.04",
                "ubuntu:22.04",
            ),
            (
                "docker.io/ubuntu:latest",
                "docker.io/library/ubuntu:latest",
                "ubuntu:latest",
            ),
            ("user/app", "docker.io/user/app:latest", "user/app"),
            ("ghcr.io/o/i:t", "ghcr.io/o/i:t", "o/i:t"),
            (
                "127.0.0.1:5000/debian",
                "127.0.0.1:5000/debian:latest",
                "debian",
            ),
            (
                "docker://docker.io/ubuntu:latest",
                "docker.io/ubuntu:latest",
                "ubuntu:latest",
            ),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "a/b:c"),
            ("localhost/a", "localhost/a:latest", "a"),
            (
                "debian@sha256:ab",
                "docker.io/library/debian@sha256:ab",
                "debian",
            ),
            (
                "quay.io/x/y:z@sha256:ab",
                "quay.io/x/y:z@sha256:ab",
                "x/y:z",
            ),
        ] {
            let import = Import::parse(reference).unwrap();
            let expected = Import {
                source: Source::Registry(format!("docker://{url}")),
                tag: tag.into(),
            };
            assert_eq!(import, [expected], "{reference}");
        }
    }

    #[test]
    fn several_and_tagged() {
        let imports = Import::parse("x/{a,b}:{1,2}?tag=t").unwrap();
        let sources: Vec<_> = imports
            .iter()
            .map(|import| match &import.source {
                Source::Registry(url) => url.trim_start_matches("docker://docker.io/"),
                Source::Archive(_) => "archive",
            })
            .collect();
        assert_eq!(sources, ["x/a:1", "x/a:2", "x/b:1", "x/b:2"]);
        assert!(imports.iter().all(|import| import.tag == "t"));
        assert_eq!(expand_braces("a{b"), ["a{b"]);
    }

    #[test]
    fn archives_and_their_tags() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("My Root_fs-1.2.tar.gz");
        std::fs::write(&path, "").unwrap();
        let name = path.to_str().unwrap();
        let archive = |tag: &str| Import {
            source: Source::Archive(path.clone()),
            tag: tag.into(),
        };
        assert_eq!(Import::parse(name).unwrap(), [archive("My-Root_fs-1.2")]);
        assert_eq!(
            Import::parse(&format!("{name}?tag=b:1")).unwrap(),
            [archive("b:1")]
        );
        assert!(Import::parse("./missing.tar").is_err());
        assert!(Import::parse("missing.tar.zst").is_err());
        assert!(Import::parse(folder.path().to_str().unwrap()).is_err());
        assert_eq!(archive_tag("/x/-..rootfs.tgz"), "rootfs");
    }
}
