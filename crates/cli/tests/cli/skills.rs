//! `contree skill`, beside contree-cli 0.9.4 and in turn with it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::compat::peer;
use crate::home::{Ended, Home};

/// A user with a home, a project to stand in, and a place for what contree itself keeps.
struct User {
    home: Home,
}

impl User {
    fn new() -> Self {
        let home = Home::empty();
        for folder in ["home", "project", "contree"] {
            fs::create_dir(home.folder.path().join(folder)).unwrap();
        }
        Self { home }
    }

    /// One that has Claude.
    fn with_claude() -> Self {
        let user = Self::new();
        fs::create_dir(user.path("home/.claude")).unwrap();
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        // Without links on the way, as both programs write paths.
        self.home.folder.path().canonicalize().unwrap().join(name)
    }

    fn program(&self, program: &str, args: &[&str], input: &[u8]) -> Ended {
        let mut command = self.home.command(program, args);
        let mut child = command
            .current_dir(self.path("project"))
            .env("HOME", self.path("home"))
            .env("CONTREE_HOME", self.path("contree"))
            .env_remove("CODEX_HOME")
            .env_remove("OPENCODE_HOME")
            .env_remove("CLINE_DIR")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // It may end without reading.
        let _ = std::io::Write::write_all(&mut pipe, input);
        drop(pipe);
        Ended::of(child)
    }

    fn ours(&self, args: &[&str]) -> Ended {
        let args = [&["-o", "json", "skill"], args].concat();
        self.program(env!("CARGO_BIN_EXE_contree"), &args, b"")
    }

    fn theirs(&self, args: &[&str]) -> Ended {
        let args = [&["-o", "json", "skill"], args].concat();
        self.program(peer().to_str().unwrap(), &args, b"")
    }

    /// Every file below a folder, with its text.
    fn files(&self, name: &str) -> BTreeMap<String, String> {
        let root = self.path(name);
        let mut files = BTreeMap::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().display().to_string();
                    files.insert(name, fs::read_to_string(&path).unwrap_or_default());
                }
            }
        }
        files
    }

    fn names(&self, name: &str) -> Vec<String> {
        self.files(name).into_keys().collect()
    }
}

/// Rows in an order of their own: contree-cli has none.
fn sorted(ended: &Ended) -> Vec<Value> {
    let mut rows = ended.rows();
    rows.sort_by_key(ToString::to_string);
    rows
}

/// What is listed, without what is the writer's version.
fn listed(ended: Ended) -> Vec<(Value, Value, Value, Value)> {
    let rows = ended.code(0).rows();
    rows.iter()
        .map(|row| {
            let of = |name: &str| row[name].clone();
            (of("name"), of("path"), of("kind"), of("exists"))
        })
        .collect()
}

const SPECS: &[&[&str]] = &[
    &[],
    &["."],
    &["claude:~"],
    &["codex:"],
    &["opencode:sub"],
    &["amp:~", "cline:", "amp:~"],
    &["claude-agent:", "claude-subagent:~"],
    &["sub"],
    &["./some/skills/contree"],
    &["note.md"],
    &["claude:.claude/skills/contree"],
];

#[test]
fn compat_0_9_4_writes_the_same_files() {
    for claude in [true, false] {
        // Without Claude what is not named differs, and nothing else.
        for specs in &SPECS[..if claude { SPECS.len() } else { 2 }] {
            let user = || {
                if claude {
                    User::with_claude()
                } else {
                    User::new()
                }
            };
            let (ours, theirs) = (user(), user());
            let install = [&["install"][..], specs].concat();
            let (a, b) = (ours.ours(&install).code(0), theirs.theirs(&install).code(0));
            let placed = |ended: &Ended, user: &User| {
                let root = user.path("").display().to_string();
                let rows = sorted(ended)
                    .into_iter()
                    .map(|row| row.to_string().replace(&root, ""));
                rows.collect::<Vec<_>>()
            };
            assert_eq!(placed(&a, &ours), placed(&b, &theirs), "{specs:?}");
            for folder in ["home", "project"] {
                assert_eq!(ours.names(folder), theirs.names(folder), "{specs:?}");
            }
            // Again: what is there stays.
            let before = ours.files("");
            let again = ours.ours(&install).code(0);
            assert!(again.stdout.is_empty() && again.stderr.contains("Already installed"));
            assert!(theirs.theirs(&install).code(0).stdout.is_empty());
            assert_eq!(ours.files("home"), strip(&before, "home"));
            // And gone without a trace.
            ours.ours(&["remove", "-f"]).code(0);
            theirs.theirs(&["remove", "-f"]).code(0);
            for folder in ["home", "project"] {
                assert_eq!(ours.names(folder), theirs.names(folder), "{specs:?}");
                assert!(ours.names(folder).is_empty(), "{specs:?}");
            }
            assert_eq!(
                ours.path("home/.claude").exists(),
                theirs.path("home/.claude").exists()
            );
        }
    }
}

fn strip(files: &BTreeMap<String, String>, folder: &str) -> BTreeMap<String, String> {
    let below = format!("{folder}/");
    files
        .iter()
        .filter_map(|(name, text)| Some((name.strip_prefix(&below)?.to_owned(), text.clone())))
        .collect()
}

#[test]
fn compat_0_9_4_registry_is_shared_in_turn() {
    let user = User::with_claude();
    user.theirs(&["install", "claude:~", "codex:", "claude-agent:"])
        .code(0);
    user.ours(&["install", "amp:~", "claude-subagent:"]).code(0);
    let both = || {
        let (ours, theirs) = (listed(user.ours(&["list"])), listed(user.theirs(&["ls"])));
        assert_eq!(ours, theirs);
        ours.len()
    };
    assert_eq!(both(), 5);
    // What the other program wrote is outdated for each.
    let outdated = |ended: Ended| {
        let rows = ended.code(0).rows();
        let old = rows.iter().filter(|row| row["outdated"] == true);
        old.map(|row| row["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(outdated(user.ours(&["list"])).len(), 3);
    assert_eq!(outdated(user.theirs(&["list"])).len(), 3);
    user.ours(&["upgrade"]).code(0);
    assert!(outdated(user.ours(&["list"])).is_empty());
    user.theirs(&["upgrade"]).code(0);
    assert_eq!(outdated(user.ours(&["list"])).len(), 5);
    user.ours(&["update", "claude:~"]).code(0);
    // Each removes what the other wrote.
    user.theirs(&["rm", "-f", "claude:~"]).code(0);
    user.ours(&["del", "-y", "codex:", "claude-agent:"]).code(0);
    assert_eq!(both(), 2);
    user.ours(&["r", "-f"]).code(0);
    assert_eq!(both(), 0);
    assert!(user.names("project").is_empty());
    // Nothing to do is said alike.
    for args in [&["remove"][..], &["upgrade"]] {
        user.ours(args).code(1);
        user.theirs(args).code(1);
    }
    for args in [&["remove", "-f", "cline:"][..], &["upgrade", "cline:"]] {
        user.ours(args).code(1).says("Not installed");
        user.theirs(args).code(1).says("Not installed");
    }
    for args in [&[][..], &["none"], &["install", "--none"]] {
        user.ours(args).code(2);
        user.theirs(args).code(2);
    }
}

#[test]
fn people_are_asked_before_anything_is_removed() {
    let user = User::new();
    user.ours(&["install", "cline:"]).code(0);
    let answered = |answer: &[u8]| {
        let args = ["skill", "remove", "cline:"];
        user.program(env!("CARGO_BIN_EXE_contree"), &args, answer)
    };
    for no in [&b""[..], b"\n", b"n\n", b"yes please\n"] {
        assert_eq!(answered(no).code(1).stdout, "Aborted.\n");
    }
    assert_eq!(user.names("project").len(), 3);
    answered(b"y\n").code(0).says("[y/N]");
    assert!(user.names("project").is_empty());
}

#[test]
fn files_of_others_are_kept() {
    let user = User::new();
    let folder = user.path("project/.cline/skills/contree");
    user.ours(&["install", "cline:"]).code(0);
    fs::write(folder.join("mine"), "mine").unwrap();
    fs::write(folder.join("agents/openai.yaml"), "mine").unwrap();
    user.ours(&["remove", "-f", "cline:"]).code(0);
    let left = [
        ".cline/skills/contree/agents/openai.yaml",
        ".cline/skills/contree/mine",
    ];
    assert_eq!(user.names("project"), left);
    // A skill that is not ours is neither removed nor overwritten unasked.
    fs::write(folder.join("SKILL.md"), "---\nname: other\n---\n").unwrap();
    for args in [&["remove", "-f", "cline:"][..], &["upgrade", "cline:"]] {
        user.ours(args).code(1).says("not contree's skill");
    }
    user.ours(&["install", "cline:"])
        .code(0)
        .says("Already installed");
    let text = || fs::read_to_string(folder.join("SKILL.md")).unwrap();
    assert_eq!(text(), "---\nname: other\n---\n");
    user.ours(&["install", "-f", "cline:"]).code(0);
    assert!(text().contains("name: contree"));
}

#[test]
fn links_do_not_lead_out() {
    let user = User::with_claude();
    let outside = user.path("outside");
    fs::create_dir_all(outside.join("skills/contree")).unwrap();
    let project = user.path("project");
    let untouched = || {
        assert_eq!(user.names("outside"), Vec::<String>::new());
    };

    // A project whose folder for skills is elsewhere.
    symlink(&outside, project.join(".cline")).unwrap();
    user.ours(&["install", "cline:"])
        .code(1)
        .says("symbolic link");
    untouched();
    // One whose skill is a link.
    fs::create_dir_all(project.join(".amp/skills")).unwrap();
    symlink(&outside, project.join(".amp/skills/contree")).unwrap();
    user.ours(&["install", "-f", "amp:"])
        .code(1)
        .says("symbolic link");
    untouched();
    // Links within are not followed: a folder is refused, a file replaced.
    let contree = project.join(".agents/skills/contree");
    fs::create_dir_all(&contree).unwrap();
    symlink(&outside, contree.join("agents")).unwrap();
    user.ours(&["install", "codex:"])
        .code(1)
        .says("symbolic link");
    untouched();
    fs::remove_file(contree.join("agents")).unwrap();
    fs::write(user.path("precious"), "precious").unwrap();
    symlink(user.path("precious"), contree.join("SKILL.md")).unwrap();
    user.ours(&["install", "codex:"])
        .code(0)
        .says("Already installed");
    user.ours(&["install", "-f", "codex:"]).code(0);
    assert!(!contree.join("SKILL.md").is_symlink());
    // Nor is anything removed through one.
    fs::remove_dir_all(contree.join("agents")).unwrap();
    fs::write(outside.join("openai.yaml"), "  display_name: \"ConTree\"\n").unwrap();
    symlink(&outside, contree.join("agents")).unwrap();
    user.ours(&["remove", "-f", "codex:"]).code(0);
    assert_eq!(user.names("outside"), ["openai.yaml"]);
    assert_eq!(
        fs::read_to_string(user.path("precious")).unwrap(),
        "precious"
    );
    assert!(contree.join("agents").is_symlink());

    // One's own folders may be kept elsewhere.
    fs::remove_dir(user.path("home/.claude")).unwrap();
    let dotfiles = user.path("dotfiles");
    fs::create_dir(&dotfiles).unwrap();
    symlink(&dotfiles, user.path("home/.claude")).unwrap();
    user.ours(&["install", "claude:~"]).code(0);
    assert!(dotfiles.join("skills/contree/SKILL.md").is_file());
}

#[test]
fn codex_gets_a_rule_and_loses_it_with_the_last_skill() {
    let user = User::new();
    let rules = user.path("home/.codex/rules/contree.rules");
    user.ours(&["install", "codex:~", "codex:"])
        .code(0)
        .says("without asking");
    assert!(fs::read_to_string(&rules).unwrap().contains("prefix_rule("));
    user.ours(&["remove", "-f", "codex:"]).code(0);
    assert!(rules.exists());
    user.ours(&["remove", "-f", "codex:~"]).code(0);
    assert!(!rules.exists());
    // Somebody's own rules stay as they are.
    fs::write(
        &rules,
        "prefix_rule(pattern=[\"contree\"], decision=\"prompt\")\n",
    )
    .unwrap();
    user.ours(&["install", "codex:~"]).code(0);
    user.ours(&["remove", "-f", "codex:~"]).code(0);
    assert!(fs::read_to_string(&rules).unwrap().contains("prompt"));
}

#[test]
fn a_kind_alone_says_not_where() {
    let user = User::new();
    user.ours(&["install", "claude"]).code(1).says("claude:~");
    assert!(user.names("project").is_empty());
    // Unless there is such a folder.
    fs::create_dir(user.path("project/claude")).unwrap();
    user.ours(&["install", "claude"]).code(0);
    assert!(!user.names("project/claude").is_empty());
}

#[test]
fn environment_moves_the_folders() {
    let user = User::new();
    let elsewhere = user.path("elsewhere");
    for (name, kind, file) in [
        ("OPENCODE_HOME", "opencode:~", "skills/contree/SKILL.md"),
        ("CLINE_DIR", "cline:~", "skills/contree/SKILL.md"),
        ("CODEX_HOME", "codex:~", "rules/contree.rules"),
    ] {
        for program in [env!("CARGO_BIN_EXE_contree"), peer().to_str().unwrap()] {
            let mut command = user.home.command(program, &["skill", "install", kind]);
            command
                .current_dir(user.path("project"))
                .env("HOME", user.path("home"))
                .env(name, &elsewhere);
            Ended::of(command.spawn().unwrap()).code(0);
            assert!(elsewhere.join(file).is_file(), "{name}");
            fs::remove_dir_all(&elsewhere).unwrap();
            let _ = fs::remove_dir_all(user.path("home/.agents"));
        }
    }
    assert!(Path::new(&user.path("home")).is_dir());
}
