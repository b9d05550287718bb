//! Golden drawings of histories made by hand.

use super::*;

/// A history: id, parent, kind, title, image, minutes ago.
type Made = (i64, i64, &'static str, &'static str, u32, i64);

struct History {
    entries: Vec<Entry>,
    branches: BTreeMap<i64, Vec<String>>,
    tags: BTreeMap<String, Vec<String>>,
    endings: BTreeMap<String, Ending>,
}

const NOW: &str = "2026-11-22T08:00:00Z";

fn history(made: &[Made], branches: &[(&str, i64)]) -> History {
    let now: Timestamp = NOW.parse().unwrap();
    let entry = |&(id, parent, kind, title, image, minutes): &Made| Entry {
        id,
        image_uuid: format!("image-{image}"),
        parent_id: (parent > 0).then_some(parent),
        kind: kind.to_owned(),
        title: title.to_owned(),
        operation_uuid: format!("op-{id}"),
        created_at: (now - jiff::SignedDuration::from_mins(minutes))
            .strftime("%Y-%m-%dT%H:%M:%S")
            .to_string(),
    };
    let mut tips: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (name, id) in branches {
        tips.entry(*id).or_default().push((*name).to_owned());
    }
    History {
        entries: made.iter().map(entry).collect(),
        branches: tips,
        tags: BTreeMap::new(),
        endings: BTreeMap::new(),
    }
}

impl History {
    fn tagged(mut self, image: u32, tags: &[&str]) -> Self {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.tags.insert(format!("image-{image}"), tags);
        self
    }

    fn ended(mut self, id: i64, exit_code: i64) -> Self {
        let ending = Ending {
            status: "SUCCESS".to_owned(),
            exit_code: Some(exit_code),
            signal: 0,
            timed_out: exit_code < 0,
        };
        self.endings.insert(format!("op-{id}"), ending);
        self
    }

    fn lines(
        &self,
        last: usize,
        width: usize,
        paint: &dyn Fn(Style, &str) -> String,
    ) -> Vec<String> {
        let earlier = self.entries.len().saturating_sub(last);
        Picture {
            key: "demo",
            entries: &self.entries[earlier..],
            all: &self.entries,
            earlier,
            branches: &self.branches,
            active: Some("main"),
            tags: &self.tags,
            endings: &self.endings,
            now: NOW.parse().unwrap(),
            width,
            paint,
        }
        .draw()
    }

    fn plain(&self, last: usize, width: usize) -> String {
        let lines = self.lines(last, width, &|_, text| text.to_owned());
        for line in &lines {
            assert!(line.width() <= width, "{} > {width}: {line}", line.width());
        }
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        lines.join("\n")
    }
}

fn work() -> History {
    let history = history(
        &[
            (1, 0, "use", "debian:bookworm-slim", 1, 150),
            (2, 1, "run", "apt-get update -qq", 2, 149),
            (3, 2, "run", "apt-get install -y gcc make", 3, 140),
            (4, 3, "cd", "/srv/app", 3, 139),
            (5, 4, "run", "rm -rf /usr", 4, 59),
            (6, 5, "run", "ls /usr", 4, 58),
            (7, 4, "file", "./Makefile → /srv/app/Makefile", 3, 40),
            (8, 7, "run", "make", 5, 30),
            (9, 8, "run-detached", "make check", 5, 20),
            (10, 8, "run", "make a_thing_that_was_given_up", 6, 15),
            (11, 8, "run", "make test", 7, 3),
        ],
        &[
            ("main", 11),
            ("risky", 6),
            ("stable", 8),
            ("detached-019e6f0a-1111-7222-8333-444455556666", 9),
        ],
    );
    history
        .tagged(1, &["debian:bookworm-slim"])
        .tagged(3, &["app/tools:latest", "app/tools:1.0"])
        .ended(2, 0)
        .ended(3, 0)
        .ended(5, 1)
        .ended(6, 127)
        .ended(8, 0)
        .ended(10, -1)
        .ended(11, 2)
}

#[test]
fn golden_wide() {
    assert_eq!(
        work().plain(20, 100),
        "\
demo · 11 steps, 4 branches
  1  2h ago  ◆ use  debian:bookworm-slim (tag: debian:bookworm-slim)
  2  2h ago  ● run  apt-get update -qq
  3  2h ago  ● run  apt-get install -y gcc make (tag: app/tools:latest, tag: app/tools:1.0)
  4  2h ago  · cd   /srv/app
  5 59m ago  ├─● run  rm -rf /usr exit 1
  6 58m ago  │ ○ run  ls /usr exit 127 (risky)
  7 40m ago  + file ./Makefile → /srv/app/Makefile
  8 30m ago  ● run  make (stable)
  9 20m ago  ├─◌ run-detached make check (detached-019e6f0a-1111-7222-8333-444455556666)
 10 15m ago  ├─● run  make a_thing_that_was_given_up timed out
 11  3m ago  ◉ run  make test exit 2 (HEAD -> main)"
    );
}

#[test]
fn golden_80_columns() {
    assert_eq!(
        work().plain(20, 80),
        "\
demo · 11 steps, 4 branches
  1  2h ago  ◆ use  debian:bookworm-slim (tag: debian:bookworm-slim)
  2  2h ago  ● run  apt-get update -qq
  3  2h ago  ● run  apt-get install… (tag: app/tools:latest, tag: app/tools:1.0)
  4  2h ago  · cd   /srv/app
  5 59m ago  ├─● run  rm -rf /usr exit 1
  6 58m ago  │ ○ run  ls /usr exit 127 (risky)
  7 40m ago  + file ./Makefile → /srv/app/Makefile
  8 30m ago  ● run  make (stable)
  9 20m ago  ├─◌ run-detached make check (detached-019e6f0a-…-8333-444455556666)
 10 15m ago  ├─● run  make a_thing_that_was_given_up timed out
 11  3m ago  ◉ run  make test exit 2 (HEAD -> main)"
    );
}

#[test]
fn golden_40_columns() {
    assert_eq!(
        work().plain(20, 40),
        "\
demo · 11 steps, 4 branches
  1  2h  ◆ use  debian:b… (tag: d…-slim)
  2  2h  ● run  apt-get update -qq
  3  2h  ● run  apt-get … (tag:…est, +1)
  4  2h  · cd   /srv/app
  5 59m  ├─● run  rm -rf /usr exit 1
  6 58m  │ ○ run  ls /… exit 127 (risky)
  7 40m  + file ./Makefile → /srv/app/M…
  8 30m  ● run  make (stable)
  9 20m  ├─◌ run-detached make che… (+1)
 10 15m  ├─● run  make a_thin… timed out
 11  3m  ◉ run  make test exit 2 (*main)"
    );
}

#[test]
fn golden_cut() {
    assert_eq!(
        work().plain(4, 80),
        "\
demo · 11 steps, 4 branches
             ⋮ 7 earlier, with risky (-a shows all)
  8 30m ago  ● run  make (stable)
  9 20m ago  ├─◌ run-detached make check (detached-019e6f0a-…-8333-444455556666)
 10 15m ago  ├─● run  make a_thing_that_was_given_up timed out
 11  3m ago  ◉ run  make test exit 2 (HEAD -> main)"
    );
}

#[test]
fn golden_colours() {
    let paint = |style: Style, text: &str| format!("<{style:?} {text}>");
    let lines = work().lines(20, 200, &paint);
    assert_eq!(lines[1..3].join("\n") + "\n" + &lines[10..].join("\n"), "\
<Name   1> <Quiet  2h ago>  <Value ◆> <Quiet use > debian:bookworm-slim <Warning (><Warning tag: debian:bookworm-slim><Warning )>
<Name   2> <Quiet  2h ago>  <Good ●> <Quiet run > apt-get update -qq
<Quiet  10> <Quiet 15m ago>  <Quiet ├─><Quiet ●> <Quiet run > <Quiet make a_thing_that_was_given_up> <Error timed out>
<Name  11> <Quiet  3m ago>  <Error ◉> <Quiet run > <Header make test> <Error exit 2> <Warning (><Name HEAD -> ><Header <Good main>><Warning )>");
}

#[test]
fn what_was_given_up_is_grey() {
    let paint = |style: Style, text: &str| format!("<{style:?}:{text}>");
    let lines = work().lines(20, 200, &paint);
    let given_up = lines.iter().find(|line| line.contains("given_up")).unwrap();
    assert!(given_up.contains("<Quiet:make a_thing"), "{given_up}");
    assert!(given_up.contains("<Error:timed out>"), "{given_up}");
}

#[test]
fn titles_of_guests_are_harmless() {
    let history = history(
        &[(
            1,
            0,
            "run",
            "a\x1b]0;x\x07\tb\nc\u{9b}d\u{202e}e\x1b[31m",
            1,
            0,
        )],
        &[("main", 1), ("\x1b[2J", 1)],
    );
    let text = history.plain(20, 100);
    assert!(
        text.contains("run  a␛]0;x␇ b⏎c�d�e␛[31m (HEAD -> main, ␛[2J)"),
        "{text}"
    );
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn wide_characters_are_cut_where_they_end() {
    let history = history(
        &[(1, 0, "run", "echo 日本語日本語日本語日本語", 1, 0)],
        &[("main", 1)],
    );
    for width in 40..70 {
        // The width itself is held there.
        let text = history.plain(20, width);
        assert!(text.contains("echo 日"), "{text}");
    }
}

#[test]
fn many_names_at_a_step_are_counted() {
    let names: Vec<String> = (0..300).map(|n| format!("try-{n:03}")).collect();
    let mut branches: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    branches.push(("main", 1));
    let history = history(&[(1, 0, "use", "debian", 1, 0)], &branches);
    let text = history.plain(20, 80);
    assert!(text.contains("(HEAD -> main, try-000, try-001, "), "{text}");
    assert!(text.ends_with(" +297)") || text.contains(", +29"), "{text}");
    history.plain(20, 40);
}

#[test]
fn no_width_is_too_small() {
    for width in [0, 1, 5, 12, 20, 25, 30] {
        // Longer than the screen then, but not for long.
        let lines = work().lines(20, width, &|_, text| text.to_owned());
        assert!(lines.iter().all(|line| line.width() < 60), "{lines:#?}");
    }
}

#[test]
fn ages() {
    let text: Vec<String> = [-5, 1, 2, 59, 60, 3_599, 3_600, 86_399, 86_400]
        .map(ago)
        .to_vec();
    assert_eq!(text.join(" "), "now now 2s 59s 1m 59m 1h 23h 1d");
    assert_eq!(ago(99 * 86_400), "99d");
    assert_eq!(ago(100 * 86_400), "14w");
    assert_eq!(ago(800 * 86_400), "2y");
}
