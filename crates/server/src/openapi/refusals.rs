//! Refusals as components, and the sets of them that operations have in common.

use std::collections::BTreeMap;

use contree_api::ErrorBody;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{IntoResponses, PartialSchema, ToResponse, ToSchema};

/// The schema of every refusal's body, with its name.
pub(super) fn schema() -> (String, RefOr<Schema>) {
    (ErrorBody::name().into_owned(), ErrorBody::schema())
}

/// All of them.
pub(super) fn all() -> [(&'static str, RefOr<Response>); 7] {
    [
        super::named::<BadRequest>(),
        super::named::<Unauthorized>(),
        super::named::<Forbidden>(),
        super::named::<NotFound>(),
        super::named::<Conflict>(),
        super::named::<TooEarly>(),
        super::named::<Refusal>(),
    ]
}

macro_rules! refusal {
    ($(#[$doc:meta])* $name:ident, $description:literal) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl<'r> ToResponse<'r> for $name {
            fn response() -> (&'r str, RefOr<Response>) {
                (stringify!($name), described($description))
            }
        }
    };
}

refusal!(
    /// 400.
    BadRequest,
    "A parameter, a header or a key of the body is missing or has a value that is not accepted. \
     The sentence names it and says what was expected."
);
refusal!(
    /// 401.
    Unauthorized,
    "No token, or one that is unknown, expired or revoked; or the token acts for several \
     projects and no `Project` header names one."
);
refusal!(
    /// 403.
    Forbidden,
    "The token lacks the permission that the sentence names, or does not act for the project \
     that the `Project` header names."
);
refusal!(
    /// 404.
    NotFound,
    "There is no such object in this project."
);
refusal!(
    /// 409.
    Conflict,
    "The operation's state does not allow this."
);
refusal!(
    /// Every other status.
    Refusal,
    "Any other refusal. 405: the path does not take this method. 408: the body stalled. 413: the \
     body is too large. 429: the queue is full, or the token has too many event streams open; \
     nothing was executed. 500: a fault of the server, whose log has the cause under the id that \
     the sentence names. 503: the server cannot serve now. With 429 and 503 comes `Retry-After`."
);

/// 425.
pub(crate) struct TooEarly;

impl<'r> ToResponse<'r> for TooEarly {
    fn response() -> (&'r str, RefOr<Response>) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer);
        let retry_after = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds after which to try again."));
        let response = ResponseBuilder::from(refused(
            "The operation still waits for its turn; nothing was done. From `ASSIGNED` on such \
             requests are held until its sandbox is up.",
        ))
        .header("Retry-After", retry_after.build());
        ("TooEarly", response.into())
    }
}

fn described(description: &str) -> RefOr<Response> {
    refused(description).into()
}

fn refused(description: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ErrorBody::name())))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
        .build()
}

fn reference<T: for<'r> ToResponse<'r>>() -> RefOr<Response> {
    Ref::from_response_name(T::response().0).into()
}

/// What every operation that needs a token may answer.
pub(crate) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", reference::<BadRequest>()),
            ("401", reference::<Unauthorized>()),
            ("403", reference::<Forbidden>()),
            ("default", reference::<Refusal>()),
        ]
        .map(|(status, response)| (status.to_owned(), response))
        .into()
    }
}

/// The same for an operation on an object.
pub(crate) struct RefusedOrMissing;

impl IntoResponses for RefusedOrMissing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = Refused::responses();
        responses.insert("404".to_owned(), reference::<NotFound>());
        responses
    }
}

/// What an operation on an object answers for which a text that can name none is no bad request.
pub(crate) struct Missing;

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = RefusedOrMissing::responses();
        responses.remove("400");
        responses
    }
}

/// What HEAD may answer. Its answers have no body; that of 400 is described all the same, as in the
/// contract.
pub(crate) struct BareRefused;

impl IntoResponses for BareRefused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses: BTreeMap<String, RefOr<Response>> = [
            ("401", "No token, or one that is not accepted."),
            ("403", "The token lacks a permission."),
            ("default", "Any other refusal."),
        ]
        .map(|(status, description)| {
            let response = ResponseBuilder::new().description(description);
            (status.to_owned(), response.into())
        })
        .into();
        responses.insert("400".to_owned(), reference::<BadRequest>());
        responses
    }
}
