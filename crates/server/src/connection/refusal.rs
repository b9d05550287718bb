//! Refusals of requests that never reach a route, in the shape of all others.

use axum::http::StatusCode;
use contree_api::ErrorBody;

use super::{IDLE, MAX_FIELDS, MAX_HEAD};

/// Longest path and query that are read, in bytes: what hyper's URIs can hold.
const MAX_TARGET: usize = 65_534;

/// Gives hyper's own answer `bare`, a head without a body, a body that says what was wrong. None:
/// it is not one.
pub(super) fn shaped(bare: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(bare).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next()?;
    let status = status_line.strip_prefix("HTTP/1.")?.get(2..5)?;
    let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
    if !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let fields: Vec<&str> = lines
        .filter(|line| !line.starts_with("content-length:"))
        .collect();
    Some(answer(status_line, &fields, status))
}

/// The answer to a client that began a head and did not end it.
pub(super) fn slow_head() -> Vec<u8> {
    let fields = ["connection: close"];
    let status = StatusCode::REQUEST_TIMEOUT;
    answer("HTTP/1.1 408 Request Timeout", &fields, status)
}

fn answer(status_line: &str, fields: &[&str], status: StatusCode) -> Vec<u8> {
    let body = ErrorBody {
        error: serde_json::Value::String(sentence(status)),
        status: Some(status.as_u16()),
    };
    // Text and a number are always JSON.
    let body = serde_json::to_string(&body).unwrap_or_default();
    let length = format!("content-length: {}", body.len());
    let mut lines = vec![status_line];
    lines.extend(fields);
    lines.extend([
        "content-type: application/json",
        "x-content-type-options: nosniff",
        &length,
        "",
        &body,
    ]);
    lines.join("\r\n").into_bytes()
}

fn sentence(status: StatusCode) -> String {
    match status {
        StatusCode::REQUEST_TIMEOUT => format!(
            "the head of the request did not come within {} seconds",
            IDLE.as_secs()
        ),
        StatusCode::URI_TOO_LONG => {
            format!("the path and query of the request are longer than {MAX_TARGET} bytes")
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
            "the head of the request is larger than {MAX_HEAD} bytes or has more than \
             {MAX_FIELDS} headers"
        ),
        _ => "the head of the request is not valid HTTP/1.1: expected a method, a path without \
              spaces, a version and header lines"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_refusal_gets_a_body() {
        let bare = "HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\
                    date: Sun, 22 Nov 2026 11:00:00 GMT\r\n\r\n";
        let body = r#"{"error":"the path and query of the request are longer than 65534 bytes","status":414}"#;
        let expected = format!(
            "HTTP/1.1 414 URI Too Long\r\nconnection: close\r\n\
             date: Sun, 22 Nov 2026 11:00:00 GMT\r\ncontent-type: application/json\r\n\
             x-content-type-options: nosniff\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(shaped(bare.as_bytes()), Some(expected.into_bytes()));
    }

    #[test]
    fn nothing_else_is_touched() {
        for other in [
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno",
            "HTTP/1.1",
            "\r\n\r\n",
        ] {
            assert_eq!(shaped(other.as_bytes()), None, "{other:?}");
        }
    }
}
