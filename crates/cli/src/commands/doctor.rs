//! `contree doctor`

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;

/// Tell what this machine offers to a server, and what will be limited
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

pub(crate) async fn doctor(_: &Context, _: &DoctorArgs) -> Result<u8, Failure> {
    Err(Failure::new("wip"))
}
