//! Tokens that someone else signs (JSON Web Tokens, RFC 7519).
//!
//! The operator configures public keys, an issuer and an audience. A token is accepted when one of
//! the keys has signed it, with the one algorithm that goes with a key of its kind (never the one
//! that the token names), `iss` and `aud` are as configured, `exp` is there and not past, and
//! `nbf`, if there, is. Clocks may differ by [`LEEWAY`].
//!
//! Then these claims count:
//!
//! | claim | what it is |
//! | --- | --- |
//! | `project` | name or id of the project |
//! | `permissions` | what it may do: an array, or names with spaces between them; others are ignored |
//! | `limits` | limits of its own, as an object; may be left out |
//! | `jti` | its id when it is a UUID; otherwise the id is derived from issuer, subject, project and `jti` |
//!
//! It is not kept: it cannot be revoked, and ends at its `exp` or when its key is taken out. It
//! has no admin rights.

use std::fmt;

use contree_api::admin::TokenLimits;
use contree_api::whoami::Permission;
use contree_api::{Timestamp, TokenId};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::admin::check_limits;

/// How far the clocks of issuer and server may be apart, in seconds.
const LEEWAY: u64 = 30;

/// A public key that signatures are checked with: RSA (RS256) or Ed25519 (EdDSA).
#[derive(Clone)]
pub struct PublicKey {
    key: DecodingKey,
    algorithm: Algorithm,
}

/// A text that is no public key.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected a public key in PEM form (BEGIN PUBLIC KEY), RSA of at least 2048 bits or Ed25519"
)]
pub struct InvalidKey;

/// Least size of an RSA key's encoding that has a modulus of 2048 bits, in bytes.
const LEAST_RSA: usize = 256;

impl PublicKey {
    /// Reads a key. Private keys are refused: they have no business here.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn from_pem(pem: &str) -> Result<Self, InvalidKey> {
        let is_public = pem
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("-----BEGIN "))
            .is_some_and(|line| {
                matches!(
                    line,
                    "-----BEGIN PUBLIC KEY-----" | "-----BEGIN RSA PUBLIC KEY-----"
                )
            });
        if !is_public {
            return Err(InvalidKey);
        }
        let (key, algorithm) = match DecodingKey::from_ed_pem(pem.as_bytes()) {
            Ok(key) => (key, Algorithm::EdDSA),
            Err(_) => {
                let key = DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| InvalidKey)?;
                (key, Algorithm::RS256)
            }
        };
        let size = key.try_get_as_bytes().map_err(|_| InvalidKey)?.len();
        let fits = match key.family() {
            AlgorithmFamily::Ed => size == 32,
            _ => size > LEAST_RSA,
        };
        if fits {
            Ok(Self { key, algorithm })
        } else {
            Err(InvalidKey)
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.key.try_get_as_bytes().unwrap_or_default();
        f.debug_struct("PublicKey")
            .field("algorithm", &self.algorithm)
            .field("bytes", &bytes.len())
            .finish()
    }
}

/// Checks signed tokens.
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<(PublicKey, Validation)>,
    issuer: String,
    audience: String,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&PublicKey> = self.keys.iter().map(|(key, _)| key).collect();
        f.debug_struct("Verifier")
            .field("keys", &keys)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish()
    }
}

/// A token that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) id: TokenId,
    /// Name or id.
    pub(crate) project: String,
    pub(crate) permissions: Vec<Permission>,
    pub(crate) limits: TokenLimits,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

impl Signed {
    /// The first moment in which the token is refused.
    pub(crate) fn accepted_until(&self) -> Timestamp {
        let last = self.expires_at.saturating_add_unsigned(LEEWAY);
        Timestamp::from_micros(last.saturating_add(1).saturating_mul(1_000_000))
    }
}

/// Why a token is not accepted. The sentences are for whoever sent it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the token is not signed by a key that this server accepts")]
    Signature(#[source] JwtError),
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    Early,
    #[error("the claim \"iss\" of the token is not the issuer that this server accepts")]
    Issuer,
    #[error("the claim \"aud\" of the token does not name this server's audience")]
    Audience,
    #[error("the token has no claim {0:?}")]
    Missing(String),
    #[error("the claim {claim:?} of the token: {problem}")]
    Claim { claim: String, problem: String },
}

fn claim(claim: &str, problem: impl Into<String>) -> Refused {
    Refused::Claim {
        claim: claim.to_owned(),
        problem: problem.into(),
    }
}

/// Whether a text is to be checked as a signed token: three parts with dots between them. No
/// token of this server's own has a dot.
pub(crate) fn looks_like_one(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl Verifier {
    /// Accepts what these keys have signed for this audience in the name of this issuer.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>, issuer: &str, audience: &str) -> Self {
        let keys = keys
            .into_iter()
            .map(|key| {
                let mut validation = Validation::new(key.algorithm);
                validation.set_required_spec_claims(&["exp", "iss", "aud"]);
                validation.set_issuer(&[issuer]);
                validation.set_audience(&[audience]);
                validation.validate_nbf = true;
                validation.leeway = LEEWAY;
                (key, validation)
            })
            .collect();
        Self {
            keys,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        }
    }

    pub(crate) fn verify(&self, token: &str) -> Result<Signed, Refused> {
        let mut refused = JwtError::from(ErrorKind::InvalidSignature);
        for (key, validation) in &self.keys {
            match decode::<Map<String, Value>>(token, &key.key, validation) {
                Ok(decoded) => return self.read(&decoded.claims),
                Err(error) if is_about_claims(error.kind()) => return Err(explain(error)),
                Err(error) => refused = error,
            }
        }
        Err(Refused::Signature(refused))
    }

    /// Reads the claims of a token whose signature and dates are right.
    fn read(&self, claims: &Map<String, Value>) -> Result<Signed, Refused> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let project = match claims.get("project") {
            None | Some(Value::Null) => return Err(Refused::Missing("project".to_owned())),
            Some(Value::String(project)) => project.clone(),
            Some(_) => return Err(claim("project", "expected the name or id of a project")),
        };
        let id = match text("jti").and_then(|id| Uuid::parse_str(id).ok()) {
            Some(id) => id,
            None => {
                let parts = [
                    &self.issuer,
                    text("sub").unwrap_or_default(),
                    &project,
                    text("jti").unwrap_or_default(),
                ];
                Uuid::new_v5(&Uuid::NAMESPACE_URL, parts.join("\0").as_bytes())
            }
        };
        Ok(Signed {
            id: TokenId::from_uuid(id),
            permissions: permissions(claims.get("permissions"))?,
            limits: limits(claims.get("limits"))?,
            expires_at: expiry(claims.get("exp"))?,
            project,
        })
    }
}

/// Whether the signature was right, so that another key would not do either.
fn is_about_claims(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::MissingRequiredClaim(_)
            | ErrorKind::InvalidClaimFormat(_)
            | ErrorKind::ExpiredSignature
            | ErrorKind::ImmatureSignature
            | ErrorKind::InvalidIssuer
            | ErrorKind::InvalidAudience
    )
}

fn explain(error: JwtError) -> Refused {
    match error.kind() {
        ErrorKind::MissingRequiredClaim(name) => Refused::Missing(name.clone()),
        ErrorKind::InvalidClaimFormat(name) => claim(name, "expected a number of seconds"),
        ErrorKind::ExpiredSignature => Refused::Expired,
        ErrorKind::ImmatureSignature => Refused::Early,
        ErrorKind::InvalidIssuer => Refused::Issuer,
        ErrorKind::InvalidAudience => Refused::Audience,
        _ => Refused::Signature(error),
    }
}

fn permissions(value: Option<&Value>) -> Result<Vec<Permission>, Refused> {
    let wrong = || {
        claim(
            "permissions",
            "expected an array of names, or names with spaces between",
        )
    };
    let names: Vec<&str> = match value {
        None | Some(Value::Null) => return Err(Refused::Missing("permissions".to_owned())),
        Some(Value::String(names)) => names.split_whitespace().collect(),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().ok_or_else(wrong))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong()),
    };
    // Issuers may have names for other services among them.
    Ok(Permission::ALL
        .into_iter()
        .filter(|permission| names.contains(&permission.name()))
        .collect())
}

fn limits(value: Option<&Value>) -> Result<TokenLimits, Refused> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(TokenLimits::default());
    };
    let limits: TokenLimits = serde_json::from_value(value.clone())
        .map_err(|error| claim("limits", error.to_string()))?;
    check_limits(&limits, "").map_err(|problem| claim("limits", problem))?;
    Ok(limits)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seconds after the year 292277026596 are cut"
)]
fn expiry(value: Option<&Value>) -> Result<i64, Refused> {
    let seconds = value.and_then(|value| {
        value
            .as_i64()
            .or_else(|| value.as_u64().map(|_| i64::MAX))
            .or_else(|| value.as_f64().map(|seconds| seconds as i64))
    });
    seconds.ok_or_else(|| claim("exp", "expected a number of seconds"))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    const ED_PRIVATE: &str = include_str!("test_keys/ed25519.pem");
    const ED_PUBLIC: &str = include_str!("test_keys/ed25519.pub.pem");
    const RSA_PRIVATE: &str = include_str!("test_keys/rsa.pem");
    const RSA_PUBLIC: &str = include_str!("test_keys/rsa.pub.pem");
    const OTHER_ED_PRIVATE: &str = include_str!("test_keys/other.pem");

    fn verifier() -> Verifier {
        let keys = [RSA_PUBLIC, ED_PUBLIC].map(|pem| PublicKey::from_pem(pem).unwrap());
        Verifier::new(keys.to_vec(), "https://issuer", "contree")
    }

    fn claims() -> Value {
        json!({
            "iss": "https://issuer", "aud": "contree", "exp": 4_000_000_000_u64, "sub": "ci",
            "project": "default", "permissions": ["list", "spawn", "openid"],
        })
    }

    fn sign(algorithm: Algorithm, claims: &Value) -> String {
        let key = match algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap(),
            Algorithm::HS256 => EncodingKey::from_secret(ED_PUBLIC.as_bytes()),
            _ => EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap(),
        };
        encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    #[test]
    fn both_kinds_of_key() {
        for algorithm in [Algorithm::EdDSA, Algorithm::RS256] {
            let signed = verifier().verify(&sign(algorithm, &claims())).unwrap();
            assert_eq!(signed.project, "default");
            assert_eq!(signed.permissions, [Permission::Spawn, Permission::List]);
            assert_eq!(signed.expires_at, 4_000_000_000);
            assert_eq!(signed.limits, TokenLimits::default());
            assert_eq!(signed.id.uuid().get_version_num(), 5);
        }
        let id = "0190163d-8694-739b-aea5-966c26f8ad91";
        let claims = json!({
            "iss": "https://issuer", "aud": ["other", "contree"], "exp": 4_000_000_000.5,
            "jti": id, "project": "default", "permissions": "import  list",
            "limits": {"instance_max_timeout": 60},
        });
        let signed = verifier().verify(&sign(Algorithm::EdDSA, &claims)).unwrap();
        assert_eq!(signed.id.to_string(), id);
        assert_eq!(signed.permissions, [Permission::Import, Permission::List]);
        assert_eq!(signed.limits.instance_max_timeout, Some(60));
    }

    #[test]
    fn claims_that_are_not_as_configured() {
        let mut lacking = claims();
        lacking.as_object_mut().unwrap().remove("exp");
        for (claims, message) in [
            (with("exp", json!(1)), "the token has expired"),
            (lacking, "the token has no claim \"exp\""),
            (with("exp", json!("soon")), "the token has no claim \"exp\""),
            (
                with("nbf", json!(4_000_000_000_u64)),
                "the token is not valid yet",
            ),
            (
                with("iss", json!("https://other")),
                "the claim \"iss\" of the token is not the issuer that this server accepts",
            ),
            (
                with("aud", json!(["other"])),
                "the claim \"aud\" of the token does not name this server's audience",
            ),
            (
                with("project", Value::Null),
                "the token has no claim \"project\"",
            ),
            (
                with("project", json!(7)),
                "the claim \"project\" of the token: expected the name or id of a project",
            ),
            (
                with("permissions", json!({"list": true})),
                "the claim \"permissions\" of the token: expected an array of names, or names \
                 with spaces between",
            ),
            (
                with("limits", json!({"instance_max_timeout": 0})),
                "the claim \"limits\" of the token: instance_max_timeout must be at least 1",
            ),
        ] {
            let refused = verifier().verify(&sign(Algorithm::EdDSA, &claims));
            assert_eq!(refused.unwrap_err().to_string(), message, "{claims}");
        }
        let misspelled = with("limits", json!({"max_timeout": 1}));
        let refused = verifier().verify(&sign(Algorithm::EdDSA, &misspelled));
        assert!(refused.unwrap_err().to_string().contains("max_timeout"));
        let now = jsonwebtoken::get_current_timestamp();
        let late = with("exp", json!(now - LEEWAY / 2));
        let late = verifier().verify(&sign(Algorithm::EdDSA, &late)).unwrap();
        assert!(late.accepted_until() > Timestamp::now());
    }

    /// The algorithm is the key's: a token cannot have itself checked with another one.
    #[test]
    fn signatures_that_are_not_the_keys() {
        let refused = |token: &str| {
            let refused = verifier().verify(token).unwrap_err();
            assert!(matches!(refused, Refused::Signature(_)), "{refused}");
        };
        // The public key as the secret of a symmetric algorithm.
        refused(&sign(Algorithm::HS256, &claims()));
        refused(&sign(Algorithm::RS512, &claims()));
        let other = EncodingKey::from_ed_pem(OTHER_ED_PRIVATE.as_bytes()).unwrap();
        refused(&encode(&Header::new(Algorithm::EdDSA), &claims(), &other).unwrap());
        let good = sign(Algorithm::EdDSA, &claims());
        let (head, signature) = good.rsplit_once('.').unwrap();
        // {"alg":"none","typ":"JWT"}
        let (_, payload) = head.split_once('.').unwrap();
        refused(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}."));
        let more = sign(
            Algorithm::EdDSA,
            &with("permissions", json!(["list", "import"])),
        );
        let (more, _) = more.rsplit_once('.').unwrap();
        refused(&format!("{more}.{signature}"));
        for text in ["..", "a.b.c", "eyJ.eyJ.", &good[1..]] {
            refused(text);
        }
    }

    #[test]
    fn keys() {
        assert!(PublicKey::from_pem(ED_PUBLIC).is_ok());
        assert!(PublicKey::from_pem(RSA_PUBLIC).is_ok());
        for bad in ["", "ssh-ed25519 AAAA", ED_PRIVATE, RSA_PRIVATE] {
            assert!(PublicKey::from_pem(bad).is_err());
        }
    }
}
