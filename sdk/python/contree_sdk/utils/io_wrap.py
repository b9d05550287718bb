"""What may be given as stdin, stdout and stderr, and pipes in memory."""

from __future__ import annotations

from collections.abc import Callable
from io import (
    BufferedReader,
    BufferedWriter,
    BytesIO,
    FileIO,
    IOBase,
    StringIO,
    TextIOWrapper,
    UnsupportedOperation,
)
from pathlib import Path
from subprocess import PIPE
from threading import Condition
from typing import IO, Any, Literal, TypeAlias, cast

from contree_sdk._text_enum import TextEnum

PipeLiteral = Literal[-1]
"""`subprocess.PIPE`."""
IO_TYPES: TypeAlias = str | bytes | Path | IO[str] | IO[bytes] | IOBase | PipeLiteral | int
"""`int` is for `subprocess.PIPE`, which type checkers know as no more than that; other numbers are
refused when they are given.

As input: text, bytes, the path of a file, a file object, or a pipe to write into.
As output: the path of a file (also as a string), a file object, or a pipe to read from."""


class PipeIO(IOBase):
    """A pipe: what is written at one end is read at the other, in this process.

    It has no bound, so writing never waits; reading waits until there is something, and `read()`
    until the writing end is closed. `close()` closes the writing end first, the reading end when
    called again. Threads may use the two ends at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = Condition()
        self._content = bytearray()
        self._ended = False
        self._shut = False
        self._sink: Callable[[bytes, bool], object] | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, waiting for the first; with -1 all, to the end."""
        with self._changed:
            self._refuse_when(self._shut)
            if size < 0:
                self._changed.wait_for(lambda: self._ended)
                return self._take(len(self._content))
            self._changed.wait_for(lambda: self._content or self._ended or size == 0)
            return self._take(size)

    def readline(self, size: int | None = -1) -> bytes:
        """A line with its end, waiting for it; the rest when the writing end is closed."""
        with self._changed:
            self._refuse_when(self._shut)
            bound = None if size is None or size < 0 else size
            while True:
                end = self._content.find(b"\n") + 1
                enough = bound is not None and len(self._content) >= bound
                if end or enough or self._ended:
                    break
                self._changed.wait()
            end = end or len(self._content)
            return self._take(end if bound is None else min(end, bound))

    def write(self, b: bytes) -> int:
        """Takes all of it, at once.

        Raises:
            ValueError: the writing end is closed.
            TypeError: text.
        """
        piece = bytes(memoryview(b))
        with self._changed:
            self._refuse_when(self._ended)
            if self._sink is None:
                self._content += piece
                self._changed.notify_all()
                return len(piece)
        self._sink(piece, False)
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Ends the input; called again, gives up what was not read."""
        with self._changed:
            if self._ended:
                self._shut = True
                self._content.clear()
                return
            self._ended = True
            self._changed.notify_all()
        if self._sink is not None:
            self._sink(b"", True)

    @property
    def closed(self) -> bool:
        return self._ended and self._shut

    def _end(self) -> None:
        """Closes the writing end, if it is not; what was written can still be read."""
        if not self._ended:
            self.close()

    def _drain(self) -> tuple[bytes, bool]:
        """What is in it, and whether that is all there will be."""
        with self._changed:
            return self._take(len(self._content)), self._ended

    def _forward(self, sink: Callable[[bytes, bool], object]) -> None:
        """From now on writes go to `sink(bytes, whether they are the last)`."""
        with self._changed:
            rest = self._take(len(self._content))
            self._sink = sink
        if rest or self._ended:
            sink(rest, self._ended)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._content[:size])
        del self._content[:size]
        return taken

    @staticmethod
    def _refuse_when(closed: bool) -> None:
        if closed:
            raise ValueError("I/O operation on closed file.")

    def __del__(self) -> None:
        """`IOBase` would close it, that is: end input that is still wanted."""


class IOMode(TextEnum):
    """To be read from, or written to."""

    read = "r"
    write = "w"


def get_io_by_obj(obj: IO_TYPES | None, mode: IOMode) -> IOBase | IO[Any] | None:
    """The file object for anything of [`IO_TYPES`]; None for None.

    Paths are opened in binary mode. A string is text to read, or the path of a file to write.

    Raises:
        OSError: a file cannot be opened.
        TypeError: anything else, and bytes to be written to.
    """
    if obj is None:
        return None
    check_io(obj, mode)
    if obj == PIPE:
        return PipeIO()
    if isinstance(obj, bytes):
        return BytesIO(obj)
    if isinstance(obj, str) and mode == IOMode.read:
        return StringIO(obj)
    if isinstance(obj, str | Path):
        return cast("IO[bytes]", Path(obj).open("rb" if mode == IOMode.read else "wb"))
    return cast("IOBase", obj)


def check_io(obj: object, mode: IOMode) -> None:
    """Refuses what `get_io_by_obj` would not take, and files that are open for something else.

    Raises:
        TypeError: nothing to read from, or to write to.
        io.UnsupportedOperation: a file that is open for the other of the two.
        ValueError: a file object that is closed.
    """
    if isinstance(obj, bytes) and mode != IOMode.read:
        raise TypeError("bytes cannot be used as output")
    is_pipe = type(obj) is int and obj == PIPE
    method = "read" if mode == IOMode.read else "write"
    if not is_pipe and not isinstance(obj, str | bytes | Path) and not hasattr(obj, method):
        raise TypeError(
            f"{obj} is not supported as IO: a string, bytes, a path, a file object or subprocess.PIPE"
        )
    if getattr(obj, "closed", False) is True:
        raise ValueError(f"{obj} is closed")
    # Others may well do what they do not say.
    if isinstance(obj, FileIO | BufferedReader | BufferedWriter | TextIOWrapper) and not (
        obj.readable() if mode == IOMode.read else obj.writable()
    ):
        raise UnsupportedOperation(
            f"{obj} is not open for {'reading' if method == 'read' else 'writing'}"
        )
