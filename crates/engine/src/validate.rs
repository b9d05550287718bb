//! What a request may say. Everything is checked here, before anything happens; the rest of the
//! engine takes what passed. Messages name the field.

use std::collections::{BTreeMap, BTreeSet};

use contree_api::instance::{CopySource, EnvMap, ExecSpec, InstanceSpawnRequest, TreeCopy};
use contree_api::limits::{
    DEFAULT_MAX_LAYER_BYTES, MAX_ATTACHED_FILES, MAX_COPIES, MAX_COPY_PATHS, MAX_EXEC_BYTES,
    MAX_TRUNCATE_OUTPUT_AT,
};
use contree_api::stream::ClosableStreamRepr;

use crate::{EngineLimits, Error};

/// Longest single argument or variable the kernel takes, with its NUL.
const MAX_ARGUMENT: usize = 128 * 1024;
/// Longest path the kernel takes, without its NUL.
const MAX_PATH: usize = 4_095;
/// Longest hostname the kernel takes.
const MAX_HOSTNAME: usize = 64;
/// Ids that exist inside a sandbox.
const MAX_ID: u32 = 65_535;

/// Checks a run, and puts the limits and defaults of this engine into it.
pub(crate) fn spawn(
    request: &mut InstanceSpawnRequest,
    limits: &EngineLimits,
) -> Result<(), Error> {
    if request.command.is_empty() {
        no_command(request)?;
    } else if !request.copy.is_empty() {
        return Err(Error::bad_request(
            "copy is only for runs without a command: set command to \"\"",
        ));
    }
    process(&Process {
        command: &request.command,
        args: &request.args,
        env: request.env.as_ref(),
        cwd: &request.cwd,
        uid: request.uid,
        gid: request.gid,
        truncate_output_at: request.truncate_output_at,
    })?;
    if let Some(stdin) = &request.stdin {
        self::stdin(stdin, "stdin")?;
    }
    hostname(&request.hostname)?;
    request.timeout = Some(timeout(
        request.timeout,
        limits.instance_default_timeout,
        limits.instance_max_timeout,
    )?);
    let cap = &mut request.resources_limits.max_layer_bytes;
    if *cap == 0 {
        return Err(Error::bad_request(
            "resources_limits.max_layer_bytes must be at least 1",
        ));
    }
    // The contract's default stands for "as much as there may be".
    if *cap > limits.instance_max_layer_bytes && *cap != DEFAULT_MAX_LAYER_BYTES {
        return Err(Error::bad_request(format!(
            "resources_limits.max_layer_bytes must be at most {}",
            limits.instance_max_layer_bytes
        )));
    }
    *cap = (*cap).min(limits.instance_max_layer_bytes);
    if request.files.len() > MAX_ATTACHED_FILES {
        return Err(Error::bad_request(format!(
            "files has more than {MAX_ATTACHED_FILES} entries"
        )));
    }
    let mut places = BTreeSet::new();
    for (dest, file) in &request.files {
        destination(dest)?;
        if !places.insert(place(dest)) {
            return Err(Error::bad_request(format!(
                "files[{dest:?}]: another entry has the same destination"
            )));
        }
        if file.uid > MAX_ID || file.gid > MAX_ID {
            return Err(Error::bad_request(format!(
                "files[{dest:?}]: uid and gid must be at most {MAX_ID}"
            )));
        }
        mode(file.mode.as_deref()).ok_or_else(|| {
            Error::bad_request(format!(
                "files[{dest:?}].mode must be octal text such as \"0644\" or \"4755\""
            ))
        })?;
    }
    for (index, copy) in request.copy.iter().enumerate() {
        self::copy(&format!("copy[{index}]"), copy)?;
    }
    Ok(())
}

/// Checks that a run without a command has nothing that only a command could use.
fn no_command(request: &InstanceSpawnRequest) -> Result<(), Error> {
    let empty = |stdin: &ClosableStreamRepr| stdin.value.is_empty() && stdin.close;
    let of_no_use = [
        ("shell", request.shell),
        ("args", !request.args.is_empty()),
        ("stdin", !request.stdin.as_ref().is_none_or(empty)),
    ];
    match of_no_use.iter().find(|(_, there)| *there) {
        Some((field, _)) => Err(Error::bad_request(format!(
            "command must not be empty when there is {field}"
        ))),
        None if request.copy.len() > MAX_COPIES => Err(Error::bad_request(format!(
            "copy has more than {MAX_COPIES} entries"
        ))),
        None => Ok(()),
    }
}

/// Checks a tree; `field` is its name in the request.
fn copy(field: &str, copy: &TreeCopy) -> Result<(), Error> {
    let path = |field: &str, path: &str| {
        let refuse = |why: &str| Err(Error::bad_request(format!("{field}: {why}")));
        no_nul(field, path)?;
        if !path.starts_with('/') {
            return refuse("the path must be absolute");
        }
        if path.len() > MAX_PATH {
            return refuse("the path is too long");
        }
        if path.split('/').any(|part| part == "..") {
            return refuse("the path must not contain '..'");
        }
        Ok(())
    };
    path(&format!("{field}.to"), &copy.to)?;
    if let CopySource::Image { paths, .. } = &copy.source {
        if paths.is_empty() || paths.len() > MAX_COPY_PATHS {
            return Err(Error::bad_request(format!(
                "{field}.paths must have 1 to {MAX_COPY_PATHS} entries"
            )));
        }
        for (index, one) in paths.iter().enumerate() {
            path(&format!("{field}.paths[{index}]"), one)?;
        }
    }
    for (name, id) in [("uid", copy.uid), ("gid", copy.gid)] {
        if id.is_some_and(|id| id > MAX_ID) {
            return Err(Error::bad_request(format!(
                "{field}.{name} must be at most {MAX_ID}"
            )));
        }
    }
    mode(copy.mode.as_deref()).map(drop).ok_or_else(|| {
        Error::bad_request(format!(
            "{field}.mode must be octal text such as \"0644\" or \"4755\""
        ))
    })
}

/// Checks a further process.
pub(crate) fn exec(spec: &ExecSpec) -> Result<(), Error> {
    if spec.command.is_empty() {
        return Err(Error::bad_request("command must not be empty"));
    }
    process(&Process {
        command: &spec.command,
        args: &spec.args,
        env: spec.env.as_ref(),
        cwd: &spec.cwd,
        uid: spec.uid,
        gid: spec.gid,
        truncate_output_at: spec.truncate_output_at,
    })?;
    spec.stdin
        .as_ref()
        .map_or(Ok(()), |stdin| self::stdin(stdin, "stdin"))
}

/// Checks bytes for stdin; `field` is their name in the request.
pub(crate) fn stdin(chunk: &ClosableStreamRepr, field: &str) -> Result<(), Error> {
    chunk
        .to_bytes()
        .map(drop)
        .map_err(|error| Error::bad_request(format!("{field}.{error}")))
}

/// A timeout in seconds, within its limit.
pub(crate) fn timeout(asked: Option<u32>, default: u32, max: u32) -> Result<u32, Error> {
    match asked {
        None => Ok(default.min(max)),
        Some(seconds) if (1..=max).contains(&seconds) => Ok(seconds),
        Some(_) => Err(Error::bad_request(format!(
            "timeout must be from 1 to {max} seconds"
        ))),
    }
}

/// Permission bits of an attached file: octal, with or without `0o`, also a whole `st_mode`, of
/// which the type of file does not count. None: not octal, or more than a mode has.
pub(crate) fn mode(text: Option<&str>) -> Option<u32> {
    let Some(text) = text else { return Some(0o644) };
    let digits = text
        .strip_prefix("0o")
        .or_else(|| text.strip_prefix("0O"))
        .unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'7')) {
        return None;
    }
    let bits = u32::from_str_radix(digits, 8).ok()?;
    (bits <= 0o177_777).then_some(bits & 0o7777)
}

struct Process<'a> {
    command: &'a str,
    args: &'a [String],
    env: Option<&'a EnvMap>,
    cwd: &'a str,
    uid: u32,
    gid: u32,
    truncate_output_at: u64,
}

fn process(process: &Process<'_>) -> Result<(), Error> {
    let empty = BTreeMap::new();
    let env = process.env.unwrap_or(&empty);
    let variables = env
        .iter()
        .map(|(name, value)| (name, value.as_deref().unwrap_or_default()));
    let texts = std::iter::once(("command", process.command, 0))
        .chain(process.args.iter().map(|arg| ("args", arg.as_str(), 0)))
        .chain(
            variables
                .clone()
                .map(|(name, value)| ("env", value, name.len() + 1)),
        );
    let mut total = 0_usize;
    for (field, text, more) in texts {
        no_nul(field, text)?;
        // What the kernel counts: the text, its NUL, and the place of its address.
        let size = text.len() + more + 1;
        if size > MAX_ARGUMENT {
            return Err(Error::bad_request(format!(
                "{field} has an item of more than {} bytes, more than a process can be given",
                MAX_ARGUMENT - 1
            )));
        }
        total = total.saturating_add(size + size_of::<usize>());
    }
    if total > MAX_EXEC_BYTES {
        return Err(Error::bad_request(format!(
            "command, args and env together are larger than {MAX_EXEC_BYTES} bytes, \
             counting {} more for each item",
            size_of::<usize>() + 1
        )));
    }
    for (name, _) in variables {
        no_nul("env", name)?;
        if name.is_empty() || name.contains('=') {
            return Err(Error::bad_request(format!(
                "env: {name:?} is no name of a variable"
            )));
        }
    }
    no_nul("cwd", process.cwd)?;
    if !(process.cwd.is_empty() || process.cwd.starts_with('/')) {
        return Err(Error::bad_request("cwd must be absolute or empty"));
    }
    if process.cwd.len() > MAX_PATH {
        return Err(Error::bad_request(format!(
            "cwd is longer than {MAX_PATH} bytes"
        )));
    }
    for (field, id) in [("uid", process.uid), ("gid", process.gid)] {
        if id > MAX_ID {
            return Err(Error::bad_request(format!(
                "{field} must be at most {MAX_ID}"
            )));
        }
    }
    if process.truncate_output_at > MAX_TRUNCATE_OUTPUT_AT {
        return Err(Error::bad_request(format!(
            "truncate_output_at must be at most {MAX_TRUNCATE_OUTPUT_AT}"
        )));
    }
    Ok(())
}

fn no_nul(field: &str, text: &str) -> Result<(), Error> {
    if text.contains('\0') {
        return Err(Error::bad_request(format!(
            "{field} must not contain a NUL character"
        )));
    }
    Ok(())
}

fn hostname(name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.is_empty() || name.len() > MAX_HOSTNAME || !name.bytes().all(plain) {
        return Err(Error::bad_request(format!(
            "hostname must have 1 to {MAX_HOSTNAME} letters, digits, '-', '.' or '_'"
        )));
    }
    Ok(())
}

/// The parts of a destination that count, from the root on: `/a`, `a` and `//./a` are one place.
fn place(dest: &str) -> Vec<&str> {
    dest.split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect()
}

/// A destination names a file below the root, which relative ones start from too. Where symbolic links of the image lead is the
/// sandbox's business; it never leaves the image.
fn destination(dest: &str) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::bad_request(format!("files[{dest:?}]: {why}")));
    if dest.contains('\0') {
        return refuse("the path must not contain a NUL character");
    }
    if dest.len() > MAX_PATH {
        return refuse("the path is too long");
    }
    if dest.split('/').any(|part| part == "..") {
        return refuse("the path must not contain '..'");
    }
    match dest.rsplit('/').next() {
        None | Some("" | ".") => refuse("the path must name a file"),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use contree_api::image::ImageRef;
    use contree_api::instance::AttachedFile;
    use contree_api::stream::Encoding;
    use contree_api::{FileId, ImageId};

    use super::*;

    fn request() -> InstanceSpawnRequest {
        InstanceSpawnRequest::new("true", ImageRef::Id(ImageId::new()))
    }

    #[test]
    fn modes() {
        for (text, bits) in [
            (None, Some(0o644)),
            (Some("0644"), Some(0o644)),
            (Some("4755"), Some(0o4755)),
            (Some("0o600"), Some(0o600)),
            (Some("0o100644"), Some(0o644)),
            (Some("100755"), Some(0o755)),
            (Some("0"), Some(0)),
            (Some(""), None),
            (Some("0o"), None),
            (Some("rw-"), None),
            (Some("0888"), None),
            (Some("-644"), None),
            (Some("040755"), Some(0o755)),
            (Some("200644"), None),
            (Some("777777777777"), None),
        ] {
            assert_eq!(mode(text), bits, "{text:?}");
        }
    }

    #[test]
    fn defaults_and_limits_are_put_in() {
        let limits = EngineLimits {
            instance_max_layer_bytes: 1 << 20,
            ..EngineLimits::default()
        };
        let mut request = request();
        spawn(&mut request, &limits).unwrap();
        assert_eq!(request.timeout, Some(600));
        assert_eq!(request.resources_limits.max_layer_bytes, 1 << 20);
    }

    #[test]
    fn refusals_name_the_field() {
        type Change = fn(&mut InstanceSpawnRequest);
        let file = |request: &mut InstanceSpawnRequest, dest: &str, mode: &str| {
            let file = AttachedFile {
                uuid: FileId::new(),
                uid: 0,
                gid: 0,
                mode: Some(mode.to_owned()),
            };
            request.files.insert(dest.to_owned(), file);
        };
        let cases: [(&str, Change); 16] = [
            ("command", |r| r.command = "a\0b".into()),
            ("args", |r| r.args = vec!["\0".into()]),
            ("args", |r| r.args = vec!["x".repeat(MAX_ARGUMENT)]),
            ("command, args and env", |r| {
                r.args = vec!["x".repeat(1_000); 3_000]
            }),
            ("env", |r| {
                r.env = Some(BTreeMap::from([("A=B".into(), None)]))
            }),
            ("env", |r| {
                r.env = Some(BTreeMap::from([(String::new(), None)]))
            }),
            ("env", |r| {
                r.env = Some(BTreeMap::from([("A".into(), Some("\0".into()))]))
            }),
            ("cwd", |r| r.cwd = "tmp".into()),
            ("uid", |r| r.uid = 65_536),
            ("gid", |r| r.gid = u32::MAX),
            ("hostname", |r| r.hostname = "a b".into()),
            ("timeout", |r| r.timeout = Some(0)),
            ("timeout", |r| r.timeout = Some(3_601)),
            ("truncate_output_at", |r| {
                r.truncate_output_at = MAX_TRUNCATE_OUTPUT_AT + 1
            }),
            ("resources_limits.max_layer_bytes", |r| {
                r.resources_limits.max_layer_bytes = 0
            }),
            ("stdin", |r| {
                r.stdin = Some(ClosableStreamRepr {
                    value: "?".into(),
                    encoding: Encoding::Base64,
                    close: true,
                });
            }),
        ];
        for (field, change) in cases {
            let mut request = request();
            change(&mut request);
            let error = spawn(&mut request, &EngineLimits::default()).unwrap_err();
            assert!(error.message().starts_with(field), "{field}: {error}");
        }
        let mut twice = request();
        file(&mut twice, "/a", "644");
        file(&mut twice, ".//a", "644");
        let error = spawn(&mut twice, &EngineLimits::default()).unwrap_err();
        assert!(error.message().contains("same destination"), "{error}");
        for (dest, mode) in [
            ("", "644"),
            ("/", "644"),
            ("/a/", "644"),
            ("/a/../b", "644"),
            ("/a", "9"),
            (".", "644"),
        ] {
            let mut request = request();
            file(&mut request, dest, mode);
            let error = spawn(&mut request, &EngineLimits::default()).unwrap_err();
            assert!(error.message().starts_with("files["), "{dest}: {error}");
        }
        for dest in ["/a", "bin/app", "/a b/ü"] {
            let mut request = request();
            file(&mut request, dest, "644");
            spawn(&mut request, &EngineLimits::default()).unwrap();
        }
    }

    #[test]
    fn runs_without_a_command() {
        let from = |to: &str, paths: &[&str]| TreeCopy {
            source: CopySource::Image {
                image: ImageRef::Id(ImageId::new()),
                paths: paths.iter().map(|&path| path.to_owned()).collect(),
            },
            to: to.to_owned(),
            uid: None,
            gid: None,
            mode: None,
        };
        let checked = |change: &dyn Fn(&mut InstanceSpawnRequest)| {
            let mut request = request();
            request.command.clear();
            request.copy = vec![from("/to/", &["/a"]), from("/", &["/a", "/b c/."])];
            change(&mut request);
            spawn(&mut request, &EngineLimits::default())
        };
        checked(&|_| {}).unwrap();
        checked(&|r| r.copy.clear()).unwrap();
        checked(&|r| r.copy = vec![r.copy[0].clone(); MAX_COPIES]).unwrap();
        checked(&|r| {
            r.stdin = Some(ClosableStreamRepr {
                value: String::new(),
                encoding: Encoding::Ascii,
                close: true,
            });
        })
        .unwrap();
        type Change = fn(&mut InstanceSpawnRequest);
        let cases: [(&str, Change); 14] = [
            ("copy is only for runs without", |r| {
                r.command = "true".into();
            }),
            ("command must not be empty when there is shell", |r| {
                r.shell = true;
            }),
            ("command must not be empty when there is args", |r| {
                r.args = vec!["a".into()];
            }),
            ("command must not be empty when there is stdin", |r| {
                r.stdin = Some(ClosableStreamRepr {
                    value: "x".into(),
                    encoding: Encoding::Ascii,
                    close: true,
                });
            }),
            ("copy has more than 64", |r| {
                r.copy = vec![r.copy[0].clone(); MAX_COPIES + 1];
            }),
            ("copy[1].to: the path must be absolute", |r| {
                r.copy[1].to = "to".into();
            }),
            ("copy[0].to: the path must not contain '..'", |r| {
                r.copy[0].to = "/a/../b".into();
            }),
            ("copy[0].to must not contain a NUL", |r| {
                r.copy[0].to = "/\0".into();
            }),
            ("copy[0].to: the path is too long", |r| {
                r.copy[0].to = "/x".repeat(MAX_PATH);
            }),
            ("copy[0].uid", |r| r.copy[0].uid = Some(65_536)),
            ("copy[1].gid", |r| r.copy[1].gid = Some(u32::MAX)),
            ("copy[0].mode", |r| r.copy[0].mode = Some("rwx".into())),
            ("copy[0].paths must have 1 to", |r| {
                if let CopySource::Image { paths, .. } = &mut r.copy[0].source {
                    paths.clear();
                }
            }),
            ("copy[1].paths[1]: the path must be absolute", |r| {
                if let CopySource::Image { paths, .. } = &mut r.copy[1].source {
                    paths[1] = "b".into();
                }
            }),
        ];
        for (expected, change) in cases {
            let error = checked(&change).unwrap_err();
            assert!(error.message().starts_with(expected), "{expected}: {error}");
        }
    }
}
