//! What the files of a skill say, and how they are known again.

use super::target::Kind;
use super::{NAME, VERSION};

/// How Codex shows the skill.
pub(super) const OPENAI: &str = include_str!("openai.yaml");
/// Lets Codex run contree without asking each time.
pub(super) const RULES: &str = "\
# Written by `contree skill install`: Codex may run contree without asking.
prefix_rule(pattern=[\"contree\"], decision=\"allow\")
";

const SKILL: &str = include_str!("skill.md");
const CODEX: &str = include_str!("codex.md");
const SUBAGENT: &str = include_str!("subagent.md");
const AGENT: &str = include_str!("agent.md");

/// What agent tools go by when they choose a skill, at most 1024 characters.
const DESCRIPTION: &str = "\
Run commands in isolated contree sandboxes whose every step can be taken back: start a session from \
an image, run, look into files without running, branch, roll back, tag and reuse results. Use it to \
try something out safely, to build or test in a clean environment, to compare several ways to a \
goal side by side, or whenever the user speaks of contree.";
const SUBAGENT_DESCRIPTION: &str = "\
Does a whole task in contree sandboxes and reports what came of it. Use it for work that needs many \
steps in a sandbox, or several attempts from the same start.";
const AGENT_DESCRIPTION: &str = "\
Works in contree sandboxes: sessions, runs, branches, rollback, tags. Use it when code has to run \
isolated from this machine.";
/// Before the version in files that have no other place for it.
const MARK: &str = "Written by `contree skill install` ";

/// The skill for an agent tool. `home` is the folder of this program's own files.
pub(super) fn skill(kind: Kind, home: &str) -> String {
    let fill = |text: &str| {
        text.replace("{mark}", &format!("{MARK}{VERSION}"))
            .replace("{home}", home)
    };
    let front = |lines: &[(&str, &str)]| {
        let lines: Vec<String> = lines
            .iter()
            .map(|(key, value)| format!("{key}: {value}\n"))
            .collect();
        format!("---\n{}---\n\n", lines.concat())
    };
    let quoted = format!("\"{DESCRIPTION}\"");
    match kind {
        Kind::Claude => {
            let front = front(&[
                ("name", NAME),
                ("description", &quoted),
                ("allowed-tools", "Bash(contree:*)"),
            ]);
            front + &fill(SKILL)
        }
        Kind::Codex => {
            let front = front(&[("name", NAME), ("description", &quoted)]);
            front + &fill(SKILL) + "\n" + &fill(CODEX)
        }
        Kind::OpenCode | Kind::Amp | Kind::Cline => {
            front(&[("name", NAME), ("description", &quoted)]) + &fill(SKILL)
        }
        Kind::ClaudeSubagent => {
            let front = front(&[
                ("name", "contree-subagent"),
                ("description", &format!("\"{SUBAGENT_DESCRIPTION}\"")),
                ("tools", "Bash, Read, Grep"),
            ]);
            front + &fill(SUBAGENT) + "\n" + &fill(SKILL)
        }
        Kind::ClaudeAgent => {
            let front = front(&[
                ("name", NAME),
                ("description", &format!("\"{AGENT_DESCRIPTION}\"")),
                ("tools", "Bash, Read, Grep"),
                ("skills", NAME),
            ]);
            front + &fill(AGENT)
        }
    }
}

/// Whether a skill's text is one that this program or contree-cli wrote: its name is, and it points
/// to the manual of both.
pub(super) fn is_ours(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    if lines.next() != Some("---") {
        return false;
    }
    let name = lines
        .take_while(|line| *line != "---")
        .find_map(|line| line.strip_prefix("name:"));
    let name = name.map(|name| name.trim().trim_matches(['"', '\'']));
    matches!(name, Some("contree" | "contree-subagent")) && text.contains("contree agent")
}

/// The version that a file of ours names.
pub(super) fn version(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(MARK)?;
    let word = rest.split_whitespace().next()?;
    let version = word.trim_end_matches(['.', ',']);
    is_version(version).then(|| version.to_owned())
}

/// Whether a text can be a version, and so a file of it one of ours.
pub(super) fn is_version(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || ".+-".contains(c);
    !text.is_empty() && text.len() <= 64 && text.chars().all(is_word)
}

/// Whether a file is how Codex shows the skill, by this program or by contree-cli.
pub(super) fn is_openai_of_ours(text: &str) -> bool {
    text.contains("display_name: \"ConTree\"")
}

/// Whether a file has our rule, or that of contree-cli, and no other.
pub(super) fn is_rules(text: &str) -> bool {
    let rules = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        let rules = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        rules.map(ToOwned::to_owned).collect()
    };
    rules(text) == rules(RULES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::agent::tests::hold_to_the_command_line;

    #[test]
    fn every_kind_has_a_text_that_is_known_again() {
        for kind in Kind::ALL {
            let text = skill(kind, "~/.config/contree");
            assert!(is_ours(&text), "{kind:?}");
            assert_eq!(version(&text).as_deref(), Some(VERSION), "{kind:?}");
            assert!(!text.contains(['{', '}']) || kind == Kind::Codex, "{text}");
            let (front, _) = text[4..].split_once("\n---\n").unwrap();
            let description = front.lines().find(|l| l.starts_with("description: "));
            assert!(description.unwrap().len() < 1_024, "{kind:?}");
        }
    }

    #[test]
    fn every_command_of_the_skill_is_one() {
        assert!(hold_to_the_command_line(SKILL) > 10);
        for text in [CODEX, SUBAGENT, AGENT] {
            hold_to_the_command_line(text);
        }
    }

    #[test]
    fn others_are_not_ours() {
        for text in [
            "",
            "name: contree\ncontree agent",
            "---\nname: other\n---\ncontree agent",
            "---\nname: contree\n---\nmy own notes",
        ] {
            assert!(!is_ours(text), "{text}");
        }
        assert!(is_ours(
            "---\nname: \"contree\"\n---\n\n# ConTree\n`contree agent`"
        ));
        assert!(!is_rules(
            "prefix_rule(pattern=[\"rm\"], decision=\"allow\")"
        ));
        assert!(is_rules(
            "prefix_rule(pattern=[\"contree\"], decision=\"allow\")\n"
        ));
    }
}
