"""Waiting for files without holding up an event loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, TypeVar

from contree_sdk import _blocking
from contree_sdk.utils.io_wrap import IO_TYPES

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
    """A lock for coroutines on any event loop and for threads that block, all at once."""

    def __init__(self) -> None:
        self._lock = Lock()

    async def __aenter__(self) -> None:
        if _blocking.is_blocking():
            self._lock.acquire()
        elif not self._lock.acquire(blocking=False):
            import asyncio

            waiting = asyncio.ensure_future(asyncio.to_thread(self._lock.acquire))
            try:
                await asyncio.shield(waiting)
            except BaseException:
                # The thread will get it all the same.
                waiting.add_done_callback(lambda _: self._lock.release())
                raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()
