//! One type per kind of thing, so that an image id cannot be passed where an operation id is
//! meant. All of them are UUIDs and look like UUIDs on the wire.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id, sortable by the time it was made (UUID version 7).
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Wraps a UUID that is known to name this kind of thing.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| InvalidId { what: $what })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                // Through its text, so that the refusal says what was expected.
                let text = Cow::<'de, str>::deserialize(source)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                crate::schema::uuid_schema()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                crate::schema::UUID.into()
            }
        }
    };
}

/// A text that is not a UUID where one was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be a UUID such as 12345678-9abc-4aba-9eda-0123456789ab")]
pub struct InvalidId {
    what: &'static str,
}

id_type!(
    /// An immutable filesystem snapshot. Imported images have a version 5 id derived from
    /// project and content; results of runs a version 7 id.
    ImageId, "image"
);
id_type!(
    /// One asynchronous job: a run or an import.
    OperationId, "operation"
);
id_type!(
    /// Uploaded bytes of one project; the same content has the same id.
    FileId, "file"
);
id_type!(
    /// What one run or import wrote, as a folder in the layer store. Never on the wire.
    LayerId, "layer"
);
id_type!(
    /// The scope of all data. A token belongs to one project.
    ProjectId, "project"
);
id_type!(
    /// An access token. The secret itself is never stored.
    TokenId, "token"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_was_expected() {
        let id = FileId::new();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<FileId>(&json).unwrap(), id);
        assert_eq!(
            serde_json::from_value::<FileId>(json.trim_matches('"').into()).unwrap(),
            id
        );
        let refused = serde_json::from_str::<FileId>("\"zz\"")
            .unwrap_err()
            .to_string();
        assert!(
            refused.starts_with("file must be a UUID such as"),
            "{refused}"
        );
    }
}
