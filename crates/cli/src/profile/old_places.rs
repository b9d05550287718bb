//! Files of contree-cli before 0.5, moved to where both programs look for them today.
//!
//! | where it was | where it goes |
//! | --- | --- |
//! | `~/.config/contree-cli/config.ini` | `auth.ini` |
//! | `~/.config/contree-cli/sessions-PROFILE.db` | `cli/sessions/PROFILE.db` |
//! | `sessions-PROFILE.db` in the home itself | `cli/sessions/PROFILE.db` |
//! | `skills.db` in either | `cli/skills.db` |
//!
//! What is at the new place already stays, and so does the old file then. The other folder is
//! looked into only when it has a `config.ini` and the home has no `auth.ini`. Nothing else in it
//! is touched: it may be a folder of another kind that happens to have this name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Doing as _, Failure};

/// Moves what is there; what was done, for people.
pub(crate) fn move_old(home: &Path) -> Result<Vec<String>, Failure> {
    let mut told = Vec::new();
    let other = home.with_file_name("contree-cli");
    if other.join("config.ini").is_file() && !home.join("auth.ini").exists() {
        move_from(&other, home, &mut told)?;
        // Only when nothing is left in it.
        let _ = fs::remove_dir(&other);
    }
    if home.is_dir() {
        move_from(home, home, &mut told)?;
    }
    Ok(told)
}

fn move_from(folder: &Path, home: &Path, told: &mut Vec<String>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).doing(|| format!("could not list {}", folder.display()))? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let Some(place) = name.to_str().and_then(place) else {
            continue;
        };
        let (from, to) = (entry.path(), home.join(place));
        if from == to || !from.is_file() {
            continue;
        }
        if to.exists() {
            told.push(format!(
                "{} is not used any more: there is {} already",
                from.display(),
                to.display()
            ));
            continue;
        }
        rename(&from, &to).doing(|| format!("could not move {}", from.display()))?;
        told.push(format!("Moved {} to {}", from.display(), to.display()));
    }
    Ok(())
}

/// Where a file of this name goes, below the home.
fn place(name: &str) -> Option<PathBuf> {
    let place = Path::new("cli");
    if name == "config.ini" {
        Some(PathBuf::from("auth.ini"))
    } else if let Some(profile) = name.strip_prefix("sessions-") {
        // With `-wal` and `-shm` of a database that was not closed.
        profile
            .contains(".db")
            .then(|| place.join("sessions").join(profile))
    } else {
        name.starts_with("skills.db").then(|| place.join(name))
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    #[cfg(unix)]
    if to.extension().is_some_and(|end| end == "ini") {
        use std::os::unix::fs::PermissionsExt as _;
        // It has tokens in it.
        fs::set_permissions(from, fs::Permissions::from_mode(0o600))?;
    }
    fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_is_old_is_moved_once() {
        let folder = tempfile::tempdir().unwrap();
        let (home, other) = (
            folder.path().join("contree"),
            folder.path().join("contree-cli"),
        );
        write(&other.join("config.ini"), "tokens");
        write(&other.join("sessions-work.db-wal"), "log");
        write(&home.join("sessions-default.db"), "flat");
        write(&home.join("skills.db"), "skills");
        assert_eq!(move_old(&home).unwrap().len(), 4);
        for (place, text) in [
            ("auth.ini", "tokens"),
            ("cli/sessions/work.db-wal", "log"),
            ("cli/sessions/default.db", "flat"),
            ("cli/skills.db", "skills"),
        ] {
            assert_eq!(fs::read_to_string(home.join(place)).unwrap(), text);
        }
        assert!(!other.exists());
        assert!(move_old(&home).unwrap().is_empty());
    }

    #[test]
    fn what_is_new_stays_and_what_is_not_ours_too() {
        let folder = tempfile::tempdir().unwrap();
        let (home, other) = (
            folder.path().join("contree"),
            folder.path().join("contree-cli"),
        );
        assert!(move_old(&home).unwrap().is_empty(), "there is no home yet");
        write(&other.join("README.md"), "a checkout of something");
        assert!(move_old(&home).unwrap().is_empty());
        write(&other.join("config.ini"), "old tokens");
        write(&home.join("auth.ini"), "new tokens");
        write(&home.join("skills.db"), "old");
        write(&home.join("cli/skills.db"), "new");
        let told = move_old(&home).unwrap();
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("not used any more"), "{told:?}");
        assert_eq!(
            fs::read_to_string(home.join("auth.ini")).unwrap(),
            "new tokens"
        );
        assert_eq!(
            fs::read_to_string(home.join("cli/skills.db")).unwrap(),
            "new"
        );
        assert!(other.join("README.md").exists());
    }
}
