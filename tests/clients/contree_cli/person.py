"""One person with contree-cli and a home of their own.

The program takes a third of a second to start, so the tests start it sparingly: what they stand on is
prepared once, and each test gets a copy of the database that the program keeps its sessions in.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

URL = os.environ["CONTREE_TEST_URL"]
TOKEN = os.environ["CONTREE_TEST_TOKEN"]
PROGRAM = shutil.which("contree")

# No command of the suite takes nearly as long; one that does stands still.
PATIENCE = 40


@dataclass(frozen=True)
class Ended:
    """What a command did."""

    command: str
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self):
        return self.stdout.decode()

    @property
    def told(self):
        """What it said on standard error."""
        return self.stderr.decode()

    @property
    def rows(self):
        """JSON Lines."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class Person:
    """Who types commands."""

    def __init__(self, home, session="work", database=None):
        self.home = Path(home)
        self.session = session
        self.database = database

    def variables(self, **settings):
        own = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "CONTREE_HOME": str(self.home / "contree"),
            "CONTREE_NO_UPDATE_CHECK": "1",
            "CONTREE_SESSION": self.session,
        }
        if self.database is not None:
            own["CONTREE_SESSION_DB"] = str(self.database)
        return {**own, **settings}

    def copied(self, folder):
        """The same person with the same sessions, which go another way from here on."""
        database = Path(folder) / "sessions.db"
        shutil.copy(self.database, database)
        return Person(self.home, self.session, database)

    def start(self, *args, stdin=subprocess.DEVNULL, **settings):
        """A command that is left running."""
        return subprocess.Popen(
            [PROGRAM, *map(str, args)],
            cwd=self.home,
            env=self.variables(**settings),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __call__(self, *args, code=0, stdin=None, **settings):
        """A command that must end with an exit code."""
        process = self.start(
            *args, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, **settings
        )
        return finished(process, stdin=stdin, code=code)

    def rows(self, *args, **more):
        """What a command tells as JSON."""
        return self("-o", "json", *args, **more).rows

    def row(self, *args, **more):
        """The only row it tells."""
        rows = self.rows(*args, **more)
        assert len(rows) == 1, rows
        return rows[0]

    def image(self):
        """The image that the session stands on."""
        return self.row("use")["current_image"]

    def detached(self, *args):
        """Starts a run and leaves; the operation's uuid."""
        return self.row("run", "-d", *args)["uuid"]


def finished(process, stdin=None, code=0):
    """Waits for the end of a command, which must be that exit code."""
    try:
        stdout, stderr = process.communicate(stdin, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        pytest.fail(f"stands still: {process.args}\n{stdout!r}\n{stderr.decode()}")
    ended = Ended(" ".join(process.args), process.returncode, stdout, stderr)
    assert ended.code == code, f"{ended.command}\n{ended.stdout!r}\n{ended.told}"
    return ended


def read_until(stream, text):
    """Reads a command's output up to and with a text."""
    seen = b""
    while text not in seen:
        chunk = stream.read1(65536)
        assert chunk, f"ended without {text!r}: {seen!r}"
        seen += chunk
    return seen
