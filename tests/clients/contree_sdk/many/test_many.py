"""A thousand runs at once from one process, which may have no more than 1,024 files open."""

import asyncio
import os
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import DEBIAN
from contree_sdk import Contree, ContreeSync

RUNS = 1000
# Connections for all of them. At most 32 starts and 32 questions for results are under way at a
# time, beside one stream. A connection may be begun for a request that then takes one that has
# become free, so there are some more.
FEW = 200


@pytest.fixture(autouse=True)
def few_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def sockets() -> int:
    """Open connections of this process."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += os.readlink(link).startswith("socket:")
        except OSError:
            # The descriptor of this very listing.
            continue
    return count


async def test_a_thousand_at_once(config):
    before, threads = sockets(), threading.active_count()
    client = Contree(config)
    image = await client.images.use(DEBIAN)
    most = 0

    async def run(number: int) -> str:
        nonlocal most
        done = await image.run(shell=f"echo {number}; echo {-number} >&2; exit {number % 7}")
        most = max(most, sockets())
        assert (done.stderr, done.exit_code) == (f"{-number}\n", number % 7)
        return done.stdout

    outputs = await asyncio.gather(*(run(number) for number in range(RUNS)))
    assert outputs == [f"{number}\n" for number in range(RUNS)]
    # Few connections carry all of them, and nothing is left to do.
    assert most - before < FEW
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert threading.active_count() == threads

    # With another round there are still few: nothing has piled up.
    await asyncio.gather(*(run(number) for number in range(300)))
    assert most - before < FEW


async def test_hundreds_are_cancelled(config):
    client = Contree(config)
    image = await client.images.use(DEBIAN)
    for _ in range(5):
        # Fewer than the server lets go at once, for those that are kept to find a place.
        left = [asyncio.ensure_future(image.run("sleep", args=["3000"])) for _ in range(40)]
        kept = [asyncio.ensure_future(image.run("echo", args=[str(n)])) for n in range(20)]
        await asyncio.gather(*kept)
        for task in left:
            task.cancel()
        ends = await asyncio.gather(*left, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}
    # Nothing waits before it at the server: what was cancelled is not there any more.
    done = await asyncio.wait_for(image.run("echo", args=["next"]), 60)
    assert done.stdout == "next\n"
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_thousand_from_threads(config):
    image = ContreeSync(config).images.use(DEBIAN)

    def run(number: int) -> str:
        return image.run("echo", args=[str(number)]).wait().stdout

    with ThreadPoolExecutor(RUNS) as threads:
        outputs = list(threads.map(run, range(RUNS)))
    assert outputs == [f"{number}\n" for number in range(RUNS)]
    assert sockets() < FEW
