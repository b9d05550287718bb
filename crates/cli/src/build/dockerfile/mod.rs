//! A Dockerfile as data: stages of instructions, checked as far as the text alone allows.
//!
//! Three steps, a file each: [`lines`] makes logical lines of the text (escape character,
//! continuations, comments, heredocs), [`instruction`] reads one of them (flags, JSON, words), and
//! this one puts them into stages and looks at what concerns more than one line.
//!
//! Nothing is expanded here: variables have values only when a stage is built, see
//! [`super::expand`]. Errors begin with the place: `Dockerfile:12: COPY needs …`.

mod instruction;
mod lines;

use crate::failure::Failure;

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    /// What it is called in errors, such as `Dockerfile`.
    pub(crate) name: String,
    /// `\`, or what the `escape` directive names.
    pub(crate) escape: char,
    /// The `ARG`s before the first `FROM`.
    pub(crate) global_args: Vec<GlobalArgs>,
    /// At least one.
    pub(crate) stages: Vec<Stage>,
}

/// One `ARG` line before the first `FROM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GlobalArgs {
    pub(crate) line: usize,
    pub(crate) args: Vec<ArgDefault>,
}

/// `FROM` and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Counted from 0.
    pub(crate) index: usize,
    /// Of `FROM … AS name`, in lower case as names of stages are compared.
    pub(crate) name: Option<String>,
    /// The line of `FROM`, and as people see it.
    pub(crate) line: usize,
    pub(crate) text: String,
    /// An image, `scratch`, or the name of an earlier stage; not expanded.
    pub(crate) base: String,
    /// `--platform`, not expanded.
    pub(crate) platform: Option<String>,
    pub(crate) instructions: Vec<Instruction>,
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Where it begins, counted from 1.
    pub(crate) line: usize,
    /// One line, as people see it in the progress: `RUN apt-get update && apt-get install …`.
    pub(crate) text: String,
    /// What people should know about it, said when it is carried out.
    pub(crate) warnings: Vec<String>,
    pub(crate) what: What,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Run(Run),
    /// `COPY` and `ADD`.
    Copy(Copy),
    /// Names and values, neither expanded.
    Env(Vec<(String, String)>),
    Arg(Vec<ArgDefault>),
    Workdir(String),
    User(String),
    Shell(Vec<String>),
    /// What has no meaning for an image here: `CMD`, `LABEL`, …; the name in upper case.
    Ignored(&'static str),
}

/// `ARG name` or `ARG name=default`; the default is not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArgDefault {
    pub(crate) name: String,
    pub(crate) default: Option<String>,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) command: RunCommand,
    /// `--network=none`.
    pub(crate) is_offline: bool,
}

/// What `RUN` runs. Nothing in it is expanded by the build: a shell has the variables in its
/// environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunCommand {
    /// For the shell: all of it, heredocs with their closing lines included.
    Shell(String),
    /// A program and its arguments.
    Exec(Vec<String>),
    /// `RUN <<EOF` whose text begins with `#!`: a file to be made executable and run.
    Script(String),
}

/// `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Copy {
    /// `ADD`: URLs are fetched and archives unpacked.
    pub(crate) is_add: bool,
    /// At least one.
    pub(crate) sources: Vec<Source>,
    pub(crate) dest: String,
    /// A stage or an image.
    pub(crate) from: Option<String>,
    pub(crate) chown: Option<String>,
    pub(crate) chmod: Option<String>,
    pub(crate) link: bool,
    pub(crate) parents: bool,
    pub(crate) exclude: Vec<String>,
    /// `sha256:…` of a URL.
    pub(crate) checksum: Option<String>,
    pub(crate) unpack: Option<bool>,
}

/// What `COPY` and `ADD` take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A path with wildcards, or a URL.
    Path(String),
    /// A file whose text is in the Dockerfile.
    Heredoc(Heredoc),
}

/// `<<EOF` and the lines up to `EOF`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heredoc {
    /// The delimiter, which is also the name of the file.
    pub(crate) name: String,
    pub(crate) text: String,
    /// Whether variables in it are expanded: no quotes around the delimiter.
    pub(crate) is_expanded: bool,
}

impl Dockerfile {
    /// Reads the text of a Dockerfile that errors call `name`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let _ = text;
        Err(Failure::new(name))
    }

    /// The place of a line, as errors begin with: `Dockerfile:12`.
    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }

    /// The stage that `FROM`, `COPY --from` or `--target` names, among the first `before` ones: by
    /// its name in any case, or its number.
    pub(crate) fn stage(&self, reference: &str, before: usize) -> Option<&Stage> {
        let earlier = &self.stages[..before.min(self.stages.len())];
        let named = earlier.iter().rev().find(|stage| {
            stage
                .name
                .as_deref()
                .is_some_and(|name| name.eq_ignore_ascii_case(reference))
        });
        named.or_else(|| earlier.get(reference.parse::<usize>().ok()?))
    }

    /// Whether an `ARG` anywhere names it; build arguments that none names are warned about.
    pub(crate) fn declares(&self, arg: &str) -> bool {
        let globals = self.global_args.iter().flat_map(|line| &line.args);
        let inner = self
            .stages
            .iter()
            .flat_map(|stage| &stage.instructions)
            .filter_map(|instruction| match &instruction.what {
                What::Arg(args) => Some(args),
                _ => None,
            })
            .flatten();
        globals.chain(inner).any(|declared| declared.name == arg)
    }
}
