"""What `run`, `exec` and `popen` take, checked where they are called."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from errno import EACCES, EISDIR, ENOENT
from math import ceil, isfinite
from operator import index
from pathlib import Path

from contree_sdk.sdk.objects.run import REQUEST_IO_TYPES
from contree_sdk.utils.io_wrap import IO_TYPES, IOMode, check_io
from contree_sdk.utils.models.file import FilesArgument, UploadFileSpec

_MOST = 2**32 - 1
_MOST_BYTES = 2**64 - 1


def command_line(command: str | None, shell: str | None) -> str:
    """The program, or the line for the shell, which wins."""
    what = command if shell is None else shell
    if what is None:
        raise ValueError("Either command or shell must be provided")
    _must_be_text(what, "the command is", "")
    return what


def name(what: str, given: str | None) -> str | None:
    """A string; None where it is empty."""
    if given is not None:
        _must_be_text(given, f"{what} is", "")
    return given or None


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
    if timeout is not None and not isfinite(timeout):
        raise ValueError(f"timeout is {timeout}, which is no number of seconds")
    return natural("timeout", None if timeout is None else ceil(timeout))


def natural(what: str, number: int | None, most: int = _MOST) -> int | None:
    """A whole number that is not negative."""
    if number is None:
        return None
    if number < 0:
        raise ValueError(f"{what} is {number}, which is less than 0")
    if number > most:
        raise ValueError(f"{what} is {number}, which is more than {most}")
    return index(number)


def size(what: str, number: int | None) -> int | None:
    """A number of bytes."""
    return natural(what, number, _MOST_BYTES)


def input_of(source: IO_TYPES | None) -> IO_TYPES | None:
    """Something to read from; a file has to be there, and stays the same wherever the program goes."""
    if source is None or not (source or hasattr(source, "read")):
        return None
    check_io(source, IOMode.read)
    if isinstance(source, Path):
        source.stat()
        return source.absolute()
    return source


def output_of(target: REQUEST_IO_TYPES) -> REQUEST_IO_TYPES:
    """A kind of value, or something to write to; a file has to have a folder that it can be made in."""
    if target is not None and target is not str and target is not bytes:
        check_io(target, IOMode.write)
        if isinstance(target, str | Path):
            _must_be_writable(Path(target))
    return target


def files_of(files: FilesArgument | None) -> list[UploadFileSpec]:
    """Files that come along; local ones have to be there, and stay the same wherever the program goes."""
    return [_at_hand(spec) for spec in UploadFileSpec._prepare_files(files or [])]


def _at_hand(spec: UploadFileSpec) -> UploadFileSpec:
    if not isinstance(spec.source, Path):
        return spec
    _must_not_be_folder(spec.source)
    if not os.access(spec.source, os.R_OK):
        raise _os_error(EACCES, spec.source)
    return replace(spec, source=spec.source.absolute())


def _must_be_writable(path: Path) -> None:
    if path.exists():
        _must_not_be_folder(path)
    elif not path.parent.is_dir():
        raise _os_error(ENOENT, path)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _os_error(EACCES, path)


def _must_not_be_folder(path: Path) -> None:
    path.stat()
    if path.is_dir():
        raise _os_error(EISDIR, path)


def _os_error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def _must_be_text(value: object, before: str, after: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{before} {value!r}{after}, which is no string")
