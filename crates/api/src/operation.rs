//! Operations: runs and imports as asynchronous jobs.

use serde::{Deserialize, Serialize};

use crate::image::ImageImportRequest;
use crate::instance::{InstanceResult, InstanceSpawnRequest};
use crate::{ImageId, OperationId, Tag, Timestamp};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// An import.
    ImageImport,
    /// A run.
    Instance,
}

/// Where an operation is in its life: PENDING → ASSIGNED → EXECUTING → one of the terminal
/// three. A terminal state is never left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum OperationStatus {
    /// Accepted, waiting for its turn.
    Pending,
    /// Its turn has come; the sandbox is being made.
    Assigned,
    /// The command runs, or layers are being fetched.
    Executing,
    /// Done; the result is durable.
    Success,
    /// Ended without a result; `error` says why.
    Failed,
    /// Ended because a client asked for it.
    Cancelled,
}

impl OperationStatus {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Assigned,
        Self::Executing,
        Self::Success,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether the operation has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Cancelled)
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Assigned => "ASSIGNED",
            Self::Executing => "EXECUTING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl OperationKind {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ImageImport => "image_import",
            Self::Instance => "instance",
        }
    }
}

/// An item of `GET /operations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationSummary {
    /// The operation's id.
    pub uuid: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// Where it is.
    pub status: OperationStatus,
    /// Why it failed, else null.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "spawn failed: no such file", required)
    )]
    pub error: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Seconds it has run; 0 while pending.
    pub duration: f64,
    /// Bytes written for the resulting layer; null when not measured.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub image_size: Option<i64>,
    /// CPU seconds; null when not measured.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub consumed_cpu: Option<f64>,
    /// Peak memory in KiB; null when not measured.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub consumed_memory: Option<i64>,
    /// Image of a run, else null.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub image_uuid: Option<ImageId>,
    /// Resulting image of a success, else null.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub result_image_uuid: Option<ImageId>,
}

/// The request of an operation and, for runs, its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OperationMetadata {
    /// Of a run.
    Instance(Box<InstanceMetadata>),
    /// Of an import, credentials masked.
    Import(ImageImportRequest),
}

/// The request of a run with its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceMetadata {
    /// The request, `image` resolved to an id.
    #[serde(flatten)]
    pub request: InstanceSpawnRequest,
    /// What came of it; null until it ran, with `inflight` what is known so far.
    pub result: Option<InstanceResult>,
}

/// What an operation made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationResult {
    /// The image; null for disposable runs.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub image: Option<ImageId>,
    /// The tag an import set, else null.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub tag: Option<Tag>,
    /// Output so far, only when asked for with `inflight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub stdout: Option<crate::StreamRepr>,
    /// Error output so far, only when asked for with `inflight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub stderr: Option<crate::StreamRepr>,
}

/// `GET /operations/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationResponse {
    /// As in lists.
    #[serde(flatten)]
    pub summary: OperationSummary,
    /// Request and result of the process.
    pub metadata: OperationMetadata,
    /// What it made; absent until it succeeded. With `inflight` the output so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub result: Option<OperationResult>,
}
