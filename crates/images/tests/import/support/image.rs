//! Images put together by hand, as blobs and documents.

use std::collections::BTreeMap;
use std::path::Path;

use contree_images::import::Digest;
use serde_json::{Value, json};

use super::tarball::{gzip, zstd};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// How a layer is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// One image: its blobs, and the manifest that ties them together.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) manifest: Value,
    pub(crate) config_digest: String,
    pub(crate) layer_digests: Vec<String>,
}

/// What a config says beside the layers.
pub(crate) fn usual_config() -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin", "LANG=C.UTF-8"], "WorkingDir": "/srv"}
    })
}

impl Image {
    /// Of plain tars, lowest first.
    pub(crate) fn of(layers: &[Vec<u8>]) -> Self {
        let packed: Vec<_> = layers
            .iter()
            .map(|tar| (tar.clone(), Packing::Gzip))
            .collect();
        Self::packed(&packed, usual_config())
    }

    pub(crate) fn packed(layers: &[(Vec<u8>, Packing)], mut config: Value) -> Self {
        let mut blobs = BTreeMap::new();
        let mut descriptors = Vec::new();
        let mut layer_digests = Vec::new();
        let mut diff_ids = Vec::new();
        for (tar, packing) in layers {
            let (stored, ending) = match packing {
                Packing::Plain => (tar.clone(), ""),
                Packing::Gzip => (gzip(tar), "+gzip"),
                Packing::Zstd => (zstd(tar), "+zstd"),
            };
            diff_ids.push(Digest::of(tar).to_string());
            let digest = Digest::of(&stored).to_string();
            descriptors.push(json!({
                "mediaType": format!("{OCI_LAYER}{ending}"),
                "digest": digest,
                "size": stored.len(),
            }));
            layer_digests.push(digest.clone());
            blobs.insert(digest, stored);
        }
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = serde_json::to_vec(&config).unwrap();
        let config_digest = Digest::of(&config).to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": config.len()},
            "layers": descriptors,
        });
        blobs.insert(config_digest.clone(), config);
        Self {
            blobs,
            manifest,
            config_digest,
            layer_digests,
        }
    }

    pub(crate) fn manifest_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.manifest).unwrap()
    }

    /// Points to the manifest.
    pub(crate) fn descriptor(&self, platform: Option<Value>) -> Value {
        let manifest = self.manifest_bytes();
        let mut descriptor = json!({
            "mediaType": self.manifest["mediaType"],
            "digest": Digest::of(&manifest).to_string(),
            "size": manifest.len(),
        });
        if let Some(platform) = platform {
            descriptor["platform"] = platform;
        }
        descriptor
    }

    /// Writes an OCI layout with this image under the tag `latest`.
    pub(crate) fn write_layout(&self, folder: &Path) {
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        let mut all = self.blobs.clone();
        let manifest = self.manifest_bytes();
        all.insert(Digest::of(&manifest).to_string(), manifest);
        for (digest, content) in &all {
            std::fs::write(blobs.join(digest.strip_prefix("sha256:").unwrap()), content).unwrap();
        }
        let mut descriptor = self.descriptor(None);
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        std::fs::write(
            folder.join("index.json"),
            serde_json::to_vec(&index).unwrap(),
        )
        .unwrap();
        std::fs::write(
            folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .unwrap();
    }
}
