//! `contree shell`: a prompt for the session.
//!
//! A line is read ([`editor`]), understood as far as need be ([`line`]), and is one of three
//! things: the shell's own ([`builtin`]), a command of `contree`, which runs in this process as if it
//! had been typed outside, or an expression for the sandbox's `sh`. Everything else, the session
//! above all, is where the other commands keep it; the shell holds only what is said once for many
//! lines: the global options, and the status of the last command.
//!
//! Reading blocks this thread, and commands run on a runtime that lives as long as the shell, in
//! turn, so neither is ever in the other's way: while a command runs the terminal is an ordinary one
//! and its input is the command's, and while a line is typed no thread reads but the editor's.
//! Ctrl-C belongs to the command that runs; one that does not listen to it is dropped.
//!
//! When standard input is not a terminal, its lines are the script: no prompt, no history, and the
//! exit code of the last command. Commands in it get no input, which is the script.

mod ahead;
mod builtin;
mod editor;
mod history;
mod line;
mod prompt;

use std::io::{BufRead as _, IsTerminal as _};

use clap::{CommandFactory as _, Parser as _, ValueEnum as _};
use rustyline::error::ReadlineError;
use rustyline::{Config, Editor};
use tokio::runtime::Runtime;

use crate::args::{Command, CommandLine, Globals};
use crate::commands::r#use as use_image;
use crate::commands::{self, run};
use crate::context::{Context, fallback_output};
use crate::failure::{BROKEN_PIPE, Failure};
use crate::interrupt::{self, Interrupts};
use crate::output::{Format, Output, screen};
use crate::session::{self, Kind, Store, no_session};
use ahead::Ahead;
use editor::Assistant;
use history::LineEditor;
use line::{Line, Word};
use prompt::{Place, Status};

/// What a line comes to.
enum Flow {
    /// Another line.
    Next(Status),
    /// The end, with this exit code or the last one.
    Exit(Option<u8>),
}

/// A shell.
struct Shell {
    /// The options that it was started with, with the session that it is in.
    globals: Globals,
    /// Of the session. Kept open: see [`session::close_from_now_on`].
    store: Store,
    last: Status,
    /// Where the session is, and where it was before that.
    cwd: String,
    previous: String,
    /// Listen from before a line is typed until the command that it stands for has ended: once the
    /// terminal is not the editor's any more, Ctrl-C is for that command.
    interrupts: Option<Interrupts>,
}

/// Reads lines until there are no more; the exit code.
pub(crate) fn shell(globals: Globals) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("could not start").because(&error))?;
    let is_interactive = std::io::stdin().is_terminal();
    let mut shell = runtime.block_on(Shell::new(globals))?;
    let code = if is_interactive {
        shell.converse(&runtime)
    } else {
        shell.follow_script(&runtime)
    };
    // A thread may wait for input that never comes.
    runtime.shutdown_background();
    code
}

impl Shell {
    async fn new(mut globals: Globals) -> Result<Self, Failure> {
        let context = Context::new(globals.clone())?;
        // Without a profile no line could do anything.
        context.profile()?;
        let mut store = context.store().await?;
        session::close_from_now_on();
        // What others choose meanwhile does not move this shell.
        let name = context.profile_name();
        if context.profiles.contains(&name) {
            globals.profile = Some(name);
        }
        globals.session = Some(store.key().to_owned());
        let cwd = prompt::cwd(&mut store).await?;
        // From here on Ctrl-C ends commands, not the shell.
        drop(Interrupts::listen());
        Ok(Self {
            globals,
            store,
            last: Status::Good,
            cwd,
            previous: "/".to_owned(),
            interrupts: None,
        })
    }

    /// For a person at a terminal.
    fn converse(&mut self, runtime: &Runtime) -> Result<u8, Failure> {
        let config = editor::config()?;
        let mut editor = line_editor(&config, &self.globals)?;
        runtime.block_on(history::load(&mut editor, &config, &mut self.store))?;
        screen::watch();
        let mut ahead = Ahead::default();
        self.output()
            .note("contree interactive shell ('help' explains it, Ctrl-D leaves)");
        loop {
            screen::settle();
            let place = runtime.block_on(self.place())?;
            place.tell(&self.output());
            ahead.add(&run::take_unread());
            self.interrupts = Some(runtime.block_on(async { Interrupts::listen() }));
            let line = match read(&mut editor, &place.prompt(self.last), &mut ahead) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => {
                    self.last = Status::Good;
                    continue;
                }
                Err(ReadlineError::Eof) => return Ok(0),
                Err(error) => {
                    return Err(Failure::new("could not read from the terminal").because(&error));
                }
            };
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            runtime.block_on(history::keep(&mut editor, &mut self.store, line))?;
            let key = self.globals.session.clone();
            match runtime.block_on(self.execute(line))? {
                Flow::Next(status) => self.last = status,
                Flow::Exit(code) => return Ok(code.unwrap_or(0)),
            }
            if self.globals.session != key {
                runtime.block_on(history::load(&mut editor, &config, &mut self.store))?;
            }
            if let Some(assistant) = editor.helper_mut() {
                assistant.globals.clone_from(&self.globals);
            }
        }
    }

    /// Line after line, without asking anybody anything.
    fn follow_script(&mut self, runtime: &Runtime) -> Result<u8, Failure> {
        run::reserve_stdin();
        let mut text = String::new();
        loop {
            // One row at a time: commands that ask for something read from here too.
            let size = std::io::stdin().lock().read_line(&mut text)?;
            let line = Line::read(text.trim_end_matches('\n'));
            if size > 0 && line.open.is_some() {
                continue;
            }
            if line.open.is_some() {
                return Err(Failure::new(
                    "the script ends within a quote, after a backslash or in a heredoc",
                ));
            }
            match runtime.block_on(self.execute(text.trim()))? {
                Flow::Next(status) => self.last = status,
                Flow::Exit(code) => return Ok(code.unwrap_or(self.last.code())),
            }
            if size == 0 {
                return Ok(self.last.code());
            }
            text.clear();
        }
    }

    fn output(&self) -> Output {
        fallback_output(&self.globals)
    }

    /// Where the session is now; notes where it was when that changed.
    async fn place(&mut self) -> Result<Place, Failure> {
        let place = Place::look(&mut self.store).await?;
        if place.cwd != self.cwd {
            self.previous = std::mem::replace(&mut self.cwd, place.cwd.clone());
        }
        Ok(place)
    }

    /// Runs a line. What fails is told and is its status; an error is the end of the shell.
    async fn execute(&mut self, text: &str) -> Result<Flow, Failure> {
        let line = Line::read(text);
        if line.words.is_empty() {
            return Ok(Flow::Next(self.last));
        }
        match self.dispatch(text, &line).await {
            Ok(flow) => Ok(flow),
            // Nobody reads what we print.
            Err(failure) if failure.code() == BROKEN_PIPE && failure.is_silent() => Err(failure),
            Err(failure) => {
                // That Ctrl-C was pressed is no news, and what it did has been told.
                if !failure.is_interrupt() {
                    self.output().failure(&failure);
                }
                Ok(Flow::Next(Status::of_failure(&failure)))
            }
        }
    }

    async fn dispatch(&mut self, text: &str, line: &Line) -> Result<Flow, Failure> {
        let command = line.words[0].text.as_str();
        let arguments = &line.words[1..];
        let words = || arguments.iter().map(|word| word.text.as_str());
        let output = self.output();
        match command {
            "contree" if line.has_operators => {
                return Err(Failure::new(
                    "commands of contree run on this machine: they cannot be piped or redirected \
                     here",
                )
                .next("contree COMMAND alone on its line, or in the shell of this machine"));
            }
            "contree" => return self.own(words()).await,
            "timeout" => {
                if let [duration, rest, ..] = arguments
                    && let Some(seconds) = builtin::seconds(&duration.text)
                {
                    let expression = Line::read(&text[rest.start..]).joined;
                    return self.run(expression, Some(seconds)).await;
                }
            }
            // The rest of the shell's own words mean that only when nothing else stands beside.
            _ if line.has_operators => {}
            "exit" | "quit" => {
                let code = match arguments {
                    [] => None,
                    [code] => Some(code.text.parse().map_err(|_| usage(command, "[CODE]"))?),
                    _ => return Err(usage(command, "[CODE]")),
                };
                return Ok(Flow::Exit(code));
            }
            "cd" => return self.cd(arguments).await,
            "pwd" if arguments.is_empty() => {
                output.line(&prompt::cwd(&mut self.store).await?)?;
                return Ok(Flow::Next(Status::Good));
            }
            "history" => return self.history(arguments).await,
            "clear" if arguments.is_empty() => {
                output.bytes(b"\x1b[2J\x1b[H")?;
                return Ok(Flow::Next(Status::Good));
            }
            "help" => return self.help(arguments).await,
            _ if builtin::FORMAT_OPTIONS.contains(&command) => return self.format(arguments),
            _ if builtin::EDITORS.contains(&command) => {
                let [path] = arguments else {
                    return Err(usage(command, "FILE"));
                };
                let edit = ["file", "edit", "-E", command, "--", &path.text];
                return self.own(edit.into_iter()).await;
            }
            "ls" | "cat" => {
                let is_plain = |word: &Word| !word.expands && !word.text.starts_with('-');
                let counts = if command == "ls" { 0..=1 } else { 1..=1 };
                if counts.contains(&arguments.len())
                    && arguments.iter().all(is_plain)
                    && self.store.pending_files().await?.is_empty()
                {
                    let look = [command, "--"].into_iter().chain(words());
                    return self.own(look).await;
                }
            }
            _ => {}
        }
        self.run(line.joined.clone(), None).await
    }

    /// An expression for the sandbox.
    async fn run(&mut self, expression: String, timeout: Option<u32>) -> Result<Flow, Failure> {
        let cwd = prompt::cwd(&mut self.store).await?;
        let context = Context::new(self.globals.clone())?;
        let args = run::RunArgs::of_line(expression, cwd, timeout);
        let ending = interruptible(self.interrupts.take(), run::perform(&context, args)).await?;
        Ok(Flow::Next(Status::of_ending(ending)))
    }

    /// A command of ours.
    async fn own<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> Result<Flow, Failure> {
        let parsed = CommandLine::try_parse_from(["contree"].into_iter().chain(words));
        let CommandLine { globals, command } = match parsed {
            Ok(parsed) => parsed,
            Err(told) => {
                // Help, or what is wrong; to the stream that it belongs to.
                told.print()?;
                let code = u8::try_from(told.exit_code()).unwrap_or(2);
                return Ok(Flow::Next(Status::of_code(code)));
            }
        };
        let is_elsewhere = globals.is_elsewhere(&self.globals);
        let is_named = globals.session.is_some();
        let globals = globals.or(&self.globals);
        let code = match command {
            None => {
                self.output().line(builtin::HELP)?;
                0
            }
            Some(Command::Shell(_)) => {
                return Err(
                    Failure::new("'contree shell' cannot be run within the shell")
                        .next("contree use -N IMAGE   (another session), or another terminal"),
                );
            }
            #[cfg(target_os = "linux")]
            Some(Command::Serve(_)) => {
                return Err(
                    Failure::new("a server does not end, and the shell would wait for it")
                        .next("contree serve   in another terminal"),
                );
            }
            // It changes the session of this shell, which nobody need be told how to do.
            Some(Command::Use(args)) if args.has_image() && !is_elsewhere && !is_named => {
                let context = Context::new(globals)?;
                let chosen = use_image::choose(&context, &args);
                let store = interruptible(self.interrupts.take(), chosen).await?;
                self.enter(store.key().to_owned());
                0
            }
            Some(command) => {
                let interrupts = self.interrupts.take();
                interruptible(interrupts, commands::run(globals, command)).await?
            }
        };
        Ok(Flow::Next(Status::of_code(code)))
    }

    /// Makes a session the shell's.
    fn enter(&mut self, session: String) {
        self.store.select(session.clone());
        self.globals.session = Some(session);
    }

    async fn cd(&mut self, arguments: &[Word]) -> Result<Flow, Failure> {
        let path = match arguments {
            [] => {
                // Where a session is that never went anywhere.
                let image = self.store.session().await?.ok_or_else(no_session)?;
                self.store
                    .advance(&image.current_image, Kind::Cd, "", "")
                    .await?;
                return Ok(Flow::Next(Status::Good));
            }
            [word] if word.text == "-" => {
                self.output().line(&self.previous)?;
                self.previous.clone()
            }
            [word] if word.expands => {
                return Err(Failure::new(format!(
                    "cd {}: a path is taken as it is here, without variables, patterns and ~",
                    word.text
                ))
                .next("cd /the/whole/path"));
            }
            [word] => word.text.clone(),
            _ => return Err(usage("cd", "[DIR]")),
        };
        self.own(["cd", "--", &path].into_iter()).await
    }

    async fn history(&mut self, arguments: &[Word]) -> Result<Flow, Failure> {
        let wanted = match arguments {
            [] => String::new(),
            [word] => word.text.to_lowercase(),
            _ => return Err(usage("history", "[TEXT]")),
        };
        let output = self.output();
        let lines = self.store.shell_lines().await?;
        let numbered = lines.iter().enumerate();
        let found: Vec<_> = numbered
            .filter(|(_, line)| line.to_lowercase().contains(&wanted))
            .collect();
        if found.is_empty() {
            output.note(if wanted.is_empty() {
                "(no history)"
            } else {
                "(no matches)"
            });
        }
        for (index, line) in found {
            output.line(&format!(" {:5}  {}", index + 1, shown(&output, line)))?;
        }
        Ok(Flow::Next(Status::Good))
    }

    async fn help(&mut self, arguments: &[Word]) -> Result<Flow, Failure> {
        let text = match arguments {
            [] => builtin::HELP,
            [topic, ..] => match builtin::help_on(&topic.text) {
                Some(text) => text,
                None => {
                    let topics = arguments.iter().map(|word| word.text.as_str());
                    let is_command = CommandLine::command()
                        .find_subcommand(&topic.text)
                        .is_some();
                    if !is_command {
                        return Err(
                            Failure::new(format!("there is no help on '{}'", topic.text))
                                .next("help   (what there is)"),
                        );
                    }
                    return Box::pin(self.own(topics.chain(["--help"]))).await;
                }
            },
        };
        self.output().line(text)?;
        Ok(Flow::Next(Status::Good))
    }

    fn format(&mut self, arguments: &[Word]) -> Result<Flow, Failure> {
        let name = |format: Format| {
            format
                .to_possible_value()
                .map(|value| value.get_name().to_owned())
                .unwrap_or_default()
        };
        match arguments {
            [] => {
                let context = Context::new(self.globals.clone())?;
                context.output.line(&name(context.output.format()))?;
            }
            [word] => {
                let format = Format::from_str(&word.text, false).map_err(|_| {
                    let names: Vec<String> =
                        Format::value_variants().iter().copied().map(name).collect();
                    Failure::new(format!("there is no format '{}'", word.text))
                        .next(names.join(", "))
                })?;
                self.globals.output = Some(format);
            }
            _ => return Err(usage("-o", "[FORMAT]")),
        }
        Ok(Flow::Next(Status::Good))
    }
}

fn usage(command: &str, arguments: &str) -> Failure {
    Failure::new(format!("it is {command} {arguments}")).next(format!("help {command}"))
}

/// A line on a row of its own.
fn shown(output: &Output, line: &str) -> String {
    if output.is_terminal() {
        crate::output::harmless(line).replace('\n', "\n        ")
    } else {
        line.to_owned()
    }
}

fn line_editor(config: &Config, globals: &Globals) -> Result<LineEditor, Failure> {
    let mut editor = Editor::with_config(config.clone())
        .map_err(|error| Failure::new("could not set up the line editor").because(&error))?;
    editor.set_helper(Some(Assistant {
        globals: globals.clone(),
    }));
    Ok(editor)
}

/// The next line: typed ahead, else typed now.
fn read(
    editor: &mut LineEditor,
    prompt: &(String, String),
    ahead: &mut Ahead,
) -> rustyline::Result<String> {
    let mut begun = String::new();
    while let Some(row) = ahead.line() {
        begun.push_str(&row);
        if Line::read(&begun).open.is_none() {
            // It stands on the screen already, where it was typed.
            return Ok(begun);
        }
        begun.push('\n');
    }
    begun.push_str(&ahead.rest());
    // With a printer the editor waits for keys and signals at once. By itself (rustyline 19) it only
    // reads, and a new size of the terminal that comes just before that is not seen until the next
    // key. Where there is no terminal there is none.
    let _printer = editor.create_external_printer();
    editor.readline_with_initial(prompt, (&begun, ""))
}

/// Runs something to its end, or to Ctrl-C where it does not listen to that itself; also to one
/// that was pressed since `interrupts` listen.
async fn interruptible<T>(
    interrupts: Option<Interrupts>,
    command: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut command = std::pin::pin!(command);
    let mut interrupts = interrupts.unwrap_or_else(Interrupts::listen);
    loop {
        tokio::select! {
            outcome = &mut command => return outcome,
            _ = interrupts.next() => if interrupt::listening() == 1 {
                return Err(Failure::interrupted());
            },
        }
    }
}
