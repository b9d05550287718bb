//! Headers of answers that always have the same value.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! constant {
    ($(#[$doc:meta])* $name:ident, $value:literal) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some([$value]))
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

constant!(
    /// `Content-Type` of an event stream.
    EventStreamType,
    "text/event-stream"
);
constant!(
    /// `Cache-Control` of an event stream.
    NoCache,
    "no-cache"
);
