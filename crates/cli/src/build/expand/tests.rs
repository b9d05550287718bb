//! Scopes, as the reference of Dockerfiles describes them.

use super::*;
use crate::build::dockerfile::{Dockerfile, What};

fn platform() -> Platform {
    Platform {
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        variant: String::new(),
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Goes through a Dockerfile; what each `WORKDIR` says is what it sees. Every image has `BASE=image`.
/// The bases come first.
fn seen_with(given: &[(&str, &str)], text: &str) -> Result<Vec<String>, String> {
    let dockerfile = Dockerfile::parse("Dockerfile", text).map_err(|error| error.to_string())?;
    let globals = Globals::new(
        map(given),
        &platform(),
        dockerfile.escape,
        &dockerfile.global_args,
    )
    .map_err(|(line, error)| format!("{line}: {error}"))?;
    let mut seen = Vec::new();
    let mut scopes: Vec<Scope> = Vec::new();
    for stage in &dockerfile.stages {
        let base = globals.expand(&stage.base)?;
        let mut scope = match dockerfile.stage(&base, stage.index) {
            Some(earlier) => scopes[earlier.index].clone(),
            None => globals.stage(map(&[("BASE", "image")])),
        };
        seen.push(base);
        for instruction in &stage.instructions {
            match &instruction.what {
                What::Arg(args) => scope.declare(&globals, args)?,
                What::Env(pairs) => drop(scope.set_env(pairs)?),
                What::Workdir(text) => seen.push(scope.expand(text)?),
                What::Run(_) => seen.push(format!("{:?}", scope.run_env(&globals))),
                other => unreachable!("{other:?}"),
            }
        }
        scopes.push(scope);
    }
    Ok(seen)
}

fn seen(text: &str) -> Vec<String> {
    seen_with(&[], text).unwrap()
}

#[test]
fn arguments_before_from_are_for_from() {
    let text = "ARG VERSION=9 TAG=$VERSION-slim\nFROM image:$TAG\nWORKDIR <$VERSION>\n\
                ARG VERSION\nWORKDIR <$VERSION>\nFROM other:${VERSION}\nWORKDIR <$VERSION>";
    assert_eq!(seen(text), ["image:9-slim", "<>", "<9>", "other:9", "<>"]);
    assert_eq!(
        seen_with(&[("VERSION", "10")], text).unwrap(),
        ["image:10-slim", "<>", "<10>", "other:10", "<>"]
    );
    assert_eq!(seen("ARG NONE\nFROM a${NONE:-b}"), ["ab"]);
    assert_eq!(
        seen_with(&[], "ARG A=1\nARG B=${A:?}${C:?no-C}\nFROM x"),
        Err("2: C: no-C".to_owned())
    );
}

#[test]
fn arguments_are_known_from_their_line_on() {
    let text =
        "FROM a\nWORKDIR <$user>\nARG user=some\nWORKDIR <$user>\nARG user=\nWORKDIR <$user>";
    assert_eq!(seen(text), ["a", "<>", "<some>", "<>"]);
    assert_eq!(
        seen_with(&[("user", "given")], text).unwrap(),
        ["a", "<>", "<given>", "<given>"]
    );
    // What no ARG names stays unknown.
    assert_eq!(
        seen_with(&[("other", "given")], "FROM a\nWORKDIR <$other>").unwrap(),
        ["a", "<>"]
    );
    assert_eq!(seen("FROM a\nARG x=1 y=${x}2\nWORKDIR $y"), ["a", "12"]);
}

#[test]
fn a_stage_knows_what_its_base_knew() {
    let text =
        "FROM a AS base\nARG x=1\nENV e=2\nFROM base\nWORKDIR <$x$e>\nFROM a\nWORKDIR <$x$e>";
    assert_eq!(seen(text), ["a", "base", "<12>", "a", "<>"]);
}

#[test]
fn env_goes_before_arg() {
    for text in [
        "FROM a\nARG v=arg\nENV v=env\nWORKDIR $v",
        "FROM a\nENV v=env\nARG v=arg\nWORKDIR $v",
    ] {
        assert_eq!(seen_with(&[("v", "given")], text).unwrap(), ["a", "env"]);
    }
    assert_eq!(
        seen("FROM a\nARG v\nENV v=${v:-v1.0.0}\nWORKDIR $v"),
        ["a", "v1.0.0"]
    );
    assert_eq!(seen("FROM a\nARG BASE=arg\nWORKDIR $BASE"), ["a", "image"]);
}

#[test]
fn a_line_of_env_sees_what_was_before_it() {
    let text = "FROM a\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\nWORKDIR $def,$ghi";
    assert_eq!(seen(text), ["a", "hello,bye"]);
}

#[test]
fn values_with_blanks_and_quotes() {
    let text = r#"FROM a
ENV MY_NAME="John Doe" MY_DOG=Rex\ The\ Dog \
    MY_CAT=fluffy
WORKDIR $MY_NAME,$MY_DOG,$MY_CAT
ENV old  a "quoted" 'value' $MY_CAT
WORKDIR <$old>
ENV ONE TWO= THREE=world
WORKDIR <$ONE>
ENV empty= quoted="" dollar='$MY_CAT'
WORKDIR <$empty$quoted$dollar>
"#;
    assert_eq!(
        seen(text),
        [
            "a",
            "John Doe,Rex The Dog,fluffy",
            "<a quoted value fluffy>",
            "<TWO= THREE=world>",
            "<$MY_CAT>"
        ]
    );
    assert!(
        seen_with(&[], "FROM a\nENV ${none}=x")
            .unwrap_err()
            .contains("cannot name")
    );
}

#[test]
fn a_run_has_arguments_variables_and_proxies() {
    let given = [
        ("HTTP_PROXY", "http://proxy"),
        ("no_proxy", "local"),
        ("undeclared", "x"),
        ("v", "given"),
    ];
    let text = "FROM a\nARG v\nARG none\nARG w=1\nENV w=env\nRUN true";
    let env = map(&[
        ("BASE", "image"),
        ("HTTP_PROXY", "http://proxy"),
        ("no_proxy", "local"),
        ("v", "given"),
        ("w", "env"),
    ]);
    assert_eq!(seen_with(&given, text).unwrap()[1], format!("{env:?}"));
    assert!(is_predefined("https_proxy") && is_predefined("ALL_PROXY"));
    assert!(!is_predefined("v"));
}

#[test]
fn the_platform_is_known_where_it_is_declared() {
    let text = "FROM --platform=$BUILDPLATFORM a-$TARGETARCH\nWORKDIR <$TARGETARCH>\n\
                ARG TARGETARCH TARGETPLATFORM TARGETVARIANT\n\
                WORKDIR $TARGETARCH,$TARGETPLATFORM,$TARGETVARIANT";
    assert_eq!(seen(text), ["a-amd64", "<>", "amd64,linux/amd64,"]);
}

#[test]
fn copies_are_expanded() {
    let text = "FROM a\nENV d=/srv u=www n=2\nCOPY --chown=$u:$u --chmod=${m:-644} \
                --exclude=*.$n \"file$n\" ${d}/x/\nCOPY <<A <<'B' $d/\nto $n \\$n \"$d\"\nA\nto $n\nB\n\
                ADD [\"with blank $n\", \"$d\"]";
    let dockerfile = Dockerfile::parse("Dockerfile", text).unwrap();
    let globals = Globals::new(BTreeMap::new(), &platform(), '\\', &[]).unwrap();
    let mut scope = globals.stage(BTreeMap::new());
    let mut copies = Vec::new();
    for instruction in &dockerfile.stages[0].instructions {
        match &instruction.what {
            What::Env(pairs) => drop(scope.set_env(pairs).unwrap()),
            What::Copy(copy) => copies.push(scope.expand_copy(copy).unwrap()),
            other => unreachable!("{other:?}"),
        }
    }
    assert_eq!(copies[0].chown.as_deref(), Some("www:www"));
    assert_eq!(copies[0].chmod.as_deref(), Some("644"));
    assert_eq!(copies[0].exclude, ["*.2"]);
    assert_eq!(copies[0].sources, [Source::Path("file2".to_owned())]);
    assert_eq!(copies[0].dest, "/srv/x/");
    let texts: Vec<_> = copies[1]
        .sources
        .iter()
        .map(|source| match source {
            Source::Heredoc(doc) => doc.text.as_str(),
            Source::Path(path) => path,
        })
        .collect();
    assert_eq!(texts, ["to 2 $n \"/srv\"\n", "to $n\n"]);
    assert_eq!(copies[2].sources, [Source::Path("with blank 2".to_owned())]);
    assert_eq!(copies[2].dest, "/srv");
    for (text, is_right) in [
        ("ADD --checksum=sha256:0 http://a/b c", true),
        ("ADD --checksum=sha256:0 $u c", true),
        ("ADD --checksum=sha256:0 a c", false),
        ("ADD --checksum=sha256:0 http://a/b http://c/d e/", false),
    ] {
        let dockerfile = Dockerfile::parse("Dockerfile", &format!("FROM a\n{text}")).unwrap();
        let What::Copy(copy) = &dockerfile.stages[0].instructions[0].what else {
            unreachable!("{text}");
        };
        let mut scope = scope.clone();
        scope
            .set_env(&[("u".to_owned(), "https://a/b".to_owned())])
            .unwrap();
        assert_eq!(scope.expand_copy(copy).is_ok(), is_right, "{text}");
    }
}
