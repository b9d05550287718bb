//! A Dockerfile as data: stages of instructions, checked as far as the text alone allows.
//!
//! Three steps, a file each: [`lines`] makes logical lines of the text (escape character,
//! continuations, comments, heredocs), [`instruction`] reads one of them ([`flags`], JSON, words), and
//! this one puts them into stages and looks at what concerns more than one line.
//!
//! Nothing is expanded here: variables have values only when a stage is built, see
//! [`super::expand`]. Errors begin with the place: `Dockerfile:12: COPY needs …`.

mod flags;
mod instruction;
mod lines;

use crate::failure::Failure;

use instruction::Read;

/// How much of a line is said with its error.
const QUOTED_CHARS: usize = 80;

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
    /// Of `FROM … AS name`, in lower case: case makes no difference.
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
        let (escape, lines) =
            lines::read(text).map_err(|fault| failure(name, fault.line, &fault.what, None))?;
        let mut dockerfile = Self {
            name: name.to_owned(),
            escape,
            global_args: Vec::new(),
            stages: Vec::new(),
        };
        for line in &lines {
            instruction::read(line, escape)
                .and_then(|read| dockerfile.take(line.number, instruction::shown(line), read))
                .map_err(|what| {
                    failure(name, line.number, &what, Some(&instruction::shown(line)))
                })?;
        }
        dockerfile.check_later_stages()?;
        if dockerfile.stages.is_empty() {
            return Err(Failure::new(format!("{name} has no FROM"))
                .next("begin it with FROM and the image to build on"));
        }
        Ok(dockerfile)
    }

    /// Puts what a line says where it belongs.
    fn take(&mut self, line: usize, text: String, read: Read) -> Result<(), String> {
        let instructions = match read {
            Read::From {
                base,
                name,
                platform,
            } => {
                if let Some(name) = &name
                    && self
                        .stage(name, usize::MAX)
                        .is_some_and(|stage| stage.name.is_some())
                {
                    return Err(format!("there is a stage {name} already"));
                }
                let index = self.stages.len();
                self.stages.push(Stage {
                    index,
                    name,
                    line,
                    text,
                    base,
                    platform,
                    instructions: Vec::new(),
                });
                return Ok(());
            }
            Read::Arg(args) if self.stages.is_empty() => {
                self.global_args.push(GlobalArgs { line, args });
                return Ok(());
            }
            Read::Arg(args) => vec![Instruction {
                line,
                text,
                warnings: Vec::new(),
                what: What::Arg(args),
            }],
            Read::Instructions(instructions) => instructions,
        };
        let Some(index) = self.stages.len().checked_sub(1) else {
            return Err("expected FROM (or ARG) as the first instruction".to_owned());
        };
        for instruction in &instructions {
            if let What::Copy(copy) = &instruction.what
                && let Some(from) = &copy.from
            {
                self.check_from(from, index)?;
            }
        }
        self.stages[index].instructions.extend(instructions);
        Ok(())
    }

    /// `COPY --from`: a number must be an earlier stage's; a name that no stage has is an image's.
    fn check_from(&self, from: &str, index: usize) -> Result<(), String> {
        let here = &self.stages[index];
        let is_here = here
            .name
            .as_deref()
            .is_some_and(|name| name.eq_ignore_ascii_case(from));
        if is_here || from.parse() == Ok(index) {
            return Err(format!("--from={from} is the stage itself"));
        }
        if from.bytes().all(|byte| byte.is_ascii_digit()) && self.stage(from, index).is_none() {
            return Err(format!(
                "--from={from}: there is no earlier stage of that number"
            ));
        }
        Ok(())
    }

    /// A copy from a stage that is yet to come would take an image of that name from elsewhere.
    fn check_later_stages(&self) -> Result<(), Failure> {
        for stage in &self.stages {
            for instruction in &stage.instructions {
                let What::Copy(Copy {
                    from: Some(from), ..
                }) = &instruction.what
                else {
                    continue;
                };
                if self.stage(from, stage.index).is_none() && self.stage(from, usize::MAX).is_some()
                {
                    let what = format!("--from={from}: that stage comes later");
                    return Err(self
                        .failure(instruction.line, &instruction.text, &what)
                        .next(format!(
                            "put stage {from} before the stage that copies from it"
                        )));
                }
            }
        }
        Ok(())
    }

    /// What is wrong with a line: `Dockerfile:12: COPY needs … (COPY x)`.
    pub(crate) fn failure(&self, line: usize, text: &str, what: &str) -> Failure {
        failure(&self.name, line, what, Some(text))
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

fn failure(name: &str, line: usize, what: &str, text: Option<&str>) -> Failure {
    let quoted = text.map_or_else(String::new, |text| {
        let more = if text.chars().count() > QUOTED_CHARS {
            "…"
        } else {
            ""
        };
        let text: String = text.chars().take(QUOTED_CHARS).collect();
        format!(" ({text}{more})")
    });
    Failure::new(format!("{name}:{line}: {what}{quoted}"))
}

#[cfg(test)]
mod tests;
