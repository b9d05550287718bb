//! Why the records could not be read or written.

/// Opening the database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be opened.
    #[error("could not open the database {path}")]
    Connect {
        /// The file.
        path: String,
        /// Cause.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("could not migrate the database {path}; was it written by a newer version?")]
    Migrate {
        /// The file.
        path: String,
        /// Cause.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

/// Reading or writing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A query failed.
    #[error("could not {step}")]
    Query {
        /// What was being done.
        step: &'static str,
        /// Cause.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value is not what the schema says.
    #[error("the record of {what} is damaged: {reason}")]
    Damaged {
        /// Kind of record.
        what: &'static str,
        /// How.
        reason: String,
    },
    /// The operation is already in a terminal state, or is not known.
    #[error("the operation is not open")]
    NotOpen,
    /// Something still refers to what was to be removed, or it refers to what is not there.
    #[error("could not {step}: another record stands in the way")]
    Reference {
        /// What was being done.
        step: &'static str,
    },
    /// There is one of that name already.
    #[error("could not {step}: the name is taken")]
    Taken {
        /// What was being done.
        step: &'static str,
    },
    /// The writer has stopped.
    #[error("the records are closed")]
    Closed,
}

impl Error {
    pub(crate) fn query(step: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| match &source {
            sqlx::Error::Database(error) if error.is_foreign_key_violation() => {
                Self::Reference { step }
            }
            sqlx::Error::Database(error) if error.is_unique_violation() => Self::Taken { step },
            _ => Self::Query { step, source },
        }
    }
}
