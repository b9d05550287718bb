//! The command line as it is typed. Each command's own arguments are in its file in
//! [`commands`](crate::commands); their doc comments are the help.

use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand};

use crate::commands::r#use as use_image;
use crate::commands::{
    self, admin, agent, auth, build, cat, cd, completions, cp, env, export, file, grep, help,
    images, kill, ls, manual, operation, ps, run, session, shell, show, skill, tag,
};
use crate::output::{Format, LogLevel};

/// Sandboxes that branch like git.
///
/// Every command runs in an isolated sandbox that starts from an image and leaves a new image
/// behind. Images form a tree: branch anywhere, roll back, tag what is worth keeping.
#[derive(Debug, Parser)]
#[command(
    name = "contree",
    version,
    disable_version_flag = true,
    disable_help_subcommand = true,
    // As Python's argparse reads them.
    infer_long_args = true,
    max_term_width = 100,
    after_help = "\
Examples:
  contree serve                             start a server on this machine
  contree auth -u http://127.0.0.1:9450     save a token for it
  contree images import debian:bookworm     get a base image
  contree use tag:debian:bookworm           start a session from it
  contree run apt-get update                run something; the session moves on to the result
  contree session rollback                  and take it back

Files: ~/.config/contree/ (or $CONTREE_HOME). Help on a command: contree COMMAND --help"
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Profile to use [env: CONTREE_PROFILE] [default: the active one, see `contree auth list`]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Token, instead of the profile's
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Address of the server, instead of the profile's
    #[arg(short, long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Project, instead of the profile's
    #[arg(short = 'P', long, global = true, value_name = "ID")]
    pub(crate) project: Option<String>,
    /// Profile file [default: auth.ini in $CONTREE_HOME]
    #[arg(short, long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Session to work in [env: CONTREE_SESSION] [default: one for this folder and terminal]
    #[arg(short = 'S', long, global = true, value_name = "KEY")]
    pub(crate) session: Option<String>,
    /// How results are printed [default: default]
    #[arg(
        short = 'o',
        long = "output",
        visible_alias = "format",
        global = true,
        value_name = "FORMAT",
        hide_possible_values = true,
        help = "How results are printed: default, table, json, json-pretty, plain, csv, tsv or toml"
    )]
    pub(crate) output: Option<Format>,
    /// What is told on standard error
    #[arg(
        short = 'L',
        long,
        global = true,
        value_name = "LEVEL",
        hide_possible_values = true,
        help = "What is told on standard error: debug, info, warning, error or critical \
                [default: info]"
    )]
    pub(crate) log_level: Option<LogLevel>,
    /// Print the version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: (),
}

impl Globals {
    /// These, and those of a shell around where none are given here.
    pub(crate) fn or(mut self, shell: &Self) -> Self {
        // The same key means nothing among the sessions of another profile.
        if !self.is_elsewhere(shell) {
            self.session = self.session.or_else(|| shell.session.clone());
        }
        let given = |own: Option<String>, around: &Option<String>| own.or_else(|| around.clone());
        self.profile = given(self.profile, &shell.profile);
        self.token = given(self.token, &shell.token);
        self.url = given(self.url, &shell.url);
        self.project = given(self.project, &shell.project);
        self.config = self.config.or_else(|| shell.config.clone());
        self.output = self.output.or(shell.output);
        self.log_level = self.log_level.or(shell.log_level);
        self
    }

    /// Whether they name another profile than the shell's.
    pub(crate) fn is_elsewhere(&self, shell: &Self) -> bool {
        self.config.is_some() || self.profile.is_some() && self.profile != shell.profile
    }
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[cfg(target_os = "linux")]
    Serve(Box<commands::serve::ServeCommand>),
    #[cfg(target_os = "linux")]
    Doctor(Box<commands::doctor::DoctorCommand>),
    Auth(auth::AuthArgs),
    #[command(visible_alias = "ci")]
    Use(use_image::UseArgs),
    #[command(visible_alias = "r")]
    Run(Box<run::RunArgs>),
    #[command(visible_alias = "sh")]
    Shell(shell::ShellArgs),
    #[command(visible_alias = "bd")]
    Build(Box<build::BuildArgs>),
    #[command(visible_aliases = ["i", "img"])]
    Images(images::ImagesArgs),
    #[command(visible_alias = "t")]
    Tag(tag::TagArgs),
    #[command(visible_alias = "s")]
    Session(session::SessionArgs),
    Ls(ls::LsArgs),
    Cat(cat::CatArgs),
    Grep(grep::GrepArgs),
    Cp(cp::CpArgs),
    Export(export::ExportArgs),
    Cd(cd::CdArgs),
    Env(env::EnvArgs),
    #[command(visible_alias = "f")]
    File(file::FileArgs),
    Ps(ps::PsArgs),
    Show(show::ShowArgs),
    Kill(kill::KillArgs),
    #[command(visible_alias = "op")]
    Operation(operation::OperationArgs),
    Skill(skill::SkillArgs),
    #[command(visible_alias = "man")]
    Agent(agent::AgentArgs),
    Admin(admin::AdminArgs),
    Completions(completions::CompletionsArgs),
    Manual(manual::ManualArgs),
    Help(help::HelpArgs),
}

/// A command whose help has its own options alone.
pub(crate) fn without_globals(command: clap::Command) -> clap::Command {
    let globals: Vec<clap::Id> = CommandLine::command()
        .get_arguments()
        .filter(|argument| argument.is_global_set())
        .map(|argument| argument.get_id().clone())
        .collect();
    // One command has an option of its own by such a name.
    command.mut_args(|argument| {
        let is_global = argument.is_global_set() && globals.contains(argument.get_id());
        if is_global {
            argument.hide(true)
        } else {
            argument
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    #[test]
    fn arguments_are_sound() {
        CommandLine::command().debug_assert();
    }

    /// The reference of the command line is its own help. `UPDATE_GOLDEN=1` writes it anew.
    #[test]
    fn golden_help_is_the_documentation() {
        let mut root = CommandLine::command().term_width(100);
        root.build();
        let mut text = String::from(
            "# The command line\n\nEvery command's `--help`. The global options, which every \
             command takes, are shown once.\n",
        );
        section(&mut text, root.clone());
        sections(&mut text, &root);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == text,
            "docs/cli.md is not the help any more; UPDATE_GOLDEN=1 cargo nextest run -p \
             contree-cli golden_help writes it"
        );
    }

    fn sections(text: &mut String, above: &clap::Command) {
        for command in above.get_subcommands() {
            section(text, without_globals(command.clone()));
            sections(text, command);
        }
    }

    fn section(text: &mut String, mut command: clap::Command) {
        let name = command.get_bin_name().unwrap_or("contree").to_owned();
        let help = command.render_long_help().to_string();
        let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        let _ = write!(text, "\n## {name}\n\n```text\n{}\n```\n", lines.join("\n"));
    }
}
