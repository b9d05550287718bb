//! `contree doctor`

use clap::Args;
use contree_server::doctor::State;
use contree_server::{DoctorArgs, doctor_report};

use crate::args::Globals;
use crate::context::fallback_output;
use crate::failure::Failure;
use crate::output::{Columns, Row};

/// Tell what this machine offers to a server, and what will be limited
///
/// Each line is about one thing that sandboxes need: namespaces, mounts, cgroup controllers, the
/// network, disk. What is missing comes with the next step. At the end a sandbox is started for
/// trial; the exit code is 1 when that does not work.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree doctor
  contree doctor --data-dir /srv/contree     with the disk that the data will be on
  contree doctor -o json")]
pub(crate) struct DoctorCommand {
    #[command(flatten)]
    args: DoctorArgs,
}

/// Looks at the machine. No profile is needed, nor read.
pub(crate) async fn doctor(globals: &Globals, command: DoctorCommand) -> Result<u8, Failure> {
    let output = fallback_output(globals);
    let report = doctor_report(command.args)
        .await
        .map_err(|error| Failure::new("could not look at this machine").because(&error))?;
    if output.is_default() {
        output.line(&report.to_string())?;
    } else {
        let mut rows = output.rows(Columns::default());
        for finding in &report.findings {
            rows.push(
                Row::new()
                    .with("name", finding.name)
                    .with("state", state(finding.state))
                    .with("detail", finding.detail.as_str())
                    .with("next_step", finding.next_step.as_str()),
            )?;
        }
        rows.finish()?;
    }
    Ok(u8::from(!report.can_run()))
}

const fn state(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Limited => "limited",
        State::Missing => "missing",
    }
}
