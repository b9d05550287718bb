"""Following a run: its events, one after the other, and the output among them."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from contree_sdk._native import Event, Events
from contree_sdk.sdk.exceptions import OperationError
from contree_sdk.utils.codecs import TextDecoder

_R_co = TypeVar("_R_co", covariant=True)


@dataclass(frozen=True)
class ContreeChunk:
    """A piece of output, as it was written."""

    stream: Literal["stdout", "stderr"]
    """Where it was written to."""
    data: bytes
    """The bytes."""
    text: str
    """The text that is complete with this piece: a character that is spread over pieces comes with
    the last of them. What is not UTF-8 is U+FFFD."""


@dataclass(frozen=True)
class ContreeEvent:
    """Something that happened in a run."""

    id: int | None
    """Rises from event to event; `events(after=…)` goes on behind it."""
    type: str
    """`init`, `network`, `spawn`, `stdin`, `stdout`, `stderr`, `truncated`, `exit`, `size_cap`,
    `shutdown` or `completion`."""
    spid: int | None
    """The process: 1 is the command, 2 and up are those of `exec`; None: the run as a whole."""
    data: bytes | None
    """The bytes of `stdin`, `stdout` and `stderr`."""
    ts: str = ""
    """When, in UTC with nanoseconds: `2026-11-22T10:00:00.000000000Z`."""
    details: dict[str, Any] = field(default_factory=dict)
    """All that the server tells about it, by type; see docs/openapi.json."""

    @classmethod
    def _of(cls, event: Event) -> ContreeEvent:
        whole: dict[str, Any] = json.loads(event.json)
        return cls(
            event.id,
            event.type,
            event.spid,
            event.data,
            whole.get("ts", ""),
            whole.get("data") or {},
        )


class Source(Protocol[_R_co]):
    """What is followed."""

    async def events(self, spid: int | None, after: int | None) -> Events: ...
    def is_last(self, event: Event) -> bool:
        """Whether nothing comes after it; the end of a run's events is told by themselves."""
        ...

    async def finish(self) -> _R_co: ...
    async def end(self) -> _R_co: ...
    async def let_go(self) -> None:
        """Following ends early, by an error, a cancellation or `close`."""


class Feed(Generic[_R_co]):
    """Events in order, then the end. Going through it raises what waiting for the end would."""

    def __init__(
        self, source: Source[_R_co], *, spid: int | None = None, after: int | None = None
    ) -> None:
        self._source = source
        self._spid = spid
        self._after = after
        self._events: Events | None = None
        self._over = False
        self._ended = False
        self._pieces: deque[ContreeChunk] = deque()
        self._decoders: dict[Literal["stdout", "stderr"], TextDecoder] = {
            "stdout": TextDecoder(),
            "stderr": TextDecoder(),
        }

    async def _next(self) -> Event | None:
        if self._ended:
            return None
        try:
            if not self._over:
                if self._events is None:
                    self._events = await self._source.events(self._spid, self._after)
                event = await self._events.next()
                if event is not None:
                    self._over = self._source.is_last(event)
                    return event
            self._ended = True
            await self._source.finish()
            return None
        except (GeneratorExit, OperationError):
            raise
        except BaseException:
            await self._source.let_go()
            raise

    async def _next_event(self) -> ContreeEvent | None:
        event = await self._next()
        return None if event is None else ContreeEvent._of(event)

    async def _next_chunk(self) -> ContreeChunk | None:
        while not self._pieces:
            event = await self._next()
            if event is None:
                self._flush()
                return self._pieces.popleft() if self._pieces else None
            if event.type in ("stdout", "stderr") and event.data is not None:
                stream: Literal["stdout", "stderr"] = (
                    "stdout" if event.type == "stdout" else "stderr"
                )
                text = self._decoders[stream].feed(event.data)
                self._pieces.append(ContreeChunk(stream, event.data, text))
        return self._pieces.popleft()

    def _flush(self) -> None:
        """A character that never came whole has no bytes of its own here: they came before."""
        for stream, decoder in self._decoders.items():
            if text := decoder.finish():
                self._pieces.append(ContreeChunk(stream, b"", text))

    async def _end(self) -> _R_co:
        self._ended = True
        return await self._source.end()

    async def _close(self) -> None:
        if not self._ended:
            self._ended = True
            await self._source.let_go()
