"""Driving a coroutine without an event loop: every await in it blocks the calling thread."""

from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

_T = TypeVar("_T")

# Read by the native module's Pending where it is awaited.
_blocking: ContextVar[bool] = ContextVar("contree_sdk._blocking", default=False)


def is_blocking() -> bool:
    """Whether the code that asks is being driven by `run`."""
    return _blocking.get()


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Runs a coroutine to its end in this thread and returns its result.

    What it awaits has to be native `Pending` objects, or coroutines that await nothing else. They
    wait with the interpreter free for other threads, and hear Ctrl-C in the main thread. An event
    loop that runs in this thread stands still meanwhile.
    """
    token = _blocking.set(True)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        _blocking.reset(token)
    coroutine.close()
    raise RuntimeError("a blocking call awaited something that needs an event loop")
