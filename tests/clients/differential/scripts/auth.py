"""contree auth, and what of it all commands use."""

from script import line, put, script, sh

script(
    "auth",
    "images",
    "auth list",
    "auth --type jwt -u {url} --token none",
    "images",
    "auth --type jwt -u {url}/ --token {token}",
    "images",
    "auth --type jwt -u {url} --token {token}",
    line("auth --type jwt -u {url} --token {token}", stdin=b"n\n"),
    line("auth --type jwt -u {url} --token {token}", stdin=b"y\n"),
    "auth --type jwt -u {url} --token {token} -f",
    "auth --type jwt --url {url} --token {token} -y",
    "auth --type jwt --url {url} --token {token} --force",
    "auth --type none -u {url} --token {token}",
    "auth list",
    "-o json auth ls",
    "-o json auth profiles --offline",
    "-o csv auth list -O",
    "auth switch none",
    "auth switch",
    "auth remove none",
    "auth remove none -f",
    "auth remove none --force",
    "-p none images",
    "--profile default images",
    line("images", env={"CONTREE_PROFILE": "none"}),
    line("images", env={"CONTREE_PROFILE": "default"}),
    "--token none images",
    "-P some images",
    line("auth remove default", stdin=b"n\n"),
    line("auth remove default", stdin=b"y\n"),
    "auth remove default -y",
    "images",
    is_logged_in=False,
    in_turn=True,
)

# Each is saved beside the active profile, which is saved last: so it stays the active one.
script(
    "auth/kinds",
    "auth -p one -P it -u {url} --token {token}",
    "auth --profile two --type iam --project it --url {url} --token {token}",
    line("auth -p three", env={"CONTREE_TOKEN": "{token}", "CONTREE_URL": "{url}", "CONTREE_PROJECT": "it"}),
    line(
        "auth -p four --type jwt",
        env={"NEBIUS_API_KEY": "{token}", "CONTREE_URL": "{url}", "NEBIUS_AI_PROJECT": "it"},
    ),
    line("auth -p five -u {url} --token {token}", env={"NEBIUS_AI_PROJECT": "it"}),
    line("auth --type jwt -p six -u {url}", stdin=b"{token}\n"),
    "auth --type jwt -u {url} --token {token} -f",
    "-o json auth list",
    "-p one images",
    "auth switch two",
    "-o json auth list -O",
    "use none",
    "auth switch default",
    "-p two use none",
    "auth rm two -f",
    "auth del -y three",
    "-o json auth list -O",
)

script(
    "auth/remove",
    "auth --type jwt -p side -u {url} --token {token}",
    "auth switch side",
    "-p side use {base}",
    "-p default use {base}",
    "auth remove -f side",
    "-o json auth list -O",
    "use",
    "-p default use",
    "-o json session list",
)

# What runs knows no token of the environment where a profile is saved.
script(
    "auth/environment",
    line("-o json images", env={"CONTREE_TOKEN": "none", "CONTREE_URL": "http://127.0.0.1:1"}),
    line("-o json images", env={"NEBIUS_API_KEY": "none", "CONTREE_PROJECT": "none"}),
    in_turn=True,
)

script(
    "auth/otherwise",
    line("images", env={"CONTREE_TOKEN": "{token}", "CONTREE_URL": "{url}"}),
    "auth list",
    "-o json auth list",
    "auth -u {url} --token {token}",
    line("auth -p own --type jwt --token none"),
    is_logged_in=False,
)

script(
    "home",
    line("use {base}", env={"CONTREE_HOME": None, "XDG_CONFIG_HOME": "{home}"}),
    line("session", env={"CONTREE_HOME": "", "XDG_CONFIG_HOME": "{home}"}),
    line("-o json use", env={"CONTREE_HOME": None, "XDG_CONFIG_HOME": "~"}),
    line("-o json use", env={"CONTREE_HOME": "~/contree", "XDG_CONFIG_HOME": "/none"}),
    line("-o json use {base}", env={"CONTREE_SESSION_DB": "{home}/mine.db"}),
    line("-o json session list", env={"CONTREE_SESSION_DB": "~/mine.db"}),
    line("-o json session list", env={"CONTREE_DB_TIMEOUT": "1"}),
    line("-o json session list", env={"CONTREE_SESSION": "other"}),
    line("-S work -o json use", env={"CONTREE_SESSION": "other"}),
    sh("cp -r {home}/contree {home}/copy"),
    "-c {home}/copy/auth.ini -o json auth list -O",
    "--config {home}/copy/auth.ini -o json use",
    "-c {home}/none/auth.ini use",
    in_turn=True,
)

script(
    "settings",
    put("../contree/cli.ini", "[cli]\noutput_format = csv\n"),
    "use {base}",
    line("session", env={"CONTREE_NO_UPDATE_CHECK": "yes"}),
    "-o json session",
    line("use", env={"CONTREE_PROFILE": "default"}),
    put("../contree/cli.ini", "[cli]\nsession_key = mine\noutput_format = json\n\n[profile:more]\nurl = {url}\n"),
    line("use tag:{base}", env={"CONTREE_SESSION": None}),
    line("session", env={"CONTREE_SESSION": None}),
    line("session list", env={"CONTREE_SESSION": None}),
    line("auth list -O", env={"CONTREE_SESSION": None}),
    line("-S other session", env={"CONTREE_SESSION": None}),
    put("../contree/cli.ini", "[cli]\nprofile = none\n"),
    line("images", env={"LANG": "C"}),
    line("-p default -o json use", env={"LANG": "C"}),
    put("../contree/cli.ini", "[cli]\noutput_format = morse\n"),
    line("use", env={"LANG": "C"}),
    line("-o tsv use", env={"LANG": "C"}),
)

script(
    "old places",
    put("../old/contree-cli/config.ini", "[DEFAULT]\nprofile = default\n\n[profile:default]\nurl = {url}\ntoken = {token}\n"),
    put("../old/contree/sessions-default.db", b""),
    line("-o json use {base}", env={"CONTREE_HOME": None, "XDG_CONFIG_HOME": "{home}/old"}),
    line("-o json session", env={"CONTREE_HOME": None, "XDG_CONFIG_HOME": "{home}/old"}),
    sh("ls -A {home}/old {home}/old/contree; ls {home}/old/contree/cli/sessions/*.db"),
    is_logged_in=False,
)
