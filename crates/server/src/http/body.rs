//! Request bodies and path parameters.
//!
//! Bodies are read by the handlers themselves, after they know that the caller may do what the
//! route does: nobody without the permission makes the server hold megabytes. Every body has a
//! bound, and a sender that pauses for [`BODY_PAUSE`] is given up on.

use std::convert::Infallible;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use contree_api::ErrorKind;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::objects::Objects;
use super::query::{expected_number, quoted};

/// Longest pause within a body. Bounds what a stalled sender can hold.
const BODY_PAUSE: Duration = Duration::from_secs(60);

/// A request body that is read piece by piece, up to a bound.
pub(crate) struct BoundedBody {
    body: Body,
    limit: u64,
    read: u64,
}

impl BoundedBody {
    /// Refuses at once a body whose announced length is over `limit` bytes.
    pub(crate) fn new(body: Body, limit: u64) -> Result<Self, ApiError> {
        if body.size_hint().lower() > limit {
            return Err(too_large(limit));
        }
        Ok(Self {
            body,
            limit,
            read: 0,
        })
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = tokio::time::timeout(BODY_PAUSE, self.body.frame())
                .await
                .map_err(|_| {
                    ApiError::with_status(
                        StatusCode::REQUEST_TIMEOUT,
                        format!(
                            "no byte of the body came for {} seconds",
                            BODY_PAUSE.as_secs()
                        ),
                    )
                })?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|_| {
                ApiError::bad_request("the body ended early or its framing is wrong")
            })?;
            // Trailers say nothing here.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.read = self.read.saturating_add(data.len() as u64);
            if self.read > self.limit {
                return Err(too_large(self.limit));
            }
            return Ok(Some(data));
        }
    }

    async fn whole(mut self) -> Result<Bytes, ApiError> {
        let Some(first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.next().await? else {
            return Ok(first);
        };
        let mut all = BytesMut::with_capacity(first.len() + second.len());
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(data) = self.next().await? {
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }
}

fn too_large(limit: u64) -> ApiError {
    ApiError::new(
        ErrorKind::TooLarge,
        format!("the body is larger than the {limit} bytes that are accepted here"),
    )
}

/// Reads a whole body of at most `limit` bytes as JSON. The content type is not looked at.
pub(crate) async fn read_json<T: DeserializeOwned>(body: Body, limit: u64) -> Result<T, ApiError> {
    let bytes = BoundedBody::new(body, limit)?.whole().await?;
    parse_json(&bytes)
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => {}
        None => {
            return Err(ApiError::bad_request(
                "the body is empty; expected a JSON object",
            ));
        }
        Some(_) => return Err(ApiError::bad_request("the body: expected a JSON object")),
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Objects(&mut reader)).map_err(|error| {
        let path = error.path().to_string();
        explain(&path, error.inner())
    })?;
    reader.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

/// Turns serde's complaint into one about the key, in words of JSON instead of Rust.
fn explain(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    if !error.is_data() {
        return ApiError::bad_request(format!("the body is not valid JSON: {text}"));
    }
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    if let Some(field) = text
        .strip_prefix("missing field `")
        .and_then(|t| t.strip_suffix('`'))
    {
        let key = if path == "." {
            field.to_owned()
        } else {
            format!("{path}.{field}")
        };
        return ApiError::bad_request(format!("body key `{key}` is required"));
    }
    let complaint = mismatch(text).unwrap_or_else(|| text.to_owned());
    if path == "." {
        return ApiError::bad_request(format!("the body: {complaint}"));
    }
    ApiError::bad_request(format!("body key `{path}`: {complaint}"))
}

/// `invalid type: FOUND, expected WANTED` → `expected WANTED, got FOUND`.
fn mismatch(text: &str) -> Option<String> {
    let rest = text
        .strip_prefix("invalid type: ")
        .or_else(|| text.strip_prefix("invalid value: "))?;
    let (found, wanted) = rest.rsplit_once(", expected ")?;
    let found = match found {
        "map" => "an object".to_owned(),
        "sequence" => "an array".to_owned(),
        "null" => "null".to_owned(),
        other => quoted(other),
    };
    let wanted = match wanted {
        "u8" => expected_number(&(0..=u8::MAX.into())),
        "u16" => expected_number(&(0..=u16::MAX.into())),
        "u32" => expected_number(&(0..=u32::MAX.into())),
        "u64" | "usize" => expected_number(&(0..=u64::MAX)),
        "i32" | "i64" => "expected a whole number".to_owned(),
        "f64" => "expected a number".to_owned(),
        "a boolean" => "expected true or false".to_owned(),
        "a sequence" => "expected an array".to_owned(),
        "a map" => "expected an object".to_owned(),
        other if other.starts_with("struct ") => "expected an object".to_owned(),
        other => format!("expected {other}"),
    };
    Some(format!("{wanted}; got {found}"))
}

/// The parameters in a route's path; none when they are not UTF-8.
pub(crate) struct Ids(Option<Vec<(String, String)>>);

impl Ids {
    /// The parameter `name` read as `T`, whose error says what was expected.
    pub(crate) fn get<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, ApiError> {
        let text = self.text(name)?;
        text.parse().map_err(|error| {
            ApiError::bad_request(format!(
                "path parameter `{name}`: {error}; got `{}`",
                quoted(text)
            ))
        })
    }

    /// A process id within a sandbox, 1 or more.
    pub(crate) fn spid(&self) -> Result<u32, ApiError> {
        let text = self.text("spid")?;
        text.parse().ok().filter(|spid| *spid > 0).ok_or_else(|| {
            let wanted = expected_number(&(1..=u32::MAX.into()));
            ApiError::bad_request(format!(
                "path parameter `spid`: {wanted}; got `{}`",
                quoted(text)
            ))
        })
    }

    fn text(&self, name: &str) -> Result<&str, ApiError> {
        let Some(pairs) = &self.0 else {
            let message = format!("path parameter `{name}` is not UTF-8");
            return Err(ApiError::bad_request(message));
        };
        let found = pairs.iter().find(|(key, _)| key == name);
        Ok(found.map_or("", |(_, value)| value.as_str()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        // Fails only for parameters that are not UTF-8.
        let params = RawPathParams::from_request_parts(parts, state).await.ok();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Self(
            params.map(|params| params.iter().map(owned).collect()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use contree_api::image::{ImageImportRequest, TagUpdate};
    use contree_api::instance::InstanceSpawnRequest;
    use futures_util::StreamExt as _;

    use super::*;

    #[test]
    fn complaints_name_the_key() {
        let uuid = "12345678-9abc-4aba-9eda-0123456789ab";
        let image = format!(r#""image":"{uuid}""#);
        for (body, message) in [
            ("", "the body is empty; expected a JSON object"),
            (
                "{",
                "the body is not valid JSON: EOF while parsing an object at line 1 column 1",
            ),
            ("[]", "the body: expected a JSON object"),
            ("3", "the body: expected a JSON object"),
            ("{}", "body key `command` is required"),
            (
                r#"{"command":7}"#,
                "body key `command`: expected a string; got integer `7`",
            ),
            (
                r#"{"command":"a","image":"b"}"#,
                "body key `image`: an image is named by its UUID or by tag:NAME, such as tag:ubuntu:latest",
            ),
            (
                &format!(r#"{{"command":"a",{image},"args":"b"}}"#),
                "body key `args`: expected an array; got string \"b\"",
            ),
            (
                &format!(r#"{{"command":"a",{image},"args":["b",1]}}"#),
                "body key `args[1]`: expected a string; got integer `1`",
            ),
            (
                &format!(r#"{{"command":"a",{image},"timeout":-1}}"#),
                "body key `timeout`: expected a whole number from 0 to 4294967295; got integer `-1`",
            ),
            (
                &format!(r#"{{"command":"a",{image},"timeout":1.5}}"#),
                "body key `timeout`: expected a whole number from 0 to 4294967295; got floating point `1.5`",
            ),
            (
                &format!(r#"{{"command":"a",{image},"shell":"yes"}}"#),
                "body key `shell`: expected true or false; got string \"yes\"",
            ),
            (
                &format!(r#"{{"command":"a",{image},"env":{{"A":1}}}}"#),
                "body key `env.A`: expected a string; got integer `1`",
            ),
            (
                &format!(r#"{{"command":"a",{image},"networking":[true]}}"#),
                "body key `networking`: expected an object; got an array",
            ),
            (
                &format!(r#"{{"command":"a",{image},"files":{{"/x":["{uuid}",0,0]}}}}"#),
                "body key `files./x`: expected an object; got an array",
            ),
            (
                &format!(r#"{{"command":"a",{image},"resources_limits":true}}"#),
                "body key `resources_limits`: expected an object; got boolean `true`",
            ),
            (
                &format!(r#"{{"command":"a","command":"b",{image}}}"#),
                "the body: duplicate field `command`",
            ),
            (
                &format!(r#"{{"command":"a",{image},"uid":NaN}}"#),
                "the body is not valid JSON: expected value at line 1 column 69",
            ),
            (
                &format!(r#"{{"command":"a",{image},"stdin":{{}}}}"#),
                "body key `stdin.value` is required",
            ),
            (
                &format!(r#"{{"command":"a",{image},"stdin":{{"value":"","encoding":"hex"}}}}"#),
                "body key `stdin.encoding`: unknown variant `hex`, expected `ascii` or `base64`",
            ),
            (
                &format!(
                    r#"{{"command":"a",{image},"resources_limits":{{"max_layer_bytes":"1G"}}}}"#
                ),
                "body key `resources_limits.max_layer_bytes`: expected a whole number from 0 up; got string \"1G\"",
            ),
            (
                &format!(r#"{{"command":"a",{image},"files":{{"/x":{{}}}}}}"#),
                "body key `files./x.uuid` is required",
            ),
            (
                &format!(r#"{{"command":"a",{image}}} x"#),
                "the body is not valid JSON: trailing characters at line 1 column 64",
            ),
        ] {
            let error = parse_json::<InstanceSpawnRequest>(body.as_bytes()).unwrap_err();
            assert_eq!(error.message(), message, "{body}");
        }
        for bytes in [
            &b"{\"command\":\"\xff\"}"[..],
            b"{\"command\":\"\\ud800\"}",
            b"{\"command\":\"a\nb\"}",
            b"{\"command\":\"a\",}",
            b"\xef\xbb\xbf{}",
        ] {
            let error = parse_json::<InstanceSpawnRequest>(bytes).unwrap_err();
            let text = String::from_utf8_lossy(bytes);
            assert!(error.message().contains("JSON"), "{text}: {error:?}");
        }
        let error = parse_json::<ImageImportRequest>(br#"{"registry":{}}"#).unwrap_err();
        assert_eq!(error.message(), "body key `registry.url` is required");
        let error =
            parse_json::<ImageImportRequest>(br#"{"registry":{"url":"docker://a/b"},"tag":"a b"}"#)
                .unwrap_err();
        assert!(
            error
                .message()
                .starts_with("body key `tag`: a tag is made of"),
            "{error:?}"
        );
    }

    /// No depth of nesting is too much for the stack: what is known is not nested, and what is
    /// unknown is skipped without recursion.
    #[test]
    fn nesting_costs_no_stack() {
        let deep = "[".repeat(1_000_000);
        let unknown = format!(r#"{{"tag":"a","more":{deep}{}}}"#, "]".repeat(1_000_000));
        assert!(parse_json::<TagUpdate>(unknown.as_bytes()).is_ok());
        let known = format!(r#"{{"tag":{deep}"#);
        let error = parse_json::<TagUpdate>(known.as_bytes()).unwrap_err();
        assert_eq!(
            error.message(),
            "body key `tag`: expected a string; got an array"
        );
        let error = parse_json::<serde_json::Value>(unknown.as_bytes()).unwrap_err();
        assert!(error.message().contains("recursion limit"), "{error:?}");
    }

    /// The clock runs by itself while everything waits.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_given_up_on() {
        let piece = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("{"))]);
        let body = Body::from_stream(piece.chain(futures_util::stream::pending()));
        let error = read_json::<serde_json::Value>(body, 100).await.unwrap_err();
        assert_eq!(error.message(), "no byte of the body came for 60 seconds");
        assert_eq!(error.into_response().status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn bodies_are_bounded() {
        let read = |body| read_json::<serde_json::Value>(body, 8);
        assert_eq!(
            read(Body::from("{\"a\":1}")).await.unwrap(),
            serde_json::json!({"a": 1})
        );
        let error = read(Body::from("{\"a\":1  }")).await.unwrap_err();
        assert_eq!(
            error.message(),
            "the body is larger than the 8 bytes that are accepted here"
        );
        let pieces = futures_util::stream::iter(
            ["{\"a\"", ":1", "}  "].map(|text| Ok::<_, std::io::Error>(Bytes::from(text))),
        );
        assert_eq!(
            read(Body::from_stream(pieces)).await.unwrap_err().message(),
            error.message()
        );
    }
}
