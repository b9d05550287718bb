"""What `run`, `exec` and `popen` take, checked where they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from math import ceil
from pathlib import Path

from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES
from contree_sdk.utils.io_wrap import IO_TYPES, IOMode, check_io


def command_line(command: str | None, shell: str | None) -> str:
    """The program, or the line for the shell, which wins."""
    what = command if shell is None else shell
    if what is None:
        raise ValueError("Either command or shell must be provided")
    return what


def words(args: Iterable[str] | None) -> list[str]:
    """The arguments as a list of strings."""
    if isinstance(args, str | bytes):
        raise TypeError(f"args is a list of words, not {args!r}; a whole line goes to shell")
    listed = list(args or ())
    for word in listed:
        _must_be_text(word, "args has", "")
    return listed


def variables(env: Mapping[str, str | None] | None) -> dict[str, str | None]:
    """Names and values as strings; None takes a variable away."""
    named = dict(env or {})
    for name, value in named.items():
        _must_be_text(name, "env has the name", "")
        if value is not None:
            _must_be_text(value, "env has", f" for {name}")
    return named


def whole_seconds(timeout: float | timedelta | None) -> int | None:
    """Rounded up, as the server takes whole ones."""
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    return natural("timeout", None if timeout is None else ceil(timeout))


def natural(name: str, number: int | None) -> int | None:
    """A number that is not negative."""
    if number is not None and number < 0:
        raise ValueError(f"{name} is {number}, which is less than 0")
    return number


def input_of(source: IO_TYPES | None) -> IO_TYPES | None:
    """Something to read from; a file has to be there."""
    if source is not None:
        check_io(source, IOMode.read)
    if isinstance(source, Path):
        source.stat()
    return source


def output_of(target: REQUEST_IO_TYPES) -> REQUEST_IO_TYPES:
    """A kind of value, or something to write to."""
    if target is not None and target is not str and target is not bytes:
        check_io(target, IOMode.write)
    return target


def _must_be_text(value: object, before: str, after: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{before} {value!r}{after}, which is no string")
