//! Runs over HTTP, from request to result.

use std::path::Path;

use contree_api::image::{ImageImportRequest, Registry};
use contree_api::instance::{InstanceResult, InstanceSpawnRequest};
use contree_api::operation::{OperationMetadata, OperationResponse, OperationStatus};
use contree_api::{ImageId, OperationId};
use contree_client::Client;

/// Waits for the end of an operation by its events and returns what it came to.
pub async fn finished(client: &Client, operation: OperationId) -> OperationResponse {
    let mut events = client.follow(operation);
    while events
        .next()
        .await
        .expect("an operation can be followed")
        .is_some()
    {}
    client
        .operation(operation, false)
        .await
        .expect("an operation can be asked for")
}

/// Starts a run and waits for its end.
pub async fn run(client: &Client, request: &InstanceSpawnRequest) -> OperationResponse {
    let accepted = client.spawn(request).await.expect("the run is accepted");
    finished(client, accepted.uuid).await
}

/// Holds a run to SUCCESS with exit code 0; returns its image (none when disposable) and stdout.
#[must_use]
pub fn succeeded(operation: &OperationResponse) -> (Option<ImageId>, String) {
    assert_eq!(
        operation.summary.status,
        OperationStatus::Success,
        "{operation:#?}"
    );
    let OperationMetadata::Instance(metadata) = &operation.metadata else {
        panic!("not a run: {operation:#?}");
    };
    let result: &InstanceResult = metadata.result.as_ref().expect("a run has a result");
    assert_eq!(result.state.exit_code, 0, "{operation:#?}");
    let stdout = result.stdout.to_bytes().expect("stdout is encoded well");
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    (operation.summary.result_image_uuid, stdout)
}

/// Uploads a root filesystem and imports it under a tag.
pub async fn import(client: &Client, tar: &Path, tag: &str) -> ImageId {
    let upload = client
        .ensure_file(tar, |_| {})
        .await
        .expect("the upload succeeds");
    let request = ImageImportRequest {
        registry: Registry {
            url: format!("upload:{}", upload.file.uuid),
            credentials: None,
        },
        tag: Some(tag.parse().expect("a tag")),
        timeout: None,
    };
    let accepted = client
        .import_image(&request)
        .await
        .expect("the import is accepted");
    let done = finished(client, accepted.uuid).await;
    assert_eq!(
        done.summary.status,
        OperationStatus::Success,
        "{:?}",
        done.summary.error
    );
    done.summary
        .result_image_uuid
        .expect("an import has an image")
}
