//! Schemas that cannot be derived, for the server's OpenAPI document (feature `openapi`).
//!
//! Types whose JSON form is their Rust form derive `ToSchema` where they stand. Here are those
//! for which the derive would say something else than what goes over the wire: newtypes with a
//! grammar, answers that narrow a flattened request, and events, which are one object with a
//! `type` and its `data`. Component names are those of the published contract, so that code
//! generated from either document has the same names.

use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AllOfBuilder, Array, KnownFormat, Object, ObjectBuilder, OneOfBuilder, Ref, RefBuilder, Schema,
    SchemaFormat, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::event::{
    Chunk, Completion, Event, EventData, Exit, Init, Network, Shutdown, SizeCap, Spawn, Truncated,
};
use crate::image::{ImageImportRequest, ImageRef};
use crate::instance::{InstanceResult, InstanceSpawnRequest, InstanceSpawnResponse};
use crate::operation::{InstanceMetadata, OperationMetadata, OperationStatus, OperationSummary};
use crate::tag::MAX_TAG_BYTES;
use crate::{Encoding, ImageId, OperationId, Tag, Timestamp};

type Schemas = Vec<(String, RefOr<Schema>)>;

/// Grammar of a tag.
const TAG_PATTERN: &str = "[A-Za-z0-9][A-Za-z0-9_-]*(?:[:/.][A-Za-z0-9_-]+)*$";

/// Name of the one component that all typed ids share: on the wire they are UUIDs.
pub(crate) const UUID: &str = "UUIDSchema";

pub(crate) fn uuid_schema() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .description(Some("A UUID, in lower case with hyphens."))
        .examples([json!("12345678-9abc-4aba-9eda-0123456789ab")])
        .into()
}

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

/// Puts a type, and all it refers to, among the components.
fn add<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

impl PartialSchema for Tag {
    fn schema() -> RefOr<Schema> {
        text()
            .description(Some("A tag: unique in its project, case-sensitive."))
            .pattern(Some(format!("^{TAG_PATTERN}")))
            .max_length(Some(MAX_TAG_BYTES))
            .examples([json!("busybox:latest")])
            .into()
    }
}

impl ToSchema for Tag {}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment in UTC, to the microsecond."))
            .examples([json!("2026-05-18T09:16:56.185199+00:00")])
            .into()
    }
}

impl ToSchema for Timestamp {}

/// `tag:NAME`.
struct ImageSourceTag;

impl PartialSchema for ImageSourceTag {
    fn schema() -> RefOr<Schema> {
        text()
            .description(Some("`tag:` and the tag of an image."))
            .pattern(Some(format!("^tag:{TAG_PATTERN}")))
            .examples([json!("tag:busybox:latest")])
            .into()
    }
}

impl ToSchema for ImageSourceTag {}

impl PartialSchema for ImageRef {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(reference::<ImageId>())
            .item(reference::<ImageSourceTag>())
            .description(Some(
                "An image, by its id or by a tag. A tag is looked up in the project and then \
                 among the public images, when the request is accepted.",
            ))
            .examples([json!("tag:busybox:latest")])
            .into()
    }
}

impl ToSchema for ImageRef {
    fn name() -> Cow<'static, str> {
        "ImageSource".into()
    }

    fn schemas(schemas: &mut Schemas) {
        add::<ImageId>(schemas);
        add::<ImageSourceTag>(schemas);
    }
}

/// A reference, or null, with a description.
fn nullable(to: Ref) -> OneOfBuilder {
    OneOfBuilder::new()
        .item(Object::with_type(Type::Null))
        .item(to)
}

impl PartialSchema for InstanceSpawnResponse {
    fn schema() -> RefOr<Schema> {
        let own = ObjectBuilder::new()
            .property("uuid", reference::<OperationId>())
            .property("image", reference::<ImageId>())
            .property("result", nullable(reference::<InstanceResult>()))
            .required("uuid")
            .required("image");
        AllOfBuilder::new()
            .item(reference::<InstanceSpawnRequest>())
            .item(own)
            .description(Some(
                "The request as it was understood, defaults filled in and `image` resolved to an \
                 id, and the operation's `uuid`. `result` is null: it comes with the operation.",
            ))
            .into()
    }
}

impl ToSchema for InstanceSpawnResponse {
    fn schemas(schemas: &mut Schemas) {
        add::<OperationId>(schemas);
        add::<InstanceSpawnRequest>(schemas);
        add::<InstanceResult>(schemas);
    }
}

impl PartialSchema for InstanceMetadata {
    fn schema() -> RefOr<Schema> {
        let own = ObjectBuilder::new()
            .property("image", reference::<ImageId>())
            .property("result", nullable(reference::<InstanceResult>()))
            .required("image")
            .required("result");
        AllOfBuilder::new()
            .item(reference::<InstanceSpawnRequest>())
            .item(own)
            .description(Some(
                "The request of a run, `image` resolved to an id, and its result once it ran.",
            ))
            .into()
    }
}

impl ToSchema for InstanceMetadata {
    fn name() -> Cow<'static, str> {
        "OperationInstanceMetadata".into()
    }

    fn schemas(schemas: &mut Schemas) {
        add::<ImageId>(schemas);
        add::<InstanceSpawnRequest>(schemas);
        add::<InstanceResult>(schemas);
    }
}

/// An import's request as its operation shows it: the same, with the password masked.
struct ImageImportMetadata;

impl PartialSchema for ImageImportMetadata {
    fn schema() -> RefOr<Schema> {
        ImageImportRequest::schema()
    }
}

impl ToSchema for ImageImportMetadata {
    fn schemas(schemas: &mut Schemas) {
        ImageImportRequest::schemas(schemas);
    }
}

impl PartialSchema for OperationMetadata {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(reference::<InstanceMetadata>())
            .item(reference::<ImageImportMetadata>())
            .description(Some(
                "What was asked for, by `kind` of the operation. Passwords are masked.",
            ))
            .into()
    }
}

impl ToSchema for OperationMetadata {
    fn schemas(schemas: &mut Schemas) {
        add::<InstanceMetadata>(schemas);
        add::<ImageImportMetadata>(schemas);
    }
}

/// The statuses that are never left.
pub(crate) fn terminal_status() -> Schema {
    let names = OperationStatus::ALL
        .into_iter()
        .filter(|status| status.is_terminal())
        .map(OperationStatus::name);
    text()
        .enum_values(Some(names))
        .description(Some("How the operation ended."))
        .into()
}

/// An [`Encoding`] that may be left out.
pub(crate) fn encoding_or_ascii() -> Ref {
    RefBuilder::new()
        .ref_location_from_schema_name(Encoding::name())
        .description(Some("How `value` is encoded."))
        .default(Some(json!(Encoding::default())))
        .build()
}

/// What `error` holds: a sentence from this server; others also send structures.
pub(crate) fn error_value() -> Schema {
    OneOfBuilder::new()
        .item(Object::with_type(Type::String))
        .item(Object::with_type(Type::Object))
        .item(Array::new(Object::with_type(Type::Object)))
        .description(Some(
            "One sentence that names what was wrong and what was expected.",
        ))
        .examples([json!(
            "query parameter `limit`: expected a whole number from 1 to 1000; got `0`"
        )])
        .into()
}

/// The names of [`EventData`]'s variants.
struct OperationEventType;

impl PartialSchema for OperationEventType {
    fn schema() -> RefOr<Schema> {
        text()
            .enum_values(Some(EventData::TYPE_NAMES))
            .description(Some(
                "What an event tells. Once per operation, in this order: `init`, `network` (when \
                 the run has one), `shutdown`, and `completion`, which is always the last. Once \
                 per process: `spawn` and `exit`. As often as needed: `stdin`, `stdout` and \
                 `stderr`, which carry bytes; `truncated` at the end of a stream that went over \
                 its cap; `size_cap` once when the whole log is full, after which only events \
                 without bytes are recorded.",
            ))
            .into()
    }
}

impl ToSchema for OperationEventType {}

impl PartialSchema for Event {
    fn schema() -> RefOr<Schema> {
        let number = |description: &str| {
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(0))
                .description(Some(description))
        };
        let data = OneOfBuilder::new()
            .item(reference::<Init>())
            .item(reference::<Spawn>())
            .item(reference::<Chunk>())
            .item(reference::<Exit>())
            .item(reference::<Truncated>())
            .item(reference::<SizeCap>())
            .item(reference::<Network>())
            .item(reference::<Shutdown>())
            .item(reference::<Completion>())
            .description(Some("The payload that goes with `type`."));
        ObjectBuilder::new()
            .description(Some("One event of an operation's log."))
            .property(
                "id",
                number("Grows within the operation, with gaps; the same at every read.")
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                    .examples([json!(42)]),
            )
            .property(
                "ts",
                text()
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                    .description(Some("When it happened, UTC with nine fractional digits."))
                    .examples([json!("2026-06-08T20:00:00.123456789Z")]),
            )
            .property(
                "spid",
                number(
                    "The process it belongs to: 0 is the sandbox itself, 1 the command, 2 and up \
                     are subprocesses. Absent on `completion`.",
                )
                .examples([json!(1)]),
            )
            .property("type", reference::<OperationEventType>())
            .property("data", data)
            .required("id")
            .required("ts")
            .required("type")
            .required("data")
            .into()
    }
}

impl ToSchema for Event {
    fn name() -> Cow<'static, str> {
        "OperationEvent".into()
    }

    fn schemas(schemas: &mut Schemas) {
        add::<OperationEventType>(schemas);
        add::<Init>(schemas);
        add::<Spawn>(schemas);
        add::<Chunk>(schemas);
        add::<Exit>(schemas);
        add::<Truncated>(schemas);
        add::<SizeCap>(schemas);
        add::<Network>(schemas);
        add::<Shutdown>(schemas);
        add::<Completion>(schemas);
    }
}

/// One frame of an event stream, as fields. On the wire it is lines of text.
pub struct EventFrame;

impl PartialSchema for EventFrame {
    fn schema() -> RefOr<Schema> {
        let message = text().description(Some("A sentence, in frames of the event `sse_error`."));
        ObjectBuilder::new()
            .description(Some(
                "One frame of an event stream: lines `id:`, `event:` and `data:`, then an empty \
                 line. A frame of an event has its id, its type and the event as one line of \
                 JSON. A stream that cannot go on ends with a frame without id, the event \
                 `sse_error`, and a sentence as data. Lines that begin with a colon are comments.",
            ))
            .property(
                "id",
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::Integer))
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                    .description(Some("The event's id; absent on `sse_error`.")),
            )
            .property(
                "event",
                text().description(Some("The event's type, or `sse_error`.")),
            )
            .property(
                "data",
                OneOfBuilder::new().item(reference::<Event>()).item(message),
            )
            .into()
    }
}

impl ToSchema for EventFrame {
    fn name() -> Cow<'static, str> {
        "OperationEventSSEFrame".into()
    }

    fn schemas(schemas: &mut Schemas) {
        add::<Event>(schemas);
    }
}

/// One frame of the feed, as fields. On the wire it is lines of text.
pub struct OperationFrame;

impl PartialSchema for OperationFrame {
    fn schema() -> RefOr<Schema> {
        let message = text().description(Some("A sentence, in frames of the event `sse_error`."));
        ObjectBuilder::new()
            .description(Some(
                "One frame of the feed: lines `event:` and `data:`, then an empty line. A change \
                 is told by the event `operation`, with the operation as one line of JSON. A \
                 stream that cannot go on ends with the event `sse_error`, and a sentence as \
                 data. Lines that begin with a colon are comments.",
            ))
            .property(
                "event",
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::String))
                    .enum_values(Some(["operation", "sse_error"]))
                    .description(Some("What the frame is.")),
            )
            .property(
                "data",
                OneOfBuilder::new()
                    .item(reference::<OperationSummary>())
                    .item(message),
            )
            .into()
    }
}

impl ToSchema for OperationFrame {
    fn name() -> Cow<'static, str> {
        "OperationFeedSSEFrame".into()
    }

    fn schemas(schemas: &mut Schemas) {
        add::<OperationSummary>(schemas);
    }
}

/// Body of `GET /operations/events`.
pub struct OperationFeed;

impl PartialSchema for OperationFeed {
    fn schema() -> RefOr<Schema> {
        text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .description(Some(
                "Frames as [`OperationFeedSSEFrame`](#/components/schemas/OperationFeedSSEFrame) \
                 describes them, one after the other.",
            ))
            .into()
    }
}

impl ToSchema for OperationFeed {
    fn name() -> Cow<'static, str> {
        "OperationFeedStream".into()
    }

    fn schemas(schemas: &mut Schemas) {
        add::<OperationFrame>(schemas);
    }
}

/// Body of `GET /operations/{operationId}/events`.
pub struct EventStream;

impl PartialSchema for EventStream {
    fn schema() -> RefOr<Schema> {
        text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .description(Some(
                "Frames as [`OperationEventSSEFrame`](#/components/schemas/OperationEventSSEFrame) \
                 describes them, one after the other.",
            ))
            .into()
    }
}

impl ToSchema for EventStream {
    fn name() -> Cow<'static, str> {
        "OperationEventStream".into()
    }

    fn schemas(schemas: &mut Schemas) {
        add::<EventFrame>(schemas);
    }
}
