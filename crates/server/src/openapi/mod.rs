//! `/v1/openapi.json`: the document of this API, made from its code.
//!
//! Three places make it up. Types of the wire describe themselves (`contree-api`, feature
//! `openapi`). Each handler in [`crate::routes`] says with `#[utoipa::path]` what it takes and
//! answers, and is put into the router and the document in one step, so that no route can be
//! served without being in the document. What many routes share is here: their parameters in
//! [`parameters`], refusals in [`refusals`].
//!
//! Paths are relative to `/v1`, as in the contract; the few outside it name their server. The
//! document is a golden file, docs/openapi.json, and a test compares it with the contract of the
//! published clients (`tests/clients/contract.rs`).

pub(crate) mod headers;
pub(crate) mod parameters;
pub(crate) mod refusals;

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::{ServerBuilder, ServerVariableBuilder};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToResponse, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// What all paths of the contract begin with.
const PREFIX: &str = "/v1";

/// Names of the two schemes, those of the contract.
const BEARER: &str = "IAMBearerAuth";
const PROJECT: &str = "IAMProjectHeader";

/// The document as it is served.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| text().into());

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(document))
}

/// This document
///
/// Describes the whole API in OpenAPI 3.1. Needs no token.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "getOpenApiDocument",
    tag = "service",
    security(()),
    responses((
        status = 200,
        description = "The document.",
        body = Object,
        content_type = "application/json",
    ))
)]
async fn document() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], DOCUMENT.clone()).into_response()
}

/// The document as text, one value a line.
pub(crate) fn text() -> String {
    let document = complete(crate::routes::all().into_openapi());
    let mut text = document
        .to_pretty_json()
        .expect("a document is made of maps with texts as keys");
    text.push('\n');
    text
}

/// Adds to what the routes say what is said once.
fn complete(routes: OpenApi) -> OpenApi {
    let mut document = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("ConTree")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(include_str!("introduction.md")))
                .license(Some(
                    utoipa::openapi::LicenseBuilder::new()
                        .name("Apache-2.0")
                        .identifier(Some("Apache-2.0"))
                        .build(),
                )),
        )
        .servers(Some([
            ServerBuilder::new()
                .url("../v1")
                .description(Some("The server that this document came from."))
                .build(),
            ServerBuilder::new()
                .url("{baseUrl}/v1")
                .description(Some("Any other."))
                .parameter(
                    "baseUrl",
                    ServerVariableBuilder::new()
                        .default_value("http://127.0.0.1:9450")
                        .description(Some("Where the server is, with its prefix if it has one.")),
                )
                .build(),
        ]))
        .security(Some([
            SecurityRequirement::new(BEARER, [] as [&str; 0]),
            SecurityRequirement::new(BEARER, [] as [&str; 0]).add(PROJECT, [] as [&str; 0]),
        ]))
        .tags(Some(TAGS.map(|(name, description)| {
            TagBuilder::new()
                .name(name)
                .description(Some(description))
                .build()
        })))
        .components(Some(routes.components.unwrap_or_default()))
        .build();
    if let Some(components) = &mut document.components {
        share(components);
    }
    for (path, mut item) in routes.paths.paths {
        for operation in operations(&mut item) {
            refer_to_shared(operation);
        }
        let path = match path.strip_prefix(PREFIX) {
            Some(path) => path.to_owned(),
            None => {
                let root = ServerBuilder::new().url("..").build();
                item.servers = Some(vec![root]);
                path
            }
        };
        document.paths.paths.insert(path, item);
    }
    document
}

const TAGS: [(&str, &str); 9] = [
    ("images", "Images, their tags, and imports"),
    ("files", "Uploaded files"),
    ("instances", "Runs of commands in images"),
    ("inspect", "Looking into images without running them"),
    ("operations", "Runs and imports as jobs, and their logs"),
    ("operation", "Further processes in a run"),
    ("auth", "The token itself"),
    ("admin", "Projects, tokens and public images"),
    ("service", "The server itself"),
];

/// Adds what operations refer to by name.
fn share(components: &mut Components) {
    for (name, response) in refusals::all() {
        components.responses.insert(name.to_owned(), response);
    }
    for (name, parameter) in parameters::shared() {
        components
            .parameters
            .insert(name.to_owned(), RefOr::T(parameter));
    }
    let (name, error) = refusals::schema();
    components.schemas.insert(name, error);
    components.security_schemes.insert(
        BEARER.to_owned(),
        RefOr::T(SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(
                    "A token of this server, or a JWT signed with a key that its operator \
                     trusts: `Authorization: Bearer TOKEN`.",
                ))
                .build(),
        )),
    );
    components.security_schemes.insert(
        PROJECT.to_owned(),
        RefOr::T(SecurityScheme::ApiKey(ApiKey::Header(
            ApiKeyValue::with_description(
                "Project",
                "The project that a request is about, by name or id. Only tokens that act for \
             several projects need it; for all others any value is accepted and ignored.",
            ),
        ))),
    );
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.head,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

/// Puts references in the place of parameters that are among the components.
fn refer_to_shared(operation: &mut Operation) {
    let shared = parameters::shared();
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(inline) = parameter else {
            continue;
        };
        let found = shared
            .iter()
            .find(|(_, shared): &&(&str, Parameter)| shared == inline);
        if let Some((name, _)) = found {
            *parameter = RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")));
        }
    }
}

/// Bytes as a body.
pub(crate) struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .into()
    }
}

impl ToSchema for Binary {}

/// A response among the components.
fn named<'r, T: ToResponse<'r>>() -> (&'r str, RefOr<utoipa::openapi::Response>) {
    T::response()
}
