//! What is to run.

use std::collections::BTreeMap;

use contree_api::ImageId;
use contree_api::image::ImageRef;
use contree_api::instance::{AttachedFile, EnvMap, InstanceSpawnRequest};
use contree_api::stream::{ClosableStreamRepr, encode};

use super::RunArgs;
use crate::commands::r#use::shell_word;
use crate::failure::{Doing as _, Failure};
use crate::session::Store;

/// Variables by name.
pub(super) type Env = BTreeMap<String, String>;

/// The request, and the variables of the run, those that need not be sent included.
pub(super) async fn build(
    store: &mut Store,
    args: &RunArgs,
    image: ImageId,
    attached: BTreeMap<String, AttachedFile>,
) -> Result<(InstanceSpawnRequest, Env), Failure> {
    let mut request;
    if args.interpreter {
        let (arguments, script) = script(&args.command)?;
        request = InstanceSpawnRequest::new("/bin/sh".to_owned(), ImageRef::Id(image));
        request.args = arguments;
        request.stdin = Some(script);
    } else {
        let (command, arguments) = command(&args.command, args.shell);
        request = InstanceSpawnRequest::new(command, ImageRef::Id(image));
        request.args = arguments;
        request.shell = args.shell;
    }
    request.disposable = args.disposable;
    request.hostname.clone_from(&args.hostname);
    request.truncate_output_at = args.truncate;
    request.timeout = (!args.untimed).then_some(args.timeout);
    request.preserve_env = args.preserve_env;
    request.cwd = if args.cwd.is_empty() {
        store.cwd().await?.unwrap_or_default()
    } else {
        args.cwd.clone()
    };

    let mut env: Env = store.env().await?.into_iter().collect();
    for item in &args.env {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        if key.is_empty() {
            return Err(Failure::new(format!(
                "-e {item}: a variable is set by KEY=VALUE"
            )));
        }
        env.insert(key.to_owned(), value.to_owned());
    }
    // What an earlier run left with the image need not be said again.
    let preserved: Option<Env> = store.recall(&image.to_string(), "preserved_env").await?;
    if !env.is_empty() && preserved.as_ref() != Some(&env) {
        request.env = Some(sent(&env));
    }

    request.files = attached;
    for file in store.pending_files().await? {
        let Ok(uuid) = file.file_uuid.parse() else {
            continue;
        };
        request
            .files
            .entry(file.instance_path)
            .or_insert(AttachedFile {
                uuid,
                uid: u32::try_from(file.uid).unwrap_or(0),
                gid: u32::try_from(file.gid).unwrap_or(0),
                mode: Some(file.mode),
            });
    }
    Ok((request, env))
}

fn sent(env: &Env) -> EnvMap {
    env.iter()
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .collect()
}

/// What a shell is given to carry out a script of this machine with words of its own, and the
/// script as its input: with line ends of Unix, and without the line that brought it here.
fn script(words: &[String]) -> Result<(Vec<String>, ClosableStreamRepr), Failure> {
    let (path, words) = words
        .split_first()
        .map_or(("", words), |(path, words)| (path, words));
    let text = std::fs::read(path).doing(|| format!("could not read the script {path}"))?;
    let (value, encoding) = encode(&body(text));
    let mut arguments = vec!["-s".to_owned()];
    if !words.is_empty() {
        arguments.push("--".to_owned());
        arguments.extend_from_slice(words);
    }
    let script = ClosableStreamRepr {
        value,
        encoding,
        close: true,
    };
    Ok((arguments, script))
}

/// A script as a shell reads it.
fn body(text: Vec<u8>) -> Vec<u8> {
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .peekable();
    if lines.peek().is_some_and(|line| line.starts_with(b"#!")) {
        lines.next();
    }
    lines.collect::<Vec<_>>().join(&b'\n')
}

/// The command and its arguments. For a shell one word is an expression as it is; several are
/// quoted so that the shell sees the same words.
fn command(words: &[String], shell: bool) -> (String, Vec<String>) {
    match words {
        [expression] => (expression.clone(), Vec::new()),
        words if shell => {
            let quoted: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
            (quoted.join(" "), Vec::new())
        }
        [command, arguments @ ..] => (command.clone(), arguments.to_vec()),
        [] => (String::new(), Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts() {
        let read = |text: &str| String::from_utf8(body(text.into())).unwrap();
        assert_eq!(read("#!/x -I\r\necho a\r\necho b\n"), "echo a\necho b\n");
        assert_eq!(read("echo a\n"), "echo a\n");
        assert_eq!(read("#!/x"), "");
        assert_eq!(read(""), "");
    }

    #[test]
    fn commands() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let read = |list: &[&str], shell| command(&words(list), shell);
        assert_eq!(
            read(&["ls", "-l", "a b"], false),
            ("ls".into(), words(&["-l", "a b"]))
        );
        assert_eq!(read(&["a && b"], true), ("a && b".into(), vec![]));
        assert_eq!(
            read(&["echo", "a b", "$HOME"], true),
            ("echo 'a b' '$HOME'".into(), vec![])
        );
    }
}
