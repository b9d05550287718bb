"""`contree shell`, on a terminal."""

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time

import pytest
from person import PATIENCE, PROGRAM

PROMPT = re.compile(rb"\(main\) (\S+) \$ $")
STATUS = re.compile(r"session: \S+ \[\d+\] image: \S+\n$")
CODES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|[\x01\x02]")


class Terminal:
    """A terminal with the shell on it."""

    def __init__(self, person, *args):
        ours, theirs = pty.openpty()
        self.fd = ours
        self.process = subprocess.Popen(
            [PROGRAM, *args],
            cwd=person.home,
            env=person.variables(TERM="dumb", EDITOR="true"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # Without it, Ctrl-C would be a character as any other.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.seen = b""

    def read(self):
        ready, _, _ = select.select([self.fd], [], [], PATIENCE)
        assert ready, f"nothing more after {self.seen!r}"
        try:
            return os.read(self.fd, 65536)
        except OSError:
            return b""

    def prompt(self):
        """Reads up to the next prompt; what came before it, without colours."""
        deadline = time.monotonic() + PATIENCE
        while not PROMPT.search(CODES.sub(b"", self.seen)):
            chunk = self.read()
            assert chunk and time.monotonic() < deadline, f"no prompt: {self.seen!r}"
            self.seen += chunk
        seen, self.seen = CODES.sub(b"", self.seen), b""
        text = PROMPT.sub(b"", seen).decode().replace("\r\n", "\n")
        return STATUS.sub("", text)

    def __call__(self, line):
        """Types a line; what is shown until the next prompt, without the line itself."""
        self.type(line)
        shown = self.prompt()
        head, _, rest = shown.partition("\n")
        assert line.split("\n")[0] in head, shown
        return rest

    def type(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def ends(self):
        """Waits until the shell has left."""
        while chunk := self.read():
            self.seen += chunk
        code = self.process.wait(PATIENCE)
        os.close(self.fd)
        return code


@pytest.fixture
def shell(debian):
    terminal = Terminal(debian, "shell")
    terminal.prompt()
    yield terminal
    if terminal.process.poll() is None:
        terminal.process.kill()
        terminal.process.wait()


def test_lines_run_in_the_sandbox(shell, debian):
    assert "42\n" in shell("echo $((6*7)) | cat")
    assert "err\n" in shell("echo err >&2; false")
    shell("echo kept > /root/kept")
    assert "kept\n" in shell("cat /root/kept")
    assert "linuxkit\n" in shell("hostname")
    # Two lines of one command.
    shell.type("echo 'first")
    shell.type("second'")
    assert "first\nsecond\n" in shell.prompt()
    shell.type("exit")
    assert shell.ends() == 0
    # The session goes on outside.
    assert debian("run", "-D", "cat", "/root/kept").text == "kept\n"
    kinds = [row["kind"] for row in debian.rows("session", "show")]
    assert kinds[0] == "use" and set(kinds[1:]) == {"run"}
    # And the next shell knows what was typed in this one.
    again = Terminal(debian, "shell")
    again.prompt()
    assert "echo kept > /root/kept\n" in again("history KEPT")
    again.type("exit")
    assert again.ends() == 0


def test_its_own_words(shell, debian):
    shell("cd /etc")
    assert shell("pwd") == "/etc\n"
    assert "debian_version" in shell("ls")
    assert "/etc\n" in shell("sh -c pwd")
    shell("cd -")
    assert shell("pwd") == "/\n"
    assert "12\n" in shell("timeout 20 echo 12")
    assert "timed out" in shell("timeout 1 sleep 60")
    assert "debian:bookworm" in shell("contree images")
    assert "Created branch" in shell("contree session branch side")
    assert "cannot be run" in shell("contree shell")
    assert "json" in shell("-o json") + shell("--format")
    assert '"stdout": "as json\\n"' in shell("echo as json")
    assert "API error" in shell("contree cat /absent")
    assert "Interactive" in shell("help") or "interactive" in shell("help")
    os.write(shell.fd, b"\x04")
    assert shell.ends() == 0


def test_ctrl_c_ends_the_command_and_not_the_shell(shell, debian):
    shell.type("trap 'echo caught; exit 0' INT; echo ready; while :; do sleep 0.1; done")
    while b"ready\r\n" not in CODES.sub(b"", shell.seen):
        shell.seen += shell.read()
    os.write(shell.fd, b"\x03")
    assert "caught\n" in shell.prompt()
    assert "still here\n" in shell("echo still here")
    shell.type("quit")
    assert shell.ends() == 0
