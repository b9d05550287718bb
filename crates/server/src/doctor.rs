//! `contree doctor`: what this machine offers to sandboxes, line by line, and for each miss what
//! to do about it. The facts are found where sandboxes are made; here they are put in words.

use std::fmt;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
pub use contree_engine::probe::{Finding, State};
use contree_engine::probe::{Subject, machine};

use crate::config::{self, ConfigError, ServeArgs};

/// The finding that tells whether a sandbox was started for trial.
const TRIAL: &str = "sandbox";
/// Width of the column of states.
const STATE_WIDTH: usize = 9;

/// Those settings of `contree serve` that tell what `contree doctor` looks at.
const LOOKED_AT: [&str; 3] = ["config", "data_dir", "sandbox_binary"];

/// What `contree doctor` looks at: three of the settings of `contree serve`. Their flags are taken
/// from there and not written down again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DoctorArgs {
    /// TOML file with the settings of the server; default none.
    pub config: Option<PathBuf>,
    /// Folder that holds, or will hold, the server's data; default `/var/lib/contree`.
    pub data_dir: Option<PathBuf>,
    /// The `contree-sandbox` program; default beside this program.
    pub sandbox_binary: Option<PathBuf>,
}

impl Args for DoctorArgs {
    fn augment_args(command: Command) -> Command {
        let all = ServeArgs::augment_args(Command::new("serve"));
        let wanted = |arg: &&Arg| LOOKED_AT.contains(&arg.get_id().as_str());
        command.args(all.get_arguments().filter(wanted).cloned())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DoctorArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let [config, data_dir, sandbox_binary] =
            LOOKED_AT.map(|name| matches.get_one::<PathBuf>(name).cloned());
        *self = Self {
            config,
            data_dir,
            sandbox_binary,
        };
        Ok(())
    }
}

/// What was found on this machine. `Display` is what `contree doctor` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorReport {
    /// One for each thing looked at.
    pub findings: Vec<Finding>,
}

impl DoctorReport {
    /// Whether sandboxes can run at all: one was started for trial. Other misses cost a limit or
    /// the network, not the sandbox.
    #[must_use]
    pub fn can_run(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.name == TRIAL && finding.state != State::Missing)
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.findings.iter().map(|finding| finding.name.len());
        let width = names.max().unwrap_or_default() + 2;
        for finding in &self.findings {
            let state = match finding.state {
                State::Ok => "ok",
                State::Limited => "limited",
                State::Missing => "missing",
            };
            writeln!(
                f,
                "{state:STATE_WIDTH$}{:width$}{}",
                finding.name, finding.detail
            )?;
            if !finding.next_step.is_empty() {
                writeln!(
                    f,
                    "{:1$}next step: {2}",
                    "",
                    STATE_WIDTH + width,
                    finding.next_step
                )?;
            }
        }
        let perfect = self
            .findings
            .iter()
            .all(|finding| finding.state == State::Ok);
        f.write_str(match (self.can_run(), perfect) {
            (true, true) => "Sandboxes run on this machine, with nothing missing.",
            (true, false) => "Sandboxes run on this machine, without what is named above.",
            (false, _) => "Sandboxes cannot run on this machine yet.",
        })
    }
}

/// Looks at this machine, and starts a sandbox for trial.
///
/// # Errors
/// [`ConfigError`] when the settings cannot be read.
pub async fn doctor_report(args: DoctorArgs) -> Result<DoctorReport, ConfigError> {
    let args = config::with_file(ServeArgs {
        config: args.config,
        data_dir: args.data_dir,
        sandbox_binary: args.sandbox_binary,
        ..ServeArgs::default()
    })?;
    let subject = Subject {
        data_dir: config::data_dir(&args)?,
        launcher: config::sandbox_path(args.sandbox_binary.as_deref())?,
    };
    Ok(DoctorReport {
        findings: machine(&subject).await,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: &[(&'static str, State)]) -> DoctorReport {
        let finding = |(name, state): &(&'static str, State)| match state {
            State::Ok => Finding::ok(name, "all is well"),
            State::Limited => Finding::limited(name, "not all is well", "do something"),
            State::Missing => Finding::missing(name, "all is lost", "do everything"),
        };
        DoctorReport {
            findings: findings.iter().map(finding).collect(),
        }
    }

    #[test]
    fn a_line_for_each_thing_and_a_step_for_each_miss() {
        let mixed = report(&[
            ("kernel", State::Ok),
            ("memory limit", State::Limited),
            ("nftables", State::Missing),
            ("sandbox", State::Ok),
        ]);
        assert!(mixed.can_run());
        assert_eq!(
            mixed.to_string(),
            "ok       kernel        all is well\n\
             limited  memory limit  not all is well\n\
             \x20                      next step: do something\n\
             missing  nftables      all is lost\n\
             \x20                      next step: do everything\n\
             ok       sandbox       all is well\n\
             Sandboxes run on this machine, without what is named above."
        );
        let good = report(&[("sandbox", State::Ok)]).to_string();
        assert!(good.ends_with("with nothing missing."), "{good}");
    }

    #[test]
    fn only_a_failed_trial_is_the_end() {
        let lost = report(&[("kernel", State::Ok), ("sandbox", State::Missing)]);
        assert!(!lost.can_run());
        assert!(
            lost.to_string()
                .ends_with("Sandboxes cannot run on this machine yet.")
        );
        assert!(!report(&[("kernel", State::Ok)]).can_run());
    }

    #[test]
    fn three_settings_of_the_server_are_taken() {
        let command = DoctorArgs::augment_args(Command::new("doctor"));
        let read = |args: &[&str]| {
            let words = std::iter::once("doctor").chain(args.iter().copied());
            let matches = command.clone().try_get_matches_from(words)?;
            DoctorArgs::from_arg_matches(&matches)
        };
        assert_eq!(read(&[]).unwrap(), DoctorArgs::default());
        let flags = ["--config=a", "--data-dir=b", "--sandbox-binary=c"];
        let args = read(&flags).unwrap();
        assert_eq!(
            [args.config, args.data_dir, args.sandbox_binary],
            ["a", "b", "c"].map(|path| Some(PathBuf::from(path)))
        );
        assert!(read(&["--listen=127.0.0.1:1"]).is_err());
    }

    /// Whatever this machine is like, the trial is reported under the name that decides.
    #[tokio::test]
    async fn privileged_the_trial_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let report = doctor_report(DoctorArgs {
            config: None,
            data_dir: Some(folder.path().to_owned()),
            sandbox_binary: Some(crate::tests::sandbox_binary()),
        })
        .await
        .unwrap();
        assert!(
            report.findings.iter().any(|finding| finding.name == TRIAL),
            "{report}"
        );
        assert!(report.can_run(), "{report}");
    }
}
