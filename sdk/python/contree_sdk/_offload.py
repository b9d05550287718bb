"""Waiting for files without holding up an event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from contree_sdk import _blocking
from contree_sdk.utils.io_wrap import IO_TYPES

if TYPE_CHECKING:
    import asyncio

_T = TypeVar("_T")


async def offload(function: Callable[..., _T], *args: Any) -> _T:
    """Calls it here when the caller blocks anyway, else in a thread."""
    if _blocking.is_blocking():
        return function(*args)
    # Not at the top: blocking programs have no use for it, and it takes long to load.
    import asyncio

    return await asyncio.to_thread(function, *args)


async def read_input(source: IO_TYPES | None) -> bytes:
    """All of a run's input. Pipes and file objects are read to their end."""
    if source is None:
        return b""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str):
        return source.encode()
    file: Any = source
    read: Callable[[], str | bytes] = source.read_bytes if isinstance(source, Path) else file.read
    content = await offload(read)
    return content.encode() if isinstance(content, str) else content


class Turn:
    """A lock for coroutines on any event loop and for threads that block, all at once.

    They come in the order in which they asked. Coroutines wait without a thread.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._waiting: deque[_Place] = deque()

    async def __aenter__(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            place: _Place = _BlockedPlace() if _blocking.is_blocking() else _LoopPlace()
            self._waiting.append(place)
        try:
            await place.wait()
        except BaseException:
            with self._lock:
                still_waits = place in self._waiting
                if still_waits:
                    self._waiting.remove(place)
            if not still_waits:
                # It has come just now.
                self._pass_on()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            while self._waiting:
                if self._waiting.popleft().call():
                    return
            self._taken = False


class _BlockedPlace:
    """A thread that waits."""

    def __init__(self) -> None:
        self._gate = Lock()
        self._gate.acquire()

    async def wait(self) -> None:
        self._gate.acquire()

    def call(self) -> bool:
        self._gate.release()
        return True


class _LoopPlace:
    """A coroutine that waits on its event loop."""

    def __init__(self) -> None:
        # Not at the top, as above.
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._called: asyncio.Future[None] = self._loop.create_future()

    async def wait(self) -> None:
        await self._called

    def call(self) -> bool:
        """Whether there is anyone to hear it: loops may be closed with all that waits on them."""
        try:
            self._loop.call_soon_threadsafe(self._come)
        except RuntimeError:
            return False
        return True

    def _come(self) -> None:
        if not self._called.done():
            self._called.set_result(None)


_Place: TypeAlias = _BlockedPlace | _LoopPlace
