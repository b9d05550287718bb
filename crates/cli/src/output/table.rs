//! Tables. On a terminal columns are aligned and coloured, and made to fit: optional columns are
//! left out from the back, then wide ones are cut. Elsewhere nothing is padded or cut.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Columns, Output, Style, harmless};

/// Narrower than this no column is cut.
const MIN_WIDTH: usize = 3;
/// Columns are two spaces apart.
const GAP: usize = 2;

/// Rows waiting to be written.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<(String, String)>>,
    /// Names and widths, decided with the first rows written.
    layout: Option<Vec<(String, usize)>>,
}

impl Table {
    pub(super) fn push(&mut self, cells: Vec<(String, String)>) {
        self.rows.push(cells);
    }

    /// The rows that wait, with a header before the first ones.
    pub(super) fn render(&mut self, output: &Output, columns: Columns) -> String {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return String::new();
        }
        let mut out = String::new();
        if self.layout.is_none() {
            let terminal = output.is_terminal().then(terminal_width);
            let (layout, left_out, is_cut) = lay_out(&rows, columns, terminal);
            let header: Vec<String> = layout
                .iter()
                .map(|(name, width)| {
                    let cell = pad(&name.to_uppercase(), *width, terminal.is_some());
                    output.paint(Style::Header, &cell)
                })
                .collect();
            push_line(&mut out, &header);
            if !left_out.is_empty() {
                output.note(&format!(
                    "not shown for lack of room: {} (-o json shows everything)",
                    left_out.join(", ")
                ));
            } else if is_cut {
                output.note("some values are cut to fit (-o json shows everything)");
            }
            self.layout = Some(layout);
        }
        let layout = self.layout.as_deref().unwrap_or_default();
        for row in &rows {
            render_row(&mut out, row, layout, output);
        }
        out
    }
}

fn render_row(
    out: &mut String,
    row: &[(String, String)],
    layout: &[(String, usize)],
    output: &Output,
) {
    let value = |column: &str| {
        row.iter()
            .find(|(name, _)| name == column)
            .map_or("", |(_, text)| text.as_str())
    };
    let height = layout
        .iter()
        .map(|(name, _)| value(name).split('\n').count())
        .max()
        .unwrap_or(1);
    for line in 0..height {
        let cells: Vec<String> = layout
            .iter()
            .enumerate()
            .map(|(index, (name, width))| {
                let text = value(name).split('\n').nth(line).unwrap_or("");
                if !output.is_terminal() {
                    return text.to_owned();
                }
                let cell = pad(&harmless(text), *width, true);
                output.paint(style(index, text), &cell)
            })
            .collect();
        push_line(out, &cells);
    }
}

fn push_line(out: &mut String, cells: &[String]) {
    out.push_str(&cells.join(&" ".repeat(GAP)));
    out.push('\n');
}

/// Names and widths of the columns shown, the names of those left out, and whether any is cut.
fn lay_out(
    rows: &[Vec<(String, String)>],
    columns: Columns,
    terminal: Option<usize>,
) -> (Vec<(String, usize)>, Vec<String>, bool) {
    let mut layout: Vec<(String, usize)> = Vec::new();
    for (name, text) in rows.iter().flatten() {
        let width = text
            .split('\n')
            .map(|line| harmless(line).width())
            .max()
            .unwrap_or(0);
        match layout.iter_mut().find(|(known, _)| known == name) {
            Some((_, widest)) => *widest = width.max(*widest),
            None => layout.push((name.clone(), width.max(name.width()))),
        }
    }
    let Some(room) = terminal else {
        return (layout, Vec::new(), false);
    };
    let used = |layout: &[(String, usize)]| {
        layout.iter().map(|(_, width)| width).sum::<usize>() + GAP * layout.len().saturating_sub(1)
    };
    let mut left_out = Vec::new();
    for name in layout
        .iter()
        .map(|(name, _)| name.clone())
        .rev()
        .collect::<Vec<_>>()
    {
        let is_needed =
            columns.head.contains(&name.as_str()) || columns.keep.contains(&name.as_str());
        // Without a word about what matters all is shown, cut.
        let can_go = !columns.keep.is_empty() && !is_needed;
        if can_go && used(&layout) > room {
            layout.retain(|(known, _)| *known != name);
            left_out.push(name);
        }
    }
    let is_cut = used(&layout) > room;
    if is_cut {
        cut(&mut layout, room);
    }
    (layout, left_out, is_cut)
}

/// Gives narrow columns what they need and lets wide ones share what is left.
fn cut(layout: &mut [(String, usize)], room: usize) {
    let mut left = room.saturating_sub(GAP * layout.len().saturating_sub(1));
    let mut order: Vec<usize> = (0..layout.len()).collect();
    order.sort_by_key(|index| layout[*index].1);
    let count = order.len();
    for (done, index) in order.into_iter().enumerate() {
        let share = (left / (count - done)).max(MIN_WIDTH);
        layout[index].1 = layout[index].1.min(share);
        left = left.saturating_sub(layout[index].1);
    }
}

/// A cell of exactly this width, cut with `…` or filled with spaces.
fn pad(text: &str, width: usize, exact: bool) -> String {
    if !exact {
        return text.to_owned();
    }
    if text.width() <= width {
        return format!("{text}{}", " ".repeat(width - text.width()));
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        out.push(c);
    }
    out.push('…');
    out + &" ".repeat(width.saturating_sub(used + 1))
}

fn style(column: usize, text: &str) -> Style {
    match text.trim() {
        "SUCCESS" | "true" | "ok" => Style::Good,
        "FAILED" | "false" | "error" => Style::Error,
        "CANCELLED" => Style::Warning,
        "EXECUTING" | "ASSIGNED" => Style::Active,
        "PENDING" => Style::Quiet,
        _ if column == 0 => Style::Name,
        _ => Style::Value,
    }
}

#[cfg(unix)]
pub(super) fn terminal_width() -> usize {
    let columns = crate::home::variable("COLUMNS").and_then(|columns| columns.parse().ok());
    columns
        .or_else(|| {
            let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
            (size.ws_col > 0).then(|| usize::from(size.ws_col))
        })
        .unwrap_or(80)
}

#[cfg(not(unix))]
pub(super) fn terminal_width() -> usize {
    crate::home::variable("COLUMNS")
        .and_then(|columns| columns.parse().ok())
        .unwrap_or(80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[(&str, &str)]) -> Vec<(String, String)> {
        cells
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn tables_fit() {
        let rows = [row(&[
            ("uuid", &"u".repeat(36)),
            ("extra", &"e".repeat(30)),
            ("error", "no"),
        ])];
        let columns = Columns {
            head: &["uuid"],
            tail: &["error"],
            keep: &["error"],
            hidden: &[],
        };
        let (layout, left_out, is_cut) = lay_out(&rows, columns, Some(60));
        assert_eq!(layout, [("uuid".to_owned(), 36), ("error".to_owned(), 5)]);
        assert_eq!(left_out, ["extra"]);
        assert!(!is_cut);
        // Nothing is left out when no column is said to matter more.
        let (layout, left_out, is_cut) = lay_out(&rows, Columns::default(), Some(40));
        assert_eq!(layout.iter().map(|(_, width)| width).sum::<usize>() + 4, 40);
        assert!(left_out.is_empty() && is_cut);
        // Elsewhere than on a terminal nothing is cut.
        assert_eq!(lay_out(&rows, columns, None).0.len(), 3);
    }

    #[test]
    fn cells_are_cut_by_width_on_screen() {
        assert_eq!(pad("日本語", 5, true), "日本…");
        assert_eq!(pad("日本語", 4, true), "日… ");
        assert_eq!(pad("abc", 5, true), "abc  ");
        assert_eq!(pad("abcdef", 3, false), "abcdef");
    }
}
