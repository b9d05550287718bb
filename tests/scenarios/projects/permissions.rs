//! Which permission each route needs.

use contree_api::admin::TokenCreate;
use contree_api::whoami::Permission;
use contree_e2e::rootfs::Tiny;
use contree_e2e::run;
use reqwest::Method;
use serde_json::json;

use super::{Holder, Office, of, shell};

/// A request, the permissions of which any one lets it through, and those it needs besides.
struct Case {
    method: Method,
    path: String,
    body: String,
    any: &'static [Permission],
    besides: &'static [Permission],
}

const SPAWN: Permission = Permission::Spawn;
const DISPOSABLE: Permission = Permission::SpawnDisposable;
const LIST: Permission = Permission::List;

#[tokio::test]
async fn privileged_each_route_needs_its_permission() {
    let office = Office::open(&[]);
    let image = office.server.import(&Tiny::new().tar(), "base").await;
    let member = office.member("default").await;
    // One run of each kind that is there to be asked about.
    let spawned = async |disposable: bool| {
        let body = json!({
            "command": "sleep", "args": ["3600"], "image": image, "disposable": disposable,
            "stdin": {"value": "", "close": false},
        });
        let answer = member.raw.post("/v1/instances", &body).await;
        answer.json()["uuid"].as_str().expect("a uuid").to_owned()
    };
    let (kept, disposable) = (spawned(false).await, spawned(true).await);
    let ended = run(&member.client, &shell(image, "true"))
        .await
        .summary
        .uuid;
    let sha = "0".repeat(64);
    let absent = "0190163d-8694-739b-aea5-966c26f8ad91";

    let case = |method: Method, path: String, body: serde_json::Value, any, besides| Case {
        method,
        path,
        body: if body.is_null() {
            String::new()
        } else {
            body.to_string()
        },
        any,
        besides,
    };
    let null = || serde_json::Value::Null;
    let get = |path: String| case(Method::GET, path, null(), &[LIST], &[]);
    let spawn = |disposable: bool| json!({"command": "", "shell": true, "image": image, "disposable": disposable});
    let mut cases = vec![
        case(
            Method::POST,
            "/v1/instances".into(),
            spawn(false),
            &[SPAWN],
            &[],
        ),
        case(
            Method::POST,
            "/v1/instances".into(),
            spawn(true),
            &[DISPOSABLE],
            &[],
        ),
        case(
            Method::POST,
            "/v1/images/import".into(),
            json!({"registry": {"url": "nonsense"}}),
            &[Permission::Import],
            &[],
        ),
        case(
            Method::POST,
            "/v1/files".into(),
            json!("content"),
            &[Permission::Import, SPAWN, DISPOSABLE],
            &[],
        ),
        get("/v1/files".into()),
        get(format!("/v1/files/{sha}")),
        case(
            Method::HEAD,
            format!("/v1/files/{sha}"),
            null(),
            &[LIST],
            &[],
        ),
        get("/v1/images".into()),
        case(
            Method::PATCH,
            format!("/v1/images/{image}/tag"),
            json!({"tag": "again"}),
            &[Permission::SetImageTag],
            &[],
        ),
        case(
            Method::DELETE,
            format!("/v1/images/{image}/tag?tag=again"),
            null(),
            &[Permission::SetImageTag],
            &[],
        ),
        get("/v1/inspect/?tag=base".into()),
        get(format!("/v1/inspect/{image}/")),
        get(format!("/v1/inspect/{image}/list?path=/")),
        get(format!("/v1/inspect/{image}/download?path=/etc/passwd")),
        case(
            Method::HEAD,
            format!("/v1/inspect/{image}/download?path=/etc/passwd"),
            null(),
            &[LIST],
            &[],
        ),
        get(format!("/v1/inspect/{image}/archive?path=/etc")),
        case(
            Method::HEAD,
            format!("/v1/inspect/{image}/archive?path=/etc"),
            null(),
            &[LIST],
            &[],
        ),
        get(format!("/v1/inspect/{image}/grep?pattern=root&path=/etc")),
        get("/v1/operations".into()),
        get("/v1/operations/events".into()),
        get(format!("/v1/operations/{kept}")),
        get(format!("/v1/operations/{kept}/events")),
        // Of a run that has ended: the stream does too.
        case(
            Method::GET,
            format!("/v1/operations/{ended}/events?follow=1"),
            null(),
            &[SPAWN, DISPOSABLE],
            &[LIST],
        ),
        case(
            Method::DELETE,
            format!("/v1/operations/{absent}"),
            null(),
            &[Permission::Cancel],
            &[],
        ),
    ];
    for (operation, any) in [
        (&kept, &[SPAWN] as &'static [Permission]),
        (&disposable, &[DISPOSABLE]),
    ] {
        let processes = format!("/v1/operations/{operation}/subprocesses");
        cases.extend([
            case(
                Method::POST,
                processes.clone(),
                json!({"command": "true"}),
                any,
                &[],
            ),
            case(
                Method::DELETE,
                format!("{processes}/1?signal=CONT"),
                null(),
                any,
                &[],
            ),
            case(
                Method::POST,
                format!("{processes}/1/stdin"),
                json!({"value": ""}),
                any,
                &[],
            ),
            get(format!("{processes}/1")),
        ]);
    }

    let document = office.raw.json("/v1/openapi.json").await;
    assert_eq!(routes_without(&document, &cases), [""; 0]);

    // Tokens with all permissions but some, and with these alone.
    let holding = async |permissions: Vec<Permission>| -> Holder {
        office
            .token(TokenCreate {
                permissions: Some(permissions),
                ..of("default")
            })
            .await
    };
    let without = |some: &[Permission]| -> Vec<Permission> {
        Permission::ALL
            .into_iter()
            .filter(|permission| !some.contains(permission))
            .collect()
    };
    for Case {
        method,
        path,
        body,
        any,
        besides,
    } in cases
    {
        let ask =
            async |holder: &Holder| holder.raw.send(method.clone(), &path, body.clone()).await;
        let lacking = ask(&holding(without(any)).await).await;
        let shown = format!("{method} {path}: {lacking:?}");
        assert_eq!(lacking.status, 403, "{shown}");
        if method != Method::HEAD {
            let sentence = lacking.refused(403);
            for permission in any {
                let name = format!("\"{}\"", permission.name());
                assert!(sentence.contains(&name), "{shown}");
            }
        }
        for permission in besides {
            let lacking = ask(&holding(without(&[*permission])).await).await;
            let sentence = lacking.refused(403);
            assert!(sentence.contains(permission.name()), "{shown}");
        }
        for permission in any {
            let mut enough = besides.to_vec();
            enough.push(*permission);
            // The head alone: the feed has no end.
            let request = holding(enough).await.raw.request(method.clone(), &path);
            let let_through = request.body(body.clone()).send().await.unwrap();
            assert!(
                !matches!(let_through.status().as_u16(), 401 | 403 | 500..),
                "{method} {path}: {let_through:?}"
            );
        }
    }

    // Any token may ask about itself; none without admin rights may administer.
    let nobody = holding(vec![]).await;
    let told = nobody.client.whoami().await.unwrap();
    assert!(told.permissions.values().all(|granted| !granted));
    for (method, path) in [
        (Method::GET, "/v1/admin/projects"),
        (Method::POST, "/v1/admin/projects"),
        (Method::DELETE, "/v1/admin/projects/default"),
        (Method::GET, "/v1/admin/tokens"),
        (Method::POST, "/v1/admin/tokens"),
        (Method::DELETE, "/v1/admin/tokens/x"),
        (Method::POST, "/v1/admin/public"),
        (Method::DELETE, "/v1/admin/public?tag=a"),
    ] {
        let answer = member.raw.send(method.clone(), path, "").await;
        assert_eq!(
            answer.refused(403),
            "this token has no admin rights",
            "{method} {path}"
        );
        let nobody = office.raw.with("contree_wrong");
        assert_eq!(
            nobody.send(method, path, "").await.refused(401),
            "the token is not valid"
        );
    }
    for operation in [kept, disposable] {
        member
            .client
            .cancel(operation.parse().unwrap())
            .await
            .unwrap();
    }
}

/// The operations of the API that no case is about, but those that need no permission.
fn routes_without(document: &serde_json::Value, cases: &[Case]) -> Vec<String> {
    let mut left = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let free = [
            "/whoami",
            "/openapi.json",
            "/healthz",
            "/readyz",
            // Redirects to the same with a slash.
            "/inspect",
            "/inspect/{imageUUID}",
        ];
        if free.contains(&path.as_str()) || path.starts_with("/admin/") {
            continue;
        }
        for method in methods.as_object().expect("methods").keys() {
            let is_about = |case: &Case| {
                case.method.as_str().eq_ignore_ascii_case(method) && matches(path, &case.path)
            };
            if method != "servers" && !cases.iter().any(is_about) {
                left.push(format!("{method} {path}"));
            }
        }
    }
    left
}

/// Whether a path of a request is one of a template's.
fn matches(template: &str, path: &str) -> bool {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && std::iter::zip(template, path)
            .all(|(wanted, have)| wanted == have || wanted.starts_with('{') && !have.is_empty())
}
