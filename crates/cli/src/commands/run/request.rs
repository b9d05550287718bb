//! What is to run.

use std::collections::BTreeMap;

use contree_api::ImageId;
use contree_api::image::ImageRef;
use contree_api::instance::{AttachedFile, EnvMap, InstanceSpawnRequest};

use super::RunArgs;
use crate::commands::r#use::shell_word;
use crate::failure::Failure;
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
    let (command, arguments) = command(&args.command, args.shell);
    let mut request = InstanceSpawnRequest::new(command, ImageRef::Id(image));
    request.args = arguments;
    request.shell = args.shell;
    request.disposable = args.disposable;
    request.hostname.clone_from(&args.hostname);
    request.truncate_output_at = args.truncate;
    request.timeout = Some(args.timeout);
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
