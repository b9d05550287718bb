//! Limits of one token.

use contree_api::admin::{TokenCreate, TokenLimits};
use contree_api::operation::OperationStatus;
use contree_client::OperationFilter;
use contree_e2e::rootfs::Tiny;
use contree_e2e::{finished, run};
use reqwest::StatusCode;
use serde_json::json;

use super::{Office, of, shell};

#[tokio::test]
async fn privileged_limits_of_tokens_hold() {
    let office = Office::open(&[
        "--instance-max-timeout",
        "30m",
        "--instance-max-concurrency",
        "3",
    ]);
    let image = office.server.import(&Tiny::new().tar(), "base").await;
    let bounded = office
        .token(TokenCreate {
            limits: TokenLimits {
                instance_max_timeout: Some(60),
                instance_max_concurrency: Some(1),
                instance_max_layer_bytes: Some(1 << 20),
                images_import_max_concurrency: Some(1_000),
                images_import_max_timeout: Some(30),
            },
            ..of("default")
        })
        .await;
    let wide = office.member("default").await;

    // whoami tells what holds: the smaller of server and token.
    let told = bounded.client.whoami().await.unwrap().limits;
    let told: Vec<_> = told
        .iter()
        .map(|(name, limit)| (name.as_str(), *limit))
        .collect();
    assert_eq!(
        told,
        [
            ("images_import_max_concurrency", 5),
            ("images_import_max_timeout", 30),
            ("instance_max_concurrency", 1),
            ("instance_max_layer_bytes", 1 << 20),
            ("instance_max_timeout", 60),
        ]
    );
    let told = wide.client.whoami().await.unwrap().limits;
    assert_eq!(told["instance_max_timeout"], 1_800);
    assert_eq!(told["instance_max_concurrency"], 3);

    for (body, sentence) in [
        (
            json!({"command": "true", "image": image, "timeout": 61}),
            "timeout must be from 1 to 60 seconds",
        ),
        (
            json!({
                "command": "true", "image": image,
                "resources_limits": {"max_layer_bytes": (1 << 20) + 1},
            }),
            "resources_limits.max_layer_bytes must be at most 1048576",
        ),
    ] {
        let answer = bounded.raw.post("/v1/instances", &body).await;
        assert_eq!(answer.refused(400), sentence);
    }
    let import = json!({"registry": {"url": "docker://registry.invalid/a"}, "timeout": 31});
    let answer = bounded.raw.post("/v1/images/import", &import).await;
    assert_eq!(answer.refused(400), "timeout must be from 1 to 30 seconds");
    // Without a timeout the longest that the token may have is taken.
    let accepted = bounded
        .raw
        .post("/v1/instances", &json!({"command": "true", "image": image}))
        .await;
    assert_eq!(accepted.status, StatusCode::CREATED);
    assert_eq!(accepted.json()["timeout"], 60);

    // A run that writes more fails.
    let big = run(
        &bounded.client,
        &shell(image, "head -c 3000000 /dev/zero > /big"),
    )
    .await;
    assert_eq!(big.summary.status, OperationStatus::Failed);
    let fits = run(
        &wide.client,
        &shell(image, "head -c 3000000 /dev/zero > /big"),
    )
    .await;
    assert_eq!(fits.summary.status, OperationStatus::Success);

    // One at a time; the others of this token wait, those of another do not.
    let first = bounded
        .client
        .spawn(&shell(image, "sleep 3600"))
        .await
        .unwrap()
        .uuid;
    let second = bounded
        .client
        .spawn(&shell(image, "true"))
        .await
        .unwrap()
        .uuid;
    let third = bounded
        .client
        .spawn(&shell(image, "true"))
        .await
        .unwrap()
        .uuid;
    let other = run(&wide.client, &shell(image, "true")).await;
    assert_eq!(other.summary.status, OperationStatus::Success);
    let mut waiting = OperationFilter::default();
    waiting.status = Some(OperationStatus::Pending);
    let waiting = wide.client.list_operations(&waiting).await.unwrap();
    let waiting: Vec<_> = waiting.iter().map(|operation| operation.uuid).collect();
    assert_eq!(waiting, [third, second]);
    bounded.client.cancel(first).await.unwrap();
    for operation in [second, third] {
        let done = finished(&bounded.client, operation).await;
        assert_eq!(done.summary.status, OperationStatus::Success);
    }

    for (limits, sentence) in [
        (
            json!({"instance_max_timeout": 0}),
            "limits.instance_max_timeout must be at least 1",
        ),
        (
            json!({"instance_max": 1}),
            "body key `limits.instance_max`: unknown field",
        ),
    ] {
        let body = json!({"project": "default", "limits": limits});
        let refused = office
            .raw
            .post("/v1/admin/tokens", &body)
            .await
            .refused(400);
        assert!(refused.starts_with(sentence), "{refused}");
    }
}
