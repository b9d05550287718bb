//! `contree run`
//!
//! 1. [`request`]: what is to run, from the arguments and the session; [`attach`]ed files go to
//!    the server first.
//! 2. [`stdin`]: what can be read at once goes along, the rest follows as it comes.
//! 3. The run is started, and [`watch`]ed to its end, its output passed on.
//! 4. [`outcome`]: the session moves on to the image, the exit code is passed on.

mod attach;
mod outcome;
mod request;
mod stdin;
mod watch;

use clap::Args;
use contree_api::OperationId;
use contree_api::event::{Event, EventData};
use contree_api::instance::InstanceSpawnResponse;
use contree_client::Client;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::output::{Columns, Row};
use crate::reference;
use crate::session::{Kind, PendingRun, Store};
use stdin::Forwarder;

pub(crate) use outcome::Ending;
pub(crate) use stdin::{reserve as reserve_stdin, take_unread};

/// What a sandbox is called that is given no name.
const HOSTNAME: &str = "linuxkit";
/// Bytes of each output stream that are passed on when nothing else is said.
const TRUNCATE: u64 = 65_536;

/// Run a command in a sandbox
///
/// The sandbox starts from the session's image, and the session moves on to the image that the
/// command leaves behind, whatever its exit code; with -D nothing is kept. Input is passed on,
/// output appears as it comes, and the exit code is the command's own (255 when it was killed).
/// Ctrl-C interrupts the command; a second one cancels the run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree run uname -a
  contree run -- ls -l                          options after -- are the command's
  contree run -s 'cd /srv && make | tail'       through a shell
  contree run -D rm -rf /etc                    try it, keep nothing
  contree run --use tag:debian:bookworm true    from another image, from now on
  contree run -e DEBUG=1 -C /srv ./app
  contree run -s 'cat > /data' < data
  contree run -F ./app.py:/app.py python3 /app.py
  contree run -F ./src:/src --file-excludes '*.log' -- make -C /src
  contree run -I ./setup.sh all                 a script; or begin it with
                                                #!/usr/bin/env -S contree run -I
  contree run -d sleep 3600                     do not wait; see contree ps, show, kill")]
pub(crate) struct RunArgs {
    /// Seconds until it is killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 120,
        value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// Working directory inside [default: the session's, else the image's]
    #[arg(
        short = 'C',
        long,
        value_name = "DIR",
        default_value = "",
        hide_default_value = true
    )]
    cwd: String,
    /// Set a variable; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Hostname inside
    #[arg(short = 'H', long, value_name = "NAME", default_value = HOSTNAME)]
    hostname: String,
    /// Keep nothing of what it writes
    #[arg(short = 'D', long)]
    disposable: bool,
    /// The command is a script of this machine, and words for it: the script's first line, if that
    /// names an interpreter, is left out, and the sandbox's shell reads the rest
    #[arg(short = 'I', long)]
    interpreter: bool,
    /// The command is a shell expression
    #[arg(short, long)]
    shell: bool,
    /// Put a file or folder into the sandbox: HOST[:/PATH][:uUSER][:gGROUP][:mMODE]; may be
    /// repeated
    #[arg(short = 'F', long, value_name = "SPEC")]
    file: Vec<String>,
    /// Leave these names or paths out of attached folders too; may be repeated
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    file_excludes: Vec<String>,
    /// Bytes of each output stream that are passed on
    #[arg(short = 'T', long, value_name = "BYTES", default_value_t = TRUNCATE)]
    truncate: u64,
    /// Keep the variables with the resulting image
    #[arg(long)]
    preserve_env: bool,
    /// Do not wait for it
    #[arg(short, long, visible_alias = "no-wait")]
    detach: bool,
    /// Go on from this image first: UUID, tag:NAME or NAME
    #[arg(long = "use", value_name = "IMAGE")]
    use_image: Option<String>,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// The server's own timeout holds
    #[arg(skip)]
    untimed: bool,
}

impl RunArgs {
    /// A line of the interactive shell: a shell expression in a folder, for as long as the server
    /// lets it run or for so many seconds.
    pub(crate) fn of_line(line: String, cwd: String, timeout: Option<u32>) -> Self {
        Self {
            timeout: timeout.unwrap_or(u32::MAX),
            cwd,
            env: Vec::new(),
            hostname: HOSTNAME.to_owned(),
            disposable: false,
            interpreter: false,
            shell: true,
            file: Vec::new(),
            file_excludes: Vec::new(),
            truncate: TRUNCATE,
            preserve_env: false,
            detach: false,
            use_image: None,
            command: vec![line],
            untimed: timeout.is_none(),
        }
    }

    /// What the history calls the step.
    fn title(&self) -> String {
        self.command.join(" ")
    }
}

pub(crate) async fn run(context: &Context, args: RunArgs) -> Result<u8, Failure> {
    Ok(perform(context, args).await?.code())
}

/// The same, for somebody who wants to know how it ended.
pub(crate) async fn perform(context: &Context, args: RunArgs) -> Result<Ending, Failure> {
    let client = context.client()?;
    let mut store = context.store().await?;
    let image = match &args.use_image {
        Some(name) => {
            let id = reference::resolve(&client, name).await?;
            store.advance(&id.to_string(), Kind::Use, name, "").await?;
            id
        }
        None => reference::resolve(&client, &store.active().await?.current_image).await?,
    };
    let attached = attach::attach(context, &client, &mut store, &args, true).await?;
    let (mut request, env) = request::build(&mut store, &args, image, attached.files).await?;

    // From here on there may be a run to be cancelled.
    let mut interrupts = Interrupts::listen();
    let mut rest = None;
    if request.stdin.is_none() {
        let opening = stdin::open().await;
        request.stdin = opening.first;
        rest = opening.rest;
    }
    let mut started = start(&client, &request, &mut interrupts).await?;
    if !attached.is_certain
        && started
            .as_ref()
            .is_err_and(contree_client::Error::is_not_found)
    {
        // What was uploaded some time ago may not be there any more.
        let attached = attach::attach(context, &client, &mut store, &args, false).await?;
        request.files.extend(attached.files);
        started = start(&client, &request, &mut interrupts).await?;
    }
    let started = started?;
    let id = started.uuid;
    tracing::debug!(operation = %id, "started");
    store.note_started(&id.to_string()).await?;
    let input = rest.map(|rest| Forwarder::new(client.clone(), id, rest));
    if args.detach {
        detach(context, &client, &mut store, &args, &started, input).await?;
        return Ok(Ending::Exited(0));
    }
    let watched = watch::watch(context, &client, id, args.truncate, input, &mut interrupts).await?;
    let outcome = outcome::Outcome::find(&client, id, watched).await?;
    outcome.report(context, &args);
    outcome.record(&mut store, &args, &env).await?;
    outcome.print(context)?;
    Ok(outcome.ending())
}

/// Starts the run, or tells why the server does not. After Ctrl-C it is not left alone when the
/// server has accepted it already.
async fn start(
    client: &Client,
    request: &contree_api::instance::InstanceSpawnRequest,
    interrupts: &mut Interrupts,
) -> Result<Result<InstanceSpawnResponse, contree_client::Error>, Failure> {
    let mut spawn = std::pin::pin!(client.spawn(request));
    tokio::select! {
        started = &mut spawn => return Ok(started),
        _ = interrupts.next() => {}
    }
    let cancel = async {
        let started = spawn.await?;
        client.cancel(started.uuid).await
    };
    tokio::select! {
        _ = cancel => {}
        _ = interrupts.next() => {}
    }
    Err(Failure::interrupted())
}

/// Notes a run that is not waited for, and prints it once its input is delivered.
async fn detach(
    context: &Context,
    client: &Client,
    store: &mut Store,
    args: &RunArgs,
    started: &InstanceSpawnResponse,
    input: Option<Forwarder>,
) -> Result<(), Failure> {
    let id = started.uuid;
    let kind = if args.disposable {
        "disposable"
    } else {
        "detached"
    };
    let branch = format!("{kind}-{id}");
    let title = args.title();
    store
        .branch_off(&branch, &format!("run-{kind}"), &title, &id.to_string())
        .await?;
    let run = PendingRun {
        op: id.to_string(),
        title,
        disposable: args.disposable,
        branch,
    };
    store.add_pending_run(run).await?;

    let row = match input {
        Some(mut input) => {
            wait_for_process(client, id).await?;
            input.start();
            if let Some(error) = input.delivered().await {
                context.output.warn(&incomplete(id, &error));
            }
            Row::of(&client.operation(id, false).await?.summary)
        }
        None => Row::of(started).with("status", "PENDING"),
    };
    let columns = Columns {
        head: &["uuid", "status"],
        tail: &["error"],
        hidden: HIDDEN,
        ..Columns::default()
    };
    context.output.row(columns, row)
}

/// Of no interest in a table of one run that was just started.
const HIDDEN: &[&str] = &[
    "hostname",
    "env",
    "preserve_env",
    "preserve_cwd",
    "cwd",
    "uid",
    "gid",
    "resources_limits",
    "networking",
    "stdin",
    "truncate_output_at",
    "files",
    "result",
];

/// Waits until there is a process to write to, or never will be.
async fn wait_for_process(client: &Client, id: OperationId) -> Result<(), Failure> {
    let mut events = client.follow(id);
    while let Some(frame) = events.next().await? {
        match frame.event {
            Some(Event { spid: Some(1), .. }) => break,
            Some(Event {
                data: EventData::Completion(_),
                ..
            }) => break,
            _ => {}
        }
    }
    Ok(())
}

fn incomplete(id: OperationId, error: &contree_client::Error) -> String {
    format!("stdin delivery to {id} may be incomplete: {error}")
}
