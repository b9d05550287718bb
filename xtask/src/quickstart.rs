//! `cargo xtask quickstart`: the main job on this machine, with the real command line against a
//! real server. Every command is shown with its output, and each has an expectation: the first
//! one that is not met ends the walk with an error.
//!
//! All it writes is under target/quickstart; packages that it lacks are installed.

mod background;
mod base_image;
mod walk;

use std::fs;
use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::build::{self, Profile};
use crate::debian;
use crate::programs;

use background::Background;
use base_image::BaseImage;
use walk::Walk;

/// How to walk.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address of the server; default 127.0.0.1:9450, or a free port when that one is taken
    #[arg(long)]
    listen: Option<String>,
}

/// Where a server listens when nobody says otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:9450";

/// Longest wait for a server of ours to listen or to end.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    title("Building contree");
    debian::install(&[debian::SERVER])?;
    let built = build::build(Profile::Release)?;

    let folder = programs::target().join("quickstart");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;

    title("Finding a base image");
    let base = base_image::find(&folder)?;

    title("Starting the server");
    let (mut server, url) = serve(args, &built.contree, &folder, &base)?;
    let walk = Walk::new(&built.contree, &folder);
    main_job(&walk, &url, &folder, &base)?;

    title("Stopping the server");
    server.stop(PATIENCE)?;
    println!("SIGTERM sent; it ended with exit code 0");
    drop(base);
    how_to_go_on(&built.contree, &folder, &url);
    Ok(())
}

/// Starts `contree serve` on its defaults and returns its URL.
fn serve(
    args: &Args,
    contree: &Path,
    folder: &Path,
    base: &BaseImage,
) -> anyhow::Result<(Background, String)> {
    let listen = args.listen.clone().or_else(|| {
        let taken = std::net::TcpListener::bind(DEFAULT_LISTEN).is_err();
        taken.then(|| {
            println!("{DEFAULT_LISTEN} is taken on this machine, so the server gets a free port");
            "127.0.0.1:0".to_owned()
        })
    });
    let mut serve = std::process::Command::new(contree);
    serve.arg("serve").arg("--data-dir").arg(data(folder));
    if let Some(listen) = listen {
        serve.arg("--listen").arg(listen);
    }
    if let Some(registry) = &base.allow {
        serve.arg("--allow-registry").arg(registry);
    }
    println!("$ {} &", programs::shown(&serve));
    let mut server = Background::start(&mut serve, &folder.join("server.log"))?;
    let line = server.line_with("listening on ", PATIENCE)?;
    let url = line
        .split_whitespace()
        .next_back()
        .unwrap_or_default()
        .to_owned();
    Ok((server, url))
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// The seed of all of this: import, run, tag, branch, break, roll back, reuse.
fn main_job(walk: &Walk, url: &str, folder: &Path, base: &BaseImage) -> anyhow::Result<()> {
    let token = fs::read_to_string(data(folder).join("admin.token"))
        .context("cannot read the token that the server made")?;
    let base_tag = format!("tag:{}", base.tag);

    title("What this machine offers");
    walk.contree(&["doctor"])?;

    title("Logging in with the token from DATA_DIR/admin.token");
    walk.contree_with_secret(
        &["auth", "--type", "jwt", "--url", url, "--token"],
        token.trim(),
    )?;
    walk.contree(&["auth", "list"])?.shows(url)?;

    title("Importing a base image from a registry");
    walk.contree(&["images", "import", &base.reference])?
        .shows("SUCCESS")?;
    walk.contree(&["images"])?.shows(&base.tag)?;

    title("First session: building an environment, one run after the other");
    walk.contree(&["use", &base_tag])?;
    walk.contree(&["run", "cat", "/etc/os-release"])?
        .shows("Debian GNU/Linux")?;
    walk.contree(&["run", "apt-get", "update", "-qq"])?;
    walk.contree(&[
        "run",
        "-t",
        "600",
        "--",
        "apt-get",
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "python3",
    ])?
    .shows("Setting up python3 ")?;
    walk.contree(&["run", "python3", "-c", "print(6 * 7)"])?
        .shows("42")?;

    title("Tagging it, and finding it again");
    walk.contree(&["tag", "python-dev:latest"])?;
    walk.contree(&["images", "--prefix", "python-dev"])?
        .shows("python-dev:latest")?;

    title("Branching, and breaking everything on the branch");
    walk.contree(&["session", "branch", "experiment"])?;
    walk.contree(&["session", "checkout", "experiment"])?
        .shows("experiment")?;
    walk.contree(&[
        "run",
        "-s",
        "rm -rf /usr /bin /lib* /sbin /etc /var 2>/dev/null; echo gone",
    ])?
    .shows("gone")?;
    walk.failing_contree(&["run", "python3", "--version"])?;

    title("Rolling back");
    walk.contree(&["session", "rollback"])?;
    walk.contree(&["run", "python3", "--version"])?
        .shows("Python 3")?;
    walk.contree(&["session", "checkout", "main"])?
        .shows("main")?;
    walk.contree(&["run", "python3", "--version"])?
        .shows("Python 3")?;
    walk.contree(&["session", "show"])?
        .shows("apt-get update")?;

    title("Second session, days later: starting from the tag");
    walk.contree(&["-S", "second", "use", "tag:python-dev:latest"])?;
    walk.contree(&[
        "-S",
        "second",
        "run",
        "-s",
        "python3 --version && id -un && uname -n",
    ])?
    .shows("Python 3")?;

    title("A disposable run leaves nothing behind");
    walk.contree(&[
        "-S",
        "second",
        "run",
        "-D",
        "-s",
        "rm -rf /usr; echo all is gone",
    ])?
    .shows("all is gone")?;
    walk.contree(&["-S", "second", "run", "python3", "--version"])?
        .shows("Python 3")?;
    walk.contree(&["-S", "second", "cat", "/etc/debian_version"])?
        .shows("12")?;
    Ok(())
}

fn how_to_go_on(contree: &Path, folder: &Path, url: &str) {
    title("How to go on");
    let contree = contree.display();
    // The profile that the walk has saved is for this address.
    let listen = match url.trim_start_matches("http://") {
        DEFAULT_LISTEN => String::new(),
        other => format!(" --listen {other}"),
    };
    println!(
        "All of it is kept in {folder}. Start the server again in one terminal:\n\n    \
         {contree} serve --data-dir {data}{listen}\n\n\
         and use it from another:\n\n    \
         export CONTREE_HOME={home}\n    \
         alias contree={contree}\n    \
         contree use tag:python-dev:latest\n    \
         contree run python3 --version\n\n\
         docs/getting-started.md goes on from here; `contree help` lists every command.",
        folder = folder.display(),
        data = data(folder).display(),
        home = walk::home(folder).display(),
    );
}

/// A line that says what comes next.
fn title(text: &str) {
    if stdout().is_terminal() {
        println!("\n\x1b[1m== {text}\x1b[0m");
    } else {
        println!("\n== {text}");
    }
}
