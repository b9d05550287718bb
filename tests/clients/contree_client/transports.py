"""Every transport of the client behind one way to call it.

The client has four blocking and two asynchronous transports with the same methods. Tests are
written once, for the blocking form; `Blocking` gives the asynchronous ones that form.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Any

SYNC = ("requests", "urllib3", "httpx", "http")
ASYNC = ("aiohttp", "httpx")
ALL = tuple(f"sync-{name}" for name in SYNC) + tuple(f"async-{name}" for name in ASYNC)


class Blocking:
    """An asynchronous client, called as a blocking one is: on an event loop of its own."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._loop = asyncio.new_event_loop()

        async def make_on_the_loop() -> Any:
            return make()

        self._client = self._loop.run_until_complete(make_on_the_loop())

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if inspect.isasyncgenfunction(attribute):
            return lambda *args, **kwargs: self._items(attribute(*args, **kwargs))
        if inspect.iscoroutinefunction(attribute):
            return lambda *args, **kwargs: self._loop.run_until_complete(attribute(*args, **kwargs))
        return attribute

    def _items(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._loop.run_until_complete(anext(items))
                except StopAsyncIteration:
                    return
        finally:
            self._loop.run_until_complete(items.aclose())

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


def open_client(transport: str, token: str, **settings: Any) -> Any:
    """A client over one of `ALL`, to be closed by the caller."""
    form, name = transport.split("-")
    module = import_module(f"contree_client.{name}")
    if form == "sync":
        return module.ContreeClient(token, **settings)
    return Blocking(lambda: module.ContreeAsyncClient(token, **settings))
