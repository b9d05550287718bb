//! Pixels of a screen: a PNG with a palette, small and the same for the same screen.
//!
//! Each cell is its background, and on it the glyph of its character in its colour, regular or bold.
//! Lines and corners of boxes are drawn as lines, because glyphs of neighbours seldom meet. Coverage is
//! rounded to a few levels, so that all colours fit into one palette.

use std::collections::HashMap;
use std::path::Path;

use ab_glyph::{Font as _, FontVec, PxScale, ScaleFont as _, point};
use anyhow::{Context as _, ensure};
use contree_e2e::terminal::{Cell, Color, Screen};

/// Pixels of the font's line.
const SIZE: f32 = 26.0;
/// Around the screen.
const MARGIN: usize = 22;
/// Levels between background and glyph.
const LEVELS: f32 = 7.0;

type Rgb = [u8; 3];

const BACKGROUND: Rgb = [0x17, 0x1a, 0x21];
const FOREGROUND: Rgb = [0xd5, 0xda, 0xe2];
/// The sixteen colours, plain ones first.
const COLORS: [Rgb; 16] = [
    [0x2c, 0x31, 0x3a],
    [0xe0, 0x6c, 0x75],
    [0x98, 0xc3, 0x79],
    [0xe2, 0xb8, 0x6b],
    [0x61, 0xaf, 0xef],
    [0xc6, 0x78, 0xdd],
    [0x56, 0xb6, 0xc2],
    [0xd5, 0xda, 0xe2],
    [0x7b, 0x84, 0x94],
    [0xff, 0x7b, 0x85],
    [0xb1, 0xe0, 0x8f],
    [0xff, 0xd2, 0x83],
    [0x7c, 0xc4, 0xff],
    [0xdd, 0x92, 0xf3],
    [0x6f, 0xd3, 0xdf],
    [0xff, 0xff, 0xff],
];

/// Draws screens.
pub(crate) struct Pen {
    regular: FontVec,
    bold: FontVec,
}

/// Pixels, each an index into the colours.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    palette: Vec<Rgb>,
    known: HashMap<Rgb, u8>,
}

/// Where things are in a cell.
struct Grid {
    width: usize,
    height: usize,
    ascent: f32,
}

impl Pen {
    /// Reads the fonts of a folder.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let font = |name: &str| {
            let path = folder.join(name);
            let bytes =
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            FontVec::try_from_vec(bytes).with_context(|| format!("{} is no font", path.display()))
        };
        Ok(Self {
            regular: font("DejaVuSansMono.ttf")?,
            bold: font("DejaVuSansMono-Bold.ttf")?,
        })
    }

    /// A PNG of the screen, without the empty rows at its end.
    pub(crate) fn draw(&self, screen: &Screen) -> anyhow::Result<Vec<u8>> {
        let scaled = self.regular.as_scaled(PxScale::from(SIZE));
        let grid = Grid {
            width: pixels(scaled.h_advance(scaled.glyph_id('m'))),
            height: pixels(scaled.ascent() - scaled.descent()) + 2,
            ascent: scaled.ascent() + 1.0,
        };
        let (rows, columns) = screen.size();
        let (rows, columns) = (rows.get(), columns.get());
        let is_empty = |row: u16| {
            (0..columns).all(|column| {
                let cell = screen.cell(row, column);
                cell.is_none_or(|cell| cell.contents().trim().is_empty() && !cell.inverse())
            })
        };
        let last = (0..rows).rev().find(|row| !is_empty(*row));
        let rows = last.context("there is nothing on the screen")? + 1;
        let mut canvas = Canvas::new(
            usize::from(columns) * grid.width + 2 * MARGIN,
            usize::from(rows) * grid.height + 2 * MARGIN,
        );
        for row in 0..rows {
            for column in 0..columns {
                if let Some(cell) = screen.cell(row, column) {
                    let x = MARGIN + usize::from(column) * grid.width;
                    let y = MARGIN + usize::from(row) * grid.height;
                    self.cell(&mut canvas, &grid, cell, (x, y))?;
                }
            }
        }
        if !screen.hide_cursor() {
            let (row, column) = screen.cursor_position();
            if row < rows && column < columns {
                let x = MARGIN + usize::from(column) * grid.width;
                let y = MARGIN + usize::from(row) * grid.height;
                canvas.fill((x, y), (grid.width, grid.height), COLORS[8])?;
                if let Some(cell) = screen.cell(row, column) {
                    self.glyphs(&mut canvas, &grid, cell, (x, y), (BACKGROUND, COLORS[8]))?;
                }
            }
        }
        canvas.png()
    }

    fn cell(
        &self,
        canvas: &mut Canvas,
        grid: &Grid,
        cell: &Cell,
        at: (usize, usize),
    ) -> anyhow::Result<()> {
        let (mut front, mut back) = (FOREGROUND, BACKGROUND);
        if let Some(color) = rgb(cell.fgcolor()) {
            front = color;
        }
        if let Some(color) = rgb(cell.bgcolor()) {
            back = color;
        }
        if cell.bold() && cell.fgcolor() == Color::Default {
            front = COLORS[15];
        }
        if cell.inverse() {
            (front, back) = (back, front);
        }
        if cell.dim() {
            front = mixed(back, front, 0.6);
        }
        let width = if cell.is_wide() {
            2 * grid.width
        } else {
            grid.width
        };
        if back != BACKGROUND {
            canvas.fill(at, (width, grid.height), back)?;
        }
        if cell.underline() {
            let under = (at.0, at.1 + grid.height - 3);
            canvas.fill(under, (width, 2), front)?;
        }
        self.glyphs(canvas, grid, cell, at, (front, back))
    }

    fn glyphs(
        &self,
        canvas: &mut Canvas,
        grid: &Grid,
        cell: &Cell,
        (x, y): (usize, usize),
        (front, back): (Rgb, Rgb),
    ) -> anyhow::Result<()> {
        for c in cell.contents().chars() {
            if canvas.line(c, grid, (x, y), front)? || canvas.dots(c, grid, (x, y), front)? {
                continue;
            }
            let font = if cell.bold() {
                &self.bold
            } else {
                &self.regular
            };
            ensure!(
                c.is_whitespace() || font.glyph_id(c).0 != 0,
                "the font has no {c:?}"
            );
            #[expect(clippy::cast_precision_loss, reason = "a screen has few pixels")]
            let glyph = font
                .glyph_id(c)
                .with_scale_and_position(SIZE, point(x as f32, y as f32 + grid.ascent));
            let Some(outline) = font.outline_glyph(glyph) else {
                continue;
            };
            let bounds = outline.px_bounds();
            let mut drawn = Ok(());
            outline.draw(|dx, dy, coverage| {
                let level = (coverage.clamp(0.0, 1.0) * LEVELS).round() / LEVELS;
                if level > 0.0 && drawn.is_ok() {
                    let (x, y) = (pixels(bounds.min.x) + at(dx), pixels(bounds.min.y) + at(dy));
                    drawn = canvas.set((x, y), mixed(back, front, level));
                }
            });
            drawn?;
        }
        Ok(())
    }
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![0; width * height],
            palette: vec![BACKGROUND],
            known: HashMap::from([(BACKGROUND, 0)]),
        }
    }

    fn set(&mut self, (x, y): (usize, usize), color: Rgb) -> anyhow::Result<()> {
        if x >= self.width || y >= self.height {
            return Ok(());
        }
        let index = match self.known.get(&color) {
            Some(index) => *index,
            None => {
                let index = u8::try_from(self.palette.len()).context("more than 256 colours")?;
                self.palette.push(color);
                self.known.insert(color, index);
                index
            }
        };
        self.pixels[y * self.width + x] = index;
        Ok(())
    }

    fn fill(
        &mut self,
        (x, y): (usize, usize),
        (width, height): (usize, usize),
        color: Rgb,
    ) -> anyhow::Result<()> {
        for row in y..y + height {
            for column in x..x + width {
                self.set((column, row), color)?;
            }
        }
        Ok(())
    }

    /// A character that is a line or a corner, drawn from edge to edge; false for any other.
    fn line(
        &mut self,
        c: char,
        grid: &Grid,
        (x, y): (usize, usize),
        color: Rgb,
    ) -> anyhow::Result<bool> {
        // To the left, up, to the right, down.
        let (left, up, right, down, thick) = match c {
            '─' => (true, false, true, false, 2),
            '━' => (true, false, true, false, 6),
            '╸' => (true, false, false, false, 6),
            '╺' => (false, false, true, false, 6),
            '│' => (false, true, false, true, 2),
            '├' => (false, true, true, true, 2),
            '└' | '╰' => (false, true, true, false, 2),
            '┌' | '╭' => (false, false, true, true, 2),
            '┐' | '╮' => (true, false, false, true, 2),
            '┘' | '╯' => (true, true, false, false, 2),
            _ => return Ok(false),
        };
        let (middle_x, middle_y) = ((grid.width - thick) / 2, (grid.height - thick) / 2);
        if left {
            self.fill((x, y + middle_y), (middle_x + thick, thick), color)?;
        }
        if right {
            let width = grid.width - middle_x;
            self.fill((x + middle_x, y + middle_y), (width, thick), color)?;
        }
        if up {
            self.fill((x + middle_x, y), (thick, middle_y + thick), color)?;
        }
        if down {
            let height = grid.height - middle_y;
            self.fill((x + middle_x, y + middle_y), (thick, height), color)?;
        }
        Ok(true)
    }

    /// A character of Braille, which spinners are made of; false for any other.
    fn dots(
        &mut self,
        c: char,
        grid: &Grid,
        (x, y): (usize, usize),
        color: Rgb,
    ) -> anyhow::Result<bool> {
        // The dot of each bit, as column and row.
        const DOTS: [(usize, usize); 8] = [
            (0, 0),
            (0, 1),
            (0, 2),
            (1, 0),
            (1, 1),
            (1, 2),
            (0, 3),
            (1, 3),
        ];
        let code = u32::from(c);
        if !(0x2800..=0x28ff).contains(&code) {
            return Ok(false);
        }
        let (step_x, step_y) = (grid.width / 2, grid.height / 5);
        for (bit, (column, row)) in DOTS.into_iter().enumerate() {
            if code >> bit & 1 == 1 {
                let at = (x + 2 + column * step_x, y + step_y / 2 + row * step_y);
                self.fill(at, (4, 4), color)?;
            }
        }
        Ok(true)
    }

    fn png(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let (width, height) = (u32::try_from(self.width)?, u32::try_from(self.height)?);
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(self.palette.concat());
        encoder.set_compression(png::Compression::High);
        encoder.set_filter(png::Filter::NoFilter);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(bytes)
    }
}

fn rgb(color: Color) -> Option<Rgb> {
    match color {
        Color::Default => None,
        Color::Idx(index @ 0..16) => Some(COLORS[usize::from(index)]),
        // The cube of six levels, and the greys behind it.
        Color::Idx(index @ 16..232) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let n = index - 16;
            Some([level(n / 36), level(n / 6 % 6), level(n % 6)])
        }
        Color::Idx(index) => Some([8 + 10 * (index - 232); 3]),
        Color::Rgb(r, g, b) => Some([r, g, b]),
    }
}

fn mixed(back: Rgb, front: Rgb, share: f32) -> Rgb {
    std::array::from_fn(|i| {
        let (back, front) = (f32::from(back[i]), f32::from(front[i]));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between two bytes"
        )]
        let mixed = (back + (front - back) * share).round() as u8;
        mixed
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixels of a small picture; what is left of it is not drawn"
)]
fn pixels(length: f32) -> usize {
    length.round().max(0.0) as usize
}

fn at(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
