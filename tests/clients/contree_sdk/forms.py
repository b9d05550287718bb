"""Both forms of the SDK behind one way to call it.

The blocking and the asynchronous client have the same methods. Tests are written once:
`sdk.of(…)` is the value of any call, `sdk.done(…)` the image after a prepared run, `sdk.items(…)`
all that can be iterated over, and `sdk.each(…)` the same while it comes.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from contree_sdk.config import ContreeConfig

from contree_sdk import Contree, ContreeSync


class Blocking:
    """`ContreeSync`: calls return their values, runs are waited for."""

    def __init__(self, config: ContreeConfig) -> None:
        self.client = ContreeSync(config)

    def of(self, value: Any) -> Any:
        return value

    def done(self, prepared: Any) -> Any:
        return prepared.wait()

    def items(self, iterable: Any) -> list[Any]:
        return list(iterable)

    def each(self, iterable: Any) -> Iterator[Any]:
        return iter(iterable)

    def close(self) -> None:
        """Its event loop is shared by all, in the background."""


class Asynchronous:
    """`Contree`: calls and runs are awaited."""

    def __init__(self, config: ContreeConfig) -> None:
        self._loop = asyncio.new_event_loop()
        self.client = Contree(config)

    def of(self, value: Any) -> Any:
        return self._loop.run_until_complete(value)

    done = of

    def items(self, iterable: Any) -> list[Any]:
        async def collect() -> list[Any]:
            return [item async for item in iterable]

        return self.of(collect())

    def each(self, iterable: Any) -> Iterator[Any]:
        iterator = aiter(iterable)
        with suppress(StopAsyncIteration):
            while True:
                yield self.of(anext(iterator))

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
