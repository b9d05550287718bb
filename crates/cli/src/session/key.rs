//! Which session a command belongs to.
//!
//! `--session`, else `CONTREE_SESSION`, else a key made from where the command is typed: the name
//! of the current folder, `+`, and eight hex digits that stand for the profile, the parent process
//! and the terminal. So one shell keeps one session, and another shell or folder has its own.

use uuid::Uuid;

use crate::home::variable;

/// Where a command is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    parent: u32,
    terminal: Option<String>,
}

impl Place {
    /// Where this process was started.
    fn here() -> Self {
        Self {
            parent: parent_process(),
            terminal: terminal(),
        }
    }

    /// Where a shell of this process id types, for one that asks through a process between; its
    /// terminal is what it reads from, unless it tells.
    pub(crate) fn of_shell(shell: u32, terminal: Option<String>) -> Self {
        Self {
            parent: shell,
            terminal: terminal.or_else(|| terminal_of(shell)),
        }
    }
}

/// The key, by the rule above.
pub(crate) fn session_key(profile: &str, chosen: Option<&str>) -> String {
    session_key_at(profile, chosen, Place::here)
}

/// The same for what is typed elsewhere.
pub(crate) fn session_key_at(
    profile: &str,
    chosen: Option<&str>,
    place: impl FnOnce() -> Place,
) -> String {
    if let Some(key) = chosen.filter(|key| !key.is_empty()) {
        return key.to_owned();
    }
    if let Some(key) = variable("CONTREE_SESSION") {
        return key;
    }
    let folder = std::env::current_dir()
        .ok()
        .and_then(|path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        })
        .unwrap_or_else(|| "session".to_owned());
    let place = place();
    derived(&folder, profile, place.parent, place.terminal.as_deref())
}

fn derived(folder: &str, profile: &str, parent: u32, terminal: Option<&str>) -> String {
    let terminal = terminal.map_or_else(|| "notty".to_owned(), |path| path.replace('/', "_"));
    let place = format!("{profile}_{parent}_{terminal}");
    let digits = Uuid::new_v5(&Uuid::NAMESPACE_OID, place.as_bytes())
        .simple()
        .to_string();
    format!("{folder}+{}", &digits[..8])
}

#[cfg(unix)]
fn parent_process() -> u32 {
    std::os::unix::process::parent_id()
}

#[cfg(unix)]
fn terminal() -> Option<String> {
    let name = rustix::termios::ttyname(std::io::stdin(), Vec::new()).ok()?;
    name.into_string().ok()
}

/// The terminal that a process reads from, where the system tells; else ours, which is the same
/// unless a shell redirects what it starts.
#[cfg(unix)]
fn terminal_of(process: u32) -> Option<String> {
    let Ok(path) = std::fs::read_link(format!("/proc/{process}/fd/0")) else {
        return terminal();
    };
    let path = path.to_str()?;
    let is_terminal = path.starts_with("/dev/pts/") || path.starts_with("/dev/tty");
    is_terminal.then(|| path.to_owned())
}

#[cfg(not(unix))]
fn terminal_of(_: u32) -> Option<String> {
    None
}

#[cfg(not(unix))]
fn parent_process() -> u32 {
    0
}

#[cfg(not(unix))]
fn terminal() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by contree-cli 0.9.4 for the same four inputs.
    #[test]
    fn same_as_the_other_program() {
        assert_eq!(
            derived("work", "default", 4242, Some("/dev/pts/3")),
            "work+7521a664"
        );
        assert_eq!(derived("work", "default", 4242, None), "work+bcf9056d");
    }
}
