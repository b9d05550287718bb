//! What an import is asked for: `docker://HOST/REPO[:TAG|@DIGEST]` or `upload:FILE_UUID`.
//!
//! Clients send half-written references through, so the server completes them itself: no host
//! means Docker Hub, a Hub name of one part lives under `library/`, neither tag nor digest means
//! `latest`. The first part is a host when it has a dot or a colon or is `localhost`, as Docker
//! decides it. Nothing of a reference that fails to parse is repeated in the error: people paste
//! `user:password@host`.

use std::fmt;

use contree_api::FileId;

use super::allow::HostPort;
use super::digest::Digest;

/// Where Docker Hub's names live.
const HUB: &str = "docker.io";
/// Where Docker Hub answers the registry protocol.
const HUB_ENDPOINT: &str = "registry-1.docker.io";
/// Other names by which people mean Docker Hub.
const HUB_ALIASES: [&str; 3] = [
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];
/// Longest repository name, by the distribution specification.
const MAX_REPOSITORY: usize = 255;
/// Longest tag, by the distribution specification.
const MAX_TAG: usize = 128;

/// Where an import comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An image in a registry.
    Registry(Reference),
    /// An uploaded archive: OCI layout, `docker save`, or the tar of a root filesystem.
    Upload(FileId),
}

/// An image in a registry, complete: every part that the request left out is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    host: HostPort,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What is wrong with a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// Neither of the two schemes.
    #[error(
        "an import is named docker://HOST/REPOSITORY:TAG, or upload:UUID for an uploaded archive"
    )]
    Scheme,
    /// `user:password@` in it.
    #[error("credentials do not belong into the reference; give them as registry.credentials")]
    Credentials,
    /// Not a host.
    #[error("the registry is not a host name or address with an optional port")]
    Host,
    /// Not a repository name.
    #[error(
        "a repository is named in lower-case letters and digits, separated by / . _ or -, \
         {MAX_REPOSITORY} characters at most"
    )]
    Repository,
    /// Not a tag.
    #[error("a tag is {MAX_TAG} characters of letters, digits, _ . and - at most")]
    Tag,
    /// Not a digest.
    #[error("the digest is not sha256:HEX or sha512:HEX")]
    Digest,
    /// Not an id.
    #[error("an upload is named by its UUID: upload:12345678-9abc-4aba-9eda-0123456789ab")]
    Upload,
}

impl Source {
    /// Reads and completes what a request names.
    ///
    /// # Errors
    /// [`InvalidSource`] says which part is wrong.
    pub fn parse(url: &str) -> Result<Self, InvalidSource> {
        let url = url.trim();
        if let Some(file) = url.strip_prefix("upload:") {
            return file
                .parse()
                .map(Self::Upload)
                .map_err(|_| InvalidSource::Upload);
        }
        let name = url.strip_prefix("docker://").ok_or(InvalidSource::Scheme)?;
        Reference::parse(name).map(Self::Registry)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "docker://{reference}"),
            Self::Upload(file) => write!(f, "upload:{file}"),
        }
    }
}

impl Reference {
    fn parse(name: &str) -> Result<Self, InvalidSource> {
        let (first, rest) = name.split_once('/').unwrap_or(("", name));
        if first.contains('@') {
            return Err(InvalidSource::Credentials);
        }
        let named_host = first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost");
        let (host, rest) = if named_host {
            (first, rest)
        } else {
            (HUB, name)
        };
        let host = HostPort::parse_host(host).ok_or(InvalidSource::Host)?;
        let host = if HUB_ALIASES.contains(&host.host()) && host.port().is_none() {
            HostPort::parse_host(HUB).ok_or(InvalidSource::Host)?
        } else {
            host
        };

        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(digest.parse().map_err(|_| InvalidSource::Digest)?),
            ),
            None => (rest, None),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(InvalidSource::Tag);
        }
        let library = host.host() == HUB && host.port().is_none() && !repository.contains('/');
        let repository = if library {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        if repository.len() > MAX_REPOSITORY || !repository.split('/').all(is_repository_part) {
            return Err(InvalidSource::Repository);
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, None) => Some("latest".to_owned()),
            (None, Some(_)) => None,
        };
        Ok(Self {
            host,
            repository,
            tag,
            digest,
        })
    }

    /// The registry as users name it.
    #[must_use]
    pub fn registry(&self) -> &HostPort {
        &self.host
    }

    /// The host that answers the registry protocol for it.
    pub(super) fn endpoint(&self) -> HostPort {
        if self.host.host() == HUB && self.host.port().is_none() {
            HostPort::parse_host(HUB_ENDPOINT).expect("a constant that is a host name")
        } else {
            self.host.clone()
        }
    }

    /// The name of the repository, such as `library/ubuntu`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// What stands behind `manifests/` in the request: the digest, else the tag.
    pub(super) fn identifier(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_repository_part(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !word(*first) || !word(*last) {
        return false;
    }
    bytes.split(|byte| word(*byte)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
    })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= MAX_TAG
        && bytes.first().is_some_and(|byte| word(*byte))
        && bytes
            .iter()
            .all(|byte| word(*byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_what_was_left_out() {
        let hex = "a".repeat(64);
        for (given, complete) in [
            ("docker://ubuntu", "docker.io/library/ubuntu:latest"),
            ("docker://ubuntu:22.04", "docker.io/library/ubuntu:22.04"),
            (
                "docker://docker.io/ubuntu:latest",
                "docker.io/library/ubuntu:latest",
            ),
            (
                "docker://docker.io/library/busybox",
                "docker.io/library/busybox:latest",
            ),
            (
                "docker://index.docker.io/bitnami/redis",
                "docker.io/bitnami/redis:latest",
            ),
            ("docker://bitnami/redis:7", "docker.io/bitnami/redis:7"),
            ("docker://ghcr.io/o/i:t", "ghcr.io/o/i:t"),
            ("docker://GHCR.io/o/deep/er/i", "ghcr.io/o/deep/er/i:latest"),
            ("docker://localhost/x", "localhost/x:latest"),
            ("docker://localhost:5000/x:y", "localhost:5000/x:y"),
            (
                "docker://127.0.0.1:5000/a--b/c__d",
                "127.0.0.1:5000/a--b/c__d:latest",
            ),
            ("docker://[::1]:5000/x", "[::1]:5000/x:latest"),
            (" docker://quay.io/x \n", "quay.io/x:latest"),
        ] {
            let source = Source::parse(given).unwrap_or_else(|error| panic!("{given}: {error}"));
            assert_eq!(
                source.to_string(),
                format!("docker://{complete}"),
                "{given}"
            );
            assert_eq!(
                Source::parse(&source.to_string()).unwrap(),
                source,
                "{given}"
            );
        }
        let pinned = format!("docker://ghcr.io/o/i@sha256:{hex}");
        assert_eq!(Source::parse(&pinned).unwrap().to_string(), pinned);
        let Source::Registry(both) =
            Source::parse(&format!("docker://ubuntu:22.04@sha256:{hex}")).unwrap()
        else {
            panic!("a registry")
        };
        assert_eq!(both.identifier(), format!("sha256:{hex}"));
        assert_eq!(both.endpoint().to_string(), "registry-1.docker.io");
        assert_eq!(both.repository(), "library/ubuntu");

        let upload = "upload:12345678-9abc-4aba-9eda-0123456789ab";
        assert!(matches!(Source::parse(upload).unwrap(), Source::Upload(_)));
    }

    #[test]
    fn refuses_the_rest_without_repeating_it() {
        use InvalidSource::{Credentials, Digest, Host, Repository, Scheme, Tag, Upload};
        for (given, wrong) in [
            ("", Scheme),
            ("ubuntu", Scheme),
            ("https://ghcr.io/o/i", Scheme),
            ("docker://", Repository),
            ("docker://ghcr.io/", Repository),
            ("docker://ghcr.io//i", Repository),
            ("docker://ghcr.io/o/../i", Repository),
            ("docker://ghcr.io/o/i/", Repository),
            ("docker://ghcr.io/O/i", Repository),
            ("docker://ghcr.io/o/i?x=y", Repository),
            ("docker://ghcr.io/o/i#f", Repository),
            ("docker://ghcr.io/a._b", Repository),
            ("docker://ghcr.io/a%2fb", Repository),
            ("docker://ghcr.io/o/i:", Tag),
            ("docker://ghcr.io/o/i:-t", Tag),
            ("docker://ghcr.io/o/i:t t", Tag),
            ("docker://ghcr.io/o/i@sha256:abc", Digest),
            ("docker://ghcr.io:port/o/i", Host),
            ("docker://ghcr.io:0/o/i", Host),
            ("docker://ghcr..io/o/i", Host),
            ("docker://::1/o", Host),
            ("docker://user:hunter2@ghcr.io/o/i", Credentials),
            ("upload:", Upload),
            ("upload:../../etc/passwd", Upload),
        ] {
            let error = Source::parse(given).expect_err(given);
            assert_eq!(error, wrong, "{given}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(
            Source::parse(&format!("docker://x/{}", "a".repeat(256))),
            Err(Repository)
        );
        assert_eq!(
            Source::parse(&format!("docker://x:{}", "a".repeat(129))),
            Err(Tag)
        );
    }
}
