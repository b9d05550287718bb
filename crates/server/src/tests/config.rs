use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Arg, CommandFactory as _, Parser};

use crate::config::{Durability, LogFormat, ServeArgs, Settings};

#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
pub(super) struct Line {
    #[command(flatten)]
    pub(super) args: ServeArgs,
}

fn parse(words: &[&str]) -> ServeArgs {
    Line::try_parse_from(words).unwrap().args
}

/// Settings with this test's own program as the sandbox program: any file will do.
fn resolve(words: &[&str]) -> Result<Settings, String> {
    let own = std::env::current_exe().unwrap();
    let mut args = parse(words);
    args.sandbox_binary.get_or_insert(own);
    Settings::resolve(args).map_err(|error| error.to_string())
}

#[test]
fn defaults() {
    let settings = resolve(&[]).unwrap();
    assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 9450));
    assert_eq!(settings.engine.data_dir, Path::new("/var/lib/contree"));
    assert_eq!(
        settings.engine.durability,
        contree_engine::Durability::Durable
    );
    assert_eq!(settings.engine.sandbox.pids, Some(4096));
    assert!(settings.engine.sandbox.memory_bytes.is_some());
    assert_eq!(settings.engine.sandbox.cpus, None);
    assert!(settings.engine.allow_registries.is_empty());
}

/// Every default that the help names is the one that holds: given as a flag it changes nothing.
#[test]
fn help_names_the_real_defaults() {
    let base = format!("{:?}", resolve(&[]).unwrap());
    let mut named = 0;
    for arg in arguments() {
        let Ok(default) = default_of(&arg).parse::<Plain>() else {
            continue;
        };
        let flag = format!("--{}={}", arg.get_long().unwrap(), default.0);
        assert_eq!(format!("{:?}", resolve(&[&flag]).unwrap()), base, "{flag}");
        named += 1;
    }
    assert!(named > 20, "{named}");
}

/// A default that is a value, not a description or the absence of one.
struct Plain(String);

impl std::str::FromStr for Plain {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        (text != "none" && !text.contains(' '))
            .then(|| Self(text.to_owned()))
            .ok_or(())
    }
}

#[test]
fn wrong_values_name_the_setting() {
    for (words, message) in [
        (
            &["--listen=127.0.0.1"][..],
            "setting listen (--listen, CONTREE_LISTEN): expected HOST:PORT such as 127.0.0.1:9450; \
             the port is missing",
        ),
        (
            &["--queue-max=0"],
            "setting queue_max (--queue-max, CONTREE_QUEUE_MAX): expected at least 1",
        ),
        (
            &["--instance-max-timeout=60", "--instance-default-timeout=2m"],
            "setting instance_default_timeout (--instance-default-timeout, \
             CONTREE_INSTANCE_DEFAULT_TIMEOUT): 2m is over instance_max_timeout, which is 1m",
        ),
        (
            &["--file-retention=3d"],
            "setting file_retention (--file-retention, CONTREE_FILE_RETENTION): expected at least \
             180d, got 3d",
        ),
        (
            &["--sandbox-subnet=10.1.0.0/30"],
            "setting sandbox_subnet (--sandbox-subnet, CONTREE_SANDBOX_SUBNET): expected a range \
             from /8 to /29 such as 10.200.0.0/16, got 10.1.0.0/30",
        ),
        (
            &["--jwt-key=src/tests/keys/ed25519.pub.pem", "--jwt-issuer=i"],
            "setting jwt_audience (--jwt-audience, CONTREE_JWT_AUDIENCE): expected a text, as \
             there is jwt_key",
        ),
        (
            &["--jwt-issuer=i"],
            "setting jwt_key (--jwt-key, CONTREE_JWT_KEY): expected a key, as there is jwt_issuer \
             or jwt_audience",
        ),
        (
            &["--jwt-key=Cargo.toml", "--jwt-issuer=i", "--jwt-audience=a"],
            "setting jwt_key (--jwt-key, CONTREE_JWT_KEY): Cargo.toml: expected a public key in \
             PEM form (BEGIN PUBLIC KEY), RSA of at least 2048 bits or Ed25519",
        ),
        (
            &["--sandbox-binary=/nowhere/contree-sandbox"],
            "no contree-sandbox program at /nowhere/contree-sandbox; name it with --sandbox-binary",
        ),
    ] {
        assert_eq!(resolve(words).unwrap_err(), message);
    }
    let error = Line::try_parse_from(["--max-upload-bytes=lots"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("--max-upload-bytes <BYTES>"), "{error}");
    assert!(
        error.contains("expected a number of bytes such as 4096"),
        "{error}"
    );
}

#[test]
fn a_lower_maximum_lowers_the_default() {
    let limits = resolve(&["--instance-max-timeout=60"])
        .unwrap()
        .engine
        .limits;
    assert_eq!(
        (limits.instance_default_timeout, limits.instance_max_timeout),
        (60, 60)
    );
}

#[test]
fn lists_and_switches() {
    let settings = resolve(&[
        "--allow-registry=127.0.0.1:5000,registry.local",
        "--allow-registry=[::1]:5000",
        "--allow-egress=10.1.0.0/16",
        "--resolver=9.9.9.9",
        "--sandbox-memory=none",
        "--sandbox-cpus=1.5",
        "--retention=30d",
        "--durability=relaxed",
        "--listen=[::1]:0",
    ])
    .unwrap();
    let engine = settings.engine;
    let registries: Vec<_> = engine
        .allow_registries
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        registries,
        ["127.0.0.1:5000", "registry.local", "[::1]:5000"]
    );
    assert_eq!(engine.network.allow, ["10.1.0.0/16"]);
    assert_eq!(engine.network.resolvers.len(), 1);
    assert_eq!(engine.sandbox.memory_bytes, None);
    assert_eq!(engine.sandbox.cpus, Some(1.5));
    assert_eq!(
        engine.retention.untagged_images.map(|age| age.as_secs()),
        Some(30 * 86_400)
    );
    assert_eq!(engine.durability, contree_engine::Durability::Relaxed);
    assert_eq!((settings.host.as_str(), settings.port), ("::1", 0));
}

/// Prints the settings of a process whose environment [`later_sources_win`] prepares.
#[test]
#[ignore = "run by later_sources_win in a process of its own"]
fn print_settings() {
    let flags: Vec<String> = std::env::var("FLAGS")
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let settings = resolve(&flags).unwrap();
    println!(
        "settings: {} {:?} {} {}",
        settings.port,
        settings.log_format,
        settings.engine.limits.queue_max,
        settings.engine.allow_registries.len()
    );
}

#[test]
fn later_sources_win() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contree.toml");
    std::fs::write(
        &file,
        "listen = \"127.0.0.1:1\"\nlog_format = \"json\"\nqueue_max = 1\n\
         allow_registry = [\"a\", \"b\"]\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let shown = |environment: &[(&str, &str)], flags: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "tests::config::print_settings",
                "--ignored",
                "--nocapture",
            ])
            .env("FLAGS", flags)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let at = text.find("settings: ").unwrap_or_else(|| panic!("{text}"));
        text[at + "settings: ".len()..]
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    let in_env = [
        ("CONTREE_CONFIG", file),
        ("CONTREE_LISTEN", "127.0.0.1:2"),
        ("CONTREE_QUEUE_MAX", "2"),
        ("CONTREE_ALLOW_REGISTRY", "c,d,e"),
    ];
    assert_eq!(shown(&[], ""), "9450 Text 10000 0");
    assert_eq!(shown(&in_env[..1], ""), "1 Json 1 2");
    assert_eq!(shown(&in_env, ""), "2 Json 2 3");
    assert_eq!(
        shown(&in_env, "--listen 127.0.0.1:3 --log-format text"),
        "3 Text 2 3"
    );
    assert_eq!(
        shown(&[], &format!("--config {file} --queue-max 9")),
        "1 Json 9 2"
    );
}

#[test]
fn the_file_reads_like_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contree.toml");
    let mut text = String::new();
    let mut flags = Vec::new();
    for arg in arguments() {
        let name = arg.get_id().as_str();
        let Some(value) = sample(name) else { continue };
        let quoted = match name {
            "allow_registry" | "allow_egress" | "resolver" | "jwt_key" => format!("[\"{value}\"]"),
            _ if value.parse::<f64>().is_ok() => value.to_owned(),
            _ => format!("\"{value}\""),
        };
        writeln!(text, "{name} = {quoted}").unwrap();
        flags.push(format!("--{}={value}", arg.get_long().unwrap()));
    }
    std::fs::write(&file, text).unwrap();
    let from_file = resolve(&["--config", file.to_str().unwrap()]).unwrap();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    assert_eq!(
        format!("{from_file:?}"),
        format!("{:?}", resolve(&flags).unwrap())
    );
    assert_eq!(from_file.log_format, LogFormat::Json);
    assert_eq!(parse(&flags).durability, Some(Durability::Relaxed));
}

/// A value for each setting, other than its default.
fn sample(name: &str) -> Option<&'static str> {
    let samples = BTreeMap::from([
        ("allow_egress", "10.9.0.0/16"),
        ("allow_registry", "localhost:5000"),
        ("cpu_price", "0.25"),
        ("data_dir", "/srv/contree"),
        ("drain_timeout", "9"),
        ("durability", "relaxed"),
        ("event_log_cap", "1MiB"),
        ("file_retention", "200d"),
        ("images_import_default_timeout", "2m"),
        ("images_import_max_bytes", "1GiB"),
        ("images_import_max_concurrency", "2"),
        ("images_import_max_entries", "1000"),
        ("images_import_max_timeout", "20m"),
        ("instance_default_timeout", "30"),
        ("instance_max_concurrency", "3"),
        ("instance_max_layer_bytes", "2GiB"),
        ("instance_max_timeout", "2h"),
        ("jwt_audience", "contree"),
        ("jwt_issuer", "https://issuer.example.com"),
        ("jwt_key", "src/tests/keys/ed25519.pub.pem"),
        ("listen", "0.0.0.0:80"),
        ("log_filter", "warn"),
        ("log_format", "json"),
        ("max_connections", "10"),
        ("max_request_bytes", "1MiB"),
        ("max_upload_bytes", "1GiB"),
        ("min_free", "1GiB"),
        ("network_pool", "7"),
        ("queue_max", "5"),
        ("resolver", "1.1.1.1"),
        ("retention", "7d"),
        ("sandbox_cpus", "0.5"),
        ("sandbox_memory", "1GiB"),
        ("sandbox_pids", "100"),
        ("sandbox_subnet", "10.77.0.0/16"),
    ]);
    let found = samples.get(name).copied();
    assert!(
        found.is_some() || matches!(name, "config" | "sandbox_binary" | "help"),
        "no sample for {name}"
    );
    found
}

fn arguments() -> Vec<Arg> {
    let mut command = Line::command();
    command.build();
    command
        .get_arguments()
        .filter(|arg| arg.get_id() != "help")
        .cloned()
        .collect()
}

fn help_of(arg: &Arg) -> String {
    arg.get_help()
        .map(ToString::to_string)
        .unwrap_or_default()
        .replace('\n', " ")
}

fn default_of(arg: &Arg) -> String {
    let help = help_of(arg);
    let (_, default) = help
        .rsplit_once("[default: ")
        .unwrap_or_else(|| panic!("no default in {help}"));
    default
        .strip_suffix(']')
        .unwrap_or_else(|| panic!("text after the default in {help}"))
        .to_owned()
}

/// docs/configuration.md lists exactly the settings that `--help` does. With
/// `UPDATE_DOCS=1` in the environment this test writes the list instead of checking it.
#[test]
fn the_documentation_lists_every_setting() {
    const BEGIN: &str = "<!-- settings: begin -->\n";
    const END: &str = "<!-- settings: end -->";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    let mut table =
        "| setting (key in the file) | environment | value | meaning | default |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for arg in arguments() {
        let help = help_of(&arg);
        let (meaning, _) = help.rsplit_once(" [default: ").unwrap();
        let key = match arg.get_id().as_str() {
            "config" => String::new(),
            name => format!(" (`{name}`)"),
        };
        let value = arg.get_value_names().unwrap()[0].as_str().to_owned();
        writeln!(
            table,
            "| `--{}`{key} | `{}` | `{value}` | {meaning} | {} |",
            arg.get_long().unwrap(),
            arg.get_env().unwrap().to_str().unwrap(),
            default_of(&arg),
        )
        .unwrap();
    }
    let wanted = format!("{head}{BEGIN}{table}{END}{tail}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    } else {
        assert!(
            text == wanted,
            "docs/configuration.md is behind --help; run with UPDATE_DOCS=1"
        );
    }
}
