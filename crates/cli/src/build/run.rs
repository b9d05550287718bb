//! `RUN`.

use contree_api::ImageId;
use contree_api::image::ImageRef;
use contree_api::instance::{AttachedFile, InstanceSpawnRequest, Networking};
use contree_api::limits::MAX_TRUNCATE_OUTPUT_AT;
use serde_json::{Value, json};

use super::cache::Key;
use super::dockerfile::{Instruction, Run, RunCommand};
use super::expand::is_predefined;
use super::job::Build;
use super::progress::StepId;
use super::state::State;
use super::users::{Accounts, User};
use crate::failure::{Doing as _, Failure};

/// Where a script of a heredoc lies while it runs: in memory, so that nothing is left of it.
const SCRIPT: &str = "/dev/shm/heredoc";

impl Build {
    /// Carries out a `RUN`, or finds what it made before.
    pub(super) async fn run(
        &self,
        state: &mut State,
        run: &Run,
        instruction: &Instruction,
        step: StepId,
    ) -> Result<(), Failure> {
        let key = Key::step(state.image, &self.depends_on(state, run));
        self.board.start(step);
        if let Some(image) = self.cache.find(&key).await? {
            state.advance(image, key);
            self.board.cached(step);
            return Ok(());
        }
        let from = if state.run_makes_folders() {
            state.image
        } else {
            self.make_folders(state, step).await?
        };
        let user = self.user(state).await?;
        let mut request = self.request(state, run, &user).await?;
        request.image = ImageRef::Id(from);
        let ended = self.operations.run(&request, &self.board, step).await?;
        let image = ended.image(self.timeout).map_err(|failure| {
            failure.next(format!(
                "contree run --use {from} ...   (look around in the image that it started from)"
            ))
        })?;
        self.advance(state, key, image, &instruction.text, ended.id)
            .await?;
        self.board.done(step);
        Ok(())
    }

    /// All that the result of a `RUN` depends on, but for the image. Proxies say nothing of what is
    /// built.
    fn depends_on(&self, state: &State, run: &Run) -> Value {
        let mut env = state.scope.run_env(&self.globals);
        env.retain(|name, _| state.scope.env().contains_key(name) || !is_predefined(name));
        let command = match &run.command {
            RunCommand::Shell(text) => json!({ "shell": state.shell, "text": text }),
            RunCommand::Exec(words) => json!({ "exec": words }),
            RunCommand::Script(text) => json!({ "script": text }),
        };
        json!({
            "run": command,
            "env": env,
            "workdir": state.workdir,
            "user": state.user,
            "offline": run.is_offline,
            "folders": state.folders_json(),
        })
    }

    /// Who `USER` says, as the image has it.
    async fn user(&self, state: &State) -> Result<User, Failure> {
        match state.user.as_deref() {
            None | Some("root" | "0" | "root:root" | "0:0") => Ok(User::root()),
            Some(spec) => self.accounts(state.image).await?.user(spec),
        }
    }

    /// The users and groups of an image.
    pub(super) async fn accounts(&self, image: ImageId) -> Result<Accounts, Failure> {
        self.operations.assure(image).await?;
        Accounts::read(&self.client, image).await
    }

    async fn request(
        &self,
        state: &State,
        run: &Run,
        user: &User,
    ) -> Result<InstanceSpawnRequest, Failure> {
        let mut script = None;
        let argv = match &run.command {
            RunCommand::Shell(text) => [&state.shell[..], std::slice::from_ref(text)].concat(),
            RunCommand::Exec(words) => words.clone(),
            RunCommand::Script(text) => {
                script = Some(text);
                interpreter(text)
            }
        };
        let mut words = argv.into_iter();
        let command = words.next().filter(|command| !command.is_empty());
        let command = command.ok_or_else(|| Failure::new("there is no command to run"))?;
        let mut request = InstanceSpawnRequest::new(command, ImageRef::Id(state.image));
        request.args = words.collect();
        request.cwd.clone_from(&state.workdir);
        request.uid = user.uid;
        request.gid = user.gid;
        request.timeout = Some(self.timeout);
        request.truncate_output_at = MAX_TRUNCATE_OUTPUT_AT;
        if run.is_offline {
            request.networking = Networking { enabled: false };
        }
        let mut env = state.scope.run_env(&self.globals);
        env.entry("HOME".to_owned())
            .or_insert_with(|| user.home.clone());
        let env = env.into_iter().map(|(name, value)| (name, Some(value)));
        request.env = Some(env.collect());
        if let Some(text) = script {
            let uploaded = self.client.upload_bytes(text.clone().into_bytes().into());
            let file = AttachedFile {
                uuid: uploaded
                    .await
                    .doing(|| "could not upload it".to_owned())?
                    .uuid,
                uid: user.uid,
                gid: user.gid,
                mode: Some("0755".to_owned()),
            };
            request.files.insert(SCRIPT.to_owned(), file);
        }
        Ok(request)
    }
}

/// How the kernel would start the script: the first line's program with at most one argument.
/// Nothing is executed from memory that holds no programs, so the program is named.
fn interpreter(script: &str) -> Vec<String> {
    let line = script.lines().next().unwrap_or_default();
    let line = line.strip_prefix("#!").unwrap_or_default().trim();
    let mut words: Vec<String> = line
        .splitn(2, [' ', '\t'])
        .map(|word| word.trim().to_owned())
        .collect();
    words.push(SCRIPT.to_owned());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_started_as_the_kernel_does() {
        assert_eq!(interpreter("#!/bin/bash\nls\n"), ["/bin/bash", SCRIPT]);
        assert_eq!(
            interpreter("#! /usr/bin/env  python3 -u\n"),
            ["/usr/bin/env", "python3 -u", SCRIPT]
        );
    }
}
