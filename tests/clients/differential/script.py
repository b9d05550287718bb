"""What a script is made of: command lines, and what goes on between them.

A script is a list of steps. A text is a command line without the program's name, split as a shell
splits it. `{name}` in it stands for what an earlier step kept under that name; from the start there are
{base}, a small image that all projects see, {url}, {token}, {home} and {registry}.

    script("run/env", "use tag:{base}", "env A=1", "run printenv A")
    script("op/wait", "use tag:{base}",
           line("-o json run -d sleep 0", keep={"op": "uuid"}), "op wait {op}")
"""

import shlex
from dataclasses import dataclass, field

# Standard input that stays open and says nothing.
IDLE = object()


@dataclass(frozen=True)
class Line:
    """One command line, and how it is given."""

    text: str
    # Bytes through a pipe, which is closed behind them; else /dev/null, or IDLE.
    stdin: object = None
    env: dict = field(default_factory=dict)
    # Names for what it prints: a field of its first row (JSON), or a pattern with one group.
    keep: dict = field(default_factory=dict)
    # Rows (or lines) come in any order, such as of what was made in the same second.
    any_order: bool = False
    # Given to sh instead, with the program as `contree` in the path.
    is_shell: bool = False
    # On a terminal: pairs of a pattern that is waited for there, and what is typed then. What is shown
    # is not compared.
    typed: tuple = None

    def words(self, kept):
        return [filled(word, kept) for word in shlex.split(self.text)]


@dataclass(frozen=True)
class Put:
    """A file in the working folder, made or replaced."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Until:
    """Waits until an operation has a status; for those that are not waited for by a command."""

    operation: str
    statuses: tuple


@dataclass(frozen=True)
class Script:
    name: str
    steps: tuple
    # Environment of all its lines; None takes a variable away.
    env: dict
    # Whether both programs also walk it in turn, in one home.
    in_turn: bool
    # Whether it begins with a profile for the server.
    is_logged_in: bool

    def lines(self):
        return [step for step in self.steps if isinstance(step, Line)]


def filled(text, kept):
    """A text with what was kept in its places; bytes stay bytes."""
    for name, value in kept.items():
        place = "{" + name + "}"
        if isinstance(text, bytes):
            text = text.replace(place.encode(), value.encode())
        else:
            text = text.replace(place, value)
    return text


def line(text, **how):
    return Line(text, **how)


def sh(text, **how):
    return Line(text, is_shell=True, **how)


def tty(text, *typed, **how):
    return Line(text, typed=typed, **how)


def put(path, content="", mode=0o644):
    return Put(path, content.encode() if isinstance(content, str) else content, mode)


def until(operation, *statuses):
    return Until(operation, statuses or ("SUCCESS", "FAILED", "CANCELLED"))


ALL = []


def script(name, *steps, env=None, in_turn=False, is_logged_in=True):
    """Adds a script to those that are walked."""
    steps = tuple(Line(step) if isinstance(step, str) else step for step in steps)
    assert all(known.name != name for known in ALL), f"two scripts are called {name}"
    ALL.append(Script(name, steps, env or {}, in_turn, is_logged_in))
