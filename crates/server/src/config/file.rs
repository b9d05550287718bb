//! The settings file.

use std::io;
use std::path::{Path, PathBuf};

use super::ServeArgs;

/// Why a settings file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("could not read the settings file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no TOML.
    #[error("{path}, line {line}: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A key is unknown, or its value is wrong.
    #[error("{path}, line {line}, key {key}: {problem}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong and what is expected.
        problem: String,
    },
}

/// Reads a settings file.
pub(super) fn read(path: &Path) -> Result<ServeArgs, FileError> {
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<ServeArgs, FileError> {
    let line = |error: &toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        1 + text
            .as_bytes()
            .iter()
            .take(start)
            .filter(|byte| **byte == b'\n')
            .count()
    };
    let document = toml::Deserializer::parse(text).map_err(|error| FileError::Syntax {
        path: path.to_owned(),
        line: line(&error),
        problem: error.message().to_owned(),
    })?;
    serde_path_to_error::deserialize(document).map_err(|error| FileError::Key {
        path: path.to_owned(),
        line: line(error.inner()),
        key: error.path().to_string(),
        problem: error.inner().message().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_file_line_and_key() {
        for (text, message) in [
            ("listen = ", "/etc/c.toml, line 1: "),
            (
                "\nlisten = \"a/b\"",
                "/etc/c.toml, line 2, key listen: expected HOST or HOST:PORT, such as registry.local:5000",
            ),
            (
                "durability = \"fast\"",
                "/etc/c.toml, line 1, key durability: unknown variant `fast`",
            ),
            ("queue_max = -1", "/etc/c.toml, line 1, key queue_max: "),
            (
                "allow_egress = [\"10.0.0.1/8\"]",
                "/etc/c.toml, line 1, key allow_egress[0]: ",
            ),
            (
                "config = \"x\"",
                "/etc/c.toml, line 1, key config: unknown field `config`",
            ),
            (
                "data_dir = \"/x\"\nlissten = \"x\"",
                "/etc/c.toml, line 2, key lissten: unknown field `lissten`",
            ),
        ] {
            let error = parse(Path::new("/etc/c.toml"), text)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn numbers_may_be_numbers_or_texts() {
        let text = "drain_timeout = 7\nmin_free = \"1GiB\"\nmax_upload_bytes = 4096\n\
                    sandbox_cpus = 1.5\nsandbox_pids = \"none\"\nsandbox_memory = \"2GiB\"\n\
                    cpu_price = 2";
        let args = parse(Path::new("x"), text).unwrap();
        let shell = |name: &str| name.parse().unwrap();
        assert_eq!(args.drain_timeout, Some(crate::config::values::Span(7)));
        assert_eq!(args.min_free, Some(shell("1GiB")));
        assert_eq!(args.max_upload_bytes, Some(shell("4096")));
        assert_eq!(args.sandbox_cpus, Some("1.5".parse().unwrap()));
        assert_eq!(args.sandbox_pids, Some("none".parse().unwrap()));
        assert_eq!(args.sandbox_memory, Some("2GiB".parse().unwrap()));
        assert_eq!(args.cpu_price, Some("2".parse().unwrap()));
    }
}
