"""contree use."""

from script import line, script

script(
    "use",
    "use",
    "use tag:{base}",
    "use",
    "-o json use",
    "ci {base}",
    "-o json-pretty use",
    "-o csv use",
    "-o tsv use",
    "-o plain use",
    "-o table use",
    "-o toml use",
    "use no-such-image",
    "use tag:none",
    "use 00000000-0000-0000-0000-000000000000",
    "use -N",
    line("use tag:{base}", env={"SHELL": "/usr/bin/fish"}),
    line("-S other use {base}", keep={"image": r"=(.+)"}),
    "-o json session show",
    in_turn=True,
)

script(
    "use/new",
    "use tag:{base}",
    line("use -N tag:{base}", keep={"key": r"CONTREE_SESSION=(.+)"}),
    line("use --new none"),
    "-S {key} -o json use",
    line("-o json session list", any_order=True),
)
