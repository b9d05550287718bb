//! Nothing of one project is seen from another.

use contree_api::admin::TokenCreate;
use contree_api::operation::OperationStatus;
use contree_client::{ImageFilter, OperationFilter};
use contree_e2e::rootfs::Tiny;
use contree_e2e::{import, run, succeeded};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Office, shell};

#[tokio::test]
async fn privileged_nothing_crosses_projects() {
    let office = Office::open(&[]);
    office.project("other").await;
    let (here, there) = (office.member("default").await, office.member("other").await);
    let tiny = Tiny::new();

    // The same content in both: other ids, and all the work is done again.
    let content = b"the same bytes in both projects".to_vec();
    let mine = here
        .client
        .upload_bytes(content.clone().into())
        .await
        .unwrap();
    let by_sha = format!("/v1/files/{}", mine.sha256);
    for method in [Method::HEAD, Method::GET] {
        let before = there.raw.send(method, &by_sha, "").await;
        assert_eq!(before.status, StatusCode::NOT_FOUND);
    }
    let answer = there
        .raw
        .send(Method::POST, "/v1/files", content.clone())
        .await;
    let again = here.raw.send(Method::POST, "/v1/files", content).await;
    assert_eq!(
        (answer.status, again.status),
        (StatusCode::CREATED, StatusCode::CREATED)
    );
    let (theirs, again) = (answer.json(), again.json());
    assert_eq!(theirs["sha256"], mine.sha256.as_str());
    assert_eq!(again["uuid"], mine.uuid.to_string());
    assert_ne!(theirs["uuid"], again["uuid"]);

    let base = import(&here.client, &tiny.tar(), "base").await;
    let their_base = import(&there.client, &tiny.tar(), "base").await;
    assert_ne!(base, their_base);
    // Nothing in its log says that the content was there already.
    let imports = OperationFilter::default();
    let imported = there.client.list_operations(&imports).await.unwrap();
    assert_eq!(imported.len(), 1);
    assert!(
        imported[0].image_size.is_some_and(|size| size > 0),
        "{imported:?}"
    );
    let log = there
        .raw
        .get(&format!("/v1/operations/{}/events", imported[0].uuid))
        .await;
    let log = String::from_utf8_lossy(&log.body).into_owned();
    assert!(!log.contains("already"), "{log}");

    // A run that goes on, with a secret in it, a tagged result, and a file of the project's own.
    let done = run(&here.client, &shell(base, "echo secret > /secret")).await;
    let (image, _) = succeeded(&done);
    let image = image.expect("a run that wrote has an image");
    let secret_tag = "secret".parse().unwrap();
    here.client.set_tag(image, &secret_tag).await.unwrap();
    let mut endless = shell(base, "read line; echo $line; sleep 3600");
    endless.disposable = true;
    endless.stdin = Some(serde_json::from_value(json!({"value": "", "close": false})).unwrap());
    let running = here.client.spawn(&endless).await.unwrap().uuid;
    here.client
        .exec(
            running,
            &serde_json::from_value(json!({"command": "true"})).unwrap(),
        )
        .await
        .unwrap();

    // From the other project each of them looks like what never was.
    let absent = "0190163d-8694-739b-aea5-966c26f8ad91";
    let spawn = |image: &str, files: Value| {
        json!({"command": "true", "image": image, "files": files}).to_string()
    };
    let put = |copy: Value| json!({"command": "", "image": their_base, "copy": [copy]}).to_string();
    let stdin = json!({"value": "x\n"}).to_string();
    let tag = json!({"tag": "mine"}).to_string();
    let exec = json!({"command": "true"}).to_string();
    for (method, path, body, object) in [
        (
            Method::GET,
            "/v1/inspect/OBJECT/",
            String::new(),
            image.to_string(),
        ),
        (
            Method::GET,
            "/v1/inspect/OBJECT/list?path=/",
            String::new(),
            image.to_string(),
        ),
        (
            Method::GET,
            "/v1/inspect/OBJECT/download?path=/secret",
            String::new(),
            image.to_string(),
        ),
        (
            Method::HEAD,
            "/v1/inspect/OBJECT/download?path=/secret",
            String::new(),
            image.to_string(),
        ),
        (
            Method::GET,
            "/v1/inspect/OBJECT/archive?path=/",
            String::new(),
            image.to_string(),
        ),
        (
            Method::HEAD,
            "/v1/inspect/OBJECT/archive?path=/",
            String::new(),
            image.to_string(),
        ),
        (
            Method::GET,
            "/v1/inspect/OBJECT/grep?pattern=s",
            String::new(),
            image.to_string(),
        ),
        (
            Method::PATCH,
            "/v1/images/OBJECT/tag",
            tag.clone(),
            image.to_string(),
        ),
        (
            Method::DELETE,
            "/v1/images/OBJECT/tag",
            String::new(),
            image.to_string(),
        ),
        (
            Method::DELETE,
            "/v1/images/OBJECT/tag?tag=secret",
            String::new(),
            image.to_string(),
        ),
        (
            Method::GET,
            "/v1/operations/OBJECT",
            String::new(),
            running.to_string(),
        ),
        (
            Method::GET,
            "/v1/operations/OBJECT?inflight=1",
            String::new(),
            running.to_string(),
        ),
        (
            Method::DELETE,
            "/v1/operations/OBJECT",
            String::new(),
            running.to_string(),
        ),
        (
            Method::GET,
            "/v1/operations/OBJECT/events",
            String::new(),
            running.to_string(),
        ),
        (
            Method::GET,
            "/v1/operations/OBJECT/events?follow=1",
            String::new(),
            running.to_string(),
        ),
        (
            Method::POST,
            "/v1/operations/OBJECT/subprocesses",
            exec.clone(),
            running.to_string(),
        ),
        (
            Method::GET,
            "/v1/operations/OBJECT/subprocesses/1",
            String::new(),
            running.to_string(),
        ),
        (
            Method::DELETE,
            "/v1/operations/OBJECT/subprocesses/1",
            String::new(),
            running.to_string(),
        ),
        (
            Method::POST,
            "/v1/operations/OBJECT/subprocesses/1/stdin",
            stdin,
            running.to_string(),
        ),
        (
            Method::GET,
            "/v1/operations/OBJECT",
            String::new(),
            done.summary.uuid.to_string(),
        ),
        (
            Method::GET,
            "/v1/operations/OBJECT/events",
            String::new(),
            done.summary.uuid.to_string(),
        ),
        (
            Method::GET,
            "/v1/operations/OBJECT/subprocesses/1",
            String::new(),
            done.summary.uuid.to_string(),
        ),
        (
            Method::POST,
            "/v1/instances",
            spawn("OBJECT", json!({})),
            image.to_string(),
        ),
        (
            Method::POST,
            "/v1/instances",
            spawn(&their_base.to_string(), json!({"/a": {"uuid": "OBJECT"}})),
            mine.uuid.to_string(),
        ),
        (
            Method::POST,
            "/v1/instances",
            put(json!({"image": "OBJECT", "paths": ["/secret"], "to": "/"})),
            image.to_string(),
        ),
        (
            Method::POST,
            "/v1/instances",
            put(json!({"archive": "OBJECT", "to": "/"})),
            mine.uuid.to_string(),
        ),
        (
            Method::POST,
            "/v1/images/import",
            json!({"registry": {"url": "upload:OBJECT"}}).to_string(),
            mine.uuid.to_string(),
        ),
    ] {
        let ask = async |id: &str| {
            let (path, body) = (path.replace("OBJECT", id), body.replace("OBJECT", id));
            let answer = there.raw.send(method.clone(), &path, body).await;
            let text = String::from_utf8_lossy(&answer.body).replace(id, "ID");
            (answer.status, text)
        };
        let foreign = ask(&object).await;
        assert_eq!(
            foreign.0,
            StatusCode::NOT_FOUND,
            "{method} {path}: {foreign:?}"
        );
        assert_eq!(foreign, ask(absent).await, "{method} {path}");
    }
    let by_tag = there.raw.get("/v1/inspect/?tag=secret").await;
    assert_eq!(by_tag.status, StatusCode::NOT_FOUND);
    let spawned = there
        .raw
        .post(
            "/v1/instances",
            &json!({"command": "true", "image": "tag:secret"}),
        )
        .await;
    assert_eq!(spawned.status, StatusCode::NOT_FOUND);

    // Lists, and counts.
    let images = there
        .client
        .list_images(&ImageFilter::default())
        .await
        .unwrap();
    let images: Vec<_> = images.iter().map(|image| image.uuid).collect();
    assert_eq!(images, [their_base]);
    let operations = there.client.list_operations(&imports).await.unwrap();
    assert_eq!(operations.len(), 1);
    let files = there.raw.json("/v1/files").await;
    let files = files["files"].as_array().expect("a list").clone();
    assert_eq!(files.len(), 2);
    assert!(
        files
            .iter()
            .all(|file| file["uuid"] != mine.uuid.to_string())
    );
    let counted = there.client.whoami().await.unwrap().operations_stat;
    assert_eq!(counted.values().sum::<i64>(), 1, "{counted:?}");

    // Names are each project's own.
    let answer = there.raw.get("/v1/inspect/?tag=base").await;
    assert_eq!(answer.headers["location"], format!("{their_base}/"));

    // What was tried left no trace.
    let still = here.client.operation(running, false).await.unwrap();
    assert_eq!(still.summary.status, OperationStatus::Executing);
    assert_eq!(here.client.find_image(&secret_tag).await.unwrap(), image);
    here.client.cancel(running).await.unwrap();
    contree_e2e::finished(&here.client, running).await;

    // The other project stands on its own when this one goes.
    office.project("spare").await;
    office
        .admin
        .delete_project("other", false)
        .await
        .unwrap_err();
    office.admin.delete_project("default", true).await.unwrap();
    let answer = here.raw.get("/v1/whoami").await;
    assert_eq!(answer.refused(401), "the token is not valid");
    let (_, output) = succeeded(&run(&there.client, &shell(their_base, "cat /etc/passwd")).await);
    assert!(output.contains("root"), "{output}");
}

/// A token of all projects does what the header says; other tokens do not care for it.
#[tokio::test]
async fn privileged_operators_name_the_project_of_each_request() {
    let office = Office::open(&[]);
    office.project("other").await;
    let member = office.member("other").await;
    let operator = office
        .token(TokenCreate {
            all_projects: true,
            ..TokenCreate::default()
        })
        .await;
    let upload = |raw: crate::raw::Raw, text: &'static str| async move {
        let answer = raw.send(Method::POST, "/v1/files", text).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.json()["uuid"].as_str().expect("a uuid").to_owned()
    };
    assert_eq!(
        operator.raw.get("/v1/files").await.refused(401),
        "this token is for all projects; name one in the header \"Project\""
    );
    for unknown in [
        "nowhere",
        "public",
        "00000000-0000-0000-0000-000000000000",
        "Other",
    ] {
        assert_eq!(
            operator
                .raw
                .for_project(unknown)
                .get("/v1/files")
                .await
                .refused(403),
            "the header \"Project\" names no project of this server"
        );
    }
    let made = upload(operator.raw.for_project("other"), "by the operator").await;
    let seen = member
        .raw
        .for_project("NEBIUS_PROJECT_ID")
        .json("/v1/files")
        .await;
    assert_eq!(seen["files"][0]["uuid"], made);
    let default = office.raw.json("/v1/files").await;
    assert_eq!(default["files"], json!([]));
    let projects = office.admin.list_projects().await.unwrap();
    let other = projects
        .iter()
        .find(|project| project.name == "other")
        .unwrap();
    let by_id = operator
        .raw
        .for_project(&other.id.to_string())
        .json("/v1/files")
        .await;
    assert_eq!(by_id, seen);

    // Acting for all projects is not administering them.
    let refused = operator.raw.get("/v1/admin/projects").await.refused(403);
    assert_eq!(refused, "this token has no admin rights");
    // A project that is gone is no longer known by its name.
    let answer = office
        .raw
        .send(Method::DELETE, "/v1/admin/projects/other", "")
        .await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    operator
        .raw
        .for_project("other")
        .get("/v1/files")
        .await
        .refused(403);
}
