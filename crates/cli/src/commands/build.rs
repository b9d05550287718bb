//! `contree build`

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::build::context::Context as Files;
use crate::build::dockerfile::Dockerfile;
use crate::build::expand::{Globals, Platform, is_predefined};
use crate::build::ignore::Ignore;
use crate::build::{self, Ground, Plan, progress};
use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::output::{Columns, Row};
use crate::reference;

/// Build an image from a Dockerfile
///
/// Carries out a Dockerfile step by step, each in a sandbox of its own. What was built before from
/// the same is not built again. FROM names an image of the server, or one that is then imported;
/// COPY --from takes from other stages and images without a detour over this machine. ENV and
/// WORKDIR stay with the image. Ctrl-C cancels what is running.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree build                                 ./Dockerfile, with this folder as context
  contree build --tag app:1 --tag app:latest .
  contree build --dockerfile docker/Dockerfile.test .
  contree build --build-arg VERSION=1.2 --target test .
  contree build --no-cache .                    carry out every step
  contree build - < Dockerfile                  without any files
  contree -o json build . | jq -r .image        for scripts
  contree run --use tag:app:1 ./app             run what was built")]
pub(crate) struct BuildArgs {
    /// Folder that COPY and ADD take from; `-` reads the Dockerfile from standard input
    #[arg(default_value = ".")]
    context: PathBuf,
    /// The Dockerfile; `-` is standard input [default: Dockerfile in CONTEXT]
    #[arg(long, visible_alias = "file", value_name = "PATH")]
    dockerfile: Option<PathBuf>,
    /// Tag for the image; may be repeated
    #[arg(long, value_name = "NAME")]
    tag: Vec<String>,
    /// Set a variable that the Dockerfile declares by ARG; without `=`, as in the environment; may
    /// be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    build_arg: Vec<String>,
    /// Carry out every step, whatever was built before
    #[arg(long)]
    no_cache: bool,
    /// Build up to this stage
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Seconds until a RUN is killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 600,
        value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// How progress is shown
    #[arg(
        long,
        value_name = "WAY",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true,
        help = "How progress is shown: auto (drawn on a terminal, plain elsewhere), plain or tty \
                [default: auto]"
    )]
    progress: progress::Choice,
}

pub(crate) async fn build(context: &Context, args: BuildArgs) -> Result<u8, Failure> {
    let tags = args.tag.iter().map(|tag| reference::parse_tag(tag));
    let tags = tags.collect::<Result<Vec<_>, _>>()?;
    let source = Source::find(&args)?;
    let dockerfile = Dockerfile::parse(&source.name, &source.text)?;
    let given = build_args(&args.build_arg)?;
    for name in given.keys() {
        if !dockerfile.declares(name) && !is_predefined(name) {
            context.output.warn(&format!(
                "--build-arg {name}: no ARG of the Dockerfile names it"
            ));
        }
    }
    let platform = own_platform();
    let globals = Globals::new(given, &platform, dockerfile.escape, &dockerfile.global_args)
        .map_err(|(line, why)| Failure::new(format!("{}:{line}: {why}", dockerfile.name)))?;
    let client = context.client()?;
    let ground = Ground {
        client,
        store: context.store().await?,
        context: source.key,
        is_anew: args.no_cache,
        board: progress::Board::new(&context.output, args.progress)?,
    };
    let plan = Plan {
        dockerfile,
        files: Files::open(&source.folder, source.ignore)?,
        globals,
        platform,
        target: args.target,
        tags,
        timeout: args.timeout,
    };
    let built = build::build(plan, ground).await?;
    let row = Row::new()
        .with("image", built.image.to_string())
        .with("tag", args.tag.join(","))
        .with("session", built.session);
    context.output.row(Columns::default(), row)?;
    Ok(0)
}

/// What a build is made from.
struct Source {
    /// What errors call the Dockerfile.
    name: String,
    text: String,
    folder: PathBuf,
    ignore: Ignore,
    /// What the cache is kept for: the folder's absolute path.
    key: String,
    /// Kept while it is used: a folder for builds that have none.
    _empty: Option<tempfile::TempDir>,
}

impl Source {
    fn find(args: &BuildArgs) -> Result<Self, Failure> {
        if args.context == Path::new("-") {
            if args.dockerfile.is_some() {
                return Err(Failure::new(
                    "the context - is a Dockerfile on standard input: --dockerfile names another",
                ));
            }
            let failed = || "could not make an empty folder".to_owned();
            let empty = tempfile::TempDir::with_prefix("contree-build-").doing(failed)?;
            return Ok(Self {
                name: "Dockerfile".to_owned(),
                text: standard_input()?,
                folder: empty.path().to_owned(),
                ignore: Ignore::default(),
                key: "-".to_owned(),
                _empty: Some(empty),
            });
        }
        let given = args.context.display();
        let folder = std::fs::canonicalize(&args.context)
            .doing(|| format!("context {given} cannot be used"))?;
        if !folder.is_dir() {
            return Err(Failure::new(format!("context {given} is not a folder"))
                .next(format!("contree build --dockerfile {given} FOLDER")));
        }
        let path = match &args.dockerfile {
            Some(path) => path.clone(),
            None => args.context.join("Dockerfile"),
        };
        let shown = path.display().to_string();
        let (name, text) = if path == Path::new("-") {
            ("Dockerfile".to_owned(), standard_input()?)
        } else {
            let bytes = std::fs::read(&path).map_err(|error| {
                Failure::new(format!("Dockerfile {shown} cannot be read"))
                    .because(&error)
                    .next("--dockerfile PATH   (where it is)")
            })?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Failure::new(format!("{shown} is not UTF-8 text")))?;
            let name = path.file_name().unwrap_or(path.as_os_str());
            (name.to_string_lossy().into_owned(), text)
        };
        Ok(Self {
            name,
            text,
            ignore: Ignore::read(&folder, &path)?,
            key: folder.to_string_lossy().into_owned(),
            folder,
            _empty: None,
        })
    }
}

fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text);
    read.doing(|| "could not read the Dockerfile from standard input".to_owned())?;
    Ok(text)
}

fn build_args(items: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut args = BTreeMap::new();
    for item in items {
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            // As with Docker, one that is not set is not given.
            None => (item.as_str(), std::env::var(item).ok()),
        };
        if name.is_empty() {
            return Err(Failure::new(format!(
                "--build-arg {item}: a variable is set by KEY=VALUE"
            )));
        }
        if let Some(value) = value {
            args.insert(name.to_owned(), value);
        }
    }
    Ok(args)
}

/// Servers do not tell their machine; mostly it is one like this.
fn own_platform() -> Platform {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    Platform {
        os: "linux".to_owned(),
        arch: arch.to_owned(),
        variant: String::new(),
    }
}
