//! What lists can be narrowed by.

use contree_api::operation::{OperationKind, OperationStatus};
use contree_api::{ImageId, Tag, Timestamp, limits};

/// Where images come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// From a run; `kind=0`.
    Run,
    /// From an import; `kind=1`.
    Import,
}

/// Which images to list; newest first.
#[derive(Debug, Clone)]
pub struct ImageFilter {
    /// Most items.
    pub limit: u32,
    /// Items to skip.
    pub offset: u32,
    /// Only tagged ones.
    pub tagged: bool,
    /// Only those with a tag that starts with this.
    pub tag_prefix: Option<Tag>,
    /// Only this one.
    pub uuid: Option<ImageId>,
    /// Only of this kind.
    pub kind: Option<ImageKind>,
    /// Only made after this.
    pub since: Option<Timestamp>,
    /// Only made before this.
    pub until: Option<Timestamp>,
}

impl Default for ImageFilter {
    fn default() -> Self {
        Self {
            limit: limits::DEFAULT_PAGE,
            offset: 0,
            tagged: false,
            tag_prefix: None,
            uuid: None,
            kind: None,
            since: None,
            until: None,
        }
    }
}

/// Which operations to list; newest first.
#[derive(Debug, Clone)]
pub struct OperationFilter {
    /// Most items.
    pub limit: u32,
    /// Items to skip.
    pub offset: u32,
    /// Only in this state.
    pub status: Option<OperationStatus>,
    /// Only of this kind.
    pub kind: Option<OperationKind>,
    /// Only accepted after this.
    pub since: Option<Timestamp>,
    /// Only accepted before this.
    pub until: Option<Timestamp>,
}

impl Default for OperationFilter {
    fn default() -> Self {
        Self {
            limit: limits::DEFAULT_PAGE,
            offset: 0,
            status: None,
            kind: None,
            since: None,
            until: None,
        }
    }
}

/// Which uploaded files to list; newest first.
#[derive(Debug, Clone)]
pub struct FileFilter {
    /// Most items.
    pub limit: u32,
    /// Items to skip.
    pub offset: u32,
    /// Only uploaded after this.
    pub since: Option<Timestamp>,
    /// Only uploaded before this.
    pub until: Option<Timestamp>,
}

impl Default for FileFilter {
    fn default() -> Self {
        Self {
            limit: limits::DEFAULT_PAGE,
            offset: 0,
            since: None,
            until: None,
        }
    }
}
