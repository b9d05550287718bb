//! Parameters of the operations, with the bounds that the handlers keep to.
//!
//! Groups are unit types that operations name in `params(…)`. They are written out here and not
//! derived, since a parameter of the contract may have a default and an empty value.

use std::ops::RangeInclusive;

use contree_api::ImageId;
use contree_api::inspect::{self, GrepCase};
use contree_api::limits::{DEFAULT_PAGE, MAX_PAGE};
use contree_api::operation::{OperationKind, OperationStatus};
use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::{RefOr, Required};
use utoipa::{IntoParams, ToSchema};

macro_rules! group {
    ($(#[$doc:meta])* $name:ident = [$($parameter:expr),+ $(,)?]) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$($parameter),+]
            }
        }
    };
}

/// Parameters that are components, with their names.
pub(super) fn shared() -> [(&'static str, Parameter); 2] {
    [("SinceParameter", since()), ("UntilParameter", until())]
}

group!(
    /// `limit` and `offset` of a list.
    Page = [
        query(
            "limit",
            "Most items to return.",
            whole(1..=MAX_PAGE.into()).default(Some(json!(DEFAULT_PAGE))),
        ),
        query(
            "offset",
            "Items to skip before the first. Pages are not a snapshot: what comes in meanwhile \
             moves the rest.",
            whole(0..=u64::MAX).default(Some(json!(0))),
        ),
    ]
);

group!(
    /// `since` and `until` of a list.
    Period = [since(), until()]
);

group!(
    /// What narrows the list of images.
    ImageFilter = [
        example(
            query(
                "tagged",
                "Only images with a tag. Any value but `0` turns it on, also none at all.",
                text(),
            ),
            json!("1"),
        ),
        example(
            query(
                "tag",
                "Only images with a tag that starts with this, itself a valid tag. Implies \
                 `tagged`.",
                text(),
            ),
            json!("ubuntu"),
        ),
        query("uuid", "Only this image.", uuid()),
        query(
            "kind",
            "0: only results of runs. 1: only imports.",
            whole(0..=1),
        ),
    ]
);

group!(
    /// What narrows the list of operations.
    OperationFilter = [
        query(
            "status",
            "Only operations with this status.",
            one_of(OperationStatus::ALL.map(OperationStatus::name)),
        ),
        query(
            "kind",
            "Only runs, or only imports.",
            one_of([OperationKind::ImageImport, OperationKind::Instance].map(OperationKind::name)),
        ),
    ]
);

group!(
    /// `inflight` of an operation.
    Inflight = [flag(
        "inflight",
        "Whether `result` shall hold what a run that still executes has written so far.",
    )]
);

group!(
    /// `ended` of the feed.
    FeedFilter = [flag(
        "ended",
        "Whether only ends shall be told: changes to `SUCCESS`, `FAILED` or `CANCELLED`.",
    )]
);

group!(
    /// What narrows an event stream.
    EventFilter = [
        flag(
            "follow",
            "Whether the stream stays open until the operation has ended. Otherwise it ends with \
             the last event there is.",
        ),
        query(
            "spid",
            "Only events of this process; 0 is the sandbox itself, 1 the command.",
            whole(0..=u64::MAX),
        ),
        query("since", "Only events after this id.", whole(0..=u64::MAX)),
        header(
            "Last-Event-Id",
            "The last event that was received: `since` of a reader that comes back. Counts \
             before `since`.",
            whole(0..=u64::MAX),
        ),
    ]
);

group!(
    /// A required path inside an image.
    PathInside = [required(reserved(query(
        "path",
        "Absolute path inside the image. Symbolic links are followed inside the image only.",
        text().examples([json!("/etc")]),
    )))]
);

group!(
    /// Content of an uploaded file, in a path.
    Sha256 = [in_path(
        "sha256",
        "SHA-256 of the content, 64 hex digits.",
        text().pattern(Some("^[0-9a-fA-F]{64}$")),
    )]
);

group!(
    /// A process, in a path.
    SpidInPath = [in_path(
        "spid",
        "The process: 1 is the command, 2 and up are subprocesses.",
        whole(1..=u64::MAX),
    )]
);

group!(
    /// Which signal.
    Signal = [example(
        query(
            "signal",
            "The signal: a number, or a name with or without `SIG`. Without it, SIGKILL.",
            text(),
        ),
        json!("SIGTERM"),
    )]
);

group!(
    /// The form of a listing or a download.
    AsText = [empty(query(
        "text",
        "Whether the answer shall be plain text. Also on without a value.",
        ObjectBuilder::new().schema_type(Type::Boolean),
    ))]
);

group!(
    /// What to search for, and where.
    Search = [
        required(reserved(query(
            "pattern",
            "What to search for. Up to 16 times; a line that matches one of them is found. At \
             most 1024 characters each.",
            text().examples([json!("^PermitRootLogin")]),
        ))),
        reserved(query(
            "path",
            "A file or a folder to search in. Up to 16 times, searched in this order.",
            text().default(Some(json!("/"))).examples([json!("/etc")]),
        )),
        reserved(query(
            "glob",
            "Only files whose path matches; with a leading `!`, only those whose path does not. \
             May be repeated.",
            text().examples([json!("*.conf")]),
        )),
        query(
            "max_count",
            "Most matches in one file.",
            whole(1..=inspect::MAX_GREP_MATCHES.into()),
        ),
        query(
            "max_total",
            "Most matches in all.",
            whole(1..=inspect::MAX_GREP_MATCHES.into())
                .default(Some(json!(inspect::DEFAULT_GREP_MATCHES))),
        ),
        query(
            "case",
            "Whether upper and lower case differ; `smart`: when a pattern has an upper case \
             letter.",
            one_of(GrepCase::ALL.map(GrepCase::name))
                .default(Some(json!(GrepCase::default().name()))),
        ),
        query(
            "before",
            "Lines to show before each match.",
            whole(0..=inspect::MAX_GREP_CONTEXT.into()).default(Some(json!(0))),
        ),
        query(
            "after",
            "Lines to show after each match.",
            whole(0..=inspect::MAX_GREP_CONTEXT.into()).default(Some(json!(0))),
        ),
    ]
);

fn since() -> Parameter {
    example(
        query(
            "since",
            "Only what was made at or after this moment: a date such as \
             `2025-01-01T12:00:00+00:00` (UTC when it has no offset), Unix seconds, or an \
             interval before now such as `600s`, `15m`, `2h`, `3d` or `1w`.",
            text(),
        ),
        json!("1w"),
    )
}

fn until() -> Parameter {
    example(
        query(
            "until",
            "Only what was made before this moment; takes the same forms as `since`.",
            text(),
        ),
        json!("1h"),
    )
}

/// An optional parameter of the query.
pub(crate) fn query(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Query, name, description, schema.into())
}

fn in_path(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    required(parameter(
        ParameterIn::Path,
        name,
        description,
        schema.into(),
    ))
}

fn header(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Header, name, description, schema.into())
}

fn parameter(
    place: ParameterIn,
    name: &str,
    description: &str,
    schema: RefOr<Schema>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

pub(crate) fn required(mut parameter: Parameter) -> Parameter {
    parameter.required = Required::True;
    parameter
}

/// Whose value may hold `/` as it is.
pub(crate) fn reserved(mut parameter: Parameter) -> Parameter {
    parameter.allow_reserved = Some(true);
    parameter
}

/// That may come without a value.
fn empty(mut parameter: Parameter) -> Parameter {
    parameter.extensions = Some(Extensions::from_iter([("allowEmptyValue", true)]));
    parameter
}

fn example(parameter: Parameter, value: Value) -> Parameter {
    ParameterBuilder::from(parameter)
        .example(Some(value))
        .build()
}

/// On without a value, as `1` or `true`; off when absent, `0` or `false`.
fn flag(name: &str, description: &str) -> Parameter {
    let schema = one_of(["", "0", "1", "false", "true"]).default(Some(json!("0")));
    empty(query(name, description, schema))
}

pub(crate) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A whole number; a bound at the end of what fits is none.
pub(crate) fn whole(range: RangeInclusive<u64>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(*range.start()))
        .maximum(Some(*range.end()).filter(|end| *end != u64::MAX))
}

pub(crate) fn one_of<const N: usize>(names: [&str; N]) -> ObjectBuilder {
    text().enum_values(Some(names))
}

fn uuid() -> Ref {
    Ref::from_schema_name(ImageId::name())
}
