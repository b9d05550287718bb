"""Walking a script with a program, in a home and a project of their own.

Three ways: all lines with contree-cli, all with ours, and in turn, every other line with the one and
with the other, on the same home.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from home import contents
from script import IDLE, Line, Put, filled
from terminal import on_terminal

URL = os.environ["CONTREE_TEST_URL"]
TOKEN = os.environ["CONTREE_TEST_TOKEN"]
REGISTRY = os.environ["CONTREE_TEST_REGISTRY"]
BASE = "tiny:1"

THEIRS = Path(shutil.which("contree")).absolute()
OURS = Path(os.environ["CONTREE_TEST_BIN"]) / "contree"

# No line of the scripts takes nearly as long; one that does stands still.
PATIENCE = 60


@dataclass
class Ended:
    """What a line did."""

    text: str
    program: str
    code: int
    stdout: bytes
    stderr: bytes
    any_order: bool


@dataclass
class Walk:
    """What all lines of a script did, and what they left."""

    way: str
    ended: list
    left: dict = field(default_factory=dict)
    # Texts that are this walk's alone, and what stands for them.
    own: dict = field(default_factory=dict)


class Walker:
    def __init__(self, script, way, folder):
        self.script = script
        self.way = way
        self.home = Path(folder).resolve()
        self.work = self.home / "work"
        self.work.mkdir(parents=True)
        (self.home / "contree").mkdir()
        self.token, self.project = project()
        self.kept = {
            "url": URL,
            "token": self.token,
            "base": BASE,
            "home": str(self.home),
            "registry": os.environ["CONTREE_TEST_REGISTRY"],
        }
        self.forks = None
        if script.is_logged_in:
            profile = self.home / "contree/auth.ini"
            profile.write_text(
                "[DEFAULT]\nprofile = default\n\n"
                f"[profile:default]\nurl = {URL}\ntoken = {self.token}\ntype = jwt\n\n"
            )
            profile.chmod(0o600)

    def walk(self):
        ended = []
        try:
            for step in self.script.steps:
                if isinstance(step, Line):
                    turn = len(ended) % 2
                    program = {
                        "theirs": "theirs",
                        "ours": "ours",
                        "in turn, ours first": ("ours", "theirs")[turn],
                        "in turn, theirs first": ("theirs", "ours")[turn],
                    }[self.way]
                    ended.append(self.line(step, program))
                elif isinstance(step, Put):
                    path = self.home / "work" / step.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(filled(step.content, self.kept))
                    path.chmod(step.mode)
                else:
                    self.until(filled(step.operation, self.kept), step.statuses)
        finally:
            if self.forks is not None:
                self.forks.close()
        own = {
            str(self.home): "<home>",
            self.token: "<token>",
            hashlib.sha256(self.token.encode()).hexdigest()[:16]: "<hash of the token>",
            self.project: "<project>",
        }
        return Walk(self.way, ended, contents(self.home), own)

    def variables(self, program, more):
        bins = OURS.parent if program == "ours" else THEIRS.parent
        variables = {
            "PATH": f"{bins}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "CONTREE_HOME": str(self.home / "contree"),
            "CONTREE_NO_UPDATE_CHECK": "1",
            # The machine is busy with other walks.
            "CONTREE_PATIENCE": "60",
            "CONTREE_SESSION": "work",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.script.env,
            **more,
        }
        return {
            name: filled(value, self.kept) for name, value in variables.items() if value is not None
        }

    def line(self, line, program):
        variables = self.variables(program, line.env)
        if line.typed is not None:
            return self.on_terminal(line, program, variables)
        if line.is_shell:
            text = filled(line.text, self.kept)
            start = Process(["sh", "-c", text], self.work, variables)
        else:
            words = line.words(self.kept)
            text = " ".join(words)
            if program == "ours":
                start = Process([str(OURS), *words], self.work, variables)
            elif line.env:
                # What is in the environment is read while loading.
                start = Process([str(THEIRS), *words], self.work, variables)
            else:
                if self.forks is None:
                    self.forks = Forks(self.work, variables)
                start = Forked(self.forks, words, line.stdin is IDLE)
        stdin = filled(line.stdin, self.kept) if isinstance(line.stdin, bytes) else line.stdin
        code, stdout, stderr = run(start, stdin, f"{self.script.name}: {program}: {text}")
        ended = Ended(line.text, program, code, stdout, stderr, line.any_order)
        for name, where in line.keep.items():
            self.kept[name] = kept(ended, where)
        return ended

    def on_terminal(self, line, program, variables):
        command = [str(OURS if program == "ours" else THEIRS), *line.words(self.kept)]
        typed = [(pattern, filled(text, self.kept)) for pattern, text in line.typed]
        code, shown = on_terminal(command, self.work, variables, typed, PATIENCE)
        return Ended(line.text, program, code, b"", shown, line.any_order)

    def until(self, operation, statuses):
        deadline = time.monotonic() + PATIENCE
        while True:
            status = ask(self.token, "GET", f"/v1/operations/{operation}")["status"]
            if status in statuses:
                return
            assert time.monotonic() < deadline, f"{operation} is {status}"
            time.sleep(0.02)


def kept(ended, where):
    try:
        return str(json.loads(ended.stdout.splitlines()[0])[where])
    except (ValueError, KeyError, IndexError):
        found = re.search(where, ended.stdout.decode()) if "(" in where else None
        assert found, f"{ended.text} did not print {where}: {ended}"
        return found[1]


class Process:
    """A program that is started for one line."""

    def __init__(self, command, folder, variables):
        self.command, self.folder, self.variables = command, folder, variables

    def start(self, stdin, stdout, stderr):
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.variables,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    def wait(self):
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise TimeoutError from None


class Forks:
    """contree-cli loaded for a walk, ready to be forked; see forks.py."""

    first = None
    lock = threading.Lock()

    def __init__(self, folder, variables):
        self.door, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self.door.settimeout(PATIENCE)
        with Forks.lock:
            if Forks.first is None:
                Forks.first = Forks.begin()
        socket.send_fds(
            Forks.first, [json.dumps([variables, str(folder)]).encode()], [theirs.fileno()]
        )
        theirs.close()

    @staticmethod
    def begin():
        """Starts the first generation, which ends with us."""
        door, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forks.py")), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        return door

    def close(self):
        self.door.close()


class Forked:
    """One line of a loaded contree-cli."""

    def __init__(self, forks, words, is_idle):
        self.forks, self.words, self.is_idle = forks, words, is_idle

    def start(self, stdin, stdout, stderr):
        fds = [stdin, stdout.fileno(), stderr.fileno()]
        message = json.dumps([self.words, self.is_idle]).encode()
        socket.send_fds(self.forks.door, [message], fds)

    def wait(self):
        return int(self.forks.door.recv(16))


def run(process, stdin, what):
    """Runs a line; its exit code and what it wrote, which goes to files."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        writer = None
        if stdin is None:
            source = os.open(os.devnull, os.O_RDONLY)
        else:
            source, writer = os.pipe()
        process.start(source, stdout, stderr)
        os.close(source)
        if stdin is not None and stdin is not IDLE:
            feeder = threading.Thread(target=feed, args=(writer, stdin), daemon=True)
            feeder.start()
        try:
            code = process.wait()
        except TimeoutError:
            stderr.seek(0)
            raise AssertionError(f"stands still: {what}\n{stderr.read().decode()}") from None
        finally:
            if stdin is IDLE:
                os.close(writer)
        stdout.seek(0)
        stderr.seek(0)
        return code, stdout.read(), stderr.read()


def feed(pipe, content):
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(pipe, view) :]
    except BrokenPipeError:
        pass
    finally:
        os.close(pipe)


def ask(token, method, path, body=None):
    request = urllib.request.Request(
        URL + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read())


def administer(*words):
    """Our command line, as the administrator of the server."""
    return subprocess.run(
        [OURS, "admin", *words],
        env={"PATH": "/nowhere", "CONTREE_URL": URL, "CONTREE_TOKEN": TOKEN, "HOME": "/nowhere"},
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    ).stdout.strip()


NUMBER = iter(range(1 << 30))


def project():
    """A new project: a token for it, and its name."""
    name = f"walk-{os.getpid()}-{next(NUMBER)}"
    administer("project", "create", name)
    return administer("token", "create", "--project", name), name
