//! Runs: what a client asks for and what comes of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::ImageRef;
use crate::limits;
use crate::stream::{ClosableStreamRepr, StreamRepr};
use crate::{FileId, OperationId};

/// Environment as requests carry it; `null` and `""` remove a preserved variable.
pub type EnvMap = BTreeMap<String, Option<String>>;

/// What a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = InstanceResourcesLimits))]
pub struct ResourceLimits {
    /// Most bytes the run may write; default 12 GiB.
    #[serde(default = "default_max_layer_bytes")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, default = default_max_layer_bytes, example = 1_073_741_824))]
    pub max_layer_bytes: u64,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            max_layer_bytes: limits::DEFAULT_MAX_LAYER_BYTES,
        }
    }
}

const fn default_max_layer_bytes() -> u64 {
    limits::DEFAULT_MAX_LAYER_BYTES
}

/// Network of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = InstanceNetworking))]
pub struct Networking {
    /// Whether the run reaches the outside; default true. Loopback is always there.
    #[serde(default = "yes")]
    #[cfg_attr(feature = "openapi", schema(default = yes))]
    pub enabled: bool,
}

impl Default for Networking {
    fn default() -> Self {
        Self { enabled: true }
    }
}

const fn yes() -> bool {
    true
}

/// An uploaded file placed into the sandbox before the command starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttachedFile {
    /// The uploaded file.
    pub uuid: FileId,
    /// Owner; default 0.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = Int64, default = 0))]
    pub uid: u32,
    /// Group; default 0.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = Int64, default = 0))]
    pub gid: u32,
    /// Octal text such as `"0644"`, `"4755"`, `"0o644"`, or a full `st_mode`; default 0644.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(default = "0644"))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub mode: Option<String>,
}

/// A tree that is put in place in the sandbox: files and folders of an image, or an uploaded
/// archive. (Beyond the contract.)
///
/// Owners, modes, times, extended attributes and links stay as they are in the source, but for
/// what `uid`, `gid` and `mode` say. Folders merge, also through links that lead to folders; a file
/// takes the place of a file or a link; a file over a folder, or a folder over a file, is an error.
/// Devices are left out. What cannot be put in place is said on the error output, and the exit
/// code is 1; what was put in place before stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TreeCopyFields")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TreeCopy {
    /// What is put in place.
    #[serde(flatten)]
    pub source: CopySource,
    /// Where: an absolute path without `..`. It names a folder, made when it is missing, when it
    /// ends in `/`, is a folder already, or gets several paths, a folder or an archive; otherwise
    /// it names the one file. Missing folders belong to `uid` and `gid`, else to root, and have the
    /// mode 0755; only one that is made for a single folder and has no `/` at its end becomes what
    /// that folder is.
    #[cfg_attr(feature = "openapi", schema(pattern = "^/", example = "/usr/local/"))]
    pub to: String,
    /// Owner of everything that is put in place; default: as in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = Int64, nullable = false))]
    pub uid: Option<u32>,
    /// Group of everything that is put in place; default: as in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = Int64, nullable = false))]
    pub gid: Option<u32>,
    /// Permissions of every file and folder that is put in place, written as in
    /// [`AttachedFile::mode`]; default: as in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "0755"))]
    pub mode: Option<String>,
}

/// Where a tree comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TreeSource))]
pub enum CopySource {
    /// Files and folders of an image.
    Image {
        /// The image.
        image: ImageRef,
        /// Absolute paths in it without `..`, at most 1,000. A folder stands for what is in it; a
        /// symbolic link, for what it leads to inside the image.
        #[cfg_attr(feature = "openapi", schema(min_items = 1, example = json!(["/out/app"])))]
        paths: Vec<String>,
    },
    /// All of an archive.
    Archive {
        /// An uploaded file: a tar, plain or compressed with gzip or zstd. Its names, absolute ones
        /// too, lie below `to`; one with `..` in it is an error.
        archive: FileId,
    },
}

/// [`TreeCopy`] as it is read: either kind of source, to be told apart.
#[derive(Deserialize)]
struct TreeCopyFields {
    image: Option<ImageRef>,
    paths: Option<Vec<String>>,
    archive: Option<FileId>,
    to: String,
    uid: Option<u32>,
    gid: Option<u32>,
    mode: Option<String>,
}

impl TryFrom<TreeCopyFields> for TreeCopy {
    type Error = &'static str;

    fn try_from(fields: TreeCopyFields) -> Result<Self, Self::Error> {
        let source = match (fields.image, fields.paths, fields.archive) {
            (Some(image), Some(paths), None) => CopySource::Image { image, paths },
            (None, None, Some(archive)) => CopySource::Archive { archive },
            _ => return Err("needs either `image` and `paths`, or `archive`"),
        };
        Ok(Self {
            source,
            to: fields.to,
            uid: fields.uid,
            gid: fields.gid,
            mode: fields.mode,
        })
    }
}

/// Body of `POST /instances`, and the metadata of the operation (there with `image` resolved).
/// Unknown keys are ignored. Omitted keys have the defaults named at each field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InstanceSpawnRequest {
    /// A shell expression when `shell`, else an executable (looked up in `PATH`). When it is empty
    /// (beyond the contract), without `shell`, `args` and `stdin`, nothing of the image is run:
    /// `files` and `copy` are put in place, which also works where there is no program at all.
    #[cfg_attr(feature = "openapi", schema(example = "/bin/app"))]
    pub command: String,
    /// The image to start from.
    pub image: ImageRef,
    /// Keep nothing of what the run writes; default false.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub disposable: bool,
    /// Default `linuxkit`.
    #[serde(default = "default_hostname")]
    #[cfg_attr(feature = "openapi", schema(default = default_hostname))]
    pub hostname: String,
    /// Arguments when not `shell`; with `shell` they become `$0`'s positional parameters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default = json!([]), example = json!(["arg1", "arg2"])))]
    pub args: Vec<String>,
    /// Run through `$SHELL` or `/bin/sh -c`; default false.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub shell: bool,
    /// Added to the image's environment; default none.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, Option<String>>>, example = json!({"KEY1": "value1"})))]
    pub env: Option<EnvMap>,
    /// Keep the merged environment with the resulting image; default false.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub preserve_env: bool,
    /// Keep the initial working directory with the resulting image; default false.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub preserve_cwd: bool,
    /// Absolute, or empty for the image's own, else `/`; made when missing.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^((/[^/]*)+/?)?$", default = "", example = "/app")
    )]
    pub cwd: String,
    /// User; default 0.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = Int64, default = 0))]
    pub uid: u32,
    /// Group; default 0.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = Int64, default = 0))]
    pub gid: u32,
    /// Limits; default see [`ResourceLimits`].
    #[serde(default)]
    pub resources_limits: ResourceLimits,
    /// Network; default on.
    #[serde(default)]
    pub networking: Networking,
    /// Fed to the command; default: an empty, closed stdin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub stdin: Option<ClosableStreamRepr>,
    /// Seconds; default 600. At most the token's `instance_max_timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, default = 600, example = 60))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub timeout: Option<u32>,
    /// Bytes of each stream kept in the log; default 1 MiB, at most 10 MiB.
    #[serde(default = "default_truncate")]
    #[cfg_attr(feature = "openapi", schema(maximum = 10_485_760, default = default_truncate, example = 65_535))]
    pub truncate_output_at: u64,
    /// Destination path → uploaded file; default none.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = json!({"/root/hello.txt": {"uuid": "a9165a5d-5c86-4bd8-8ee4-ae46c19cf45d", "mode": "0644"}})))]
    pub files: BTreeMap<String, AttachedFile>,
    /// At most 64 trees put in place, one after the other and after `files`; only when `command` is
    /// empty; default none. (Beyond the contract.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<TreeCopy>,
}

fn default_hostname() -> String {
    limits::DEFAULT_HOSTNAME.to_owned()
}

const fn default_truncate() -> u64 {
    limits::DEFAULT_TRUNCATE_OUTPUT_AT
}

impl InstanceSpawnRequest {
    /// A request with every default.
    #[must_use]
    pub fn new(command: impl Into<String>, image: ImageRef) -> Self {
        Self {
            command: command.into(),
            image,
            disposable: false,
            hostname: default_hostname(),
            args: Vec::new(),
            shell: false,
            env: None,
            preserve_env: false,
            preserve_cwd: false,
            cwd: String::new(),
            uid: 0,
            gid: 0,
            resources_limits: ResourceLimits::default(),
            networking: Networking::default(),
            stdin: None,
            timeout: None,
            truncate_output_at: default_truncate(),
            files: BTreeMap::new(),
            copy: Vec::new(),
        }
    }
}

/// Answer to `POST /instances`: the request as understood, and the operation's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceSpawnResponse {
    /// The operation.
    pub uuid: OperationId,
    /// The request, `image` resolved to an id.
    #[serde(flatten)]
    pub request: InstanceSpawnRequest,
    /// Always null here; the result comes with the operation.
    pub result: Option<InstanceResult>,
}

/// Body of `POST /operations/{id}/subprocesses`: a further process in a running sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecSpec {
    /// As in [`InstanceSpawnRequest::command`].
    #[cfg_attr(feature = "openapi", schema(example = "/bin/app"))]
    pub command: String,
    /// As in [`InstanceSpawnRequest::args`].
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default = json!([]), example = json!(["arg1", "arg2"])))]
    pub args: Vec<String>,
    /// As in [`InstanceSpawnRequest::shell`].
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub shell: bool,
    /// As in [`InstanceSpawnRequest::env`].
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, Option<String>>>))]
    pub env: Option<EnvMap>,
    /// As in [`InstanceSpawnRequest::cwd`].
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^((/[^/]*)+/?)?$", default = "")
    )]
    pub cwd: String,
    /// As in [`InstanceSpawnRequest::uid`].
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = Int64, default = 0))]
    pub uid: u32,
    /// As in [`InstanceSpawnRequest::gid`].
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = Int64, default = 0))]
    pub gid: u32,
    /// As in [`InstanceSpawnRequest::stdin`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub stdin: Option<ClosableStreamRepr>,
    /// As in [`InstanceSpawnRequest::truncate_output_at`].
    #[serde(default = "default_truncate")]
    #[cfg_attr(feature = "openapi", schema(maximum = 10_485_760, default = default_truncate, example = 65_535))]
    pub truncate_output_at: u64,
}

/// Answer to a subprocess create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SubprocessCreated))]
pub struct Spid {
    /// The process in its sandbox: 1 is the command, 2 and up are later ones.
    #[cfg_attr(feature = "openapi", schema(minimum = 2))]
    pub spid: u32,
}

/// What a process used, in the units of getrusage unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = InstanceResources))]
#[serde(default)]
pub struct Resources {
    /// Block input operations.
    pub block_input: i64,
    /// Block output operations.
    pub block_output: i64,
    /// CPU seconds times the configured price; 0 unless a price is set.
    #[cfg_attr(feature = "openapi", schema(format = Float))]
    pub cost: f64,
    /// Wall time in seconds.
    pub elapsed_time: f64,
    /// Involuntary context switches.
    pub involuntary_switches: i64,
    /// Peak resident memory in KiB.
    pub max_rss: i64,
    /// Wall time on the monotonic clock in seconds.
    #[cfg_attr(feature = "openapi", schema(format = Float))]
    pub monotonic_time: f64,
    /// Page faults without I/O.
    pub page_faults: i64,
    /// Page faults with I/O.
    pub page_faults_io: i64,
    /// Shared memory.
    pub shared_memory: i64,
    /// Signals received.
    pub signals: i64,
    /// Swaps.
    pub swaps: i64,
    /// Seconds in the kernel.
    #[cfg_attr(feature = "openapi", schema(format = Float))]
    pub system_cpu_time: f64,
    /// Unshared memory.
    pub unshared_memory: i64,
    /// Seconds in user space.
    #[cfg_attr(feature = "openapi", schema(format = Float))]
    pub user_cpu_time: f64,
    /// Voluntary context switches.
    pub voluntary_switches: i64,
}

/// How a process ended, or that it runs: then `exit_code` and `signal` are both −1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ProcessState {
    /// Never true.
    pub continued: bool,
    /// Whether the signal produced a core dump.
    pub core_dump: bool,
    /// 0 to 255; −1 while running or when killed.
    pub exit_code: i32,
    /// Process id inside the sandbox.
    pub pid: i32,
    /// The signal that ended it; −1 when none did.
    pub signal: i32,
    /// Never true.
    pub stopped: bool,
    /// Whether the timeout ended it.
    pub timed_out: bool,
}

impl Default for ProcessState {
    fn default() -> Self {
        Self {
            continued: false,
            core_dump: false,
            exit_code: -1,
            pid: 0,
            signal: -1,
            stopped: false,
            timed_out: false,
        }
    }
}

/// Result of a process, folded from its events.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct InstanceResult {
    /// What it used.
    pub resources: Resources,
    /// How it ended.
    pub state: ProcessState,
    /// Its output, up to the cap.
    pub stdout: StreamRepr,
    /// Its error output, up to the cap.
    pub stderr: StreamRepr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_names_one_source() {
        let image = "12345678-9abc-4aba-9eda-0123456789ab";
        for text in [
            format!(r#"{{"image":"{image}","paths":["/a","/b"],"to":"/x/"}}"#),
            r#"{"image":"tag:app:1","paths":["/a"],"to":"/x","uid":0,"mode":"0755"}"#.to_owned(),
            format!(r#"{{"archive":"{image}","to":"/x","gid":5}}"#),
        ] {
            let copy: TreeCopy = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&copy).unwrap(), text);
        }
        for text in [
            r#"{"to":"/x"}"#.to_owned(),
            format!(r#"{{"image":"{image}","to":"/x"}}"#),
            r#"{"paths":["/a"],"to":"/x"}"#.to_owned(),
            format!(r#"{{"archive":"{image}","paths":["/a"],"to":"/x"}}"#),
            format!(r#"{{"image":"{image}","paths":["/a"],"archive":"{image}","to":"/x"}}"#),
        ] {
            let error = serde_json::from_str::<TreeCopy>(&text).unwrap_err();
            assert!(
                error.to_string().contains("needs either"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn no_copy_is_not_written() {
        let request = InstanceSpawnRequest::new("true", ImageRef::Id(crate::ImageId::new()));
        assert!(!serde_json::to_string(&request).unwrap().contains("copy"));
    }
}
