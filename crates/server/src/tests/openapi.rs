//! The OpenAPI document of the routes.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::openapi;

/// The published reference, docs/openapi.json, is what the server serves.
#[test]
fn the_document_is_the_published_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let text = openapi::text();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let published = std::fs::read_to_string(path).unwrap();
    let difference = published
        .lines()
        .zip(text.lines())
        .enumerate()
        .find(|(_, (published, now))| published != now);
    assert!(
        published == text,
        "docs/openapi.json differs, first at {difference:?}; UPDATE_GOLDEN=1 accepts what is now"
    );
}

/// Every reference leads somewhere, every component is used, and everything is described.
#[test]
fn the_document_is_whole() {
    let text = openapi::text();
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for kind in ["schemas", "responses", "parameters"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            // By reference, or as a link in a description.
            assert!(text.contains(&reference), "{reference} is not used");
        }
    }
    let mut missing = Vec::new();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method == "servers" {
                continue;
            }
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            if operation["summary"].is_null() {
                missing.push(format!("summary of {method} {path}"));
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["$ref"].is_null() && parameter["description"].is_null() {
                    missing.push(format!("{id}: {}", parameter["name"]));
                }
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            // The description of a type that may be null stands beside the reference to it.
            let parts = property["oneOf"].as_array().into_iter().flatten();
            let mut places = parts.chain([property]);
            if !places.any(|place| place["description"].is_string() || is_reference(place)) {
                missing.push(format!("{name}.{field}"));
            }
        }
    }
    assert!(missing.is_empty(), "without description: {missing:#?}");
}

/// Whether it is a reference alone, described where it leads.
fn is_reference(schema: &Value) -> bool {
    schema
        .as_object()
        .is_some_and(|map| map.len() == 1 && map.contains_key("$ref"))
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.insert(reference.clone());
            }
            map.values()
                .for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|value| collect_references(value, found)),
        _ => {}
    }
}
