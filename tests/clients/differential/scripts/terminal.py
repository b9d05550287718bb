"""What differs on a terminal, or is asked there."""

from script import line, script, sh, tty, until

PASSWORD = r"assword.*: "
TOKEN = r"Token.*: "
SURE = r"\[y/N\] ?"

script(
    "terminal/bytes",
    "use {base}",
    "run -s 'echo text > /text; printf \"\\377\\376\" > /bytes'",
    tty("cat /text"),
    tty("cat /bytes"),
    tty("export /text"),
    tty("export /text -F out.tar.gz"),
    tty("ls /"),
    tty("grep text /text"),
    tty("grep none /text"),
    tty("images"),
    tty("-o json images"),
    sh("tar -tzf out.tar.gz && rm out.tar.gz"),
    in_turn=True,
)

script(
    "terminal/questions",
    tty("auth --type jwt -u {url}", (TOKEN, "none\r")),
    tty("auth --type jwt -u {url}", (TOKEN, "{token}\r")),
    tty("auth --type jwt -u {url}", (SURE, "n\r")),
    tty("auth --type jwt -u {url}", (SURE, "\r")),
    tty("auth --type jwt -u {url}", (SURE, "y\r"), (TOKEN, "{token}\r")),
    tty("auth --type iam -u {url} -p side", (TOKEN, "{token}\r"), ("Project ID: ", "it\r")),
    line("-o json auth list"),
    tty("auth remove side", (SURE, "n\r")),
    tty("auth remove side", (SURE, "y\r")),
    tty("images import --username me {registry}/team/tiny:1", (PASSWORD, "secret\r")),
    line("-o json images"),
    in_turn=True,
    is_logged_in=False,
)

script(
    "terminal/interrupts",
    "use {base}",
    line("-o json run -d sleep 300", keep={"one": "uuid"}),
    until("{one}", "EXECUTING"),
    tty("-L debug op wait {one}", ("operations/", "\x03")),
    "-o json ps -q",
    "kill {one}",
    in_turn=True,
)
