//! Requests as they go over the wire, for what the client library would not let pass.

use contree_e2e::Server;
use reqwest::header::HeaderMap;
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// A plain HTTP client with a server's token.
pub(crate) struct Raw {
    http: reqwest::Client,
    url: String,
    token: String,
    project: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) fn new(server: &Server) -> Self {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Self {
            http: builder.build().expect("an HTTP client"),
            url: server.url().to_owned(),
            token: server.token(),
            project: None,
        }
    }

    /// The same with another token.
    pub(crate) fn with(&self, token: &str) -> Self {
        Self {
            http: self.http.clone(),
            url: self.url.clone(),
            token: token.to_owned(),
            project: self.project.clone(),
        }
    }

    /// The same with a header `Project`.
    pub(crate) fn for_project(&self, project: &str) -> Self {
        Self {
            project: Some(project.to_owned()),
            ..self.with(&self.token)
        }
    }

    /// A request with token and project, not sent yet.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token);
        match &self.project {
            Some(project) => request.header("Project", project),
            None => request,
        }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = self.request(method, path).body(body);
        Answer::of(request.send().await.expect("the server answers")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    /// The JSON of a path that is there.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.expect("the whole answer").into(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Holds it to be a refusal in the one shape; returns its sentence.
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        let body = self.json();
        assert_eq!(keys(&body), ["error", "status"]);
        assert_eq!(body["status"], status);
        body["error"].as_str().expect("a sentence").to_owned()
    }
}

/// The keys of an object, sorted.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Holds a value to `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`, the one form that all clients parse.
pub(crate) fn is_timestamp(value: &Value) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00.000000+00:00";
    let text = value.as_str().unwrap_or_default().as_bytes();
    text.len() == FORM.len()
        && std::iter::zip(text, FORM).all(|(have, form)| match form {
            b'0' => have.is_ascii_digit(),
            _ => have == form,
        })
}
