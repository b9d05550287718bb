//! From a request to a process: arguments, environment, working directory.

use std::collections::BTreeMap;

use contree_api::event::is_secret_name;
use contree_api::image::MASKED;
use contree_api::instance::{EnvMap, ExecSpec, InstanceSpawnRequest};
use contree_api::limits::DEFAULT_PATH;
use contree_api::stream::ClosableStreamRepr;
use contree_images::Store;
use contree_records::ImageGround;
use contree_sandbox::{Attachment, Process, Program};

use crate::validate;

/// An environment.
pub(crate) type Env = BTreeMap<String, String>;

/// A checked run with what it starts from.
#[derive(Debug)]
pub(crate) struct RunPlan {
    pub(crate) image: ImageGround,
}

/// A process with what is to be done with its streams.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    pub(crate) process: Process,
    /// As it was asked for.
    pub(crate) shell: bool,
    pub(crate) env: Env,
    pub(crate) cwd: String,
    pub(crate) truncate_at: u64,
    pub(crate) stdin: Option<Stdin>,
}

/// What a process is fed first.
#[derive(Debug)]
pub(crate) struct Stdin {
    pub(crate) bytes: Vec<u8>,
    /// End of file follows.
    pub(crate) close: bool,
}

/// The first process of a run: its command, or without one what puts files and trees in place.
pub(crate) fn main_process(request: &InstanceSpawnRequest, image: &ImageGround) -> ProcessPlan {
    let env = effective(&image.env, request.env.as_ref());
    let cwd = working_directory(&request.cwd, image.cwd.as_deref());
    if request.command.is_empty() {
        return ProcessPlan {
            process: Process {
                program: Program::Trees,
                env: Vec::new(),
                cwd: cwd.clone().into_bytes(),
                uid: request.uid,
                gid: request.gid,
                stdin: true,
            },
            shell: false,
            env,
            cwd,
            truncate_at: request.truncate_output_at,
            // What it is fed is nobody's input.
            stdin: None,
        };
    }
    plan(
        &Command {
            command: &request.command,
            args: &request.args,
            shell: request.shell,
        },
        env,
        cwd,
        (request.uid, request.gid),
        request.stdin.as_ref(),
        request.truncate_output_at,
    )
}

/// A further process, in the environment of the first.
pub(crate) fn further_process(spec: &ExecSpec, env: &Env, image_cwd: Option<&str>) -> ProcessPlan {
    plan(
        &Command {
            command: &spec.command,
            args: &spec.args,
            shell: spec.shell,
        },
        effective(env, spec.env.as_ref()),
        working_directory(&spec.cwd, image_cwd),
        (spec.uid, spec.gid),
        spec.stdin.as_ref(),
        spec.truncate_output_at,
    )
}

/// The attached files of a run, as the sandbox takes them.
pub(crate) fn attachments(request: &InstanceSpawnRequest, store: &Store) -> Vec<Attachment> {
    request
        .files
        .iter()
        .map(|(dest, file)| Attachment {
            source: store.file_name(file.uuid),
            dest: dest.as_bytes().to_vec(),
            uid: file.uid,
            gid: file.gid,
            // Checked when the run was accepted.
            mode: validate::mode(file.mode.as_deref()).unwrap_or(0o644),
        })
        .collect()
}

struct Command<'a> {
    command: &'a str,
    args: &'a [String],
    shell: bool,
}

fn plan(
    command: &Command<'_>,
    env: Env,
    cwd: String,
    (uid, gid): (u32, u32),
    stdin: Option<&ClosableStreamRepr>,
    truncate_at: u64,
) -> ProcessPlan {
    let argv = arguments(command, env.get("SHELL").map(String::as_str));
    // An empty stdin that is closed at once is what a process without a pipe has as well.
    let stdin = stdin
        .map(|stdin| Stdin {
            // Checked when the request was accepted.
            bytes: stdin.to_bytes().unwrap_or_default(),
            close: stdin.close,
        })
        .filter(|stdin| !(stdin.bytes.is_empty() && stdin.close));
    let process = Process {
        program: Program::Command(argv.into_iter().map(String::into_bytes).collect()),
        env: env
            .iter()
            .map(|(name, value)| (name.clone().into(), value.clone().into()))
            .collect(),
        cwd: cwd.clone().into_bytes(),
        uid,
        gid,
        stdin: stdin.is_some(),
    };
    ProcessPlan {
        process,
        shell: command.shell,
        env,
        cwd,
        truncate_at,
        stdin,
    }
}

/// What is executed.
///
/// Without `shell`: the command and its arguments. With it: `$SHELL -c COMMAND ARGS…`, so that
/// arguments are `$0`, `$1`, … of the expression. When the expression is a single plain word it
/// names a program, and such an expression cannot use its parameters; it is given them instead,
/// as `$SHELL -c 'COMMAND "$@"' COMMAND ARGS…`. That is how a script goes to a shell's stdin with
/// arguments: command `/bin/sh`, args `-s -- ARGS…`.
fn arguments(command: &Command<'_>, shell: Option<&str>) -> Vec<String> {
    if !command.shell {
        let mut argv = vec![command.command.to_owned()];
        argv.extend_from_slice(command.args);
        return argv;
    }
    let shell = shell.filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh");
    let mut argv = vec![shell.to_owned(), "-c".to_owned()];
    if !command.args.is_empty() && is_plain_word(command.command) {
        argv.push(format!("{} \"$@\"", command.command));
        argv.push(command.command.to_owned());
    } else {
        argv.push(command.command.to_owned());
    }
    argv.extend_from_slice(command.args);
    argv
}

/// Whether a shell takes the text as one word that stands for itself.
fn is_plain_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'+')
        })
}

/// The environment a process gets: the image's, the request's over it (`null` removes), and a
/// `PATH` in any case.
fn effective(image: &Env, request: Option<&EnvMap>) -> Env {
    let mut env = image.clone();
    for (name, value) in request.into_iter().flatten() {
        match value {
            Some(value) => env.insert(name.clone(), value.clone()),
            None => env.remove(name),
        };
    }
    env.entry("PATH".to_owned())
        .or_insert_with(|| DEFAULT_PATH.to_owned());
    env
}

/// The environment kept with the image: the image's, the request's over it; `null` and `""`
/// remove.
pub(crate) fn preserved(image: &Env, request: Option<&EnvMap>) -> Env {
    let mut env = image.clone();
    for (name, value) in request.into_iter().flatten() {
        match value.as_deref() {
            Some(value) if !value.is_empty() => env.insert(name.clone(), value.to_owned()),
            _ => env.remove(name),
        };
    }
    env
}

fn working_directory(asked: &str, image: Option<&str>) -> String {
    if asked.is_empty() {
        image.unwrap_or("/")
    } else {
        asked
    }
    .to_owned()
}

/// An environment as it is shown in events.
pub(crate) fn masked(env: &Env) -> Env {
    env.iter()
        .map(|(name, value)| {
            let shown = if is_secret_name(name) {
                MASKED
            } else {
                value.as_str()
            };
            (name.clone(), shown.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(command: &str, args: &[&str], shell: bool, sh: Option<&str>) -> Vec<String> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        arguments(
            &Command {
                command,
                args: &args,
                shell,
            },
            sh,
        )
    }

    #[test]
    fn what_is_executed() {
        assert_eq!(
            argv("ls", &["-l", ""], false, Some("/bin/bash")),
            ["ls", "-l", ""]
        );
        assert_eq!(
            argv("echo $HOME", &[], true, None),
            ["/bin/sh", "-c", "echo $HOME"]
        );
        assert_eq!(
            argv("ls", &[], true, Some("/bin/bash")),
            ["/bin/bash", "-c", "ls"]
        );
        assert_eq!(argv("ls", &[], true, Some("")), ["/bin/sh", "-c", "ls"]);
        assert_eq!(
            argv("echo $0 $1", &["a", "b c"], true, None),
            ["/bin/sh", "-c", "echo $0 $1", "a", "b c"]
        );
        assert_eq!(
            argv("/bin/sh", &["-s", "--", "x y"], true, None),
            [
                "/bin/sh",
                "-c",
                "/bin/sh \"$@\"",
                "/bin/sh",
                "-s",
                "--",
                "x y"
            ]
        );
    }

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn environments() {
        let image = env(&[("A", "1"), ("B", "2"), ("C", "3")]);
        let request = EnvMap::from([
            ("A".to_owned(), Some("9".to_owned())),
            ("B".to_owned(), None),
            ("C".to_owned(), Some(String::new())),
            ("API_TOKEN".to_owned(), Some("secret".to_owned())),
        ]);
        let effective = effective(&image, Some(&request));
        assert_eq!(
            effective,
            env(&[
                ("A", "9"),
                ("C", ""),
                ("API_TOKEN", "secret"),
                ("PATH", DEFAULT_PATH)
            ])
        );
        assert_eq!(masked(&effective)["API_TOKEN"], MASKED);
        assert_eq!(masked(&effective)["A"], "9");
        let kept = preserved(&image, Some(&request));
        assert_eq!(kept, env(&[("A", "9"), ("API_TOKEN", "secret")]));
    }

    #[test]
    fn working_directories() {
        assert_eq!(working_directory("", None), "/");
        assert_eq!(working_directory("", Some("/srv")), "/srv");
        assert_eq!(working_directory("/a", Some("/srv")), "/a");
    }
}
