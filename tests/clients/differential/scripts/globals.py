"""Global options, help, usage errors, defaults of cli.ini, the environment."""

from script import line, put, script

script(
    "globals/dispatch",
    "",
    "-h",
    "--help",
    "run --help",
    "session branch -h",
    "-v",
    "--version",
    "nonsense",
    "--nonsense",
    "-f json use",
    "-o nonsense use",
    "-L loud use",
    "session nonsense",
    "use -o json",
    "use {base} extra",
    "-S",
    "operation",
    "file",
    "-L nothing use",
)

script(
    "globals/options",
    "-L debug use {base}",
    "-L error -o json use",
    "--log-level critical --output json use",
    "--format=json use",
    "-ojson use",
    "-o=json use",
    "--out json use",
    "-S named use {base}",
    "--session named -o json use",
    "--sess=named -o json use",
    line("-o json use", env={"CONTREE_SESSION": "named"}),
    line("-S work -o json use", env={"CONTREE_SESSION": "named"}),
    line("use", env={"CONTREE_SESSION": ""}),
    line("use {base}", env={"CONTREE_SESSION": None}),
    line("use", env={"CONTREE_SESSION": None}),
    line("-p other use", env={"CONTREE_SESSION": None}),
    "--token wrong use {base}",
    "-u {url}/ use {base}",
    "--url {url} -P some use {base}",
    "--project some use {base}",
    "-p none use",
    "--profile none use",
    "--profile default use",
    line("use", env={"CONTREE_PROFILE": "none"}),
    line("-p default use", env={"CONTREE_PROFILE": "none"}),
    line("use {base}", env={"CONTREE_SESSION_DB": "{home}/work/own.db"}),
    line("use {base}", env={"CONTREE_DB_TIMEOUT": "1.5"}),
    in_turn=True,
)

PROFILES = """[DEFAULT]
profile = jwt

[profile:jwt]
url = {url}
token = {token}
type = jwt

[profile:untyped]
url = {url}
token = {token}

[profile:iam]
url = {url}
token = {token}
type = iam
project = some

[profile:projectless]
url = {url}
token = {token}
type = iam

[profile:nowhere]
token = {token}
type = jwt

[profile:tokenless]
url = {url}
type = jwt
"""

script(
    "globals/profiles",
    put("other.ini", PROFILES, 0o600),
    "use {base}",
    "-c other.ini use {base}",
    "--config {home}/work/other.ini use",
    "-c other.ini -p untyped use {base}",
    "-c other.ini -p iam use {base}",
    "-c other.ini -p projectless use {base}",
    "-c other.ini -p projectless -P some use {base}",
    "-c other.ini -p nowhere use {base}",
    "-c other.ini -p nowhere -u {url} use {base}",
    "-c other.ini -p tokenless use {base}",
    "-c other.ini -p tokenless --token {token} use {base}",
    "-c none.ini use {base}",
    is_logged_in=False,
    in_turn=True,
)

script(
    "globals/cli.ini",
    put("../contree/cli.ini", "[cli]\noutput_format = json\nlog_level = error\neditor = sh -c 'echo edited > $1' x\n"),
    "use {base}",
    "use",
    "-o plain use",
    "session",
    "run -D echo out",
    "file edit /etc/motd",
    "run cat /etc/motd",
    line("file edit /etc/motd", env={"EDITOR": "true"}),
    "file edit -E 'sh -c \"echo own > $1\" x' /etc/motd",
    "run cat /etc/motd",
    in_turn=True,
)

script(
    "globals/cli.ini wrong",
    put("../contree/cli.ini", "[cli]\noutput_format = nonsense\n"),
    "use {base}",
    "-o json use",
)

script(
    "globals/places",
    line("use {base}", env={"CONTREE_HOME": None, "XDG_CONFIG_HOME": "{home}/xdg"}),
    line("auth --type jwt -u {url} --token {token}",
         env={"CONTREE_HOME": None, "XDG_CONFIG_HOME": "{home}/xdg"}),
    line("use {base}", env={"CONTREE_HOME": None, "XDG_CONFIG_HOME": "{home}/xdg"}),
    line("auth --type jwt -u {url} --token {token}", env={"CONTREE_HOME": None}),
    line("use {base}", env={"CONTREE_HOME": None}),
    line("use {base}", env={"CONTREE_HOME": "~/own"}),
    is_logged_in=False,
)

COMMANDS = """
use run build images images_list images_import tag ps kill show operation operation_list operation_show
operation_cancel operation_wait operation_events ls cat grep cp export file file_edit file_cp file_ls
session session_list session_use session_branch session_checkout session_rollback session_show session_wait
session_delete auth auth_list auth_switch auth_remove skill skill_list skill_install skill_remove
skill_upgrade cd env agent shell
""".split()

script(
    "globals/help",
    *[f"{command.replace('_', ' ')} {flag}" for command in COMMANDS for flag in ("-h", "--help")],
    is_logged_in=False,
)
