//! `contree agent`, the manual that is built in.
//!
//! A section is a Markdown file beside this one; its first line is its title. The last section is
//! made from the command line itself. Every command in the manual is a command that parses: the
//! tests here see to it.

mod text;

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory as _};

use crate::args::CommandLine;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Row};

const TITLE: &str = "The contree manual";

/// Files with the names of their topics, in the order of the manual. The longer names are the
/// titles; the first words of them are contree-cli's too.
const SECTIONS: &[(&[&str], &str)] = &[
    (&["core_workflow", "core"], include_str!("core_workflow.md")),
    (&["sessions"], include_str!("sessions.md")),
    (&["images_and_tags", "images"], include_str!("images.md")),
    (
        &["building_images", "building", "build"],
        include_str!("building.md"),
    ),
    (
        &["files_and_directories", "files"],
        include_str!("files.md"),
    ),
    (
        &["looking_into_images", "looking"],
        include_str!("looking.md"),
    ),
    (
        &["execution_modes", "execution"],
        include_str!("execution.md"),
    ),
    (&["command_safety", "command"], include_str!("safety.md")),
    (&["output_formats", "output"], include_str!("output.md")),
    (
        &["interactive_shell", "interactive", "shell"],
        include_str!("shell.md"),
    ),
    (&["profiles"], include_str!("profiles.md")),
];

const ALL: &str = "all";
const ALL_COMMANDS: &str = "all_commands";

/// Read the manual
///
/// Written for people and coding agents alike: how to work with sessions, images and runs, by
/// topic. It needs no profile. On a terminal it is wrapped to fit; elsewhere it is Markdown.
#[derive(Debug, Args)]
#[command(after_help = "\
Topics:
  core           how to go about a task
  sessions       steps, branches, going back
  images         images, tags, imports
  build          images from Dockerfiles
  files          files into a run and out of it
  looking        list, read, search without a run
  execution      ways to run, detached runs
  command        rules that keep work safe
  output         output formats
  shell          the interactive shell
  profiles       servers, tokens, files of this program
  all_commands   every command in a line
  all            everything

Examples:
  contree agent
  contree agent sessions
  contree man execution
  contree -o json agent all      a row for each section

Environment: CONTREE_WRAP_TEXT=1 wraps elsewhere than on a terminal, too")]
pub(crate) struct AgentArgs {
    /// What to read about: see the topics below
    #[arg(
        default_value = ALL,
        value_parser = PossibleValuesParser::new(topics()),
        hide_possible_values = true
    )]
    topic: String,
}

/// A part of the manual.
struct Section {
    title: &'static str,
    body: String,
}

pub(crate) fn agent(context: &Context, args: AgentArgs) -> Result<u8, Failure> {
    let sections = sections(&args.topic);
    let output = &context.output;
    if output.is_default() {
        let mut manual = format!("# {TITLE}\n");
        for Section { title, body } in sections {
            manual.push_str(&format!("\n## {title}\n\n{}\n", body.trim_end()));
        }
        output.bytes(text::for_reader(output, &manual).as_bytes())?;
        return Ok(0);
    }
    let count = sections.len();
    let mut rows = output.rows(Columns::default());
    for (index, Section { title, body }) in sections.into_iter().enumerate() {
        rows.push(
            Row::new()
                .with("command", "agent")
                .with("topic", args.topic.as_str())
                .with("section", title)
                .with("text", body.trim_end())
                .with("section_index", index + 1)
                .with("section_count", count),
        )?;
    }
    rows.finish()?;
    Ok(0)
}

/// Every name of a topic.
fn topics() -> Vec<&'static str> {
    let mut topics = vec![ALL, ALL_COMMANDS];
    topics.extend(SECTIONS.iter().flat_map(|(names, _)| *names));
    topics.sort_unstable();
    topics
}

fn sections(topic: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = SECTIONS
        .iter()
        .filter(|(names, _)| topic == ALL || names.contains(&topic))
        .map(|(_, file)| {
            let (title, body) = file.split_once('\n').unwrap_or((file, ""));
            Section {
                title: title.trim_start_matches("# "),
                body: body.trim_start().to_owned(),
            }
        })
        .collect();
    if topic == ALL || topic == ALL_COMMANDS {
        sections.push(Section {
            title: "All commands",
            body: all_commands(),
        });
    }
    sections
}

/// Each command with what it does, as its help has it.
fn all_commands() -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    let root = CommandLine::command();
    for command in root.get_subcommands().filter(|c| !c.is_hide_set()) {
        lines.push(line("", command));
        for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            lines.push(line(&format!("{} ", command.get_name()), below));
        }
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::from("`contree COMMAND --help` tells all about a command.\n\n");
    for (name, about) in lines {
        text.push_str(&format!("    {name:width$}  {about}\n"));
    }
    text
}

fn line(above: &str, command: &clap::Command) -> (String, String) {
    let about = command.get_about().map(ToString::to_string);
    let mut about = about.unwrap_or_default();
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        about.push_str(&format!(" ({})", aliases.join(", ")));
    }
    (format!("{above}{}", command.get_name()), about)
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser as _;
    use clap::error::ErrorKind;

    use super::*;

    /// Holds every command of a Markdown text to the command line: lines of code blocks, and code
    /// within a line. How many there were.
    pub(crate) fn hold_to_the_command_line(text: &str) -> usize {
        let mut count = 0;
        for line in text.lines() {
            let is_block = line.starts_with("    ");
            let commands: Vec<&str> = if is_block {
                vec![line]
            } else {
                line.split('`').skip(1).step_by(2).collect()
            };
            for words in commands.into_iter().flat_map(commands_of) {
                if let Err(error) = CommandLine::try_parse_from(&words) {
                    // Within a sentence a command may be called by its name alone.
                    let is_name = !is_block && error.kind() == ErrorKind::MissingRequiredArgument;
                    let is_help = matches!(
                        error.kind(),
                        ErrorKind::DisplayHelp
                            | ErrorKind::DisplayVersion
                            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    );
                    assert!(is_help || is_name, "{line}\n{words:?}\n{error}");
                }
                count += 1;
            }
        }
        count
    }

    /// The words of each `contree` in a line of shell.
    fn commands_of(line: &str) -> Vec<Vec<String>> {
        let mut commands = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let mut word: Option<String> = None;
        let mut quote = None;
        let mut end = |words: &mut Vec<String>| {
            let start = words.iter().position(|word| word == "contree");
            let words = std::mem::take(words);
            // Some are said of commands, not to be typed: `contree -S KEY …`, `contree COMMAND --help`.
            let is_form = ["COMMAND", "TOPIC"]
                .iter()
                .any(|form| words.contains(&(*form).into()));
            let is_typed = words.last().is_none_or(|last| last != "…");
            if let Some(start) = start.filter(|_| is_typed && !is_form) {
                let mut command = words[start..].to_vec();
                if words[..start].contains(&"xargs".into()) {
                    command.push("ARGUMENT".into());
                }
                commands.push(command);
            }
        };
        for c in line.chars() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some(_), c) => word.get_or_insert_default().push(c),
                (None, '\'' | '"') => {
                    word.get_or_insert_default();
                    quote = Some(c);
                }
                (None, ' ') => words.extend(word.take()),
                (None, '#') if word.is_none() => break,
                (None, '(') if word.as_deref().is_some_and(|word| word.ends_with("=$")) => {
                    word = None;
                }
                (None, '|' | ';' | '&' | '>' | '<' | ')') => {
                    words.extend(word.take());
                    end(&mut words);
                }
                (None, c) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        end(&mut words);
        commands
    }

    #[test]
    fn every_command_of_the_manual_is_one() {
        for (names, file) in SECTIONS {
            assert!(hold_to_the_command_line(file) > 0, "{names:?}");
        }
    }

    #[test]
    fn commands_are_found_in_shell() {
        let words = |line| {
            let commands = commands_of(line);
            commands.iter().map(|c| c.join("_")).collect::<Vec<_>>()
        };
        assert_eq!(
            words("A=$(contree -o json run -d 'a b' | jq -r .uuid)  # contree"),
            ["contree_-o_json_run_-d_a b"]
        );
        assert_eq!(words("contree ps -q | xargs contree show").len(), 2);
        assert_eq!(words("contree -S KEY …").len(), 0);
    }

    #[test]
    fn topics_have_titles() {
        for (names, file) in SECTIONS {
            let title = file.lines().next().unwrap().strip_prefix("# ").unwrap();
            assert_eq!(title.to_lowercase().replace(' ', "_"), names[0]);
            assert_eq!(sections(names[0]).len(), 1);
            assert!(
                file.lines().all(|line| line.chars().count() <= 105),
                "{title}"
            );
        }
        assert_eq!(sections(ALL).len(), SECTIONS.len() + 1);
        let commands = all_commands();
        assert!(commands.contains("    session rollback "), "{commands}");
    }
}
