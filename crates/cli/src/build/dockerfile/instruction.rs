//! From a logical line to an instruction.
//!
//! The keyword is followed by flags (`--name=value`, only at the beginning), then by arguments in
//! the form that belongs to the keyword. Errors are what comes behind `Dockerfile:12: `.

use super::flags::Flags;
use super::lines::{Line, Opening, keyword, words};
use super::{ArgDefault, Copy, Instruction, Run, RunCommand, Source, What};

/// What a line is for the Dockerfile as a whole.
#[derive(Debug)]
pub(super) enum Read {
    From {
        base: String,
        name: Option<String>,
        platform: Option<String>,
    },
    Arg(Vec<ArgDefault>),
    /// The instruction, behind those that it needs to have been carried out.
    Instructions(Vec<Instruction>),
}

/// Instructions that images have no place for, and what people should know about each.
const IGNORED: [(&str, &str); 9] = [
    (
        "CMD",
        "an image has no command of its own; give it to contree run",
    ),
    (
        "ENTRYPOINT",
        "an image has no command of its own; give it to contree run",
    ),
    ("LABEL", "an image has no labels; name it with --tag"),
    ("EXPOSE", "a sandbox accepts no connections"),
    ("VOLUME", "all of a sandbox's files are part of its image"),
    ("STOPSIGNAL", "an image has no command of its own"),
    ("MAINTAINER", "an image has no labels"),
    ("HEALTHCHECK", "an image has no command of its own"),
    ("ONBUILD", "an image keeps no instructions for later builds"),
];

const KNOWN: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads one line.
pub(super) fn read(line: &Line, escape: char) -> Result<Read, String> {
    let (keyword, rest) = keyword(&line.text);
    let mut warnings = Vec::new();
    if let Some((name, why)) = IGNORED.iter().find(|(name, _)| *name == keyword) {
        warnings.push(format!("{name} is skipped: {why}"));
        return Ok(Read::Instructions(vec![Instruction {
            line: line.number,
            text: shown(line),
            warnings,
            what: What::Ignored(name),
        }]));
    }
    let (mut flags, rest) = Flags::read(&keyword, rest, escape);
    let needs = |what: &str| format!("{keyword} needs {what}");
    let mut instructions = Vec::new();
    let what = match keyword.as_str() {
        "FROM" => {
            let platform = flags.value("platform")?;
            flags.end()?;
            let (base, name) = from(rest)?;
            return Ok(Read::From {
                base,
                name,
                platform,
            });
        }
        "ARG" => {
            flags.end()?;
            return Ok(Read::Arg(arg(rest, escape)?));
        }
        "ENV" => {
            flags.end()?;
            What::Env(env(rest, escape)?)
        }
        "RUN" => {
            for mount in flags.values("mount")? {
                match mounted(&mount)? {
                    Mounted::Warning(warning) => warnings.push(warning),
                    Mounted::Copy(copy) => instructions.push(Instruction {
                        line: line.number,
                        text: format!("RUN --mount={mount}"),
                        warnings: vec![BIND_WARNING.to_owned()],
                        what: What::Copy(copy),
                    }),
                }
            }
            What::Run(run(rest, line, escape, &mut flags)?)
        }
        "COPY" | "ADD" => What::Copy(copy(rest, line, flags)?),
        "WORKDIR" | "USER" => {
            flags.end()?;
            match rest {
                "" if keyword == "USER" => return Err(needs("a user, such as 1000:1000 or www")),
                "" => return Err(needs("a folder")),
                rest if keyword == "USER" => What::User(rest.to_owned()),
                rest => What::Workdir(rest.to_owned()),
            }
        }
        "SHELL" => {
            flags.end()?;
            let shell = json(rest)?.filter(|shell| !shell.is_empty());
            What::Shell(shell.ok_or_else(|| {
                needs("a JSON list with double quotes, such as [\"/bin/bash\", \"-c\"]")
            })?)
        }
        unknown => return Err(unknown_instruction(unknown)),
    };
    instructions.push(Instruction {
        line: line.number,
        text: shown(line),
        warnings,
        what,
    });
    Ok(Read::Instructions(instructions))
}

fn unknown_instruction(unknown: &str) -> String {
    let near = KNOWN
        .iter()
        .map(|known| (distance(known, unknown), known))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    match near {
        Some((_, known)) => format!("there is no instruction {unknown}; perhaps {known}?"),
        None => format!("there is no instruction {unknown}"),
    }
}

/// How many letters must be changed, added or removed.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (index, byte) in other.bytes().take(32).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, known) in one.bytes().enumerate() {
            let replaced = diagonal + usize::from(known != byte);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[one.len()]
}

/// The line as people see it: blanks in one, no control characters, a word about heredocs.
pub(super) fn shown(line: &Line) -> String {
    let (keyword, rest) = keyword(&line.text);
    let mut text = keyword;
    for word in rest.split(|char: char| char.is_whitespace() || char.is_control()) {
        if !word.is_empty() {
            text.push(' ');
            text.push_str(word);
        }
    }
    if let Some(here) = line.heredocs.first() {
        let mut lines = here.doc.text.lines().filter(|line| !line.trim().is_empty());
        let first: String = lines
            .next()
            .unwrap_or_default()
            .trim()
            .chars()
            .filter(|char| !char.is_control())
            .collect();
        let more = if lines.next().is_some() { "..." } else { "" };
        text.push_str(&format!(" ({first}{more})"));
    }
    text
}

/// A JSON list of strings. None when it is none at all, as with `[ -f x ] && y`.
fn json(text: &str) -> Result<Option<Vec<String>>, String> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Ok(None);
    };
    values
        .into_iter()
        .map(|value| match value {
            serde_json::Value::String(text) => Ok(text),
            other => Err(format!("the JSON list has `{other}`, which is no string")),
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

fn from(rest: &str) -> Result<(String, Option<String>), String> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    match words[..] {
        [base] => Ok((base.to_owned(), None)),
        [base, r#as, name] if r#as.eq_ignore_ascii_case("as") => {
            let name = name.to_ascii_lowercase();
            let is_name = name.starts_with(|char: char| char.is_ascii_lowercase())
                && name
                    .chars()
                    .all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
            if !is_name {
                return Err(format!(
                    "`{name}` cannot name a stage: a letter, then letters, digits, - _ or ."
                ));
            }
            Ok((base.to_owned(), Some(name)))
        }
        [] => Err("FROM needs an image".to_owned()),
        _ => Err("FROM takes an image, and perhaps AS and a name".to_owned()),
    }
}

fn arg(rest: &str, escape: char) -> Result<Vec<ArgDefault>, String> {
    let words = words(rest, escape);
    if words.is_empty() {
        return Err("ARG needs a name".to_owned());
    }
    words
        .into_iter()
        .map(|word| {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(default.to_owned())),
                None => (word, None),
            };
            if name.is_empty() {
                return Err(format!("ARG needs a name before the =, in `{word}`"));
            }
            let name = name.to_owned();
            Ok(ArgDefault { name, default })
        })
        .collect()
}

fn env(rest: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let words = words(rest, escape);
    let Some(first) = words.first() else {
        return Err("ENV needs a name and a value: ENV name=value".to_owned());
    };
    if !first.contains('=') {
        // The old form: everything behind the name is its value.
        let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if value.trim().is_empty() {
            return Err(format!("ENV needs a value: ENV {name}=value"));
        }
        return Ok(vec![(name.to_owned(), value.trim_start().to_owned())]);
    }
    words
        .into_iter()
        .map(|word| match word.split_once('=') {
            None => Err(format!(
                "ENV needs name=value, not `{word}`; a value with blanks needs quotes"
            )),
            Some(("", _)) => Err(format!("ENV needs a name before the =, in `{word}`")),
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        })
        .collect()
}

fn run(rest: &str, line: &Line, escape: char, flags: &mut Flags<'_>) -> Result<Run, String> {
    let is_offline = match flags.value("network")?.as_deref() {
        None | Some("default") => false,
        Some("none") => true,
        Some("host") => return Err("--network=host: a sandbox has a network of its own".to_owned()),
        Some(other) => return Err(format!("--network is default or none, not `{other}`")),
    };
    match flags.value("security")?.as_deref() {
        None | Some("sandbox") => {}
        Some(other) => return Err(format!("--security={other}: a sandbox has no more rights")),
    }
    flags.end()?;
    let command = if let Some(exec) = json(rest)? {
        if !line.heredocs.is_empty() || exec.is_empty() {
            return Err("RUN needs a command in its JSON list".to_owned());
        }
        RunCommand::Exec(exec)
    } else {
        match &line.heredocs[..] {
            [] if rest.is_empty() => return Err("RUN needs a command".to_owned()),
            [] => RunCommand::Shell(rest.to_owned()),
            // Nothing but a heredoc: it is the script.
            [here] if is_only_heredoc(&words(rest, escape)) => {
                let text = here.doc.text.clone();
                if text.starts_with("#!") {
                    RunCommand::Script(text)
                } else {
                    RunCommand::Shell(text)
                }
            }
            // The shell reads them as its own.
            several => {
                let mut text = rest.to_owned();
                for here in several {
                    text.push('\n');
                    text.push_str(&here.written);
                }
                RunCommand::Shell(text)
            }
        }
    };
    Ok(Run {
        command,
        is_offline,
    })
}

fn is_only_heredoc(words: &[&str]) -> bool {
    match *words {
        [word] => Opening::read(word, None).is_some(),
        [word, next] => Opening::read(word, Some(next)).is_some_and(|opening| opening.is_apart),
        _ => false,
    }
}

/// What a `--mount` comes to in sandboxes, which have no mounts.
enum Mounted {
    /// The folder that is there without one is enough.
    Warning(String),
    /// The files are put there before.
    Copy(Copy),
}

const BIND_WARNING: &str = "--mount=type=bind is a COPY: what it mounts stays in the image";

fn mounted(mount: &str) -> Result<Mounted, String> {
    let mut kind = "bind";
    let mut is_required = false;
    let (mut source, mut from, mut target) = (None, None, None);
    for option in mount.split(',') {
        match option.split_once('=').unwrap_or((option, "")) {
            ("type", value) => kind = value,
            ("required", value) => is_required = value != "false",
            ("source" | "src", value) => source = Some(value),
            ("from", value) => from = Some(value.to_owned()),
            ("target" | "dst" | "destination", value) => target = Some(value),
            _ => {}
        }
    }
    match kind {
        "cache" | "tmpfs" => Ok(Mounted::Warning(format!(
            "--mount=type={kind} is skipped: the folder begins as the image has it, and what is \
             written there stays in the image"
        ))),
        "secret" | "ssh" if !is_required => Ok(Mounted::Warning(format!(
            "--mount=type={kind} is skipped: a build is given no secrets"
        ))),
        "secret" | "ssh" => Err(format!(
            "--mount=type={kind} with required: a build is given no secrets"
        )),
        "bind" => {
            let target = target
                .filter(|target| !target.is_empty())
                .ok_or_else(|| format!("--mount={mount} needs target=…"))?;
            if let Some(from) = &from {
                check_from(from)?;
            }
            Ok(Mounted::Copy(Copy {
                sources: vec![Source::Path(source.unwrap_or("/").to_owned())],
                dest: target.to_owned(),
                from,
                ..Copy::default()
            }))
        }
        other => Err(format!("there is no --mount=type={other}")),
    }
}

/// Stages that are needed are known before any variable is.
fn check_from(from: &str) -> Result<(), String> {
    if from.contains('$') {
        return Err(format!(
            "--from={from}: variables are not expanded here; name a stage with FROM … AS, and copy \
             from that"
        ));
    }
    Ok(())
}

fn copy(rest: &str, line: &Line, mut flags: Flags<'_>) -> Result<Copy, String> {
    let keyword = flags.keyword();
    let is_add = keyword == "ADD";
    let mut copy = Copy {
        is_add,
        chown: flags.value("chown")?,
        chmod: flags.value("chmod")?,
        link: flags.switch("link")?.unwrap_or(false),
        exclude: flags.values("exclude")?,
        ..Copy::default()
    };
    if is_add {
        copy.checksum = flags.value("checksum")?;
        copy.unpack = flags.switch("unpack")?;
        // Only git's URLs have such a folder, and those are refused.
        flags.switch("keep-git-dir")?;
    } else {
        copy.from = flags.value("from")?;
        copy.parents = flags.switch("parents")?.unwrap_or(false);
    }
    flags.end()?;
    if let Some(from) = &copy.from {
        check_from(from)?;
    }
    let mut here = line.heredocs.iter();
    let mut sources: Vec<Source> = Vec::new();
    let paths = match json(rest)? {
        Some(paths) => paths,
        None => rest.split_whitespace().map(str::to_owned).collect(),
    };
    let mut paths = paths.into_iter().peekable();
    while let Some(path) = paths.next() {
        let next = paths.peek().map(String::as_str);
        match Opening::read(&path, next) {
            Some(opening) if here.len() > 0 => {
                if opening.is_apart {
                    paths.next();
                }
                sources.extend(here.next().map(|here| Source::Heredoc(here.doc.clone())));
            }
            _ => sources.push(Source::Path(path)),
        }
    }
    match sources.pop() {
        Some(Source::Path(dest)) if !sources.is_empty() => copy.dest = dest,
        Some(Source::Heredoc(_)) => {
            return Err(format!("{keyword} needs a destination behind the heredoc"));
        }
        _ => return Err(format!("{keyword} needs a source and a destination")),
    }
    if copy.from.is_some()
        && sources
            .iter()
            .any(|source| matches!(source, Source::Heredoc(_)))
    {
        return Err("a heredoc cannot come --from a stage".to_owned());
    }
    copy.sources = sources;
    Ok(copy)
}
