//! Whole Dockerfiles.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Dockerfile, String> {
    Dockerfile::parse("Dockerfile", text).map_err(|failure| failure.to_string())
}

/// One line per instruction: its line, its text, and what it is.
fn outline(text: &str) -> Vec<String> {
    let dockerfile = parse(text).unwrap();
    let mut lines = Vec::new();
    for stage in &dockerfile.stages {
        lines.push(format!("{} {}", stage.line, stage.text));
        for instruction in &stage.instructions {
            lines.push(format!("{} {}", instruction.line, instruction.text));
        }
    }
    lines
}

fn only(text: &str) -> Instruction {
    let dockerfile = parse(&format!("FROM a\n{text}")).unwrap();
    dockerfile.stages[0].instructions[0].clone()
}

fn run(text: &str) -> Run {
    match only(text).what {
        What::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

fn copy(text: &str) -> Copy {
    match only(text).what {
        What::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

fn shell(text: &str) -> RunCommand {
    RunCommand::Shell(text.to_owned())
}

fn path(text: &str) -> Source {
    Source::Path(text.to_owned())
}

#[test]
fn a_python_service() {
    let text = include_str!("../fixtures/python.Dockerfile");
    assert_eq!(
        outline(text),
        [
            "3 FROM python:${PYTHON_VERSION}-slim AS base",
            "6 ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1",
            "8 WORKDIR /app",
            "10 FROM base AS wheels",
            "11 RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=index \
             apt-get update && apt-get install -y --no-install-recommends gcc libpq-dev && rm -rf \
             /var/lib/apt/lists/*",
            "18 COPY requirements*.txt ./",
            "19 RUN [\"pip\", \"wheel\", \"--no-deps\", \"--wheel-dir\", \"/wheels\", \"-r\", \
             \"requirements.txt\"]",
            "21 FROM base",
            "22 ARG UID=10001",
            "23 RUN adduser --disabled-password --gecos \"\" --uid \"${UID}\" appuser",
            "24 COPY --from=wheels /wheels /wheels",
            "25 COPY --chown=appuser:appuser . .",
            "26 USER appuser",
            "27 EXPOSE 8000",
            "28 HEALTHCHECK --interval=30s CMD curl -f http://localhost:8000/ || exit 1",
            "29 CMD [\"gunicorn\", \"app:app\", \"--bind=0.0.0.0:8000\"]",
        ]
    );
    let dockerfile = parse(text).unwrap();
    assert_eq!(dockerfile.global_args[0].line, 2);
    assert_eq!(dockerfile.global_args[0].args[0].name, "PYTHON_VERSION");
    assert!(dockerfile.declares("UID") && dockerfile.declares("PYTHON_VERSION"));
    assert!(!dockerfile.declares("USER"));
    let wheels = dockerfile.stage("WHEELS", 2).unwrap();
    assert_eq!(wheels.index, 1);
    assert_eq!(dockerfile.stage("wheels", 1), None);
    assert_eq!(dockerfile.stage("1", 2), Some(wheels));
    let What::Run(run) = &wheels.instructions[0].what else {
        panic!("{wheels:?}");
    };
    let RunCommand::Shell(script) = &run.command else {
        panic!("{run:?}");
    };
    assert!(script.starts_with("apt-get update"), "{script}");
    assert_eq!(wheels.instructions[0].warnings.len(), 2);
    let last = &dockerfile.stages[2];
    let ignored: Vec<_> = last
        .instructions
        .iter()
        .filter_map(|instruction| match instruction.what {
            What::Ignored(name) => Some((name, instruction.warnings.len())),
            _ => None,
        })
        .collect();
    assert_eq!(ignored, [("EXPOSE", 1), ("HEALTHCHECK", 1), ("CMD", 1)]);
}

#[test]
fn heredocs() {
    let text = include_str!("../fixtures/heredocs.Dockerfile");
    assert_eq!(
        outline(text)[2..],
        [
            "4 RUN <<EOF (set -e...)",
            "11 RUN <<-'SCRIPT' (#!/usr/bin/env python3...)",
            "15 RUN python3 - <<PY > /out.txt && cat <<-'SECOND' (print(\"$x\"))",
            "20 COPY <<nginx.conf <<\"raw\" plain.txt /etc/x/ (server $name;)",
            "25 ADD --chmod=0755 <<EOF /usr/bin/hello (#!/bin/sh)",
        ]
    );
    let dockerfile = parse(text).unwrap();
    let what: Vec<_> = dockerfile.stages[0]
        .instructions
        .iter()
        .map(|instruction| instruction.what.clone())
        .collect();
    let command = |index: usize| match &what[index] {
        What::Run(run) => run.command.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        command(1),
        shell("set -e\napt-get update\n\n# a comment of the shell\necho \"$HOME\"\n")
    );
    assert_eq!(
        command(2),
        RunCommand::Script("#!/usr/bin/env python3\nprint(\"tabs are gone\")\n".to_owned())
    );
    assert_eq!(
        command(3),
        shell(
            "python3 - <<PY > /out.txt && cat <<-'SECOND'\nprint(\"$x\")\nPY\n\ttabs stay for the \
             shell\nSECOND"
        )
    );
    let What::Copy(copy) = &what[4] else {
        panic!("{what:?}");
    };
    assert_eq!(copy.dest, "/etc/x/");
    let [
        Source::Heredoc(conf),
        Source::Heredoc(raw),
        Source::Path(plain),
    ] = &copy.sources[..]
    else {
        panic!("{copy:?}");
    };
    assert_eq!(
        (&*conf.name, &*conf.text, conf.is_expanded),
        ("nginx.conf", "server $name;\n", true)
    );
    assert_eq!(
        (&*raw.name, &*raw.text, raw.is_expanded),
        ("raw", "raw $name\n", false)
    );
    assert_eq!(plain, "plain.txt");
    let What::Copy(add) = &what[5] else {
        panic!("{what:?}");
    };
    assert_eq!(add.chmod.as_deref(), Some("0755"));
    assert!(add.is_add);
}

#[test]
fn a_file_from_another_system() {
    let text = include_str!("../fixtures/crlf.Dockerfile");
    assert!(text.contains("\r\n"));
    assert_eq!(
        outline(text),
        [
            "1 FROM alpine:3.20",
            "2 ARG user group=www",
            "5 MAINTAINER someone <a@b.c>",
            "6 ENV A 1 2",
            "7 RUN if [ -f x ]; then echo yes; fi",
            "10 ADD https://example.org/a.tar.gz app.tar /srv/",
        ]
    );
    let stage = &parse(text).unwrap().stages[0];
    assert_eq!(
        stage.instructions[2].what,
        What::Env(vec![("A".to_owned(), "1 2".to_owned())])
    );
}

#[test]
fn forms_of_run() {
    assert_eq!(run("RUN a  'b  c'").command, shell("a  'b  c'"));
    assert_eq!(
        run(r#"RUN [ "a", "b \"c\"", "\u00e9" ]"#).command,
        RunCommand::Exec(vec!["a".to_owned(), "b \"c\"".to_owned(), "é".to_owned()])
    );
    // No JSON: a test of the shell, or the wrong quotes.
    assert_eq!(run("RUN [ -f x ] && y").command, shell("[ -f x ] && y"));
    assert_eq!(run("RUN ['a']").command, shell("['a']"));
    assert!(!run("RUN a").is_offline);
    assert!(run("RUN --network=none a").is_offline);
    assert!(!run("RUN --network=default --security=sandbox a").is_offline);
    assert_eq!(
        run("RUN -- --network=none").command,
        shell("--network=none")
    );
    for begin in ["<< EOF", "<<'EOF'", "<<- \"EOF\"", "3<<EOF"] {
        let text = format!("RUN {begin}\nx\nEOF");
        assert_eq!(run(&text).command, shell("x\n"), "{begin}");
    }
    assert_eq!(run("RUN <<'one two'\nx\none two").command, shell("x\n"));
    assert_eq!(
        run("RUN <<EOF sh -s a\nx\nEOF").command,
        shell("<<EOF sh -s a\nx\nEOF")
    );
    assert_eq!(
        run("RUN echo $(( 1 << 2 ))").command,
        shell("echo $(( 1 << 2 ))")
    );
    assert_eq!(
        run("RUN sh <<A && sh <<B\n1\nA\n2\nB").command,
        shell("sh <<A && sh <<B\n1\nA\n2\nB")
    );
}

#[test]
fn mounts() {
    let text = "FROM a AS tools\nFROM b\nRUN --mount=type=cache,target=/root/.cache \\\n  \
                --mount=type=bind,source=uv.lock,target=uv.lock \\\n  \
                --mount=from=tools,src=/bin/uv,dst=/bin/uv,readonly --mount=target=/src,rw uv sync";
    let dockerfile = parse(text).unwrap();
    let instructions = &dockerfile.stages[1].instructions;
    let of = |source: &str, from: Option<&str>, dest: &str| {
        What::Copy(Copy {
            sources: vec![path(source)],
            dest: dest.to_owned(),
            from: from.map(str::to_owned),
            ..Copy::default()
        })
    };
    let what: Vec<_> = instructions[..3]
        .iter()
        .map(|instruction| instruction.what.clone())
        .collect();
    assert_eq!(
        what,
        [
            of("uv.lock", None, "uv.lock"),
            of("/bin/uv", Some("tools"), "/bin/uv"),
            of("/", None, "/src"),
        ]
    );
    assert_eq!(
        instructions[1].text,
        "RUN --mount=from=tools,src=/bin/uv,dst=/bin/uv,readonly"
    );
    let counts: Vec<_> = instructions
        .iter()
        .map(|instruction| (instruction.line, instruction.warnings.len()))
        .collect();
    assert_eq!(counts, [(3, 1); 4]);
    assert!(matches!(&instructions[3].what, What::Run(run) if run.command == shell("uv sync")));
}

#[test]
fn forms_of_copy() {
    assert_eq!(
        copy("COPY --from=base --chown=1:2 --link --exclude=a --exclude=b/* x y z/"),
        Copy {
            sources: vec![path("x"), path("y")],
            dest: "z/".to_owned(),
            from: Some("base".to_owned()),
            chown: Some("1:2".to_owned()),
            link: true,
            exclude: vec!["a".to_owned(), "b/*".to_owned()],
            ..Copy::default()
        }
    );
    let add = copy("ADD --checksum=sha256:00 --unpack=false --keep-git-dir=true --link=false a b");
    assert_eq!(add.checksum.as_deref(), Some("sha256:00"));
    assert_eq!(
        (add.unpack, add.link, add.is_add),
        (Some(false), false, true)
    );
    let blanks = copy(r#"COPY --parents ["a b", "c", "d e/"]"#);
    assert_eq!(blanks.sources, [path("a b"), path("c")]);
    assert_eq!((&*blanks.dest, blanks.parents), ("d e/", true));
    assert_eq!(
        copy("COPY --chmod=\"u=rwX, go=rX\" a b").chmod.as_deref(),
        Some("u=rwX, go=rX")
    );
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let cases = [
        ("", "Dockerfile has no FROM"),
        ("# nothing\nARG a", "Dockerfile has no FROM"),
        (
            "RUN x",
            "Dockerfile:1: expected FROM (or ARG) as the first instruction (RUN x)",
        ),
        ("FROM", "Dockerfile:1: FROM needs an image (FROM)"),
        (
            "FROM a b",
            "Dockerfile:1: FROM takes an image, and perhaps AS and a name (FROM a b)",
        ),
        (
            "FROM a AS 1",
            "Dockerfile:1: `1` cannot name a stage: a letter, then letters, digits, - _ or . (FROM a AS 1)",
        ),
        (
            "FROM a AS x\n\nFROM b as X",
            "Dockerfile:3: there is a stage x already (FROM b as X)",
        ),
        (
            "FROM a\nCOPY app",
            "Dockerfile:2: COPY needs a source and a destination (COPY app)",
        ),
        (
            "FROM a\nADD []",
            "Dockerfile:2: ADD needs a source and a destination (ADD [])",
        ),
        (
            "FROM a\nCOPY x <<EOF\nEOF",
            "Dockerfile:2: COPY needs a destination behind the heredoc (COPY x <<EOF ())",
        ),
        (
            "FROM a\nCOPY --form=x a b",
            "Dockerfile:2: COPY has no flag --form (COPY --form=x a b)",
        ),
        (
            "FROM a\nCOPY --from a b",
            "Dockerfile:2: --from needs a value: --from=… (COPY --from a b)",
        ),
        (
            "FROM a\nCOPY --from=a --from=b a b",
            "Dockerfile:2: --from is there twice (COPY --from=a --from=b a b)",
        ),
        (
            "FROM a\nCOPY --link=maybe a b",
            "Dockerfile:2: --link is true or false, not `maybe` (COPY --link=maybe a b)",
        ),
        (
            "FROM a AS b\nCOPY --from=B a b",
            "Dockerfile:2: --from=B is the stage itself (COPY --from=B a b)",
        ),
        (
            "FROM a\nFROM b\nCOPY --from=1 a b",
            "Dockerfile:3: --from=1 is the stage itself (COPY --from=1 a b)",
        ),
        (
            "FROM a\nCOPY --from=7 a b",
            "Dockerfile:2: --from=7: there is no earlier stage of that number (COPY --from=7 a b)",
        ),
        (
            "FROM a\nCOPY --from=z a b\nFROM b AS z",
            "Dockerfile:2: --from=z: that stage comes later (COPY --from=z a b)",
        ),
        (
            "FROM a\nCOPY --from=$x a b",
            "Dockerfile:2: --from=$x: variables are not expanded here; name a stage with FROM … AS, \
             and copy from that (COPY --from=$x a b)",
        ),
        ("FROM a\nRUN", "Dockerfile:2: RUN needs a command (RUN)"),
        (
            "FROM a\nRUN []",
            "Dockerfile:2: RUN needs a command in its JSON list (RUN [])",
        ),
        (
            "FROM a\nRUN [\"a\", 1]",
            "Dockerfile:2: the JSON list has `1`, which is no string (RUN [\"a\", 1])",
        ),
        (
            "FROM a\nRUN --network=some x",
            "Dockerfile:2: --network is default or none, not `some` (RUN --network=some x)",
        ),
        (
            "FROM a\nRUN --mount=source=y x",
            "Dockerfile:2: --mount=source=y needs target=… (RUN --mount=source=y x)",
        ),
        (
            "FROM a\nRUN --mount=from=$x,target=/y x",
            "Dockerfile:2: --from=$x: variables are not expanded here; name a stage with FROM … AS, \
             and copy from that (RUN --mount=from=$x,target=/y x)",
        ),
        (
            "FROM a\nRUN --mount=type=other x",
            "Dockerfile:2: there is no --mount=type=other (RUN --mount=type=other x)",
        ),
        (
            "FROM a\nRUN --mount=type=secret,id=x,required x",
            "Dockerfile:2: --mount=type=secret with required: a build is given no secrets (RUN \
             --mount=type=secret,id=x,required x)",
        ),
        (
            "FROM a\nENV x",
            "Dockerfile:2: ENV needs a value: ENV x=value (ENV x)",
        ),
        (
            "FROM a\nENV x=1 y",
            "Dockerfile:2: ENV needs name=value, not `y`; a value with blanks needs quotes (ENV x=1 y)",
        ),
        ("FROM a\nARG", "Dockerfile:2: ARG needs a name (ARG)"),
        (
            "FROM a\nUSER",
            "Dockerfile:2: USER needs a user, such as 1000:1000 or www (USER)",
        ),
        (
            "FROM a\nWORKDIR",
            "Dockerfile:2: WORKDIR needs a folder (WORKDIR)",
        ),
        (
            "FROM a\nSHELL bash -c",
            "Dockerfile:2: SHELL needs a JSON list with double quotes, such as [\"/bin/bash\", \
             \"-c\"] (SHELL bash -c)",
        ),
        (
            "FROM a\n\n\ncoppy a b",
            "Dockerfile:4: there is no instruction COPPY; perhaps COPY? (COPPY a b)",
        ),
        (
            "FROM a\necho a \\\n b",
            "Dockerfile:2: there is no instruction ECHO (ECHO a b)",
        ),
        (
            "FROM a\nRUN cat <<EOF\n",
            "Dockerfile:2: no line `EOF` ends the text that <<EOF begins",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).unwrap_err(), expected, "{text:?}");
    }
    let long = format!("FROM a\nCOPY --x {}", "y".repeat(1000));
    assert!(parse(&long).unwrap_err().len() < 200);
    let huge = " ".repeat(5 * 1024 * 1024);
    assert!(parse(&huge).unwrap_err().contains("at most"));
}

#[test]
fn an_image_may_be_named_like_nothing_else() {
    // No stage has the name: it is an image's.
    let text = "FROM a AS b\nCOPY --from=ghcr.io/o/i:1 /x /x\nCOPY --from=nginx /x /x";
    assert_eq!(parse(text).unwrap().stages[0].instructions.len(), 2);
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "((FROM|RUN|COPY|ADD|ENV|ARG|SHELL|ONBUILD|#|--from=|--|<<|EOF|\\[|\"a\"|\\]|=|\\\\|'|\"| |\n|\t|\r|a|é|\\$)){0,40}") {
        let _ = parse(&text);
        let _ = parse(&format!("FROM a\n{text}"));
        let _ = parse(&format!("FROM a\nRUN {text}"));
        let _ = parse(&format!("FROM a\nCOPY {text}"));
    }

    #[test]
    fn no_characters_are_too_strange(text in "\\PC{0,60}") {
        let _ = parse(&text);
        let _ = parse(&format!("FROM a\nENV {text}"));
    }
}
