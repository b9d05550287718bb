//! Who may pull, and where credentials go.

use contree_images::import::{ImportConfig, Importer};

use crate::support::fake_registry::{Behaviour, FakeRegistry};
use crate::support::image::Image;
use crate::support::tarball::Tar;
use crate::support::{Env, reference};

const PASSWORD: &str = "hunter2-of-the-tests";

fn image() -> Image {
    Image::of(&[
        Tar::new().file("one", b"1").bytes(),
        Tar::new().file("two", b"2").bytes(),
        Tar::new().file("three", b"3").bytes(),
    ])
}

fn basic() -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("user:{PASSWORD}"));
    format!("Basic {encoded}")
}

fn guarded() -> Behaviour {
    Behaviour {
        tokens: true,
        credentials: Some(basic()),
        ..Behaviour::default()
    }
}

#[tokio::test]
async fn privileged_anonymous_token() {
    let open = Behaviour {
        tokens: true,
        ..Behaviour::default()
    };
    let registry = FakeRegistry::serving(&image(), open).await;
    Env::new().pull(&registry.url()).await.unwrap();
    let tokens = registry.seen("/token");
    assert_eq!(
        tokens,
        [(
            r#"/token {"scope": "repository:some/image:pull", "service": "tests"}"#.to_owned(),
            None,
            None
        )]
    );
}

#[tokio::test]
async fn privileged_password_goes_to_the_token_server_alone() {
    let registry = FakeRegistry::serving(&image(), guarded()).await;
    Env::new()
        .pull_as(&registry.url(), "user", PASSWORD)
        .await
        .unwrap();
    for (path, authorization, _) in registry.seen("") {
        if path.starts_with("/token") {
            assert_eq!(authorization.unwrap(), basic());
        } else {
            assert!(
                !authorization.unwrap_or_default().contains("Basic"),
                "{path}"
            );
        }
    }
    assert_eq!(registry.seen("/token").len(), 1);
}

#[tokio::test]
async fn privileged_tokens_are_renewed_in_the_middle() {
    let registry = FakeRegistry::serving(
        &image(),
        Behaviour {
            token_uses: 2,
            ..guarded()
        },
    )
    .await;
    Env::new()
        .pull_as(&registry.url(), "user", PASSWORD)
        .await
        .unwrap();
    assert!(
        registry.seen("/token").len() >= 3,
        "{:?}",
        registry.seen("/token")
    );
}

#[tokio::test]
async fn refusals_say_what_is_missing_and_nothing_else() {
    let registry = FakeRegistry::serving(&image(), guarded()).await;
    let env = Env::new();
    let error = env.pull(&registry.url()).await.unwrap_err().message();
    assert!(error.contains("wants a user name and password"), "{error}");
    let error = env
        .pull_as(&registry.url(), "user", "not-the-right-one")
        .await
        .unwrap_err();
    let shown = format!("{} {error:?}", error.message());
    assert!(
        shown.contains("does not accept this user name and password"),
        "{shown}"
    );
    assert!(
        !shown.contains("not-the-right-one") && !shown.contains("Basic"),
        "{shown}"
    );
    env.assert_nothing_left().await;
}

#[tokio::test]
async fn privileged_redirects_get_no_credentials() {
    let storage = FakeRegistry::serving(&image(), Behaviour::default()).await;
    let redirect = Some(format!("http://{}", storage.address));
    let registry = FakeRegistry::serving(
        &image(),
        Behaviour {
            redirect,
            ..guarded()
        },
    )
    .await;
    Env::new()
        .pull_as(&registry.url(), "user", PASSWORD)
        .await
        .unwrap();
    let fetched = storage.seen("/elsewhere/");
    assert_eq!(fetched.len(), 4);
    assert!(
        fetched
            .iter()
            .all(|(_, authorization, _)| authorization.is_none())
    );
}

#[tokio::test]
async fn hosts_that_are_not_allowed_are_not_asked() {
    let registry = FakeRegistry::serving(&image(), Behaviour::default()).await;
    let env = Env::new();
    let strict = Importer::new(env.store.clone(), ImportConfig::default());
    let pull = async |url: String| {
        let input = contree_images::import::Input::Registry {
            reference: reference(&url),
            credentials: None,
        };
        strict.resolve(input).await.unwrap_err().message()
    };
    let error = pull(registry.url()).await;
    let host = registry.address.to_string();
    assert_eq!(
        error,
        format!(
            "{host} is at a private or local address; the server's operator can allow it with \
             --allow-registry {host}"
        )
    );
    // A name is as good as its addresses.
    let port = registry.address.port();
    let error = pull(format!("docker://localhost:{port}/some/image")).await;
    assert!(error.contains("--allow-registry localhost"), "{error}");
    assert!(registry.seen("").is_empty());
}

#[tokio::test]
async fn realms_and_redirects_are_guarded_too() {
    let other = FakeRegistry::serving(&image(), Behaviour::default()).await;
    let env = Env::new();
    let allowed = |entry: String| ImportConfig {
        allowed: vec![entry.parse().unwrap()],
        platform: contree_images::import::Platform::linux("amd64", None),
        ..ImportConfig::default()
    };
    for behaviour in [
        Behaviour {
            realm: Some(format!("http://{}/token", other.address)),
            ..guarded()
        },
        Behaviour {
            realm: Some("https://169.254.169.254/token".into()),
            ..guarded()
        },
        Behaviour {
            redirect: Some(format!("http://{}", other.address)),
            ..Behaviour::default()
        },
        Behaviour {
            redirect: Some("https://10.0.0.1".into()),
            ..Behaviour::default()
        },
        Behaviour {
            redirect: Some("file:///etc/passwd".into()),
            ..Behaviour::default()
        },
    ] {
        let registry = FakeRegistry::serving(&image(), behaviour).await;
        let importer = Importer::new(env.store.clone(), allowed(registry.address.to_string()));
        let credentials = contree_api::image::Credentials {
            username: Some("user".into()),
            password: Some(PASSWORD.into()),
        };
        let input = contree_images::import::Input::Registry {
            reference: reference(&registry.url()),
            credentials: Some(credentials),
        };
        let error = importer.resolve(input).await.unwrap_err().message();
        assert!(
            [
                "private or local address",
                "plain HTTP",
                "is not how a registry is reached"
            ]
            .iter()
            .any(|reason| error.contains(reason)),
            "{error}"
        );
    }
    assert!(other.seen("").is_empty(), "{:?}", other.seen(""));
}
