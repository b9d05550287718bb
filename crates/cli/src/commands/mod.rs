//! One file per command: its arguments, whose doc comments are the help, and one function.

mod active;
pub(crate) mod admin;
pub(crate) mod agent;
pub(crate) mod auth;
pub(crate) mod build;
pub(crate) mod cat;
pub(crate) mod cd;
pub(crate) mod completions;
pub(crate) mod cp;
#[cfg(target_os = "linux")]
pub(crate) mod doctor;
mod ending;
pub(crate) mod env;
pub(crate) mod export;
pub(crate) mod file;
pub(crate) mod grep;
pub(crate) mod help;
pub(crate) mod images;
pub(crate) mod kill;
pub(crate) mod ls;
pub(crate) mod manual;
pub(crate) mod operation;
mod pages;
pub(crate) mod ps;
pub(crate) mod run;
#[cfg(target_os = "linux")]
pub(crate) mod serve;
pub(crate) mod session;
pub(crate) mod shell;
pub(crate) mod show;
pub(crate) mod skill;
pub(crate) mod tag;
mod transfer;
pub(crate) mod r#use;

use crate::args::{Command, Globals};
use crate::context::Context;
use crate::failure::Failure;

/// Runs a command; its exit code.
pub(crate) async fn run(globals: Globals, command: Command) -> Result<u8, Failure> {
    let context = match command {
        #[cfg(target_os = "linux")]
        Command::Doctor(args) => return doctor::doctor(&globals, *args).await,
        Command::Completions(args) => return completions::completions(&globals, &args),
        Command::Manual(args) => return manual::manual(&globals, &args),
        Command::Help(args) => return help::help(&globals, args),
        _ => &Context::new(globals)?,
    };
    match command {
        #[cfg(target_os = "linux")]
        Command::Serve(_) | Command::Doctor(_) => unreachable!("they need no profile"),
        Command::Shell(_) => unreachable!("it runs others"),
        Command::Completions(_) | Command::Manual(_) | Command::Help(_) => {
            unreachable!("they need no profile")
        }
        Command::Auth(args) => auth::auth(context, args).await,
        Command::Use(args) => r#use::use_image(context, args).await,
        Command::Run(args) => run::run(context, *args).await,
        Command::Build(args) => build::build(context, *args).await,
        Command::Images(args) => images::images(context, args).await,
        Command::Tag(args) => tag::tag(context, args).await,
        Command::Session(args) => session::session(context, args).await,
        Command::Ls(args) => ls::ls(context, args).await,
        Command::Cat(args) => cat::cat(context, args).await,
        Command::Grep(args) => grep::grep(context, args).await,
        Command::Cp(args) => cp::cp(context, args).await,
        Command::Export(args) => export::export(context, args).await,
        Command::Cd(args) => cd::cd(context, args).await,
        Command::Env(args) => env::env(context, args).await,
        Command::Ps(args) => ps::ps(context, args).await,
        Command::Show(args) => show::show(context, args).await,
        Command::Kill(args) => kill::kill(context, args).await,
        Command::File(args) => file::file(context, args).await,
        Command::Operation(args) => operation::operation(context, args).await,
        Command::Skill(args) => skill::skill(context, args).await,
        Command::Agent(args) => agent::agent(context, args),
        Command::Admin(args) => admin::admin(context, args).await,
    }
}
