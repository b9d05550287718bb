//! Searching the content of an image's files, with ripgrep's libraries.
//!
//! What is found, and how patterns, globs and letter case are meant, is ripgrep's (`rg --hidden
//! --no-ignore --sort path`, run in the image's root): lines are matched one by one, links are not
//! followed on the way, files with a NUL byte are skipped, UTF-16 with its mark is read as text.
//! Two things differ. A file is skipped *whole* when a NUL byte is met anywhere in what is read of
//! it, where ripgrep shows what it found before. And a line longer than [`MAX_LINE`] ends the
//! search of its file; for large patterns that is less ([`max_line`]).
//!
//! **Order.** Several threads take files from one [`Walk`] in turn and search them; what they find
//! is put together in the order of the walk ([`gather`]). So the answer does not depend on who is
//! quicker, also where a limit cuts it.
//!
//! **Bounds.** The number of matches as asked for; [`MAX_ANSWER`] bytes of answer, and per thread
//! once more as much of what is not put together yet, and a line; the size of compiled patterns
//! ([`MAX_REGEX`]); the deadline, and whoever asked going away ([`Stop`]), looked at with every
//! 64 KiB that are read. What ends a search before it has seen everything is told by `truncated`.
//! A limit that is reached exactly does not: the search goes on until it finds one more.

mod gather;
mod rows;
mod stop;
mod worker;

use std::path::Path;
use std::sync::Mutex;

use contree_api::inspect::{DEFAULT_GREP_MATCHES, GrepCase, GrepQuery, GrepResult};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use ignore::overrides::{Override, OverrideBuilder};

use crate::view::{PathError, View};
use gather::Gather;
pub use stop::Stop;
use worker::{Feed, Worker};

/// Bytes of the answer before they are JSON.
const MAX_ANSWER: usize = 16 << 20;
/// Bytes of one line, together with the lines of context before it.
const MAX_LINE: usize = 16 << 20;
/// Bytes of all patterns compiled, and once more of what is worked out of them on the way.
const MAX_REGEX: usize = 10 << 20;
/// Sizes of compiled patterns that are told apart, in bytes, below [`MAX_REGEX`].
const SMALLER_REGEXES: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Most of a line times the size of the compiled patterns.
const MAX_LINE_WORK: usize = 1 << 38;
/// Bytes that are searched at a time where lines are short.
const BUFFER: usize = 64 << 10;
/// Threads that search for one request.
const MAX_THREADS: usize = 4;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrepError {
    /// A pattern is no regular expression that can be searched for line by line.
    #[error("{reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A glob is none.
    #[error("{reason}")]
    Glob {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A path to search in cannot be reached.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl View {
    /// Searches files and folders, links at their ends followed; see the [module](self). Blocks
    /// until `stop` at the longest, with up to four threads.
    ///
    /// # Errors
    /// [`GrepError`]; for a path that is a pipe, a socket or a device there is none, and nothing
    /// is found in it.
    pub fn grep(&self, query: &GrepQuery, stop: &Stop) -> Result<GrepResult, GrepError> {
        let (matcher, max_line) = matcher(query)?;
        let globs = globs(&query.globs)?;
        let roots = if query.paths.is_empty() {
            vec!["/".to_owned()]
        } else {
            query.paths.clone()
        };
        // A path that is wrong is told before anything is searched.
        for root in &roots {
            self.start(root.as_bytes())?;
        }
        let total = query.max_total.unwrap_or(DEFAULT_GREP_MATCHES);
        let gather = Gather::new(u64::from(total), MAX_ANSWER, stop);
        // One more than may be answered tells whether there are more.
        let per_file = u64::from(query.max_count.unwrap_or(u32::MAX)).min(u64::from(total) + 1);
        let feed = Mutex::new(Feed::new(self, roots.clone(), &globs));
        let threads = std::thread::available_parallelism()
            .map_or(1, std::num::NonZero::get)
            .min(MAX_THREADS);
        let worker = || Worker::new(&matcher, max_line, query, per_file, &gather, &feed).run();
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(worker);
            }
            worker();
        });
        let (matches, truncated) = gather.finish()?;
        Ok(GrepResult {
            path: roots.into_iter().next().unwrap_or_default(),
            patterns: query.patterns.clone(),
            matches,
            truncated,
        })
    }
}

/// Longest line for patterns of a size. In the worst case the engine goes through all of a pattern
/// for each byte, and nothing can stop it in the middle of a line: with this it is a matter of
/// seconds, where otherwise one search could go on for hours.
fn max_line(size: usize) -> usize {
    (MAX_LINE_WORK / size).clamp(BUFFER, MAX_LINE)
}

/// What searches, and the longest line that it is given.
fn matcher(query: &GrepQuery) -> Result<(RegexMatcher, usize), GrepError> {
    let mut builder = RegexMatcherBuilder::new();
    builder
        .multi_line(true)
        .line_terminator(Some(b'\n'))
        .ban_byte(Some(0))
        .dfa_size_limit(MAX_REGEX)
        .case_insensitive(query.case == GrepCase::Insensitive)
        .case_smart(query.case == GrepCase::Smart);
    let mut build = |size| builder.size_limit(size).build_many(&query.patterns);
    let size = SMALLER_REGEXES
        .into_iter()
        .find(|size| build(*size).is_ok());
    let size = size.unwrap_or(MAX_REGEX);
    let matcher = build(size).map_err(|error| {
        // Which of them it is comes out by trying each; when none is, all together are too large.
        let refused = |pattern: &String| builder.build(pattern).err().map(|e| (pattern.clone(), e));
        let (pattern, error) = query
            .patterns
            .iter()
            .find_map(refused)
            .unwrap_or_else(|| (query.patterns.join("|"), error));
        GrepError::Pattern {
            pattern,
            reason: reason(&error.to_string()),
        }
    })?;
    Ok((matcher, max_line(size)))
}

/// The sentence in the message of a regex error, which shows the pattern with a mark as well.
fn reason(message: &str) -> String {
    message
        .lines()
        .find_map(|line| line.strip_prefix("error: "))
        .unwrap_or(message)
        .to_owned()
}

fn globs(globs: &[String]) -> Result<Override, GrepError> {
    let mut builder = OverrideBuilder::new(Path::new("/"));
    let refused = |glob: &str, error: &ignore::Error| GrepError::Glob {
        glob: glob.to_owned(),
        reason: error.to_string(),
    };
    for glob in globs {
        builder.add(glob).map_err(|error| refused(glob, &error))?;
    }
    builder
        .build()
        .map_err(|error| refused(&globs.join(" "), &error))
}
