//! The server's own log, on standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, Settings};

/// Starts logging. Where the process has a log already, that one stays.
pub(crate) fn start(settings: &Settings) {
    // The filter was checked with the settings.
    let filter = EnvFilter::try_new(&settings.log_filter).unwrap_or_default();
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => lines
            .with_ansi(io::stderr().is_terminal())
            .finish()
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was set up before the server started");
    }
}
