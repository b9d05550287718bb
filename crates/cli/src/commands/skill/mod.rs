//! `contree skill`: tells coding agents how to use this program, in the files where each looks.
//!
//! 1. [`target`]: which agent tool, and where its files are; from a SPEC or the [`registry`].
//! 2. [`text`]: what the files say.
//! 3. [`files`]: writing and removing them, without leaving the folder.
//! 4. [`registry`]: where all of them are, shared with contree-cli.

mod files;
mod registry;
mod target;
mod text;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Row, Rows};
use crate::question;
use registry::Registry;
use target::{Target, Users};

/// The skill's name, in each agent tool.
const NAME: &str = "contree";
/// Of the files written.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Teach coding agents to use contree
///
/// Writes a skill, which is a short text with rules and examples, to where the agent tool looks for
/// skills. The kinds are codex, claude, opencode, amp, cline, claude-subagent and claude-agent.
///
/// A SPEC says where: KIND:~ for you, in every project; KIND:DIR or KIND: for the project in DIR or
/// in this folder; a DIR alone for a project and all kinds; or the path of a skill itself. The
/// kinds for Claude are among those that are not named when there is a folder ~/.claude.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  contree skill install              for every agent tool, for you
  contree skill install claude:~     for Claude Code, for you
  contree skill install codex:       for Codex, in this project
  contree skill install .            for every agent tool, in this project
  contree skill list                 where they are, and whether they are up to date
  contree skill upgrade              bring all of them up to date
  contree skill remove claude:~"
)]
pub(crate) struct SkillArgs {
    #[command(subcommand)]
    command: SkillCommand,
}

#[derive(Debug, Subcommand)]
enum SkillCommand {
    #[command(visible_alias = "ls")]
    List(ListArgs),
    #[command(visible_alias = "i")]
    Install(InstallArgs),
    #[command(visible_aliases = ["r", "rm", "del"])]
    Remove(RemoveArgs),
    #[command(visible_aliases = ["u", "update"])]
    Upgrade(UpgradeArgs),
}

/// List the skills that were installed
///
/// A skill that another version or another program wrote is outdated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree skill list
  contree skill list -o json")]
struct ListArgs {}

/// Install the skill
///
/// What is there already stays, and is told. For Codex a rule is written, too, that lets it run
/// contree without asking: rules/contree.rules in $CODEX_HOME or ~/.codex.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree skill install
  contree skill install claude:~ codex:~
  contree skill install claude:../app
  contree skill install -f .           overwrite what is there")]
struct InstallArgs {
    /// KIND:~, KIND:DIR, KIND:, a project's folder, or the path of a skill [default: every KIND:~]
    #[arg(value_name = "SPEC")]
    specs: Vec<String>,
    /// Overwrite what is there
    #[arg(short, visible_short_alias = 'y', long)]
    force: bool,
}

/// Remove installed skills
///
/// Only the files that were written are removed, and folders that are empty then.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree skill remove                 all that were installed
  contree skill remove -f claude:~     without being asked")]
struct RemoveArgs {
    /// As for install [default: all that were installed]
    #[arg(value_name = "SPEC")]
    specs: Vec<String>,
    /// Do not ask
    #[arg(short, visible_short_alias = 'y', long)]
    force: bool,
}

/// Write installed skills anew
///
/// Changes of yours in them are overwritten.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree skill upgrade
  contree skill upgrade claude:~")]
struct UpgradeArgs {
    /// As for install [default: all that were installed]
    #[arg(value_name = "SPEC")]
    specs: Vec<String>,
}

pub(crate) async fn skill(context: &Context, args: SkillArgs) -> Result<u8, Failure> {
    let users = Users::locate()?;
    let mut registry = Registry::open(&context.home.skills_db()).await?;
    let work = Work {
        context,
        users: &users,
        registry: &mut registry,
        rows: context.output.rows(Columns::default()),
    };
    match args.command {
        SkillCommand::List(ListArgs {}) => work.list().await,
        SkillCommand::Install(args) => work.install(args).await,
        SkillCommand::Remove(args) => work.remove(args).await,
        SkillCommand::Upgrade(args) => work.upgrade(args).await,
    }
}

struct Work<'a> {
    context: &'a Context,
    users: &'a Users,
    registry: &'a mut Registry,
    rows: Rows,
}

impl Work<'_> {
    async fn list(mut self) -> Result<u8, Failure> {
        for target in self.registry.installed().await? {
            let version = files::version(&target);
            let row = Row::new()
                .with("name", NAME)
                .with("path", self.users.shown(target.path()))
                .with("kind", target.kind().name())
                .with("version", version.as_deref().unwrap_or("?"))
                .with("latest", VERSION)
                .with("outdated", version.as_deref() != Some(VERSION))
                .with("exists", files::exists(&target));
            self.rows.push(row)?;
        }
        self.rows.finish()?;
        Ok(0)
    }

    async fn install(mut self, args: InstallArgs) -> Result<u8, Failure> {
        let targets = if args.specs.is_empty() {
            self.users.everywhere()
        } else {
            self.named(&args.specs)?
        };
        let mut is_fine = true;
        for target in targets {
            if !args.force && files::is_taken(&target) {
                self.context.output.warn(&format!(
                    "Already installed at {}; use upgrade or --force",
                    self.users.shown(target.path())
                ));
                continue;
            }
            is_fine &= self.write(&target, "install", "Installed").await?;
        }
        self.rows.finish()?;
        Ok(u8::from(!is_fine))
    }

    async fn upgrade(mut self, args: UpgradeArgs) -> Result<u8, Failure> {
        let mut is_fine = true;
        for target in self.remembered(&args.specs).await? {
            let shown = self.users.shown(target.path());
            if !files::exists(&target) {
                let failure = Failure::new(format!("Not installed at {shown}"));
                self.told(failure.next("contree skill install"));
                is_fine = false;
            } else if !files::is_ours(&target) {
                let failure = Failure::new(format!("what is at {shown} is not contree's skill"));
                self.told(failure.next("contree skill install --force   (to overwrite it)"));
                is_fine = false;
            } else {
                is_fine &= self.write(&target, "upgrade", "Upgraded").await?;
            }
        }
        self.rows.finish()?;
        Ok(u8::from(!is_fine))
    }

    async fn remove(mut self, args: RemoveArgs) -> Result<u8, Failure> {
        let mut is_fine = true;
        for target in self.remembered(&args.specs).await? {
            let shown = self.users.shown(target.path());
            if !files::exists(&target) {
                self.registry.forget(&target).await?;
                self.told(Failure::new(format!("Not installed at {shown}")));
                is_fine = false;
                continue;
            }
            if !files::is_ours(&target) {
                let failure = Failure::new(format!("what is at {shown} is not contree's skill"));
                self.told(failure.next("remove it yourself, if you want to"));
                is_fine = false;
                continue;
            }
            if !args.force && !question::confirm(&format!("Remove contree's skill from {shown}?"))?
            {
                self.context.output.line("Aborted.")?;
                is_fine = false;
                continue;
            }
            let others = self.registry.installed().await?;
            let is_last = !others
                .iter()
                .any(|other| other.kind() == target.kind() && other.path() != target.path());
            let removed =
                files::remove(&target, self.users).and_then(|()| match self.users.rules(&target) {
                    Some(rules) if is_last => files::remove_rules(&rules),
                    _ => Ok(()),
                });
            if let Err(failure) = removed {
                self.told(failure);
                is_fine = false;
                continue;
            }
            self.registry.forget(&target).await?;
            self.done("remove", &target, &format!("Removed it from {shown}"))?;
        }
        self.rows.finish()?;
        Ok(u8::from(!is_fine))
    }

    /// Writes the files of one skill and remembers it; false when that was not possible.
    async fn write(&mut self, target: &Target, action: &str, did: &str) -> Result<bool, Failure> {
        let home = self.users.shown(self.context.home.root());
        let written =
            files::write(target, self.users, &home).and_then(|()| match self.users.rules(target) {
                Some(rules) => {
                    files::write_rules(&rules).map(|is_written| is_written.then_some(rules))
                }
                None => Ok(None),
            });
        let rules = match written {
            Ok(rules) => rules,
            Err(failure) => {
                self.told(failure);
                return Ok(false);
            }
        };
        self.registry.remember(target).await?;
        let shown = self.users.shown(target.path());
        self.done(action, target, &format!("{did} it at {shown}"))?;
        if let Some(rules) = rules {
            let rules = self.users.shown(&rules);
            self.context
                .output
                .note(&format!("codex may run contree without asking: {rules}"));
        }
        Ok(true)
    }

    fn done(&mut self, action: &str, target: &Target, said: &str) -> Result<(), Failure> {
        let kind = target.kind().name();
        self.context.output.note(&format!("{kind}: {said}"));
        let row = Row::new()
            .with("action", action)
            .with("name", NAME)
            .with("kind", kind)
            .with("path", self.users.shown(target.path()));
        self.rows.push(row)
    }

    /// What went wrong with one of several.
    fn told(&self, failure: Failure) {
        self.context.output.failure(&failure);
    }

    fn named(&self, specs: &[String]) -> Result<Vec<Target>, Failure> {
        let mut targets: Vec<Target> = Vec::new();
        for spec in specs {
            for target in self.users.targets(spec)? {
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        Ok(targets)
    }

    /// Those named, or all that were installed.
    async fn remembered(&mut self, specs: &[String]) -> Result<Vec<Target>, Failure> {
        if !specs.is_empty() {
            return self.named(specs);
        }
        let targets = self.registry.installed().await?;
        if targets.is_empty() {
            return Err(Failure::new("no skill is installed").next("contree skill install"));
        }
        Ok(targets)
    }
}
