//! The files of a skill: written, recognised, removed.
//!
//! ```text
//! FOLDER/SKILL.md              the skill
//! FOLDER/.version              of the program that wrote it
//! FOLDER/agents/openai.yaml    how Codex shows it
//! FILE.md                      of the kinds that are one file
//! ```
//!
//! Nothing is written or removed through a symbolic link in the folder, and in a project, which may
//! be somebody else's work, none that leads out of it is followed on the way to the folder. A file
//! is whole or not there: it is written beside and renamed.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::target::{Target, Users, resolved};
use super::{VERSION, text};
use crate::failure::{Doing as _, Failure};

const SKILL: &str = "SKILL.md";
const VERSION_FILE: &str = ".version";
const AGENTS: &str = "agents";
const OPENAI: &str = "openai.yaml";
/// No file of a skill is longer; of others this much is looked at.
const MAX_BYTES: u64 = 1024 * 1024;

/// Whether there is a skill at the place.
pub(super) fn exists(target: &Target) -> bool {
    if target.kind().is_file() {
        target.path().is_file()
    } else {
        target.path().join(SKILL).is_file()
    }
}

/// Whether something is in the way of a new one.
pub(super) fn is_taken(target: &Target) -> bool {
    let path = target.path();
    let files = if target.kind().is_file() {
        vec![path.to_owned()]
    } else {
        let openai = path.join(AGENTS).join(OPENAI);
        vec![path.join(SKILL), path.join(VERSION_FILE), openai]
    };
    files.iter().any(|file| file.symlink_metadata().is_ok())
}

/// Whether what is there was written by this program or by contree-cli.
pub(super) fn is_ours(target: &Target) -> bool {
    let file = if target.kind().is_file() {
        target.path().to_owned()
    } else {
        target.path().join(SKILL)
    };
    read(&file).is_some_and(|text| text::is_ours(&text))
}

/// The version of what is there, as far as it tells one.
pub(super) fn version(target: &Target) -> Option<String> {
    if target.kind().is_file() {
        return text::version(&read(target.path())?);
    }
    let version = read(&target.path().join(VERSION_FILE))?;
    Some(version.trim().to_owned()).filter(|version| text::is_version(version))
}

/// Writes all files. `home` is where this program keeps its own.
pub(super) fn write(target: &Target, users: &Users, home: &str) -> Result<(), Failure> {
    check_way(target, users)?;
    let path = target.path();
    let skill = text::skill(target.kind(), home);
    if target.kind().is_file() {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder).doing(|| could_not_write(path))?;
        return replace(path, &skill);
    }
    let agents = path.join(AGENTS);
    fs::create_dir_all(&agents).doing(|| could_not_write(path))?;
    // Only now are they sure to be there, and what they are is known.
    check_folder(path)?;
    check_folder(&agents)?;
    replace(&path.join(VERSION_FILE), VERSION)?;
    replace(&path.join(SKILL), &skill)?;
    replace(&agents.join(OPENAI), text::OPENAI)
}

/// Removes the files, and folders that are empty then.
pub(super) fn remove(target: &Target, users: &Users) -> Result<(), Failure> {
    check_way(target, users)?;
    let path = target.path();
    let gone = |file: &Path| fs::remove_file(file).doing(|| could_not_remove(file));
    if target.kind().is_file() {
        gone(path)?;
    } else {
        check_folder(path)?;
        gone(&path.join(SKILL))?;
        let version = path.join(VERSION_FILE);
        if read(&version).is_some_and(|text| text::is_version(text.trim())) {
            gone(&version)?;
        }
        let agents = path.join(AGENTS);
        let openai = agents.join(OPENAI);
        if check_folder(&agents).is_ok()
            && read(&openai).is_some_and(|text| text::is_openai_of_ours(&text))
        {
            gone(&openai)?;
        }
        // What holds other files stays, and so do links.
        for folder in [&*agents, path] {
            let _ = fs::remove_dir(folder);
        }
    }
    remove_empty_parents(path);
    Ok(())
}

/// Folders that are there for skills alone, when they are empty. A project's or a user's own folder
/// is none of them.
fn remove_empty_parents(path: &Path) {
    for folder in path.ancestors().skip(1) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let is_layout = name == "skills" || name == "agents" || name.starts_with('.');
        if !is_layout || fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

/// Lets Codex run contree without asking; false when there are other rules in the file already.
pub(super) fn write_rules(path: &Path) -> Result<bool, Failure> {
    if path.symlink_metadata().is_ok() && !read(path).is_some_and(|text| text::is_rules(&text)) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).doing(|| could_not_write(path))?;
    replace(path, text::RULES)?;
    Ok(true)
}

/// Takes that back; other rules in the file stay.
pub(super) fn remove_rules(path: &Path) -> Result<(), Failure> {
    if read(path).is_some_and(|text| text::is_rules(&text)) {
        fs::remove_file(path).doing(|| could_not_remove(path))?;
    }
    Ok(())
}

/// Refuses a place that is a link, or that links in a project lead out of it.
fn check_way(target: &Target, users: &Users) -> Result<(), Failure> {
    let path = target.path();
    if path.is_symlink() && !target.kind().is_file() {
        return Err(is_link(path));
    }
    if users.owns(target) {
        return Ok(());
    }
    if let Some(project) = target.project() {
        // A file that is a link is replaced, not followed; the folder it is in counts.
        let folder = path.parent().unwrap_or(path);
        if !resolved(folder)?.starts_with(resolved(project)?) {
            return Err(Failure::new(format!(
                "{} leads out of {} by a symbolic link",
                folder.display(),
                project.display()
            ))
            .next("name the skill's own folder"));
        }
    }
    Ok(())
}

fn check_folder(path: &Path) -> Result<(), Failure> {
    let metadata = path
        .symlink_metadata()
        .doing(|| format!("could not look at {}", path.display()))?;
    if metadata.is_dir() {
        Ok(())
    } else {
        Err(is_link(path))
    }
}

fn is_link(path: &Path) -> Failure {
    Failure::new(format!(
        "{} is a symbolic link, and what it leads to is not contree's",
        path.display()
    ))
    .next("name the folder that it leads to, or remove the link")
}

/// Text of a file that is no link, if it is not too long.
fn read(path: &Path) -> Option<String> {
    let metadata = path.symlink_metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return None;
    }
    fs::read_to_string(path).ok()
}

/// Puts a file in the place of what is there, which may be a link.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let written = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(0o644));
        }
        let mut file = builder.prefix(".contree-").tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    written().doing(|| could_not_write(path))
}

fn could_not_write(path: &Path) -> String {
    format!("could not write {}", path.display())
}

fn could_not_remove(path: &Path) -> String {
    format!("could not remove {}", path.display())
}
