//! Tokens that someone else signs.

use std::path::{Path, PathBuf};

use contree_api::whoami::Permission;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use super::Office;

fn key(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/engine/src/identity/test_keys")
        .join(name)
}

fn sign(name: &str, claims: &Value) -> String {
    let pem = std::fs::read(key(name)).expect("a key");
    let (algorithm, key) = if name.starts_with("rsa") {
        (Algorithm::RS256, EncodingKey::from_rsa_pem(&pem))
    } else {
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(&pem))
    };
    encode(
        &Header::new(algorithm),
        claims,
        &key.expect("a private key"),
    )
    .expect("a signed token")
}

#[tokio::test]
async fn privileged_signed_tokens_are_taken() {
    let (ed, rsa) = (key("ed25519.pub.pem"), key("rsa.pub.pem"));
    let office = Office::open(&[
        "--jwt-key",
        ed.to_str().expect("a path"),
        "--jwt-key",
        rsa.to_str().expect("a path"),
        "--jwt-issuer",
        "https://issuer.example.com",
        "--jwt-audience",
        "contree",
    ]);
    office.project("ci").await;
    let claims = |more: Value| {
        let mut claims = json!({
            "iss": "https://issuer.example.com", "aud": "contree", "sub": "pipeline",
            "exp": get_current_timestamp() + 600, "project": "ci", "permissions": ["list"],
        });
        for (name, value) in more.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        claims
    };
    for name in ["ed25519.pem", "rsa.pem"] {
        let claims = claims(json!({"limits": {"instance_max_timeout": 5}}));
        let holder = office.holder(&sign(name, &claims));
        let told = holder.client.whoami().await.unwrap();
        assert_eq!(
            told.token_expiration.map(Value::from),
            Some(claims["exp"].clone())
        );
        assert_eq!(told.limits["instance_max_timeout"], 5);
        for permission in Permission::ALL {
            let granted = told.permissions[permission.name()];
            assert_eq!(granted, permission == Permission::List, "{permission:?}");
        }
        let refused = holder
            .raw
            .send(reqwest::Method::POST, "/v1/files", "x")
            .await;
        assert!(refused.refused(403).contains("\"import\""));
        assert_eq!(
            holder.raw.get("/v1/admin/tokens").await.refused(403),
            "this token has no admin rights"
        );
    }

    for (name, more, status, sentence) in [
        ("other.pem", json!({}), 401, "not signed by a key"),
        ("ed25519.pem", json!({"exp": 1_000}), 401, "has expired"),
        ("ed25519.pem", json!({"iss": "me"}), 401, "\"iss\""),
        ("rsa.pem", json!({"aud": "you"}), 401, "\"aud\""),
        (
            "rsa.pem",
            json!({"permissions": null}),
            401,
            "\"permissions\"",
        ),
        ("rsa.pem", json!({"project": "nowhere"}), 403, "\"project\""),
        ("rsa.pem", json!({"project": "public"}), 403, "\"project\""),
    ] {
        let holder = office.holder(&sign(name, &claims(more)));
        let refused = holder.raw.get("/v1/whoami").await.refused(status);
        assert!(refused.contains(sentence), "{refused}");
    }

    // A project that goes takes its signed tokens with it.
    let holder = office.holder(&sign("rsa.pem", &claims(json!({}))));
    holder.client.whoami().await.unwrap();
    office.admin.delete_project("ci", false).await.unwrap();
    holder.raw.get("/v1/whoami").await.refused(403);
}
