//! What is shown, each with a server of its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use contree_e2e::terminal::{Screen, cursor_row};
use contree_e2e::{Contree, Key, Registry, Server, Settings, Terminal, rootfs};
use sqlx::{Connection as _, SqliteConnection};

/// The pictures, by the names of their files.
pub(crate) const NAMES: [&str; 4] = ["session-show", "images-import", "build", "shell"];

/// The screen of a scene at its moment.
pub(crate) async fn shown(name: &str) -> anyhow::Result<Screen> {
    match name {
        "session-show" => session_show().await,
        "images-import" => Ok(images_import()),
        "build" => build().await,
        "shell" => shell().await,
        _ => bail!("there is no picture {name}"),
    }
}

/// A command on a terminal, below a prompt where it was typed.
fn typed(contree: &Contree, args: &[&str], shown: &str, rows: u16, columns: u16) -> Terminal {
    let command = contree.command(args);
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "printf '\\033[32m$\\033[0m %s\\r\\n' \"$SHOWN\"; exec \"$0\" \"$@\"",
        ])
        .arg(command.get_program())
        .args(command.get_args())
        .env("SHOWN", shown);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Terminal::sized(shell, rows, columns)
}

/// A day's work with branches.
async fn session_show() -> anyhow::Result<Screen> {
    let server = Server::start(Settings::default());
    server
        .import(&rootfs::debian(), "debian:bookworm-slim")
        .await;
    let contree = Contree::new(&server).session("parser");
    let run = |line: &str| contree.line(line).succeeds();
    let shell = |expression: &str| contree.run(&["run", "-s", expression]);
    run("use tag:debian:bookworm-slim");
    run("cd /srv");
    shell("mkdir src && echo 'int main;' > src/main.c").succeeds();
    shell("cp -r src build && touch build/parser").succeeds();
    run("tag parser/built:latest");
    run("session branch risky");
    run("session checkout risky");
    shell("rm -rf /usr/share && touch /gone").succeeds();
    shell("test -d /usr/share").ends_with(1);
    run("session checkout main");
    run("session branch fast-parser");
    run("session checkout fast-parser");
    shell("echo 'fast' > src/fast.c").succeeds();
    shell("touch build/fast && sleep 0.1").succeeds();
    run("tag parser/fast:1.0");
    run("session checkout main");
    shell("echo wrong > src/wrong.c").succeeds();
    run("session rollback");
    shell("echo 'better' >> src/main.c").succeeds();
    run("run -d sleep 60");
    shell("test -x build/tests").ends_with(1);
    shell("echo 'fixed' >> src/main.c && touch build/tests").succeeds();
    set_back(
        contree.home(),
        &[212, 211, 205, 190, 71, 70, 55, 42, 33, 21, 20, 8, 1],
    )
    .await?;
    let mut terminal = typed(
        &contree,
        &["session", "show"],
        "contree session show",
        24,
        92,
    );
    terminal.ended();
    terminal.shows("HEAD");
    Ok(terminal.screen())
}

/// Sets steps back in time, as if the work had taken hours: so many minutes each.
async fn set_back(home: &Path, minutes: &[i64]) -> anyhow::Result<()> {
    let path = home.join("cli/sessions/default.db");
    let url = format!("sqlite:{}", path.display());
    let mut database = SqliteConnection::connect(&url).await?;
    for (id, minutes) in (1_i64..).zip(minutes) {
        sqlx::query(
            "UPDATE session_history \
             SET created_at = strftime('%Y-%m-%dT%H:%M:%S', created_at, $1) WHERE id = $2",
        )
        .bind(format!("-{minutes} minutes"))
        .bind(id)
        .execute(&mut database)
        .await
        .context("the history cannot be changed")?;
    }
    database.close().await?;
    Ok(())
}

/// Three images at once, on their way.
fn images_import() -> Screen {
    let registry = Registry::open();
    let debian = rootfs::debian();
    for (name, version) in [
        ("debian:bookworm-slim", "1"),
        ("python:3.12-slim", "2"),
        ("node:22-slim", "3"),
    ] {
        registry.push(&debian, name, &[&format!("VERSION={version}")]);
    }
    let address = registry.address().to_owned();
    let server = Server::start(Settings::with(&["--allow-registry", &address]));
    let contree = Contree::new(&server);
    let at = |name: &str| format!("{address}/{name}");
    let names = ["debian:bookworm-slim", "python:3.12-slim", "node:22-slim"].map(at);
    let args: Vec<&str> = ["images", "import"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let shown = format!("contree {}", args.join(" "));
    let terminal = typed(&contree, &args, &shown, 12, 110);
    terminal.wait_for("bars half way", |screen| {
        screen.contents().matches('━').count() > 12
    });
    terminal.screen()
}

const DOCKERFILE: &str = "\
FROM debian:bookworm-slim AS check
WORKDIR /src
COPY lib lib
RUN for file in lib/*.pl; do perl -c $file 2>&1 && sleep 1; done

FROM debian:bookworm-slim AS pages
COPY --chmod=644 pages /pages
RUN for page in /pages/*; do gzip --keep --verbose $page && sleep 0.7; done

FROM debian:bookworm-slim
ENV SITE=/srv/site
COPY --from=check /src/lib /usr/lib/site
COPY --from=pages /pages $SITE
RUN ls -l $SITE | tail -n 3
";

/// Two stages at work at the same time.
async fn build() -> anyhow::Result<Screen> {
    let server = Server::start(Settings::default());
    server
        .import(&rootfs::debian(), "debian:bookworm-slim")
        .await;
    let contree = Contree::new(&server);
    let context = tempfile::tempdir()?;
    std::fs::write(context.path().join("Dockerfile"), DOCKERFILE)?;
    for (folder, names) in [
        (
            "lib",
            ["fetch.pl", "links.pl", "menu.pl", "render.pl", "serve.pl"],
        ),
        (
            "pages",
            [
                "about.html",
                "index.html",
                "news.html",
                "prices.html",
                "search.html",
            ],
        ),
    ] {
        std::fs::create_dir(context.path().join(folder))?;
        for name in names {
            let text = format!("print \"{name}\\n\";\n").repeat(2_000);
            std::fs::write(context.path().join(folder).join(name), text)?;
        }
    }
    let path = context.path().display().to_string();
    let args = ["build", "--tag", "site:latest", &path];
    let terminal = typed(&contree, &args, "contree build --tag site:latest .", 30, 96);
    terminal.shows("lib/menu.pl syntax OK");
    Ok(terminal.screen())
}

/// Work in the interactive shell, up to a completion.
async fn shell() -> anyhow::Result<Screen> {
    let server = Server::start(Settings::default());
    server
        .import(&rootfs::debian(), "debian:bookworm-slim")
        .await;
    let contree = Contree::new(&server).session("demo");
    contree.line("use tag:debian:bookworm-slim").succeeds();
    let mut terminal = typed(&contree, &["shell"], "contree shell", 30, 96);
    let prompt = |terminal: &Terminal, text: &str| {
        terminal.wait_for(text, |screen| cursor_row(screen).starts_with(text));
    };
    prompt(&terminal, "(main) / $");
    for (line, next) in [
        ("cd /srv", "(main) /srv $"),
        ("seq 1 100000 > numbers", "(main) /srv $"),
        ("wc -l numbers && grep -c 7 numbers", "(main) /srv $"),
        ("contree session branch try", "(main) /srv $"),
        ("contree session checkout try", "(try) /srv $"),
        ("rm numbers; cat numbers", "(try) /srv "),
        ("contree session rollback", "(try) /srv "),
    ] {
        terminal.hides_typing(true);
        terminal.type_text(line);
        terminal.wait_for(line, |screen| cursor_row(screen).ends_with(line));
        terminal.press(Key::Enter);
        // The row of the prompt before has the line in it.
        terminal.wait_for("the next prompt", |screen| {
            let row = cursor_row(screen);
            row.starts_with(next) && !row.ends_with(line)
        });
    }
    terminal.hides_typing(true);
    terminal.type_text("contree session ");
    terminal.press(Key::Tab);
    terminal.press(Key::Tab);
    terminal.shows("rollback  ");
    Ok(terminal.screen())
}
