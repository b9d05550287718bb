//! A window into a list that is sorted newest first.

use contree_api::{Timestamp, limits};
use sqlx::{QueryBuilder, Sqlite};

/// Which part of a list to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Most items.
    pub limit: u32,
    /// Items to skip.
    pub offset: u32,
    /// Only made after this.
    pub since: Option<Timestamp>,
    /// Only made before this.
    pub until: Option<Timestamp>,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            limit: limits::DEFAULT_PAGE,
            offset: 0,
            since: None,
            until: None,
        }
    }
}

impl Page {
    /// ` AND column >= … AND column <= …`, as far as bounds are set.
    pub(crate) fn push_bounds(&self, query: &mut QueryBuilder<Sqlite>, column: &'static str) {
        if let Some(since) = self.since {
            query
                .push(" AND ")
                .push(column)
                .push(" >= ")
                .push_bind(since.as_micros());
        }
        if let Some(until) = self.until {
            query
                .push(" AND ")
                .push(column)
                .push(" <= ")
                .push_bind(until.as_micros());
        }
    }

    pub(crate) fn push_limit(&self, query: &mut QueryBuilder<Sqlite>) {
        query.push(" LIMIT ").push_bind(i64::from(self.limit));
        query.push(" OFFSET ").push_bind(i64::from(self.offset));
    }
}
