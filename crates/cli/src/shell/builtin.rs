//! Words that the shell understands itself, and what `help` says of them.

/// Words that a line can begin with.
pub(super) const BUILTINS: [&str; 9] = [
    "cd", "clear", "contree", "exit", "help", "history", "pwd", "quit", "timeout",
];
/// Editors of this machine that open files of the image.
pub(super) const EDITORS: [&str; 4] = ["nano", "nvim", "vi", "vim"];
/// How a line begins that chooses the output format.
pub(super) const FORMAT_OPTIONS: [&str; 3] = ["--format", "--output", "-o"];
/// What `help` can explain beside the commands of `contree`.
pub(super) const TOPICS: [&str; 16] = [
    "--format", "--output", "-o", "cat", "cd", "clear", "exit", "help", "history", "ls", "nano",
    "nvim", "pwd", "quit", "timeout", "vim",
];

/// What `help` says.
pub(super) const HELP: &str = "\
What is typed runs in the sandbox, through its sh, and the session moves on to the image that it
leaves. Some lines are the shell's own:

  cd [DIR]             go to a folder; - to the one before, nothing to the root
  pwd                  where am I?
  ls [DIR], cat FILE   look into the image; with options, patterns or pipes they are run instead,
                       and so they are while edited files wait for the next run
  vim, vi, nvim, nano FILE
                       edit a file of the image with this machine's editor
  timeout DURATION COMMAND
                       run it for so long: 90, 30s, 5m, 1.5h, 1d
  contree COMMAND      any command of contree, in this session: contree session show
  -o, --format, --output [FORMAT]
                       how commands of contree print: default, table, json, json-pretty, plain, csv,
                       tsv or toml
  history [TEXT]       lines typed before, or those with TEXT
  clear                clear the screen
  help [TOPIC]         this, or help on one of these or on a command of contree
  exit, quit [CODE]    leave; Ctrl-D does so too

A line goes on in the next row while a quote, a backslash or a heredoc is open. Tab completes,
Ctrl-R searches the history, Ctrl-C interrupts the command, or clears the line.";

/// What `help TOPIC` says of what is the shell's own.
pub(super) fn help_on(topic: &str) -> Option<&'static str> {
    Some(match topic {
        "cd" => {
            "\
cd [DIR]

Goes to a folder of the image; what runs from then on starts there. It is a step of the session:
`contree session rollback` goes back. The path is taken as it is, without variables and patterns.
  cd /srv/app
  cd ..          from where the session is
  cd -           to the folder before
  cd             to the root"
        }
        "pwd" => "pwd\n\nPrints the folder that commands start in.",
        "history" => {
            "\
history [TEXT]

Prints the lines typed in this session, or those with TEXT in them, in capitals or not."
        }
        "help" => "help [TOPIC]\n\nExplains the shell, one of its words, or a command of contree.",
        "clear" => "clear\n\nClears the screen.",
        "exit" | "quit" => {
            "\
exit [CODE], quit [CODE]

Leaves the shell. Ctrl-D on an empty line does so too."
        }
        "timeout" => {
            "\
timeout DURATION COMMAND

Runs COMMAND and kills it after DURATION: a number, alone or with s, m, h or d, for seconds to days.
Without it the server's own timeout holds. A DURATION that is none of these goes to the sandbox's
`timeout` program as it is.
  timeout 30s make test
  timeout 1.5h ./train | tee log"
        }
        "--format" | "--output" | "-o" => {
            "\
-o [FORMAT], --format [FORMAT], --output [FORMAT]

Chooses how commands print from now on, or tells how they do: default, table, json, json-pretty,
plain, csv, tsv or toml."
        }
        "ls" | "cat" => {
            "\
ls [DIR], cat FILE

Look into the image without running anything. With options, patterns, pipes or several files, and
while edited files wait for the next run, they run in the sandbox like everything else."
        }
        "vim" | "vi" | "nvim" | "nano" => {
            "\
vim FILE, vi FILE, nvim FILE, nano FILE

Opens a file of the image in this machine's editor. What is changed becomes part of the next run."
        }
        _ => return None,
    })
}

/// A duration as `timeout` reads it, in whole seconds; none when it is not one, or nothing.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (&text[..at], 1.0),
        (at, 'm') => (&text[..at], 60.0),
        (at, 'h') => (&text[..at], 3_600.0),
        (at, 'd') => (&text[..at], 86_400.0),
        _ => (text, 1.0),
    };
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.ends_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let seconds = number.parse::<f64>().ok().filter(|_| is_number)? * unit;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between the bounds above it is a whole number of seconds, rounded down"
    )]
    (1.0..=f64::from(u32::MAX))
        .contains(&seconds)
        .then_some(seconds as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("60", Some(60)),
            ("30s", Some(30)),
            ("1.5m", Some(90)),
            ("2h", Some(7_200)),
            ("1d", Some(86_400)),
            ("0", None),
            ("0.5", None),
            ("-5", None),
            ("5x", None),
            ("", None),
            ("s", None),
            ("1.", None),
            ("1e3", None),
            ("99999999999d", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn every_topic_is_explained() {
        for topic in TOPICS {
            assert!(help_on(topic).is_some(), "{topic}");
        }
        for word in BUILTINS.iter().filter(|word| **word != "contree") {
            assert!(HELP.contains(word), "{word}");
        }
    }
}
