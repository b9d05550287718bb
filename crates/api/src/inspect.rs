//! Looking into an image without running it.

use serde::{Deserialize, Serialize};

/// An owner: a name when the image's `/etc/passwd` or `/etc/group` has one, else the number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Owner {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(clippy::struct_excessive_bools, reason = "the contract's shape")]
pub struct FileItem {
    /// Bytes.
    pub size: i64,
    /// Name in the listed folder.
    #[cfg_attr(feature = "openapi", schema(example = "passwd"))]
    pub path: String,
    /// User.
    pub owner: Owner,
    /// Group.
    pub group: Owner,
    /// Full `st_mode`.
    #[cfg_attr(feature = "openapi", schema(example = 33188))]
    pub mode: u32,
    /// Last change, Unix seconds.
    #[cfg_attr(feature = "openapi", schema(example = 1_640_995_200))]
    pub mtime: i64,
    /// Hard links.
    pub nlink: u64,
    /// User id.
    #[cfg_attr(feature = "openapi", schema(format = Int64))]
    pub uid: u32,
    /// Group id.
    #[cfg_attr(feature = "openapi", schema(format = Int64))]
    pub gid: u32,
    /// A folder.
    pub is_dir: bool,
    /// A regular file.
    pub is_regular: bool,
    /// A symbolic link.
    pub is_symlink: bool,
    /// A socket.
    pub is_socket: bool,
    /// A named pipe.
    pub is_fifo: bool,
    /// Target of a symbolic link, else empty.
    pub symlink_to: String,
}

/// `GET /inspect/{image}/list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DirectoryList {
    /// The folder that was listed.
    pub path: String,
    /// Its entries, by name.
    pub files: Vec<FileItem>,
}

/// What a line of a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum GrepLine {
    /// It matches.
    Match,
    /// It stands near one that does, and was asked for by `before` or `after`.
    Context,
}

/// Where a pattern matched within a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrepSubmatch {
    /// What matched.
    pub text: String,
    /// First byte, within the line.
    pub start: u64,
    /// Byte after the last, within the line.
    pub end: u64,
}

/// One line of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrepMatch {
    /// The file, absolute inside the image.
    #[cfg_attr(feature = "openapi", schema(example = "/etc/ssh/sshd_config"))]
    pub path: String,
    /// Number of the line, from 1.
    pub line_number: u64,
    /// First byte of the line, within the file.
    pub absolute_offset: u64,
    /// The line with its end, cut at 4096 bytes.
    pub line_text: String,
    /// Bytes of the whole line; more than `line_text` has when that was cut.
    pub line_bytes: u64,
    /// What matched; empty for lines of context.
    pub submatches: Vec<GrepSubmatch>,
    /// A match, or context.
    #[serde(rename = "type")]
    pub kind: GrepLine,
}

/// `GET /inspect/{image}/grep`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrepResult {
    /// The first path that was searched, as it was asked for.
    #[cfg_attr(feature = "openapi", schema(example = "/etc"))]
    pub path: String,
    /// The patterns.
    #[cfg_attr(feature = "openapi", schema(example = json!(["^PermitRootLogin"])))]
    pub patterns: Vec<String>,
    /// Lines in the order of files and within each from its start.
    pub matches: Vec<GrepMatch>,
    /// Whether there may be more: a bound on matches or time was reached.
    pub truncated: bool,
}

/// Bytes of a line that a search shows.
pub const MAX_GREP_LINE_TEXT: usize = 4_096;
/// Most patterns of a search.
pub const MAX_GREP_PATTERNS: usize = 16;
/// Most paths of a search.
pub const MAX_GREP_PATHS: usize = 16;
/// Most globs of a search.
pub const MAX_GREP_GLOBS: usize = 64;
/// Most characters of one pattern, path or glob of a search.
pub const MAX_GREP_CHARS: usize = 1_024;
/// Most matches of a search, in a file and in all.
pub const MAX_GREP_MATCHES: u32 = 10_000;
/// Matches of a search in all when the request does not say.
pub const DEFAULT_GREP_MATCHES: u32 = 1_000;
/// Most lines of context before and after a match.
pub const MAX_GREP_CONTEXT: u32 = 50;

/// How a search takes upper and lower case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrepCase {
    /// As they are.
    #[default]
    Sensitive,
    /// As the same.
    Insensitive,
    /// As the same unless a pattern has an upper case letter.
    Smart,
}

impl GrepCase {
    /// All, in the contract's order.
    pub const ALL: [Self; 3] = [Self::Sensitive, Self::Insensitive, Self::Smart];

    /// On the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sensitive => "sensitive",
            Self::Insensitive => "insensitive",
            Self::Smart => "smart",
        }
    }
}

/// What `GET /inspect/{image}/grep` is asked for, by query parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrepQuery {
    /// `pattern`: regular expressions, of which one must match a line.
    pub patterns: Vec<String>,
    /// `path`: files and folders to search; none: everything.
    pub paths: Vec<String>,
    /// `glob`: which files, with `!` which not; the last that fits counts. None: all.
    pub globs: Vec<String>,
    /// `max_count`: most matches in one file; none: no bound.
    pub max_count: Option<u32>,
    /// `max_total`: most matches in all; none: [`DEFAULT_GREP_MATCHES`].
    pub max_total: Option<u32>,
    /// `case`.
    pub case: GrepCase,
    /// `before`: lines of context before a match.
    pub before: u32,
    /// `after`: lines of context after a match.
    pub after: u32,
}
