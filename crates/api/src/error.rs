//! The one error shape of the API, and the kinds of failure behind it.

use serde::{Deserialize, Serialize};

/// What went wrong, without transport: the HTTP status is chosen from it at the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is malformed; the message names the field. 400.
    BadRequest,
    /// No token, or one that is unknown, expired or revoked. 401.
    Unauthorized,
    /// The token is known but lacks the permission named in the message. 403.
    Forbidden,
    /// No such object in this project. 404.
    NotFound,
    /// The object's state does not allow it. 409.
    Conflict,
    /// The request body is larger than allowed. 413.
    TooLarge,
    /// The path names something of the wrong type. 422.
    Unprocessable,
    /// Not ready yet; nothing was executed. 425.
    TooEarly,
    /// The queue is full, or too many event streams are open; nothing was executed. 429.
    TooManyRequests,
    /// A fault of the server. 500, with an id that the log has.
    Internal,
    /// Not able to serve now (shutting down, disk nearly full). 503.
    Unavailable,
    /// The sandbox did not answer in time. 504.
    TimedOut,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::TooLarge,
        Self::Unprocessable,
        Self::TooEarly,
        Self::TooManyRequests,
        Self::Internal,
        Self::Unavailable,
        Self::TimedOut,
    ];

    /// The HTTP status for this kind.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unprocessable => 422,
            Self::TooEarly => 425,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::TimedOut => 504,
        }
    }
}

/// The body of every answer that is not a success: `{"error": …, "status": N}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Error))]
pub struct ErrorBody {
    /// One sentence that names what was wrong, or (from other servers) structured errors.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::error_value))]
    pub error: serde_json::Value,
    /// The HTTP status, repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 400))]
    pub status: Option<u16>,
}

impl ErrorBody {
    /// The error as one line of text.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.error {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}
