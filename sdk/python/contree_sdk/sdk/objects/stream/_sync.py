"""Following a run, blocking."""

from __future__ import annotations

from types import TracebackType
from typing import Any, TypeVar

from contree_sdk import _blocking
from contree_sdk.sdk.objects.stream._base import ContreeChunk, ContreeEvent, Feed

_R = TypeVar("_R")
_S = TypeVar("_S", bound="_SyncFeed[Any]")


class _SyncFeed(Feed[_R]):
    """What output and events have in common.

    Leaving `with` before the end stops following; so does Ctrl-C. A run that was begun only to be
    followed (`image.run(…).stream()`) is cancelled then; one that was started before
    (`handle.stream()`) goes on.
    """

    def wait(self) -> _R:
        """What waiting for the run gives, whether or not all of this was read."""
        return _blocking.run(self._end())

    def close(self) -> None:
        """Stops following."""
        _blocking.run(self._close())

    def __enter__(self: _S) -> _S:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class ContreeStreamSync(_SyncFeed[_R]):
    """The output of a run or a process, piece by piece: `for chunk in stream`."""

    def __iter__(self) -> ContreeStreamSync[_R]:
        return self

    def __next__(self) -> ContreeChunk:
        chunk = _blocking.run(self._next_chunk())
        if chunk is None:
            raise StopIteration
        return chunk


class ContreeEventsSync(_SyncFeed[_R]):
    """Everything that happens in a run: `for event in events`."""

    def __iter__(self) -> ContreeEventsSync[_R]:
        return self

    def __next__(self) -> ContreeEvent:
        event = _blocking.run(self._next_event())
        if event is None:
            raise StopIteration
        return event
