//! .dockerignore: what of the context does not exist for `COPY` and `ADD`.
//!
//! A line is a pattern, from the root of the context. The last line that matches a path, or one of
//! the folders it is in, decides: left out, or kept when the line begins with `!`. What a folder
//! that is left out has in it may thus be kept. Nothing is left out unless a line says so, neither
//! names that begin with a dot nor the Dockerfile.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::pattern::{Pattern, Stars, units};
use crate::failure::{Doing as _, Failure};

/// No such file is larger.
const MAX_BYTES: u64 = 1024 * 1024;

/// What of the context is left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ignore {
    /// The file's name, for people.
    name: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    is_kept: bool,
    pattern: Pattern,
}

impl Ignore {
    /// Reads the file beside the Dockerfile that is named after it, `x.Dockerfile.dockerignore`, or
    /// else the context's own. Without any of them nothing is left out.
    pub(crate) fn read(context: &Path, dockerfile: &Path) -> Result<Self, Failure> {
        let mut beside = dockerfile.as_os_str().to_owned();
        beside.push(".dockerignore");
        for path in [Path::new(&beside), &context.join(".dockerignore")] {
            let failed = || format!("could not read {}", path.display());
            match path.metadata() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).doing(failed),
                Ok(metadata) if metadata.len() > MAX_BYTES => {
                    return Err(Failure::new(format!(
                        "{} has more than {MAX_BYTES} bytes",
                        path.display()
                    )));
                }
                Ok(_) => {}
            }
            let text = std::fs::read(path).doing(failed)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Self::parse(&name, &String::from_utf8_lossy(&text));
        }
        Ok(Self::default())
    }

    /// Reads the text of the file that errors call `name`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let failure =
                |what: &str| Failure::new(format!("{name}:{}: {what} ({line})", index + 1));
            // A comment begins with the line, not behind blanks.
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (is_kept, line) = match line.strip_prefix('!') {
                Some(rest) if rest.trim().is_empty() => {
                    return Err(failure("`!` keeps nothing without a pattern"));
                }
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            if line.is_empty() {
                continue;
            }
            let pattern = Pattern::read(&cleaned(line), Stars::AnyFolders)
                .map_err(|error| failure(&error))?;
            rules.push(Rule { is_kept, pattern });
        }
        Ok(Self {
            name: name.to_owned(),
            rules,
        })
    }

    /// Reads `--exclude`s.
    pub(crate) fn excluding(patterns: &[String]) -> Result<Self, Failure> {
        let mut rules = Vec::new();
        for text in patterns {
            let (is_kept, line) = match text.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, text.as_str()),
            };
            let pattern = Pattern::read(&cleaned(line), Stars::AnyFolders)
                .map_err(|error| Failure::new(format!("--exclude={text}: {error}")))?;
            rules.push(Rule { is_kept, pattern });
        }
        Ok(Self {
            name: "--exclude".to_owned(),
            rules,
        })
    }

    /// What it was read from, for people: `.dockerignore`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the file or folder at this path, from the root of the context, is left out.
    pub(crate) fn excludes(&self, path: &Path) -> bool {
        if self.rules.is_empty() {
            return false;
        }
        let path = units(path.as_os_str().as_bytes());
        let mut is_excluded = false;
        for rule in &self.rules {
            if rule.is_kept == is_excluded && rule.pattern.matches_or_holds(&path) {
                is_excluded = !rule.is_kept;
            }
        }
        is_excluded
    }

    /// Whether something in this folder, which itself is left out, may be kept.
    pub(crate) fn keeps_below(&self, folder: &Path) -> bool {
        let folder = folder.as_os_str().as_bytes();
        let path = units(folder);
        self.rules.iter().any(|rule| {
            rule.is_kept
                && (rule.pattern.matches_or_holds(&path) || rule.pattern.could_match_below(folder))
        })
    }
}

/// A pattern from the root of the context, without `.`, `..`, double slashes and one at the end.
fn cleaned(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            // What leads out of the context matches nothing in it.
            ".." if parts.last().is_none_or(|last| *last == "..") => parts.push(part),
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ignore(text: &str) -> Ignore {
        Ignore::parse(".dockerignore", text).unwrap()
    }

    #[test]
    fn what_is_left_out() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "",
                &[],
                &["a", ".git", "node_modules", "Dockerfile", ".dockerignore"],
            ),
            ("# temp?\n\n  \n", &[], &["temp1"]),
            (" # temp", &["# temp"], &["temp"]),
            // One folder down, two folders down, in the root.
            (
                "*/temp*",
                &["a/temporary.txt", "a/temp", "a/temp/x"],
                &["temp", "a/b/temp"],
            ),
            (
                "*/*/temp*",
                &["a/b/temporary.txt"],
                &["a/temp", "a/b/c/temp"],
            ),
            (
                "temp?",
                &["tempa", "tempb", "tempa/x"],
                &["temp", "tempab", "a/tempa"],
            ),
            // At any depth.
            ("**/*.go", &["a.go", "a/b/c.go"], &["a.gox"]),
            (
                "**/node_modules",
                &["node_modules", "a/node_modules/b/c"],
                &["node_modules2"],
            ),
            ("**", &["a", "a/b", ".x"], &[]),
            ("*", &["a", "a/b", ".x"], &[]),
            // The last line that matches decides.
            ("*.md\n!README.md", &["a.md"], &["README.md", "a/b.md"]),
            (
                "*.md\n!README*.md\nREADME-secret.md",
                &["a.md", "README-secret.md"],
                &["README.md", "README-public.md"],
            ),
            (
                "*.md\nREADME-secret.md\n!README*.md",
                &["a.md"],
                &["README.md", "README-secret.md"],
            ),
            // Below what is left out.
            (
                "*\n!src\nsrc/**/*.tmp\n!src/keep/x.tmp",
                &["a", "src/b.tmp", "src/keep/y.tmp"],
                &["src", "src/b", "src/keep/x.tmp"],
            ),
            (
                "dist\n!dist/app/**",
                &["dist", "dist/x"],
                &["dist/app/x", "dist/app/y/z"],
            ),
            // From the root, however it is written.
            ("/a", &["a", "a/b"], &["b/a"]),
            ("./a", &["a"], &["b/a"]),
            ("a/", &["a", "a/b"], &["b/a"]),
            ("a//./b/../c", &["a/c"], &["a/b", "c"]),
            ("../a", &[], &["a"]),
            ("! a \n", &[], &["a"]),
            ("  a  ", &["a"], &["  a  "]),
            // Not by a part of the name.
            ("foo", &["foo", "foo/x"], &["foobar", "xfoo", "x/foo"]),
            ("[ab].txt", &["a.txt"], &["c.txt"]),
            (r"\*.txt", &["*.txt"], &["a.txt"]),
            (r"\!a", &["!a"], &["a"]),
            ("a\r\nb\r\n", &["a", "b"], &[]),
            ("\u{feff}a", &["a"], &[]),
        ];
        for (text, out, kept) in cases {
            let ignore = ignore(text);
            for path in *out {
                assert!(ignore.excludes(Path::new(path)), "{text:?} {path}");
            }
            for path in *kept {
                assert!(!ignore.excludes(Path::new(path)), "{text:?} {path}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = |text: &str| Ignore::parse("x", text).unwrap_err().to_string();
        assert_eq!(
            error("a\n[b"),
            "x:2: `[b` is no pattern: a [ needs a ] (or \\[ stands for itself) ([b)"
        );
        assert_eq!(error("!"), "x:1: `!` keeps nothing without a pattern (!)");
    }

    #[test]
    fn the_dockerfile_may_have_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let context = folder.path();
        let dockerfile = context.join("deep.Dockerfile");
        let none = Ignore::read(context, &dockerfile).unwrap();
        assert!(!none.excludes(Path::new("a")));
        std::fs::write(context.join(".dockerignore"), "a").unwrap();
        let common = Ignore::read(context, &dockerfile).unwrap();
        assert!(common.excludes(Path::new("a")));
        assert_eq!(common.name(), ".dockerignore");
        std::fs::write(context.join("deep.Dockerfile.dockerignore"), "b").unwrap();
        let own = Ignore::read(context, &dockerfile).unwrap();
        assert!(own.excludes(Path::new("b")) && !own.excludes(Path::new("a")));
        assert_eq!(own.name(), "deep.Dockerfile.dockerignore");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[ab!#*?/.\\[\\]\\\\ \n-]{0,30}", path in "[ab/.]{0,12}") {
            if let Ok(ignore) = Ignore::parse("x", &text) {
                let _ = ignore.excludes(Path::new(&path));
                let _ = ignore.keeps_below(Path::new(&path));
            }
        }

        /// Folders that nothing can be kept below need not be looked into.
        #[test]
        fn pruning_loses_nothing(
            lines in prop::collection::vec("!?[ab*]{1,2}(/[ab*]{1,2}){0,2}", 0..5),
            folder in "[ab]{1,2}(/[ab]{1,2}){0,1}",
            name in "[ab]{1,2}(/[ab]{1,2}){0,1}",
        ) {
            let ignore = ignore(&lines.join("\n"));
            let inner = format!("{folder}/{name}");
            if ignore.excludes(Path::new(&folder)) && !ignore.excludes(Path::new(&inner)) {
                prop_assert!(ignore.keeps_below(Path::new(&folder)));
            }
        }
    }
}
