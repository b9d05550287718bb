"""Following a run on an event loop."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Any, TypeVar

from contree_sdk.sdk.objects.stream._base import ContreeChunk, ContreeEvent, Feed

_R = TypeVar("_R")
_S = TypeVar("_S", bound="_AsyncFeed[Any]")


class _AsyncFeed(Feed[_R]):
    """What output and events have in common.

    Awaiting it gives what awaiting the run would, whether or not all of it was read. Leaving
    `async with` before the end stops following; so does being cancelled. A run that was begun only to
    be followed (`image.run(…).stream()`) is cancelled then; one that was started before
    (`handle.stream()`) goes on.
    """

    def __await__(self) -> Generator[Any, None, _R]:
        return self._end().__await__()

    async def aclose(self) -> None:
        """Stops following."""
        await self._close()

    async def __aenter__(self: _S) -> _S:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()


class ContreeStream(_AsyncFeed[_R]):
    """The output of a run or a process, piece by piece: `async for chunk in stream`."""

    def __aiter__(self) -> ContreeStream[_R]:
        return self

    async def __anext__(self) -> ContreeChunk:
        chunk = await self._next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk


class ContreeEvents(_AsyncFeed[_R]):
    """Everything that happens in a run: `async for event in events`."""

    def __aiter__(self) -> ContreeEvents[_R]:
        return self

    async def __anext__(self) -> ContreeEvent:
        event = await self._next_event()
        if event is None:
            raise StopAsyncIteration
        return event
