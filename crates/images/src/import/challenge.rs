//! The `WWW-Authenticate` header: what a registry wants before it answers (RFC 9110, 11.6.1).
//!
//! ```text
//! Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/ubuntu:pull"
//! Basic realm="Registry Realm"
//! ```
//! One header may hold several challenges separated by commas, which also separate parameters: a
//! word followed by `=` is a parameter, any other word begins the next challenge.

/// Longest header that is looked at, in bytes.
const MAX_HEADER: usize = 8 * 1024;

/// One way to authenticate that the registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token, to be fetched from a server of the registry's choice.
    Bearer {
        /// URL of the token server.
        realm: String,
        /// What to tell it the token is for.
        service: Option<String>,
        /// What to ask it for; the registry's own idea, which may be wider than a pull.
        scope: Option<String>,
    },
}

/// All challenges of a header that are understood, in its order.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header
        .get(..header.len().min(MAX_HEADER))
        .unwrap_or_default();
    let mut pending: Option<(String, Vec<(String, String)>)> = None;
    loop {
        // The equals signs are those at the end of a token68, such as Negotiate's.
        rest = rest.trim_start_matches([' ', '\t', ',', '=']);
        let Some((word, after)) = token(rest) else {
            break;
        };
        if let Some((value, after)) = after
            .trim_start_matches([' ', '\t'])
            .strip_prefix('=')
            .and_then(|after| value(after.trim_start_matches([' ', '\t'])))
        {
            rest = after;
            if let Some((_, parameters)) = &mut pending {
                parameters.push((word.to_ascii_lowercase(), value));
            }
            continue;
        }
        rest = after;
        found.extend(pending.take().and_then(understand));
        pending = Some((word.to_ascii_lowercase(), Vec::new()));
    }
    found.extend(pending.and_then(understand));
    found
}

fn understand((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let mut parameters = parameters;
    let mut take = |name: &str| {
        let at = parameters.iter().position(|(own, _)| own == name)?;
        Some(parameters.swap_remove(at).1)
    };
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: take("realm")?,
            service: take("service"),
            scope: take("scope"),
        }),
        _ => None,
    }
}

/// A leading token and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A leading token or quoted string, unescaped, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = token(text)?;
        return Some((word.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        }
    }

    #[test]
    fn what_registries_send() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/ubuntu:pull,push""#;
        assert_eq!(
            parse(hub),
            [bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                Some("repository:library/ubuntu:pull,push")
            )]
        );
        assert_eq!(parse(r#"Basic realm="Registry Realm""#), [Challenge::Basic]);
        assert_eq!(parse("basic"), [Challenge::Basic]);
        assert_eq!(
            parse(r#"Basic realm="a, b=\"c\"", BEARER Realm = "https://t/", service=plain"#),
            [Challenge::Basic, bearer("https://t/", Some("plain"), None)]
        );
        assert_eq!(
            parse(r#"Negotiate abc==, Digest realm="x", nonce="y", Basic realm="z""#),
            [Challenge::Basic]
        );
    }

    #[test]
    fn nonsense_is_no_challenge() {
        for header in [
            "",
            ",,,",
            "Bearer",
            r#"Bearer realm="open"#,
            "Bearer service=x",
            "=",
            r#"Bearer realm="a\"#,
            "\u{e4}",
        ] {
            assert_eq!(parse(header), [], "{header}");
        }
        assert_eq!(
            parse(&format!("Bearer realm=\"{}\"", "x".repeat(100_000))),
            []
        );
    }
}
