//! Manifests, indexes and configs: the JSON that says what an image is made of.
//!
//! Docker's and OCI's documents have the same fields under other media types, so one set of
//! structs reads both. They hold the few fields an import needs and are lenient about the rest:
//! tools write nulls, leave media types out of OCI documents and add what they like. What a
//! document *is* is decided by its fields, and a document that could be both an index and a
//! manifest is refused, since two readers could disagree on what it means.

use serde::Deserialize;

use super::digest::Digest;
use super::limits::{MAX_ENV, MAX_LAYERS};
use super::platform::{Described, Platform};

/// What an import asks a registry for, in the `Accept` header.
pub(super) const ACCEPT_MANIFEST: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Points to a blob or to another document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// A document behind a tag or digest.
#[derive(Debug)]
pub(super) enum Document {
    /// One document per platform.
    Index(Vec<Choice>),
    /// One image.
    Image(Manifest),
}

/// One entry of an index.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) target: Descriptor,
    platform: Option<Described>,
    /// Signatures, provenance and the like, which stand beside images in indexes.
    attachment: bool,
}

/// The parts of one image.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    /// Lowest first.
    pub(super) layers: Vec<Descriptor>,
}

/// What an image says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    /// Digests of the layers as plain tar, lowest first.
    pub(super) diff_ids: Vec<Digest>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: Option<String>,
}

/// Why an image cannot be imported by what its documents say.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON it should be.
    #[error("the {what} is malformed")]
    Json {
        /// Which document.
        what: &'static str,
        /// Where and how.
        source: serde_json::Error,
    },
    /// JSON, but not in a form that means anything.
    #[error("the {what} is malformed: {detail}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// How.
        detail: String,
    },
    /// Docker's first image format.
    #[error(
        "the image is in Docker's image format version 1, which is no longer supported; \
         build or push it again with a current tool"
    )]
    Schema1,
    /// Helm charts, signatures and other things that registries hold.
    #[error("this is not a container image but {media_type}")]
    NotAnImage {
        /// What it is.
        media_type: String,
    },
    /// A layer that is kept elsewhere.
    #[error(
        "layer {digest} is not kept in the registry (a foreign layer), so it cannot be imported"
    )]
    ForeignLayer {
        /// Of the layer.
        digest: Digest,
    },
    /// A layer in a form that is not tar.
    #[error("layer {digest} is of the unknown type {media_type}")]
    LayerType {
        /// Of the layer.
        digest: Digest,
        /// As given.
        media_type: String,
    },
    /// Not for machines like this.
    #[error("the image is not built for {wanted}; it is for {offered}")]
    Platform {
        /// Of this server.
        wanted: Platform,
        /// What there is.
        offered: String,
    },
    /// More layers than anybody needs.
    #[error("the image has {count} layers, more than {MAX_LAYERS}")]
    TooManyLayers {
        /// How many.
        count: usize,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    manifests: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: Option<String>,
    digest: String,
    size: u64,
    #[serde(default)]
    platform: Option<Described>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<std::collections::HashMap<String, Option<String>>>,
}

impl RawDescriptor {
    fn check(self, what: &'static str) -> Result<Descriptor, ManifestError> {
        Ok(Descriptor {
            digest: self
                .digest
                .parse()
                .map_err(|error| ManifestError::Malformed {
                    what,
                    detail: format!("{error}"),
                })?,
            size: self.size,
            media_type: self.media_type.unwrap_or_default(),
        })
    }
}

impl Document {
    /// Reads an index or a manifest.
    pub(super) fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        const WHAT: &str = "manifest";
        let malformed = |detail: &str| ManifestError::Malformed {
            what: WHAT,
            detail: detail.to_owned(),
        };
        let raw: RawDocument = serde_json::from_slice(json)
            .map_err(|source| ManifestError::Json { what: WHAT, source })?;
        if raw.schema_version == Some(1) || raw.fs_layers.is_some() {
            return Err(ManifestError::Schema1);
        }
        let says_index = raw.media_type.as_deref().map(is_index_type);
        match (raw.manifests, raw.config, raw.layers) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                Err(malformed("it is both an index and a manifest"))
            }
            (Some(choices), None, None) if says_index != Some(false) => choices
                .into_iter()
                .map(Choice::check)
                .collect::<Result<_, _>>()
                .map(Self::Index),
            (None, Some(config), layers) if says_index != Some(true) => {
                Manifest::check(config, layers.unwrap_or_default(), raw.artifact_type)
                    .map(Self::Image)
            }
            (None, None, _) => Err(malformed("it has neither manifests nor a config")),
            _ => Err(malformed("its mediaType is not what it holds")),
        }
    }
}

impl Choice {
    fn check(raw: RawDescriptor) -> Result<Self, ManifestError> {
        let annotated = raw.annotations.as_ref().is_some_and(|annotations| {
            annotations
                .get("vnd.docker.reference.type")
                .is_some_and(Option::is_some)
        });
        Ok(Self {
            attachment: annotated || raw.artifact_type.is_some(),
            platform: raw.platform.clone(),
            target: raw.check("index")?,
        })
    }

    /// The entries of an index that fit best, in its order, each digest once; never none. One
    /// that names no platform is taken when nothing else fits, and its config decides.
    pub(super) fn best<'c>(
        choices: &'c [Self],
        wanted: &Platform,
    ) -> Result<Vec<&'c Descriptor>, ManifestError> {
        let fit = |choice: &Self| match &choice.platform {
            Some(platform) => wanted.fit(platform),
            None => Some(0),
        };
        let images = || choices.iter().filter(|choice| !choice.attachment);
        let Some(best) = images().filter_map(fit).max() else {
            let mut offered: Vec<String> = images()
                .filter_map(|choice| choice.platform.as_ref())
                .map(|platform| printable(&platform.to_string()))
                .collect();
            offered.sort();
            offered.dedup();
            offered.truncate(20);
            return Err(ManifestError::Platform {
                wanted: wanted.clone(),
                offered: if offered.is_empty() {
                    "nothing".into()
                } else {
                    offered.join(", ")
                },
            });
        };
        let mut found: Vec<&Descriptor> = Vec::new();
        for choice in images().filter(|choice| fit(choice) == Some(best)) {
            if found
                .iter()
                .all(|known| known.digest != choice.target.digest)
            {
                found.push(&choice.target);
            }
        }
        Ok(found)
    }
}

impl Manifest {
    fn check(
        config: RawDescriptor,
        layers: Vec<RawDescriptor>,
        artifact_type: Option<String>,
    ) -> Result<Self, ManifestError> {
        let config = config.check("manifest")?;
        if let Some(media_type) = artifact_type.filter(|name| !name.is_empty()) {
            return Err(ManifestError::NotAnImage {
                media_type: printable(&media_type),
            });
        }
        if !is_config_type(&config.media_type) {
            return Err(ManifestError::NotAnImage {
                media_type: printable(&config.media_type),
            });
        }
        if layers.len() > MAX_LAYERS {
            return Err(ManifestError::TooManyLayers {
                count: layers.len(),
            });
        }
        let layers = layers
            .into_iter()
            .map(|layer| {
                let layer = layer.check("manifest")?;
                let digest = layer.digest.clone();
                match layer_type(&layer.media_type) {
                    LayerType::Tar => Ok(layer),
                    LayerType::Foreign => Err(ManifestError::ForeignLayer { digest }),
                    LayerType::Unknown => Err(ManifestError::LayerType {
                        digest,
                        media_type: printable(&layer.media_type),
                    }),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { config, layers })
    }
}

enum LayerType {
    Tar,
    Foreign,
    Unknown,
}

/// What a media type says a layer is. How it is compressed is seen from its bytes: some tools
/// say `gzip` of a plain tar.
fn layer_type(media_type: &str) -> LayerType {
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd"
        | "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.oci.image.layer.v1.tar+zstd" => LayerType::Tar,
        foreign
            if foreign.starts_with("application/vnd.docker.image.rootfs.foreign.")
                || foreign.starts_with("application/vnd.oci.image.layer.nondistributable.") =>
        {
            LayerType::Foreign
        }
        _ => LayerType::Unknown,
    }
}

fn is_index_type(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json"
    )
}

fn is_config_type(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
    )
}

/// A stranger's text, short and without control characters, for an error.
fn printable(text: &str) -> String {
    if text.is_empty() {
        return "of no stated type".to_owned();
    }
    text.chars()
        .take(100)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(flatten)]
    platform: Described,
    #[serde(default)]
    config: Option<RawRunConfig>,
    #[serde(default)]
    rootfs: Option<RawRootfs>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRunConfig {
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    working_dir: Option<String>,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

impl Config {
    /// Reads the config of an image with `layers` layers that must run on `wanted`.
    pub(super) fn parse(
        json: &[u8],
        layers: usize,
        wanted: &Platform,
    ) -> Result<Self, ManifestError> {
        const WHAT: &str = "image config";
        let malformed = |detail: String| ManifestError::Malformed { what: WHAT, detail };
        let raw: RawConfig = serde_json::from_slice(json)
            .map_err(|source| ManifestError::Json { what: WHAT, source })?;
        if wanted.fit(&raw.platform).is_none() {
            return Err(ManifestError::Platform {
                wanted: wanted.clone(),
                offered: printable(&raw.platform.to_string()),
            });
        }
        let diff_ids = raw
            .rootfs
            .and_then(|rootfs| rootfs.diff_ids)
            .unwrap_or_default()
            .iter()
            .map(|id| {
                id.parse()
                    .map_err(|error| malformed(format!("a diff_id: {error}")))
            })
            .collect::<Result<Vec<Digest>, _>>()?;
        if diff_ids.len() != layers {
            return Err(malformed(format!(
                "it tells of {} layers, the manifest of {layers}",
                diff_ids.len()
            )));
        }
        let run = raw.config.unwrap_or_default();
        let env = run.env.unwrap_or_default();
        let (most, most_bytes) = MAX_ENV;
        if env.len() > most || env.iter().map(String::len).sum::<usize>() > most_bytes {
            return Err(malformed(format!(
                "it has more than {most} environment variables or {most_bytes} bytes of them"
            )));
        }
        Ok(Self {
            diff_ids,
            env: environment(env),
            cwd: run.working_dir.and_then(working_dir),
        })
    }
}

/// A working folder that a program can be started in; a relative one starts at the root.
fn working_dir(cwd: String) -> Option<String> {
    match cwd.as_bytes() {
        [] => None,
        bytes if bytes.contains(&0) => None,
        [b'/', ..] => Some(cwd),
        _ => Some(format!("/{cwd}")),
    }
}

/// `NAME=value` pairs, the last of a name winning, in the order of first mention. What is not a
/// pair or cannot be passed to a program is left out, as other engines do.
fn environment(env: Vec<String>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(env.len());
    let mut seen = std::collections::HashMap::new();
    for text in env.into_iter().filter(|text| !text.contains('\0')) {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            continue;
        };
        match seen.get(name) {
            Some(&at) => {
                let pair: &mut (String, String) = &mut pairs[at];
                value.clone_into(&mut pair.1);
            }
            None => {
                seen.insert(name.to_owned(), pairs.len());
                pairs.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    fn digest(c: char) -> String {
        format!("sha256:{}", c.to_string().repeat(64))
    }

    fn manifest(config_type: &str, layer_type: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{config_type}","digest":"{}","size":2}},
               "layers":[{{"mediaType":"{layer_type}","digest":"{}","size":3,"annotations":null}}]}}"#,
            digest('a'),
            digest('b')
        )
    }

    fn amd64() -> Platform {
        Platform::linux("amd64", None)
    }

    #[test]
    fn manifests() {
        let text = manifest("application/vnd.oci.image.config.v1+json", GZIP);
        let Document::Image(image) = Document::parse(text.as_bytes()).unwrap() else {
            panic!("an image")
        };
        assert_eq!(image.config.digest.as_str(), digest('a'));
        assert_eq!((image.layers.len(), image.layers[0].size), (1, 3));

        let helm = manifest("application/vnd.cncf.helm.config.v1+json", GZIP);
        for (text, wrong) in [
            (
                helm.as_str(),
                "this is not a container image but application/vnd.cncf.helm",
            ),
            (
                &manifest(
                    "application/vnd.docker.container.image.v1+json",
                    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                ),
                "layer sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb is not kept",
            ),
            (
                &manifest(
                    "application/vnd.oci.image.config.v1+json",
                    "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
                ),
                "layer sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb is of the unknown",
            ),
            (
                r#"{"schemaVersion":1,"name":"x","fsLayers":[],"history":[]}"#,
                "the image is in Docker's",
            ),
            ("{", "the manifest is malformed"),
            ("[]", "the manifest is malformed"),
            ("{}", "the manifest is malformed: it has neither"),
            (
                r#"{"manifests":[],"layers":[]}"#,
                "the manifest is malformed: it is both",
            ),
            (
                r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#,
                "the manifest is malformed: its mediaType",
            ),
            (
                &text.replace(&digest('b'), "sha256:../../x"),
                "the manifest is malformed: a digest is written",
            ),
            (
                &text.replace(r#""size":3"#, r#""size":-3"#),
                "the manifest is malformed",
            ),
        ] {
            let error = Document::parse(text.as_bytes())
                .expect_err(text)
                .to_string();
            assert!(error.starts_with(wrong), "{error}");
        }
    }

    #[test]
    fn the_right_platform_of_an_index() {
        let entry = |c: char, platform: &str, more: &str| {
            format!(
                r#"{{"mediaType":"m","digest":"{}","size":1,"platform":{platform}{more}}}"#,
                digest(c)
            )
        };
        let attested = entry(
            '1',
            r#"{"os":"linux","architecture":"amd64"}"#,
            r#","annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#,
        );
        let arm = entry(
            '2',
            r#"{"os":"linux","architecture":"arm","variant":"v7"}"#,
            "",
        );
        let right = entry('3', r#"{"os":"linux","architecture":"amd64"}"#, "");
        let unnamed = entry('4', "null", "");
        let choose = |entries: &[&String]| {
            let list: Vec<&str> = entries.iter().map(|entry| entry.as_str()).collect();
            let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(","));
            let Document::Index(choices) = Document::parse(text.as_bytes()).unwrap() else {
                panic!("an index")
            };
            Choice::best(&choices, &amd64()).map(|best| best[0].digest.as_str().to_owned())
        };
        assert_eq!(
            choose(&[&attested, &arm, &unnamed, &right]).unwrap(),
            digest('3')
        );
        assert_eq!(choose(&[&arm, &unnamed]).unwrap(), digest('4'));
        assert_eq!(
            choose(&[&attested, &arm]).unwrap_err().to_string(),
            "the image is not built for linux/amd64; it is for linux/arm/v7"
        );
        assert_eq!(
            choose(&[]).unwrap_err().to_string(),
            "the image is not built for linux/amd64; it is for nothing"
        );
    }

    #[test]
    fn configs() {
        let parse = |text: &str, layers| Config::parse(text.as_bytes(), layers, &amd64());
        let text = format!(
            r#"{{"os":"linux","architecture":"amd64","config":{{"Env":["A=1","B=x=y","A=2","C=","=no","none"],
               "WorkingDir":"/srv","Cmd":null}},"rootfs":{{"type":"layers","diff_ids":["{}"]}},"history":null}}"#,
            digest('c')
        );
        let config = parse(&text, 1).unwrap();
        let pairs: Vec<String> = config
            .env
            .iter()
            .map(|(name, value)| format!("{name}:{value}"))
            .collect();
        assert_eq!(pairs, ["A:2", "B:x=y", "C:"]);
        assert_eq!(config.cwd.as_deref(), Some("/srv"));
        assert_eq!(config.diff_ids[0].as_str(), digest('c'));
        assert_eq!(
            parse(&text, 2).unwrap_err().to_string(),
            "the image config is malformed: it tells of 1 layers, the manifest of 2"
        );
        assert!(matches!(
            parse(&text.replace("amd64", "riscv64"), 1),
            Err(ManifestError::Platform { .. })
        ));
        let empty = r#"{"os":"linux","architecture":"amd64","config":{"Env":null,"WorkingDir":""},"rootfs":{"diff_ids":null}}"#;
        let config = parse(empty, 0).unwrap();
        assert_eq!((config.env.len(), config.cwd), (0, None));
    }
}
