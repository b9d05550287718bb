//! A build from its Dockerfile to its image.
//!
//! A stage is a future that carries out its instructions one after the other ([`State`] is where it
//! is), and ends with the stage's last state. Only stages that the target needs are begun, all at
//! once: whoever names another stage waits for its end. Each step is looked up in the [`Cache`]
//! before it is carried out.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::{ImageId, OperationId, Tag};
use contree_client::Client;
use serde_json::json;
use tokio::sync::OnceCell;

use super::cache::{Cache, Key, Made};
use super::context::Context as Files;
use super::dockerfile::{Dockerfile, Instruction, Stage, What};
use super::expand::{Globals, Platform};
use super::operations::Operations;
use super::progress::{Board, StepId};
use super::state::{State, Stored};
use crate::failure::{Doing as _, Failure};
use crate::interrupt::Interrupts;
use crate::session::{Kind, Store};

/// How much of an instruction is said with its error.
const QUOTED_CHARS: usize = 80;

/// The name of the image that has nothing in it.
const SCRATCH: &str = "scratch";

/// What is to be built.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) dockerfile: Dockerfile,
    pub(crate) files: Files,
    pub(crate) globals: Globals,
    pub(crate) platform: Platform,
    /// `--target`, else the last stage.
    pub(crate) target: Option<String>,
    pub(crate) tags: Vec<Tag>,
    /// Seconds for each `RUN`.
    pub(crate) timeout: u32,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) image: ImageId,
    pub(crate) session: String,
}

/// A build that is under way.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) client: Client,
    pub(super) cache: Cache,
    pub(super) operations: Operations,
    pub(super) board: Board,
    pub(super) files: Arc<Files>,
    pub(super) globals: Globals,
    pub(super) timeout: u32,
    pub(super) platform: Platform,
    /// Images by the names that the Dockerfile has for them.
    pub(super) resolved: RefCell<HashMap<String, Rc<OnceCell<ImageId>>>>,
    dockerfile: Dockerfile,
    tags: Vec<Tag>,
    target: usize,
    /// By the numbers of the stages; none for those that are not needed.
    stages: Vec<Option<Planned>>,
}

/// A stage that is needed.
#[derive(Debug)]
struct Planned {
    from: StepId,
    /// By the numbers of the instructions; none for those that do nothing by themselves.
    steps: Vec<Option<StepId>>,
}

/// The last states of the stages, by their numbers, as they come to their ends.
type Ends = Vec<OnceCell<State>>;

/// What a build stands on.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) client: Client,
    pub(crate) store: Store,
    /// The absolute path of the context.
    pub(crate) context: String,
    /// `--no-cache`.
    pub(crate) is_anew: bool,
    pub(crate) board: Board,
}

/// Builds.
pub(crate) async fn build(plan: Plan, ground: Ground) -> Result<Built, Failure> {
    let mut interrupts = Interrupts::listen();
    let session = super::cache::session_key(&ground.context);
    let cache = Cache::open(
        ground.client.clone(),
        ground.store,
        session.clone(),
        ground.is_anew,
    )
    .await?;
    let target = plan.target()?;
    let mut build = Build {
        operations: Operations::new(ground.client.clone()),
        client: ground.client,
        cache,
        board: ground.board,
        files: Arc::new(plan.files),
        globals: plan.globals,
        timeout: plan.timeout,
        dockerfile: plan.dockerfile,
        platform: plan.platform,
        resolved: RefCell::default(),
        tags: plan.tags,
        target,
        stages: Vec::new(),
    };
    let exporting = build.lay_out()?;
    build.say_warnings();
    let outcome = build
        .operations
        .guard(&mut interrupts, &build.board, build.carry_out(exporting))
        .await;
    build.board.finish(outcome.is_ok());
    let image = outcome?;
    Ok(Built { image, session })
}

impl Plan {
    /// The number of the stage that is wanted.
    fn target(&self) -> Result<usize, Failure> {
        let count = self.dockerfile.stages.len();
        let Some(name) = &self.target else {
            return Ok(count - 1);
        };
        let found = self.dockerfile.stage(name, count);
        found.map(|stage| stage.index).ok_or_else(|| {
            let known: Vec<String> = self.dockerfile.stages.iter().map(stage_name).collect();
            Failure::new(format!("--target {name}: there is no such stage"))
                .next(format!("one of: {}", known.join(", ")))
        })
    }
}

/// A stage for people: its name, else `stage-` and its number.
fn stage_name(stage: &Stage) -> String {
    stage
        .name
        .clone()
        .unwrap_or_else(|| format!("stage-{}", stage.index))
}

/// What one stage takes from others: the image it begins with, and those it copies from.
fn references<'a>(stage: &'a Stage, base: &'a str) -> impl Iterator<Item = &'a str> {
    let copied = stage
        .instructions
        .iter()
        .filter_map(|instruction| match &instruction.what {
            What::Copy(copy) => copy.from.as_deref(),
            _ => None,
        });
    std::iter::once(base).chain(copied)
}

impl Build {
    /// Finds out which stages are needed, and puts their steps on the board; the last step is that
    /// of the finished image.
    fn lay_out(&mut self) -> Result<StepId, Failure> {
        let mut needed = BTreeSet::new();
        let mut open = vec![self.target];
        while let Some(index) = open.pop() {
            if !needed.insert(index) {
                continue;
            }
            let stage = &self.dockerfile.stages[index];
            let base = self.base(stage)?;
            for name in references(stage, &base) {
                open.extend(self.dockerfile.stage(name, index).map(|stage| stage.index));
            }
        }
        self.stages = self
            .dockerfile
            .stages
            .iter()
            .map(|stage| {
                needed
                    .contains(&stage.index)
                    .then(|| self.put_on_board(stage))
            })
            .collect();
        Ok(self.board.add("exporting to image".to_owned()))
    }

    fn put_on_board(&self, stage: &Stage) -> Planned {
        let acts = |instruction: &&Instruction| {
            matches!(
                instruction.what,
                What::Run(_) | What::Copy(_) | What::Workdir(_)
            )
        };
        let count = 1 + stage.instructions.iter().filter(acts).count();
        let is_alone = self.dockerfile.stages.len() == 1 && stage.name.is_none();
        let mut nth = 0;
        let mut add = |text: &str| {
            nth += 1;
            let place = if is_alone {
                format!("[{nth}/{count}]")
            } else {
                format!("[{} {nth}/{count}]", stage_name(stage))
            };
            self.board.add(format!("{place} {text}"))
        };
        Planned {
            from: add(&stage.text),
            steps: stage
                .instructions
                .iter()
                .map(|instruction| acts(&instruction).then(|| add(&instruction.text)))
                .collect(),
        }
    }

    /// Says what people should know about the instructions before they are carried out.
    fn say_warnings(&self) {
        for (stage, _) in self.needed() {
            for instruction in &stage.instructions {
                for warning in &instruction.warnings {
                    let place = self.place_of(instruction.line);
                    self.board.warn(&format!("{place}: {warning}"));
                }
            }
        }
    }

    fn needed(&self) -> impl Iterator<Item = (&Stage, &Planned)> {
        let both = self.dockerfile.stages.iter().zip(&self.stages);
        both.filter_map(|(stage, planned)| Some((stage, planned.as_ref()?)))
    }

    /// The image of `FROM`, expanded.
    fn base(&self, stage: &Stage) -> Result<String, Failure> {
        let place = || format!("{}: {}", self.place_of(stage.line), stage.text);
        let base = self.globals.expand(&stage.base);
        let base = base.map_err(|why| Failure::new(why).while_doing(place()))?;
        if base.is_empty() {
            return Err(Failure::new("its variables leave no image")
                .while_doing(place())
                .next("--build-arg NAME=VALUE, or a default: ARG NAME=VALUE"));
        }
        Ok(base)
    }

    /// Builds all that is needed; the finished image. When something that was built before is gone
    /// from the server, it begins again and takes nothing for granted.
    async fn carry_out(&self, exporting: StepId) -> Result<ImageId, Failure> {
        let first = self.attempt(exporting).await;
        let is_gone = match &first {
            Ok(image) => image.is_none(),
            Err(_) => self.operations.is_image_gone(),
        };
        let outcome = if is_gone && self.cache.was_trusting() {
            self.board
                .note("what was built before is not on the server any more: building it again");
            self.cache.be_careful();
            self.board.begin_again();
            self.attempt(exporting).await
        } else {
            first
        };
        let image = outcome.and_then(|image| {
            image.ok_or_else(|| Failure::new("the image is gone from the server already"))
        });
        image.map_err(|failure| failure.while_doing("build failed"))
    }

    /// The finished image; none when it was built before and is gone.
    async fn attempt(&self, exporting: StepId) -> Result<Option<ImageId>, Failure> {
        let ends: Ends = self.stages.iter().map(|_| OnceCell::new()).collect();
        let stages = self
            .needed()
            .map(|(stage, _)| self.stage(&ends, stage.index));
        futures_util::future::try_join_all(stages).await?;
        let state = self.stage(&ends, self.target).await?;
        self.board.start(exporting);
        let image = state.image;
        for tag in &self.tags {
            self.board
                .status(exporting, &format!("naming to {tag}"), true);
            match self.client.set_tag(image, tag).await {
                Err(error) if error.is_not_found() => return Ok(None),
                outcome => outcome.doing(|| format!("could not set tag {tag}"))?,
            };
        }
        // A tag was proof enough.
        if self.tags.is_empty() && self.cache.was_trusting() && !self.cache.is_there(image).await? {
            return Ok(None);
        }
        self.cache.finish(&state.key).await?;
        self.board.done(exporting);
        Ok(Some(image))
    }

    /// The end of a stage; whoever asks first builds it. (Boxed, as stages ask for others.)
    fn stage<'a>(
        &'a self,
        ends: &'a Ends,
        index: usize,
    ) -> Pin<Box<dyn Future<Output = Result<&'a State, Failure>> + 'a>> {
        Box::pin(ends[index].get_or_try_init(move || self.build_stage(ends, index)))
    }

    async fn build_stage(&self, ends: &Ends, index: usize) -> Result<State, Failure> {
        let stage = &self.dockerfile.stages[index];
        let planned = self.stages[index].as_ref();
        let planned = planned.ok_or_else(|| Failure::new("a stage is missing from the plan"))?;
        let mut state = self
            .begin(ends, stage, planned.from)
            .await
            .map_err(|failure| self.fail(planned.from, stage.line, &stage.text, failure))?;
        for (instruction, step) in stage.instructions.iter().zip(&planned.steps) {
            let step = step.unwrap_or(planned.from);
            self.instruction(ends, &mut state, index, instruction, step)
                .await
                .map_err(|failure| self.fail(step, instruction.line, &instruction.text, failure))?;
        }
        let is_target = index == self.target;
        self.save(&mut state, is_target, planned.from).await?;
        Ok(state)
    }

    /// Says where something failed.
    fn fail(&self, step: StepId, line: usize, text: &str, failure: Failure) -> Failure {
        self.board.failed(step);
        let mut quoted: String = text.chars().take(QUOTED_CHARS).collect();
        if quoted.len() < text.len() {
            quoted.push('…');
        }
        failure.while_doing(format!("{}: {quoted}", self.place_of(line)))
    }

    /// The place of a line, as errors begin with: `Dockerfile:12`.
    fn place_of(&self, line: usize) -> String {
        format!("{}:{line}", self.dockerfile.name)
    }

    /// `FROM`.
    async fn begin(&self, ends: &Ends, stage: &Stage, step: StepId) -> Result<State, Failure> {
        self.check_platform(stage)?;
        let base = self.base(stage)?;
        if let Some(other) = self.dockerfile.stage(&base, stage.index) {
            let state = self.stage(ends, other.index).await?.clone();
            self.board.done(step);
            return Ok(state);
        }
        self.board.start(step);
        let image = if base.eq_ignore_ascii_case(SCRATCH) {
            self.scratch(step).await?
        } else {
            self.resolve(&base, step).await?
        };
        let stored = match self.cache.stored(image).await? {
            Some(stored) => stored,
            None => {
                self.operations.assure(image).await?;
                Stored::default()
            }
        };
        let key = Key::base(&image.to_string());
        if self.cache.find(&key).await?.is_some() {
            self.board.cached(step);
        } else {
            let made = Made {
                key: &key,
                above: None,
                image,
                kind: Kind::Use,
                title: &stage.text,
                operation: String::new(),
            };
            self.cache.add(made).await?;
            self.board.done(step);
        }
        let scope = self.globals.stage(stored.variables());
        Ok(State::new(image, key, scope, stored))
    }

    /// Servers run what is made for their own machine.
    fn check_platform(&self, stage: &Stage) -> Result<(), Failure> {
        let Some(platform) = &stage.platform else {
            return Ok(());
        };
        let asked = self.globals.expand(platform).map_err(Failure::new)?;
        let Platform { os, arch, .. } = &self.platform;
        let own = format!("{os}/{arch}");
        let is_own = asked.is_empty() || asked == own || asked.starts_with(&format!("{own}/"));
        if is_own {
            return Ok(());
        }
        Err(Failure::new(format!(
            "--platform={asked}: images for other machines than the server's cannot be built"
        ))
        .next(format!("leave it out, or --platform={own}")))
    }

    async fn instruction(
        &self,
        ends: &Ends,
        state: &mut State,
        index: usize,
        instruction: &Instruction,
        step: StepId,
    ) -> Result<(), Failure> {
        match &instruction.what {
            What::Run(run) => self.run(state, run, instruction, step).await?,
            What::Copy(copy) => {
                let from = match &copy.from {
                    Some(name) => Some(self.copied_from(ends, index, name, step).await?),
                    None => None,
                };
                self.place(state, copy, from, instruction, step).await?;
            }
            What::Env(pairs) => drop(state.scope.set_env(pairs).map_err(Failure::new)?),
            What::Arg(args) => state
                .scope
                .declare(&self.globals, args)
                .map_err(Failure::new)?,
            What::Workdir(path) => {
                let path = state.scope.expand(path).map_err(Failure::new)?;
                if path.is_empty() {
                    return Err(Failure::new("its variables leave no folder"));
                }
                self.board.start(step);
                state.set_workdir(&path);
                self.board.done(step);
            }
            What::User(user) => {
                let user = state.scope.expand(user).map_err(Failure::new)?;
                if user.is_empty() {
                    return Err(Failure::new("its variables leave no user"));
                }
                state.user = Some(user);
            }
            What::Shell(words) => state.shell.clone_from(words),
            What::Ignored(_) => {}
        }
        Ok(())
    }

    /// The image that `COPY --from` names.
    async fn copied_from(
        &self,
        ends: &Ends,
        index: usize,
        name: &str,
        step: StepId,
    ) -> Result<ImageId, Failure> {
        if let Some(stage) = self.dockerfile.stage(name, index) {
            return Ok(self.stage(ends, stage.index).await?.image);
        }
        self.board.start(step);
        self.resolve(name, step).await
    }

    /// Leaves with the image what only later steps were told of so far: folders, and at the end of
    /// the build, `ENV` and `WORKDIR`.
    async fn save(&self, state: &mut State, is_target: bool, step: StepId) -> Result<(), Failure> {
        let (env, cwd) = if is_target {
            state.unsaved()
        } else {
            Default::default()
        };
        if env.is_empty() && cwd.is_none() && state.folders.is_empty() {
            return Ok(());
        }
        let what = json!({ "save": { "env": env, "cwd": cwd, "folders": state.folders_json() } });
        let key = Key::step(state.image, &what);
        if let Some(image) = self.cache.find(&key).await? {
            state.advance(image, key);
            return Ok(());
        }
        let mut request = InstanceSpawnRequest::new("", ImageRef::Id(state.image));
        request.timeout = Some(self.timeout);
        request.copy = self.folder_copies(state).await?;
        if is_target {
            let variables = env.iter();
            let variables = variables.map(|(name, value)| (name.clone(), Some(value.clone())));
            request.env = Some(variables.collect());
            request.preserve_env = true;
            request.preserve_cwd = cwd.is_some();
            request.cwd = cwd.clone().unwrap_or_default();
        }
        let ended = self.operations.run(&request, &self.board, step).await?;
        let image = ended
            .placed(self.timeout)
            .map_err(|failure| failure.while_doing("could not save ENV and WORKDIR"))?;
        self.advance(state, key, image, "ENV and WORKDIR", ended.id)
            .await
    }

    /// Notes the image that an operation made of the stage's, and goes on from it.
    pub(super) async fn advance(
        &self,
        state: &mut State,
        key: Key,
        image: ImageId,
        title: &str,
        operation: OperationId,
    ) -> Result<(), Failure> {
        let made = Made {
            key: &key,
            above: Some(&state.key),
            image,
            kind: Kind::Run,
            title,
            operation: operation.to_string(),
        };
        self.cache.add(made).await?;
        state.advance(image, key);
        Ok(())
    }
}
