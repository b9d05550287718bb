//! The pictures of docs/pictures: what a terminal shows while the real command line works with a
//! real server, drawn as it is, cell by cell. `cargo xtask pictures` runs it with all it needs.
//!
//! [`scenes`] are what is shown, [`draw`] makes pixels of a screen.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "a command line that names what it wrote"
)]

mod draw;
mod scenes;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;

use draw::Pen;

/// Draw the pictures of docs/pictures.
#[derive(Parser)]
struct Args {
    /// Folder to write to
    #[arg(long)]
    out: PathBuf,
    /// Folder with DejaVuSansMono.ttf and DejaVuSansMono-Bold.ttf
    #[arg(long)]
    fonts: PathBuf,
    /// Only these
    names: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let pen = Pen::new(&args.fonts)?;
    std::fs::create_dir_all(&args.out)?;
    for name in scenes::NAMES {
        if !args.names.is_empty() && !args.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let screen = scenes::shown(name).await?;
        let picture = pen.draw(&screen)?;
        let path = args.out.join(format!("{name}.png"));
        std::fs::write(&path, &picture)
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("{} ({} KiB)", path.display(), picture.len() / 1024);
    }
    Ok(())
}
