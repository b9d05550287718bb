//! The history of a session as a person sees it on a terminal.
//!
//! ```text
//! demo · 6 steps, 3 branches
//!   1  2h ago  ◆ use  debian:bookworm (tag: debian:bookworm)
//!   2  2h ago  ● run  apt-get update
//!   4 59m ago  ├─● run  rm -rf /etc exit 1 (try)
//!   5 58m ago  │ ◌ run-detached  sleep 100 (detached-019e…)
//!   3  3m ago  ◉ run  make (HEAD -> main, tag: app:latest)
//! ```
//!
//! What is at the left is what one types for `rollback`; what is at the right is cut to the width of
//! the terminal: the title first, then names of branches and tags.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::output::Style;
use crate::output::row::moment;
use crate::output::tree::{Line, Node, draw};
use crate::session::{Ending, Entry};

/// From this width on times say `ago`.
const WIDE: usize = 60;
/// Titles are not cut below this for the sake of names.
const SHORTEST_TITLE: usize = 16;
/// A name is not cut below this, but only counted.
const SHORTEST_NAME: usize = 8;

/// What is drawn.
pub(super) struct Picture<'a> {
    pub(super) key: &'a str,
    /// In the order of their ids.
    pub(super) entries: &'a [Entry],
    /// All of the session, also what is not drawn.
    pub(super) all: &'a [Entry],
    /// Steps left out because they are too old.
    pub(super) earlier: usize,
    /// Names of the branches whose tip a step is.
    pub(super) branches: &'a BTreeMap<i64, Vec<String>>,
    pub(super) active: Option<&'a str>,
    /// By image.
    pub(super) tags: &'a BTreeMap<String, Vec<String>>,
    /// By operation.
    pub(super) endings: &'a BTreeMap<String, Ending>,
    pub(super) now: Timestamp,
    pub(super) width: usize,
    pub(super) paint: &'a dyn Fn(Style, &str) -> String,
}

impl Picture<'_> {
    /// The lines.
    pub(super) fn draw(&self) -> Vec<String> {
        let entries: BTreeMap<i64, &Entry> = self.entries.iter().map(|e| (e.id, e)).collect();
        let all: BTreeMap<i64, &Entry> = self.all.iter().map(|e| (e.id, e)).collect();
        let tip = self.tip();
        let alive = self.alive(&all);
        let nodes: Vec<Node> = entries
            .values()
            .map(|entry| Node {
                id: entry.id,
                parent: shown_ancestor(entry, &entries, &all),
            })
            .collect();
        let digits = entries.keys().map(|id| id.to_string().len()).max();
        let digits = digits.unwrap_or(1).max(3);
        let mut lines = vec![self.head()];
        for Line { id, before } in draw(&nodes, tip, self.earlier > 0) {
            let Some(entry) = id.and_then(|id| entries.get(&id)) else {
                let blank = " ".repeat(self.left(digits));
                lines.push(format!(
                    "{blank}{}",
                    (self.paint)(Style::Quiet, &self.cut_away())
                ));
                continue;
            };
            let before_it = entry.parent_id.and_then(|parent| all.get(&parent));
            lines.push(self.line(&Step {
                entry,
                graph: &before,
                digits,
                is_tip: tip == Some(entry.id),
                is_alive: alive.contains(&entry.id),
                is_new: before_it.is_none_or(|parent| parent.image_uuid != entry.image_uuid),
            }));
        }
        lines
    }

    fn head(&self) -> String {
        let names = self.branches.values().map(Vec::len).sum();
        let count = |number: usize, one: &str, many: &str| {
            format!("{number} {}", if number == 1 { one } else { many })
        };
        let key = cut(&visible(self.key), self.width.saturating_sub(24).max(12));
        format!(
            "{} {}",
            (self.paint)(Style::Header, &key),
            (self.paint)(
                Style::Quiet,
                &format!(
                    "· {}, {}",
                    count(self.all.len(), "step", "steps"),
                    count(names, "branch", "branches")
                )
            )
        )
    }

    /// Says what is left out, and which branches with it.
    fn cut_away(&self) -> String {
        let first = self.entries.first().map_or(0, |entry| entry.id);
        let names: Vec<String> = self
            .branches
            .range(..first)
            .flat_map(|(_, names)| names)
            .map(|name| visible(name))
            .collect();
        let mut text = format!("⋮ {} earlier", self.earlier);
        if let [one, rest @ ..] = &names[..] {
            text.push_str(&match rest.len() {
                0 => format!(", with {one}"),
                more => format!(", with {one} and {more} more branches"),
            });
        }
        let full = format!("{text} (-a shows all)");
        cut(&full, self.width.saturating_sub(self.left(3)))
    }

    /// The id of the active branch's tip.
    fn tip(&self) -> Option<i64> {
        let active = self.active?;
        let is_active = |names: &Vec<String>| names.iter().any(|name| name == active);
        let tip = self.branches.iter().find(|(_, names)| is_active(names));
        tip.map(|(id, _)| *id)
    }

    /// The steps that some branch has come by.
    fn alive(&self, all: &BTreeMap<i64, &Entry>) -> HashSet<i64> {
        let mut alive = HashSet::new();
        for tip in self.branches.keys() {
            let mut at = all.get(tip);
            while let Some(entry) = at.filter(|entry| alive.insert(entry.id)) {
                at = entry.parent_id.and_then(|parent| all.get(&parent));
            }
        }
        alive
    }

    /// Columns before the drawing.
    const fn left(&self, digits: usize) -> usize {
        digits + if self.width >= WIDE { 10 } else { 6 }
    }

    fn line(&self, step: &Step<'_>) -> String {
        let Step { entry, graph, .. } = step;
        let quiet = |text: &str| match text {
            "" => String::new(),
            text => (self.paint)(Style::Quiet, text),
        };
        let shade = |style: Style| if step.is_alive { style } else { Style::Quiet };
        let ago = self.ago(entry);
        let id = format!("{:>1$}", entry.id, step.digits);
        let kind = format!("{:4}", visible(&entry.kind));
        let ending = self.endings.get(&entry.operation_uuid);
        let failed = ending.and_then(Ending::failure);
        let failed = failed.map(|text| visible(&text));

        let used = self.left(step.digits) + graph.width() + 2 + kind.width() + 1;
        let mut room = self.width.saturating_sub(used);
        if let Some(text) = &failed {
            room = room.saturating_sub(text.width() + 1);
        }
        let title = visible(&entry.title);
        let reserved = title.width().min(SHORTEST_TITLE).min(room * 2 / 5);
        let (names, width) = self.names(step, room - reserved);
        let title = cut(&title, (room - width).max(reserved));

        let style = if step.is_tip {
            Style::Header
        } else {
            Style::Value
        };
        let marker = (self.paint)(shade(marker_style(step, ending)), marker(step));
        let mut line = format!(
            "{} {}  {}{marker} {} ",
            (self.paint)(shade(Style::Name), &id),
            quiet(&ago),
            quiet(graph),
            quiet(&kind)
        );
        line.push_str(&match shade(style) {
            Style::Value => title,
            style => (self.paint)(style, &title),
        });
        if let Some(text) = failed {
            line.push(' ');
            line.push_str(&(self.paint)(Style::Error, &text));
        }
        line + &names
    }

    /// ` (HEAD -> main, tag: x)`, painted, and how wide it is.
    fn names(&self, step: &Step<'_>, room: usize) -> (String, usize) {
        let paint = self.paint;
        let mut names: Vec<(String, Style)> = Vec::new();
        for name in self.branches.get(&step.entry.id).into_iter().flatten() {
            if Some(name.as_str()) == self.active {
                names.insert(0, (visible(name), Style::Active));
            } else {
                names.push((visible(name), Style::Good));
            }
        }
        // Said once, where the image came to be: many steps change nothing.
        if step.is_new {
            let tags = self.tags.get(&step.entry.image_uuid).into_iter().flatten();
            names.extend(tags.map(|tag| (format!("tag: {}", visible(tag)), Style::Warning)));
        }
        let head = if self.width >= WIDE { "HEAD -> " } else { "*" };
        let count = names.len();
        let mut shown: Vec<String> = Vec::new();
        // With " (" and ")".
        let mut width = 3;
        for (index, (name, style)) in names.into_iter().enumerate() {
            let before = if style == Style::Active { head } else { "" };
            let comma = if index > 0 { 2 } else { 0 };
            let more = count - index - 1;
            let rest = if more > 0 {
                format!(", +{more}").len()
            } else {
                0
            };
            let left = room.saturating_sub(width + comma + before.len() + rest);
            if name.width() > left && left < SHORTEST_NAME {
                let text = format!("+{}", count - index);
                if width + comma + text.len() <= room {
                    width += comma + text.len();
                    shown.push(paint(Style::Warning, &text));
                }
                break;
            }
            let name = cut_inside(&name, left);
            width += comma + before.len() + name.width();
            shown.push(match style {
                Style::Active => format!(
                    "{}{}",
                    paint(Style::Name, before),
                    paint(Style::Header, &paint(Style::Good, &name))
                ),
                style => paint(style, &name),
            });
        }
        if shown.is_empty() {
            return (String::new(), 0);
        }
        let (open, close) = (paint(Style::Warning, "("), paint(Style::Warning, ")"));
        let names = shown.join(&paint(Style::Warning, ", "));
        (format!(" {open}{names}{close}"), width)
    }

    fn ago(&self, entry: &Entry) -> String {
        let Some(then) = moment(&entry.created_at) else {
            return " ".repeat(if self.width >= WIDE { 7 } else { 3 });
        };
        let ago = ago(self.now.as_second() - then.as_second());
        if self.width >= WIDE {
            let text = if ago == "now" {
                ago
            } else {
                format!("{ago} ago")
            };
            format!("{text:>7}")
        } else {
            format!("{ago:>3}")
        }
    }
}

/// A line in the making.
struct Step<'a> {
    entry: &'a Entry,
    graph: &'a str,
    digits: usize,
    is_tip: bool,
    is_alive: bool,
    /// Whether its image is another one than its parent's.
    is_new: bool,
}

/// The kind of a step, at a glance.
fn marker(step: &Step<'_>) -> &'static str {
    match step.entry.kind.as_str() {
        _ if step.is_tip => "◉",
        "use" | "session use" => "◆",
        "run" if step.is_new => "●",
        "run" => "○",
        "run-detached" | "run-disposable" => "◌",
        "file" => "+",
        _ => "·",
    }
}

fn marker_style(step: &Step<'_>, ending: Option<&Ending>) -> Style {
    match ending {
        Some(ending) if ending.failure().is_some() => Style::Error,
        Some(_) => Style::Good,
        None if step.is_tip => Style::Active,
        None => Style::Value,
    }
}

/// The nearest step above that is drawn, or where the way to it leaves what is known.
fn shown_ancestor(
    entry: &Entry,
    shown: &BTreeMap<i64, &Entry>,
    all: &BTreeMap<i64, &Entry>,
) -> Option<i64> {
    let mut parent = entry.parent_id?;
    let mut below = entry.id;
    while !shown.contains_key(&parent) {
        let Some(above) = all.get(&parent).filter(|above| above.id < below) else {
            break;
        };
        match above.parent_id {
            Some(next) => (below, parent) = (parent, next),
            None => break,
        }
    }
    Some(parent)
}

/// Seconds as people say them, three characters at most.
fn ago(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match seconds {
        ..2 => "now".to_owned(),
        2..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 100 * DAY => format!("{}d", seconds / DAY),
        _ if seconds < 365 * DAY => format!("{}w", seconds / (7 * DAY)),
        _ => format!("{}y", seconds / (365 * DAY)),
    }
}

/// Text from a guest on one line, without anything that drives a terminal: control characters have
/// pictures, and what turns the direction of writing is not let through.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '⏎',
            '\t' => ' ',
            '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('�'),
            '\x7f' => '␡',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '�',
            c if c.is_control() => '�',
            c => c,
        })
        .collect()
}

/// At most so wide, with `…` for what is missing at its end.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = start(text, width.saturating_sub(1));
    if width > 0 {
        out.push('…');
    }
    out
}

/// The same, missing in the middle: the ends of names tell them apart.
fn cut_inside(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let head = start(text, width.saturating_sub(1).div_ceil(2));
    let backwards: String = text.chars().rev().collect();
    let tail = start(&backwards, width.saturating_sub(1 + head.width()));
    format!("{head}…{}", tail.chars().rev().collect::<String>())
}

/// As much of the start as fits.
fn start(text: &str, width: usize) -> String {
    let mut used = 0;
    text.chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

#[cfg(test)]
mod tests;
