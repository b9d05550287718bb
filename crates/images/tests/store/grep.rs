//! Searches, and ripgrep as the judge of what there is to find.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use contree_api::inspect::{GrepCase, GrepLine, GrepMatch, GrepQuery, GrepResult};
use contree_images::{GrepError, PathError, Stop, View};

use crate::world::{Kind, entry, file, symlink, whiteout, world};

fn query(pattern: &str) -> GrepQuery {
    GrepQuery {
        patterns: vec![pattern.to_owned()],
        ..GrepQuery::default()
    }
}

fn stop() -> Stop {
    Stop::at(Instant::now() + Duration::from_secs(60))
}

fn grep(view: &View, query: &GrepQuery) -> GrepResult {
    view.grep(query, &stop()).unwrap()
}

/// `path:line:text` for matches, `path-line-text` for context.
fn lines(result: &GrepResult) -> Vec<String> {
    let line = |row: &GrepMatch| {
        let mark = match row.kind {
            GrepLine::Match => ':',
            GrepLine::Context => '-',
        };
        let text = row.line_text.trim_end();
        format!("{}{mark}{}{mark}{text}", row.path, row.line_number)
    };
    result.matches.iter().map(line).collect()
}

#[test]
fn what_an_answer_says() {
    let world = world();
    let base = world.layer(&[
        file("etc/passwd", "root:x:0\nme:x:1000\n"),
        file(
            "etc/ssh/config",
            "# Port 1\r\nPort 22\nport 23\n\nlast Port",
        ),
        file("etc/.hidden", "Port\n"),
        file("etc/.gitignore", "ssh\n*\n"),
        file("gone", "Port 1\n"),
        symlink("link", "etc/ssh"),
        symlink("etc/passwd-link", "passwd"),
        entry("pipe", Kind::Fifo),
        entry("etc/socket", Kind::Socket),
    ]);
    let top = world.layer(&[
        whiteout("gone"),
        entry("binary", Kind::File(b"Port\nPort\0".to_vec())),
        entry("latin", Kind::File(b"\xe9 Port \xe9\n".to_vec())),
        // A byte order mark makes it text.
        entry("wide", Kind::File(b"\xff\xfeP\0o\0r\0t\0\n\0".to_vec())),
        file("zero", ""),
    ]);
    let view = world.view(&[top, base]);
    let result = grep(&view, &query("Port"));
    assert_eq!(
        lines(&result),
        [
            "/etc/.hidden:1:Port",
            "/etc/ssh/config:1:# Port 1",
            "/etc/ssh/config:2:Port 22",
            "/etc/ssh/config:5:last Port",
            "/latin:1:\u{fffd} Port \u{fffd}",
            "/wide:1:Port",
        ]
    );
    assert_eq!((result.path.as_str(), result.truncated), ("/", false));
    assert_eq!(result.patterns, ["Port"]);
    let row = &result.matches[2];
    assert_eq!((row.absolute_offset, row.line_bytes), (10, 8));
    assert_eq!(row.line_text, "Port 22\n");
    assert_eq!(result.matches[3].line_text, "last Port");
    let submatch = &result.matches[1].submatches;
    assert_eq!(submatch.len(), 1);
    assert_eq!((submatch[0].start, submatch[0].end), (2, 6));
    assert_eq!(submatch[0].text, "Port");

    // Roots: files as they were named, links followed, in the given order and twice if so asked.
    let mut several = query("^(root|Port)");
    several.paths = [
        "link",
        "/etc/../etc/passwd",
        "//etc/passwd-link",
        "pipe",
        "link/",
    ]
    .map(str::to_owned)
    .to_vec();
    let result = grep(&view, &several);
    assert_eq!(
        lines(&result),
        [
            "/link/config:2:Port 22",
            "/etc/passwd:1:root:x:0",
            "/etc/passwd-link:1:root:x:0",
            "/link/config:2:Port 22",
        ]
    );
    assert_eq!(result.path, "link");

    let mut context = query("22|root");
    (context.before, context.after) = (1, 2);
    assert_eq!(
        lines(&grep(&view, &context)),
        [
            "/etc/passwd:1:root:x:0",
            "/etc/passwd-2-me:x:1000",
            "/etc/ssh/config-1-# Port 1",
            "/etc/ssh/config:2:Port 22",
            "/etc/ssh/config-3-port 23",
            "/etc/ssh/config-4-",
        ]
    );
    assert!(
        grep(&view, &context)
            .matches
            .iter()
            .all(|row| (row.kind == GrepLine::Match) != row.submatches.is_empty())
    );
}

#[test]
fn limits_cut_in_order() {
    let world = world();
    let numbers: String = (1..=10).map(|n| format!("number {n}\n")).collect();
    let files: Vec<_> = (0..40)
        .map(|n| file(&format!("folder/{n:02}"), &numbers))
        .collect();
    let view = world.view(&[world.layer(&files)]);
    let cut = |max_count, max_total| {
        let mut query = query("number");
        (query.max_count, query.max_total) = (max_count, max_total);
        let result = grep(&view, &query);
        (result.matches.len(), result.truncated)
    };
    assert_eq!(cut(None, None), (400, false));
    assert_eq!(cut(None, Some(400)), (400, false));
    assert_eq!(cut(None, Some(399)), (399, true));
    assert_eq!(cut(Some(3), None), (120, false));
    assert_eq!(cut(Some(3), Some(120)), (120, false));
    assert_eq!(cut(Some(3), Some(119)), (119, true));
    assert_eq!(cut(Some(10_000), Some(1)), (1, true));

    let mut some = query("number (1|2|9)$");
    some.max_total = Some(5);
    (some.before, some.after) = (1, 1);
    let all = lines(&grep(&view, &some));
    assert_eq!(
        all,
        [
            "/folder/00:1:number 1",
            "/folder/00:2:number 2",
            "/folder/00-3-number 3",
            "/folder/00-8-number 8",
            "/folder/00:9:number 9",
            "/folder/00-10-number 10",
            "/folder/01:1:number 1",
            "/folder/01:2:number 2",
            "/folder/01-3-number 3",
        ]
    );
    for _ in 0..20 {
        assert_eq!(lines(&grep(&view, &some)), all);
    }
    // Default.
    let many = "line\n".repeat(2_000);
    let view = world.view(&[world.layer(&[file("a", &many), file("b", "line\n")])]);
    let result = grep(&view, &query("line"));
    assert_eq!((result.matches.len(), result.truncated), (1_000, true));
}

#[test]
fn refused_patterns_and_paths() {
    let world = world();
    let view = world.view(&[world.layer(&[file("etc/passwd", "x")])]);
    let refused = |pattern: &str| match view.grep(&query(pattern), &stop()) {
        Err(GrepError::Pattern { reason, .. }) => reason,
        other => panic!("{pattern}: {other:?}"),
    };
    assert_eq!(refused("("), "unclosed group");
    assert_eq!(
        refused("a{2,1}"),
        "invalid repetition count range, the start must be <= the end"
    );
    assert!(refused("a\nb").contains("is not allowed in a regex"));
    assert!(refused(r"\x00").contains("impossible to match"));
    assert!(refused(r"\w{1000}{1000}").contains("size limit"));
    assert!(refused(&["(".repeat(500), ")".repeat(500)].concat()).contains("nest"));
    let mut several = query("fine");
    several.patterns.push("[".to_owned());
    let Err(GrepError::Pattern { pattern, .. }) = view.grep(&several, &stop()) else {
        panic!("[ is no pattern");
    };
    assert_eq!(pattern, "[");
    let mut glob = query("x");
    glob.globs = vec!["*.c".to_owned(), "{a".to_owned()];
    let Err(GrepError::Glob { glob, .. }) = view.grep(&glob, &stop()) else {
        panic!("{{a is no glob");
    };
    assert_eq!(glob, "{a");
    let mut path = query("x");
    path.paths = vec!["/etc".to_owned(), "/nowhere".to_owned()];
    assert!(matches!(
        view.grep(&path, &stop()),
        Err(GrepError::Path(PathError::NotFound { .. }))
    ));
}

#[test]
fn a_search_ends_when_it_is_time() {
    let world = world();
    let layer = world.layer_with(|tree| {
        let top = tree.top().unwrap();
        let mut small = top.create_file(b"a", 0o644).unwrap();
        small.write_all(b"needle\n").unwrap();
        for number in 0..200 {
            let dir = tree
                .create_dirs(format!("d/{number}").as_bytes(), 0o755)
                .unwrap();
            let mut file = dir.create_file(b"file", 0o644).unwrap();
            file.write_all(&b"hay\n".repeat(20_000)).unwrap();
        }
    });
    let view = world.view(&[layer]);
    let late = Stop::at(Instant::now());
    let result = view.grep(&query("needle"), &late).unwrap();
    assert!(result.truncated && result.matches.is_empty());
    let called = stop();
    called.call();
    assert!(view.grep(&query("hay"), &called).unwrap().truncated);
    let whole = grep(&view, &query("needle"));
    assert!(!whole.truncated && whole.matches.len() == 1);
}

/// Each `a` of a line may be the start of a match that reaches to its end.
#[test]
fn a_line_that_takes_long_ends_in_time() {
    let world = world();
    let layer = world.layer_with(|tree| {
        let mut file = tree.top().unwrap().create_file(b"line", 0o644).unwrap();
        file.write_all(&vec![b'a'; 4 << 20]).unwrap();
    });
    let soon = Stop::at(Instant::now() + Duration::from_secs(2));
    let view = world.view(&[layer]);
    let result = view.grep(&query("a.*z|a"), &soon).unwrap();
    assert!(result.truncated && result.matches.is_empty());
}

/// How long that takes is the product of the two, and it cannot be stopped within a line.
#[test]
fn lines_are_shorter_for_large_patterns() {
    let world = world();
    let layer = world.layer_with(|tree| {
        let top = tree.top().unwrap();
        let mut file = top.create_file(b"line", 0o644).unwrap();
        file.write_all(&vec![b'x'; 2 << 20]).unwrap();
        file.write_all(b" needle\n").unwrap();
        let mut file = top.create_file(b"small", 0o644).unwrap();
        file.write_all(b"needle\n").unwrap();
    });
    let view = world.view(&[layer]);
    for (pattern, found) in [("needle", 2), ("needle|[01]{2000}y", 1)] {
        let result = grep(&view, &query(pattern));
        assert_eq!(result.matches.len(), found, "{pattern}");
        assert_eq!(result.truncated, found < 2, "{pattern}");
    }
}

/// While one file takes long, others are searched and wait for it, with paths that nobody can use.
#[test]
fn files_that_lie_deep_cost_little() {
    let world = world();
    let layer = world.layer_with(|tree| {
        let mut dir = tree.top().unwrap();
        let mut first = dir.create_file(b"a", 0o644).unwrap();
        first.write_all(&vec![b'a'; 4 << 20]).unwrap();
        for _ in 0..2_000 {
            dir = dir.create_dir(&[b'd'; 255], 0o755).unwrap();
        }
        for number in 0..1_000 {
            dir.create_file(format!("{number}").as_bytes(), 0o644)
                .unwrap();
        }
    });
    let soon = Stop::at(Instant::now() + Duration::from_secs(4));
    let view = world.view(&[layer]);
    assert!(view.grep(&query("a.*z|a"), &soon).unwrap().truncated);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 256 * 1024, "{kilobytes}");
}

#[test]
fn hostile_files() {
    let world = world();
    let layer = world.layer_with(|tree| {
        let top = tree.top().unwrap();
        let content = |name: &[u8], content: &[u8]| {
            let mut file = top.create_file(name, 0o644).unwrap();
            file.write_all(content).unwrap();
        };
        content(
            b"a-long-line",
            &[&[b'x'; 100_000][..], b" needle\nneedle\n"].concat(),
        );
        content(b"b-longer\nthan allowed", &vec![b'y'; 20 << 20]);
        content(b"c-many", "needle ".repeat(50_000).as_bytes());
        content(
            b"d-nul-at-the-end",
            &[&b"needle\n".repeat(20_000)[..], b"\0"].concat(),
        );
        content(b"e-not\xffutf8", b"needle\xff\n");
        let sparse = top.create_file(b"f-sparse", 0o644).unwrap();
        sparse.set_len(1 << 40).unwrap();
        top.create_symlink(b"loop", b"loop").unwrap();
        top.create_symlink(b"up", b"..").unwrap();
        let mut deep = tree.create_dirs(b"g-deep", 0o755).unwrap();
        for _ in 0..3_000 {
            deep = deep.create_dir(b"d", 0o755).unwrap();
        }
        let mut file = deep.create_file(b"file", 0o644).unwrap();
        file.write_all(b"needle\n").unwrap();
    });
    let view = world.view(&[layer]);
    let result = grep(&view, &query("needle"));
    // The line that is too long to be searched is told of.
    assert!(result.truncated);
    let rows: Vec<_> = result
        .matches
        .iter()
        .map(|row| {
            (
                &row.path[..row.path.len().min(16)],
                row.line_number,
                row.line_bytes,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("/a-long-line", 1, 100_008),
            ("/a-long-line", 2, 7),
            ("/c-many", 1, 350_000),
            ("/e-not\u{fffd}utf8", 1, 8),
            ("/g-deep/d/d/d/d/", 1, 7),
        ]
    );
    let long = &result.matches[0];
    assert_eq!(long.line_text, "x".repeat(4_096));
    assert_eq!(long.submatches.len(), 0);
    let many = &result.matches[2];
    assert_eq!((many.line_text.len(), many.submatches.len()), (4_096, 586));
    // What is found in the middle of a line that matches everything is cut as well.
    let mut all = query("(?s).+");
    all.paths = vec!["a-long-line".to_owned()];
    let all = grep(&view, &all);
    let submatch = &all.matches[0].submatches[0];
    assert_eq!((submatch.text.len(), submatch.end), (4_096, 100_007));
    // Nothing matches 350,000 times in a line of the answer.
    let mut empty = query("");
    empty.paths = vec!["c-many".to_owned()];
    assert!(grep(&view, &empty).matches[0].submatches.len() <= 4_097);

    // However much matches, an answer has an end.
    let mut large = query("needle");
    large.paths = vec!["c-many".to_owned(); 16];
    large.max_total = Some(10_000);
    assert!(!grep(&view, &large).truncated);
}

/// One line of `rg --json` output.
type Told = (String, u64, u64, String, Vec<(u64, u64)>, bool);

fn ripgreps(root: &std::path::Path, args: &[&str]) -> Vec<Told> {
    let output = Command::new("rg")
        .current_dir(root)
        .args([
            "--json",
            "--no-config",
            "--hidden",
            "--no-ignore",
            "--sort=path",
        ])
        .args(args)
        .output()
        .expect("rg runs; `cargo xtask test` installs it");
    let mut told = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let data = &line["data"];
        let kind = line["type"].as_str().unwrap();
        if kind != "match" && kind != "context" {
            continue;
        }
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let path = data["path"]["text"].as_str().unwrap();
        told.push((
            format!("/{}", path.trim_start_matches("./").trim_start_matches('/')),
            number(&data["line_number"]),
            number(&data["absolute_offset"]),
            data["lines"]["text"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            data["submatches"]
                .as_array()
                .unwrap()
                .iter()
                .map(|m| (number(&m["start"]), number(&m["end"])))
                .collect(),
            kind == "match",
        ));
    }
    told
}

#[test]
fn privileged_ripgrep_finds_the_same() {
    let world = world();
    let mut files = Vec::new();
    for folder in ["", "etc/", "etc/deep/er/", "usr/lib/", "usr/lib.d/"] {
        for (name, content) in [
            ("a.conf", "Listen 80\nlisten 8080\nüber\n\n# end\n"),
            ("b.txt", "one\ntwo\nthree\nfour\nfive\nListen\n"),
            ("c.Conf", "LISTEN\r\nlisten"),
            (".dot", "Listen to .dot\n"),
            ("d", "aaa\nab\n\n\nListenListen\n"),
        ] {
            files.push(file(&format!("{folder}{name}"), content));
        }
    }
    let layer = world.layer(&files);
    let view = world.view(&[layer]);
    let root = world.path(layer);
    let mut compared = BTreeSet::new();
    for pattern in [
        "Listen",
        "listen",
        "^$",
        "a*",
        r"\bü",
        "(?i)LISTEN [0-9]+$",
        "t|e$",
        "",
        r"\s$",
        "three.four",
    ] {
        for (case, flag) in [
            (GrepCase::Sensitive, "--case-sensitive"),
            (GrepCase::Insensitive, "--ignore-case"),
            (GrepCase::Smart, "--smart-case"),
        ] {
            for globs in [
                &[][..],
                &["*.conf"],
                &["!*.conf"],
                &["/etc/**"],
                &["etc/*"],
                &["!usr"],
                &["usr/**", "!*.txt", "b.txt"],
                &["*.{conf,txt}", "!/etc/"],
                &["**/lib/*", ".dot"],
                &["!*", "a.conf"],
            ] {
                for (before, after, max_count) in [(0, 0, None), (1, 2, Some(2))] {
                    // Every third is enough to meet each with each.
                    let number = compared.len();
                    compared.insert((pattern, case.name(), globs, before));
                    if number % 3 != 0 {
                        continue;
                    }
                    let query = GrepQuery {
                        patterns: vec![pattern.to_owned()],
                        globs: globs.iter().map(|glob| (*glob).to_owned()).collect(),
                        case,
                        before,
                        after,
                        max_count,
                        ..GrepQuery::default()
                    };
                    let (before, after) = (format!("-B{before}"), format!("-A{after}"));
                    let mut args = vec![flag, &before, &after];
                    if max_count.is_some() {
                        args.push("-m2");
                    }
                    for glob in globs {
                        args.extend(["-g", glob]);
                    }
                    args.extend(["-e", pattern, "./"]);
                    let expected = ripgreps(&root, &args);
                    let result = grep(&view, &query);
                    let ours: Vec<Told> = result
                        .matches
                        .into_iter()
                        .map(|row| {
                            let submatches =
                                row.submatches.iter().map(|m| (m.start, m.end)).collect();
                            (
                                row.path,
                                row.line_number,
                                row.absolute_offset,
                                row.line_text,
                                submatches,
                                row.kind == GrepLine::Match,
                            )
                        })
                        .collect();
                    for (ours, expected) in ours.iter().zip(&expected) {
                        assert_eq!(ours, expected, "{args:?}");
                    }
                    assert_eq!(ours.len(), expected.len(), "{args:?}");
                }
            }
        }
    }
    fs::remove_dir_all(root).unwrap();
}
